/** Log lines on stderr: JSON by pino for machines, one readable line for people at a terminal. */
import { pino } from 'pino';
import type { Logger } from '../../ports/logger.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function jsonLogger(level: LogLevel, base: Readonly<Record<string, string>>): Logger {
  return pino(
    { level, base, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    pino.destination({ dest: 2, sync: true }),
  );
}

export function textLogger(level: LogLevel, write: (line: string) => void): Logger {
  const from = LOG_LEVELS.indexOf(level);
  const line = (at: LogLevel) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    if (LOG_LEVELS.indexOf(at) < from) return;
    const rest = Object.entries(fields)
      .filter(([, value]) => value !== '' && value !== undefined)
      .map(([key, value]) => ` ${key}=${quoted(value)}`);
    write(`${new Date().toISOString().slice(11, 23)} ${at.padEnd(5)} ${message}${rest.join('')}\n`);
  };
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

/** Reasons and names come from elsewhere: no control character of theirs reaches the terminal. */
function quoted(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w./:@+-]*$/.test(text) ? text : JSON.stringify(text);
}
