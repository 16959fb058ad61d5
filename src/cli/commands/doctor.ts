/** `tendril doctor` */
import type { Command } from 'commander';
import type { ConnectionFlags } from '../context/target.ts';
import type { Check } from '../doctor/check.ts';
import { checkConnection } from '../doctor/connection-checks.ts';
import { checkMachine } from '../doctor/machine-checks.ts';
import { Exit } from '../exit-codes.ts';
import { type Painter, painter } from '../output/painter.ts';
import { printable, type Shell, wantsColour } from '../shell.ts';

interface DoctorFlags extends ConnectionFlags {
  readonly dataDir?: string;
  readonly local?: boolean;
  readonly output: 'text' | 'json';
}

export function register(program: Command, shell: Shell): void {
  const command = program.command('doctor');
  command
    .description(
      'Checks the way to the orchestrator and what this machine has for running work. Says what to do about what is wrong.',
    )
    .option('--local', 'only this machine')
    .option('--data-dir <dir>', 'the data directory to look at; TENDRIL_DATA_DIR')
    .addOption(command.createOption('-o, --output <format>', 'how to show it').choices(['text', 'json']).default('text'))
    .addHelpText('after', '\nExit code 1 when a check fails; warnings do not count.')
    .action(async (_flags: unknown, called: Command) => {
      const flags = called.optsWithGlobals<DoctorFlags>();
      const groups: [string, readonly Check[]][] = [];
      if (!flags.local) groups.push(['Connection', await checkConnection(shell, flags)]);
      groups.push(['This machine', await checkMachine(shell, flags.dataDir)]);
      const checks = groups.flatMap(([, group]) => group);
      if (flags.output === 'json') shell.stdout.write(`${JSON.stringify({ items: checks }, null, 2)}\n`);
      else shell.stdout.write(groups.map(([title, group]) => formatChecks(title, group, painter(wantsColour(shell)))).join('\n'));
      if (checks.some((check) => check.result === 'fail')) throw new Exit('failed');
    });
}

export function formatChecks(title: string, checks: readonly Check[], paint: Painter): string {
  const tones = { ok: paint.good, warn: paint.warn, fail: paint.bad };
  const width = Math.max(...checks.map((check) => check.name.length));
  const lines = checks.map(({ result, name, finding, advice }) => {
    const line = `  ${tones[result](result.padEnd(4))}  ${name.padEnd(width)}  ${printable(finding)}\n`;
    return advice === undefined ? line : `${line}        ${' '.repeat(width)}  ${paint.dim('->')} ${advice}\n`;
  });
  return `${paint.strong(title)}\n${lines.join('')}`;
}
