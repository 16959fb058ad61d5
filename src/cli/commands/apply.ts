/** `tendril apply -f FILE` */
import type { Command } from 'commander';
import type { ApplyResult } from '../../api/schemas.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { ServiceResource } from '../../core/model/service.ts';
import type { ApiClient } from '../api/api-client.ts';
import { withClient } from '../connect.ts';
import { addWaitOptions, fileOption, type WaitFlags } from '../options.ts';
import { painter } from '../output/painter.ts';
import { type Shell, wantsColour } from '../shell.ts';

interface ApplyFlags extends WaitFlags {
  readonly filename: readonly string[];
  readonly dryRun?: boolean;
  readonly output: 'text' | 'json' | 'name';
}

export function register(program: Command, shell: Shell): void {
  const command = program
    .command('apply')
    .description(
      'Creates or changes services so that they are as the files declare. What is so already stays untouched.\n\n' +
        "Files hold one or more YAML or JSON documents (apiVersion: tendril/v1), or edgeIO's deployment file.",
    )
    .requiredOption('-f, --filename <file>', 'file, directory or - for standard input; may be repeated', fileOption)
    .option('--dry-run', 'only say what would happen');
  addWaitOptions(command, 'return when everything runs, or say why it does not')
    .addOption(command.createOption('-o, --output <format>', 'how to report').choices(['text', 'json', 'name']).default('text'))
    .addHelpText(
      'after',
      `
Examples:
  $ tendril apply -f web.yaml
  $ tendril apply -f services/ --wait --timeout 2m
  $ sed s/TAG/1.4/ web.yaml | tendril apply -f -`,
    )
    .action(async (flags: ApplyFlags, called: Command) => {
      const { readManifests } = await import('../manifest/read-manifests.ts');
      const manifests = await readManifests(shell, flags.filename);
      await withClient(shell, called, async (client) => {
        const resources = manifests.map((manifest) => manifest.resource);
        const results = await applyAll(client, resources, flags.dryRun === true);
        report(shell, results, flags);
        refuse(results, manifests);
        if (!flags.wait || flags.dryRun) return;
        const { waitForServices } = await import('../wait-running.ts');
        const names = results.map((result) => result.name);
        await waitForServices(client, shell, names, { timeoutMs: flags.timeout, until: 'running' });
        if (flags.output === 'text') for (const name of names) shell.stdout.write(`service/${name} is as declared\n`);
      });
    });
}

/** As many requests as the limit of one takes. */
export async function applyAll(
  client: ApiClient,
  resources: readonly ServiceResource[],
  dryRun: boolean,
): Promise<ApplyResult[]> {
  const results: ApplyResult[] = [];
  let batch: ServiceResource[] = [];
  let bytes = 0;
  for (const resource of resources) {
    const size = Buffer.byteLength(JSON.stringify(resource)) + 1;
    if (batch.length > 0 && bytes + size > limits.requestBodyBytes - ENVELOPE_BYTES) {
      results.push(...(await client.apply(batch, { dryRun })));
      batch = [];
      bytes = 0;
    }
    batch.push(resource);
    bytes += size;
  }
  if (batch.length > 0) results.push(...(await client.apply(batch, { dryRun })));
  return results;
}

const ENVELOPE_BYTES = 64;

function report(shell: Shell, results: readonly ApplyResult[], { output, dryRun }: ApplyFlags): void {
  if (output === 'json') {
    shell.stdout.write(`${JSON.stringify({ items: results }, null, 2)}\n`);
    return;
  }
  const paint = painter(wantsColour(shell));
  for (const { name, effect } of results) {
    if (effect === 'refused') continue;
    const said = effect === 'unchanged' ? paint.dim(effect) : paint.good(effect);
    shell.stdout.write(output === 'name' ? `service/${name}\n` : `service/${name} ${said}${dryRun ? ' (dry run)' : ''}\n`);
  }
}

/** Throws the first refusal, with the findings of all, each with its file. */
export function refuse(
  results: readonly ApplyResult[],
  manifests: readonly { readonly resource: ServiceResource; readonly file: string; readonly line: number }[],
): void {
  const refused = results.flatMap((result) =>
    result.effect === 'refused' && result.error ? [{ name: result.name, error: result.error }] : [],
  );
  const [first] = refused;
  if (!first) return;
  const details = refused.flatMap(({ name, error }) => {
    const manifest = manifests.find(({ resource }) => resource.metadata.name === name);
    const place = manifest ? { file: manifest.file, line: manifest.line } : {};
    const own = error.details.length > 0 ? error.details : [{ field: '', message: error.message }];
    return own.map((detail) => ({ ...detail, ...place, field: detail.field ? `${name}: ${detail.field}` : name }));
  });
  throw new CodedError(first.error.code, refused.map(({ name }) => `service/${name}`).join(', '), details);
}
