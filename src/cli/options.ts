/** Flags that several commands share, and how their values are read. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseDurationMs } from '../core/base/duration.ts';

export function durationOption(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === null) throw new InvalidArgumentError('Expected a duration such as 500ms, 10s, 5m or 1h.');
  return ms;
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

/** `-f a -f b` and `-f a,b` alike. */
export function fileOption(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(',').filter((path) => path !== '')];
}

export const OUTPUT_FORMATS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export function addOutputOption(command: Command, formats: readonly OutputFormat[] = OUTPUT_FORMATS): Command {
  return command.addOption(new Option('-o, --output <format>', 'how to show it').choices([...formats]).default('table'));
}

export function addWaitOptions(command: Command, what: string): Command {
  return command
    .option('--wait', what)
    .addOption(new Option('--timeout <duration>', 'how long to wait').argParser(durationOption).default(60_000, '1m'));
}

export interface WaitFlags {
  readonly wait?: boolean;
  readonly timeout: number;
}
