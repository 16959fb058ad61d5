/** `tendril diff -f FILE` */
import type { Command } from 'commander';
import { createTwoFilesPatch } from 'diff';
import { CodedError } from '../../core/model/errors.ts';
import { withClient } from '../connect.ts';
import { Exit } from '../exit-codes.ts';
import { fileOption } from '../options.ts';
import { formatYaml } from '../output/document.ts';
import { type Painter, painter } from '../output/painter.ts';
import { printable, type Shell, wantsColour } from '../shell.ts';
import { writtenService } from '../written-service.ts';
import { applyAll, refuse } from './apply.ts';

export function register(program: Command, shell: Shell): void {
  program
    .command('diff')
    .description(
      'Shows what `tendril apply` would change, as a unified diff.\n\nExit code 0: nothing. 1: something. More: it could not be found out.',
    )
    .requiredOption('-f, --filename <file>', 'file, directory or - for standard input; may be repeated', fileOption)
    .addHelpText(
      'after',
      `
Examples:
  $ tendril diff -f web.yaml
  $ tendril diff -f services/ && echo up to date`,
    )
    .action(async (flags: { filename: readonly string[] }, command: Command) => {
      const { readManifests } = await import('../manifest/read-manifests.ts');
      const manifests = await readManifests(shell, flags.filename);
      const results = await withClient(shell, command, (client) =>
        applyAll(
          client,
          manifests.map((manifest) => manifest.resource),
          true,
        ),
      );
      refuse(results, manifests);
      const paint = painter(wantsColour(shell));
      let differs = false;
      for (const { name, before, after, effect } of results) {
        if (effect === 'unchanged') continue;
        if (!after) throw new CodedError('unavailable', 'the orchestrator does not say what would change');
        differs = true;
        const then = before ? formatYaml(writtenService(name, before)) : '';
        const now = formatYaml(writtenService(name, after));
        shell.stdout.write(formatDiff(paint, `service/${name}`, then, now));
      }
      if (differs) throw new Exit('failed');
    });
}

export function formatDiff(paint: Painter, name: string, before: string, after: string): string {
  const patch = createTwoFilesPatch(before === '' ? '/dev/null' : `${name} (now)`, `${name} (declared)`, before, after);
  const lines = patch.split('\n').filter((line) => !/^=+$/.test(line));
  return lines.map((line) => paintLine(paint, printable(line).trimEnd())).join('\n');
}

function paintLine(paint: Painter, line: string): string {
  if (line.startsWith('+++') || line.startsWith('---')) return paint.strong(line);
  if (line.startsWith('+')) return paint.added(line);
  if (line.startsWith('-')) return paint.removed(line);
  return line.startsWith('@@') ? paint.place(line) : line;
}
