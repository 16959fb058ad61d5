import { closeSync, existsSync, mkdtempSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogQuery } from '../../ports/runtime.ts';
import { LogFile } from './log-file.ts';

let directory: string;
let descriptor: number;
let log: LogFile;

function open(maxBytes: number): void {
  directory = mkdtempSync(join(tmpdir(), 'tendril-log-'));
  log = new LogFile(directory, maxBytes);
  descriptor = log.openForAppend();
}

function close(): void {
  log.close();
  closeSync(descriptor);
  rmSync(directory, { recursive: true, force: true });
}

const write = (text: string) => writeSync(descriptor, text);

async function read(query: Partial<LogQuery> = {}): Promise<string> {
  let text = '';
  for await (const chunk of log.read({ follow: false, signal: new AbortController().signal, ...query }))
    text += Buffer.from(chunk).toString();
  return text;
}

describe('log file', () => {
  beforeEach(() => open(100));
  afterEach(close);

  it('keeps the newest, in two bounded files, over rotations and reopening', async () => {
    let written = '';
    for (let n = 0; n < 100; n += 1) {
      const line = `line ${n}\n`;
      write(line);
      written += line;
      await log.check();
      expect(statSync(join(directory, 'output.log')).size).toBeLessThanOrEqual(100);
    }
    const kept = await read();
    expect(written.endsWith(kept)).toBe(true);
    expect(kept.length).toBeGreaterThan(100);
    expect(kept.length).toBeLessThanOrEqual(2 * 100 + 10);
    expect(await new LogFile(directory, 100).read({ follow: false, signal: new AbortController().signal }).next()).toMatchObject({
      value: expect.anything(),
    });
  });

  it('cuts what grew far over the limit to the newest', async () => {
    write('old '.repeat(1000));
    write('new '.repeat(25));
    await log.check();
    expect(await read()).toBe('new '.repeat(25));
  });

  it('lets a follower through rotations without loss or repetition', async () => {
    const abort = new AbortController();
    let followed = '';
    const following = (async () => {
      for await (const chunk of log.read({ follow: true, signal: abort.signal })) {
        followed += Buffer.from(chunk).toString();
        if (followed.endsWith('last\n')) abort.abort();
      }
    })();
    let written = '';
    for (let n = 0; n < 200; n += 1) {
      const line = n === 199 ? 'last\n' : `line ${n}\n`;
      write(line);
      written += line;
      // The follower keeps up: it has read what is written before the next rotation but one.
      if (n % 12 === 11) {
        while (followed.length < written.length) await new Promise((resolve) => setImmediate(resolve));
        await log.check();
      }
    }
    await following;
    expect(followed).toBe(written);
  });

  it('ends followers when it is closed or aborted', async () => {
    write('here\n');
    const abort = new AbortController();
    const aborted = read({ follow: true, signal: abort.signal });
    const closed = read({ follow: true });
    abort.abort();
    log.close();
    expect(['', 'here\n']).toContain(await aborted);
    expect(['', 'here\n']).toContain(await closed);
    expect(await read({ signal: AbortSignal.abort() })).toBe('');
  });

  it('leaves no half-made file behind', async () => {
    write('x'.repeat(200));
    await log.check();
    expect(existsSync(join(directory, 'output.log.1.new'))).toBe(false);
  });
});

describe('tail', () => {
  it('is the last lines, wherever the files are cut', async () => {
    const text = fc
      .array(fc.constantFrom('a', 'bc', '\n', '\n\n', 'x'.repeat(70_000)), { maxLength: 20 })
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(text, text, fc.integer({ min: 0, max: 8 }), async (older, newer, tailLines) => {
        open(older.length === 0 ? 1 : older.length - 1);
        try {
          write(older);
          await log.check();
          write(newer);
          const kept = await read();
          const lines = kept.split(/(?<=\n)/).filter((line) => line !== '');
          expect(await read({ tailLines })).toBe(lines.slice(Math.max(0, lines.length - tailLines)).join(''));
        } finally {
          close();
        }
      }),
      { numRuns: 60 },
    );
  });
});
