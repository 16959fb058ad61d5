/**
 * The record of an instance, `<directory>/instance.json`: which process it is, so that the next tendril finds it.
 *
 * It is renamed into place but not synced. It has to survive a crash of tendril, for which the page cache
 * does; a power cut ends the process too, and then a torn record says as much as a whole one. Saving the
 * sync keeps starts fast and flash cards alive.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { endpointSchema } from '../../core/model/messages.ts';
import { ioErrorCode } from './io-errors.ts';

const recordSchema = z.object({
  version: z.literal(1),
  pid: z.int(),
  startTicks: z.int(),
  bootId: z.string(),
  /** Directories of its control groups; empty without. */
  cgroups: z.array(z.string()),
  endpoints: z.array(endpointSchema),
  /** null while it runs, as far as is known. */
  exit: z.nullable(z.object({ exitCode: z.nullable(z.int()), reason: z.string() })),
});
export type InstanceRecord = z.output<typeof recordSchema>;

const FILE = 'instance.json';

export function writeRecord(directory: string, record: InstanceRecord): void {
  const temporary = join(directory, `${FILE}.new`);
  writeFileSync(temporary, JSON.stringify(record));
  renameSync(temporary, join(directory, FILE));
}

/** `none` when it was never written, `torn` when it cannot be read any more. */
export function readRecord(directory: string): InstanceRecord | 'none' | 'torn' {
  let text: string;
  try {
    text = readFileSync(join(directory, FILE), 'utf8');
  } catch (error) {
    return ioErrorCode(error) === 'ENOENT' ? 'none' : 'torn';
  }
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    return 'torn';
  }
}
