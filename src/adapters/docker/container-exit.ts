import { constants } from 'node:os';
import type { RuntimeExit } from '../../ports/runtime.ts';

/** A shell's and the engine's way to say "ended by signal n". */
const SIGNAL_BASE = 128;
export const KILLED_EXIT_CODE = SIGNAL_BASE + constants.signals.SIGKILL;

/** How a container ended, for a person. Its exit code cannot tell a signal from a program that returns the same number. */
export function containerExit(exitCode: number, outOfMemory: boolean): RuntimeExit {
  const signal = Object.entries(constants.signals).find(([, number]) => SIGNAL_BASE + number === exitCode)?.[0];
  const how = signal === undefined ? `exited with code ${exitCode}` : `killed by ${signal}`;
  return { exitCode, reason: outOfMemory ? `${how} (out of memory)` : how };
}

export const CONTAINER_GONE: RuntimeExit = { exitCode: null, reason: 'its container was removed' };
