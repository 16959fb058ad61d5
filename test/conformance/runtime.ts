/**
 * What every runtime adapter keeps, as tests: R1 to R6 of src/ports/runtime.ts, over real programs.
 *
 * The port leaves a few things open; this suite fixes them for all adapters:
 *  - `exited` never comes before the `start` that it belongs to has resolved;
 *  - starting an instance that has ended starts it anew;
 *  - what ended while the program was down is found by `list` as not running, with its exit code where the
 *    system still knows it (null otherwise), and is not told as `exited`;
 *  - aborting `logs` ends the iteration without an error; logs of an unknown id reject with `not_found`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type * as z from 'zod/mini';
import { limits } from '../../src/core/base/limits.ts';
import { CodedError } from '../../src/core/model/errors.ts';
import { serviceSpecSchema } from '../../src/core/model/service.ts';
import type { LogQuery, Runtime, RuntimeExit, StartRequest } from '../../src/ports/runtime.ts';

type Spec = z.input<typeof serviceSpecSchema>;

/** Specs of programs, as a person would write them, that behave as said. */
export interface Programs {
  /** Listens on its port, named `http`, and answers GET / with status 200; runs until stopped. */
  serve(): Spec;
  /** Prints `tick 1`, `tick 2` ... to stdout, a line about every 50 ms; runs until stopped. */
  tick(): Spec;
  /** Prints `bye` to stdout and exits. */
  exit(code: number): Spec;
  /** Exits with `code` once the file exists on the host (a container mounts its directory). */
  exitWhen(file: string, code: number): Spec;
  /** Prints `ready`; on SIGTERM prints `asked` and exits 0. */
  polite(): Spec;
  /** Prints `ready` and ignores SIGTERM. */
  stubborn(): Spec;
  /** Prints `out 1` to `out <count>` to stdout and `err 1` to `err <count>` to stderr, then `end` to stdout; runs on. */
  print(count: number): Spec;
  /** Prints more than `bytes` bytes in lines to stdout, then the line `end`; runs on. */
  flood(bytes: number): Spec;
  /** Prints its environment, `NAME=value` lines, then `end`; runs on. Has `env`, and the ports `http` and `second-one`. */
  environment(env: Readonly<Record<string, string>>): Spec;
  /** A program that the node does not have; null where a runtime has no such thing. */
  missing(): Spec | null;
}

export interface RuntimeFixture {
  readonly programs: Programs;
  /** A new adapter over `directory` for the node of this uid; a later one over the same pair is the same node restarted. */
  create(directory: string, nodeUid: string): Runtime;
  /** Whatever is left of an instance of the node: processes, files, containers, each described in a word. */
  leftovers(directory: string, nodeUid: string, id: string): Promise<readonly string[]>;
}

/** Polls, as nothing tells when a foreign process has come so far. The bound is that of a hang. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, boundMs = 30_000): Promise<void> {
  const endMs = performance.now() + boundMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await pause(20);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** One node's adapter, what it told, and how to restart it. */
class TestNode {
  readonly #fixture: RuntimeFixture;
  readonly directory: string;
  readonly uid: string;
  readonly exits: { readonly id: string; readonly exit: RuntimeExit }[] = [];
  readonly started = new Set<string>();
  runtime: Runtime;

  constructor(fixture: RuntimeFixture, directory: string, uid: string) {
    this.#fixture = fixture;
    this.directory = directory;
    this.uid = uid;
    this.runtime = fixture.create(directory, uid);
  }

  async open(): Promise<void> {
    await this.runtime.open({ exited: (id, exit) => this.exits.push({ id, exit }) });
  }

  async restart(whileDown: () => Promise<void> = async () => {}): Promise<void> {
    await this.runtime.close();
    await whileDown();
    this.runtime = this.#fixture.create(this.directory, this.uid);
    await this.open();
  }

  async start(id: string, spec: Spec) {
    const parsed = serviceSpecSchema.parse(spec);
    const hostPorts: Record<string, number> = {};
    for (const port of parsed.ports) hostPorts[port.name] = await freePort();
    const request: StartRequest = { assignment: { id, service: 'sample', spec: parsed }, hostPorts, address: '127.0.0.1' };
    this.started.add(id);
    return { request, endpoints: await this.runtime.start(request) };
  }

  async found(id: string) {
    return (await this.runtime.list()).find((instance) => instance.id === id);
  }

  exitsOf(id: string): RuntimeExit[] {
    return this.exits.filter((told) => told.id === id).map((told) => told.exit);
  }

  async lines(id: string, query: Partial<LogQuery> = {}): Promise<string[]> {
    return this.linesUntil(id, () => false, { follow: false, ...query });
  }

  /** Follows until a line satisfies `last`. */
  async linesUntil(id: string, last: (line: string) => boolean, query: Partial<LogQuery> = {}): Promise<string[]> {
    const abort = new AbortController();
    const bound = setTimeout(() => abort.abort(), 30_000);
    const decoder = new TextDecoder();
    const lines: string[] = [];
    let rest = '';
    try {
      for await (const chunk of this.runtime.logs(id, { follow: true, signal: abort.signal, ...query })) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = parts.pop() ?? '';
        for (const line of parts) {
          lines.push(line);
          if (last(line)) return lines;
        }
      }
    } finally {
      clearTimeout(bound);
    }
    if (abort.signal.aborted) throw new Error(`waited in vain for a line; the last are ${JSON.stringify(lines.slice(-5))}`);
    return rest === '' ? lines : [...lines, rest];
  }

  async dispose(): Promise<void> {
    for (const id of this.started) await this.runtime.remove(id);
    await this.runtime.close();
  }
}

async function answers(port: number | undefined): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

/** The ticks counted up one by one, from the first: one process, which nobody started over, and no line lost. */
function expectGapless(lines: readonly string[]): void {
  expect(lines).toEqual(lines.map((_, index) => `tick ${index + 1}`));
}

export function runtimeConformance(name: string, makeFixture: () => RuntimeFixture | Promise<RuntimeFixture>): void {
  describe(`runtime ${name}`, () => {
    let fixture: RuntimeFixture;
    let base: string;
    let node: TestNode;
    const nodes: TestNode[] = [];

    async function newNode(): Promise<TestNode> {
      const made = new TestNode(fixture, join(base, `node-${nodes.length}`), `uid-${process.pid}-${Date.now()}-${nodes.length}`);
      nodes.push(made);
      await made.open();
      return made;
    }

    beforeEach(async () => {
      fixture = await makeFixture();
      base = await mkdtemp(join(tmpdir(), 'tendril-runtime-'));
      node = await newNode();
    });

    afterEach(async () => {
      for (const each of nodes.splice(0)) await each.dispose();
      await rm(base, { recursive: true, force: true });
    });

    it('is detected, with a version or a reason for a person', async () => {
      const detection = await node.runtime.detect();
      expect(detection.available, detection.detail).toBe(true);
      expect(detection.detail).not.toBe('');
    });

    it('runs a program that can be reached at its endpoint', async () => {
      const { request, endpoints } = await node.start('web-1', fixture.programs.serve());
      expect(endpoints).toEqual([{ name: 'http', address: '127.0.0.1', port: request.hostPorts.http }]);
      await until('it answers', () => answers(endpoints[0]?.port));
      expect(await node.runtime.list()).toEqual([{ id: 'web-1', running: true, exitCode: null, endpoints }]);
      await node.runtime.stop('web-1', 5_000);
      expect(await answers(endpoints[0]?.port)).toBe(false);
    });

    it('gives it its environment, and nothing of ours', async () => {
      process.env.TENDRIL_TEST_SECRET = 'ours alone';
      try {
        await node.start('env-1', fixture.programs.environment({ GREETING: 'a "b" $c\nd' }));
      } finally {
        delete process.env.TENDRIL_TEST_SECRET;
      }
      const text = (await node.linesUntil('env-1', (line) => line === 'end')).join('\n');
      expect(text).toContain('GREETING=a "b" $c\nd');
      expect(text).toMatch(/^TENDRIL_INSTANCE=env-1$/m);
      expect(text).toMatch(/^TENDRIL_SERVICE=sample$/m);
      expect(text).toMatch(/^PORT=\d+$/m);
      expect(text).toMatch(/^PORT_SECOND_ONE=\d+$/m);
      expect(text).not.toContain('ours alone');
    });

    it('R1: starts an instance once, however often it is asked to, also at the same time', async () => {
      const { request, endpoints } = await node.start('tick-1', fixture.programs.tick());
      await node.linesUntil('tick-1', (line) => line === 'tick 3');
      const again = await Promise.all([node.runtime.start(request), node.runtime.start(request)]);
      expect(again).toEqual([endpoints, endpoints]);
      expectGapless(await node.linesUntil('tick-1', (line) => line === 'tick 8'));
      expect(await node.runtime.list()).toHaveLength(1);
    });

    it('R1: starts anew what has ended', async () => {
      const { request } = await node.start('once-1', fixture.programs.exit(0));
      await until('the first exit', () => node.exitsOf('once-1').length === 1);
      await node.runtime.start(request);
      await until('the second exit', () => node.exitsOf('once-1').length === 2);
      expect((await node.found('once-1'))?.running).toBe(false);
    });

    it('R2: adopts what still runs after a restart, with its output', async () => {
      const { request, endpoints } = await node.start('tick-1', fixture.programs.tick());
      await node.linesUntil('tick-1', (line) => line === 'tick 3');
      await node.restart();
      expect(await node.runtime.list()).toEqual([{ id: 'tick-1', running: true, exitCode: null, endpoints }]);
      expect(await node.runtime.start(request)).toEqual(endpoints);
      expectGapless(await node.linesUntil('tick-1', (line) => line === 'tick 20'));
      expect(node.exits).toEqual([]);
      await node.runtime.stop('tick-1', 5_000);
      expect((await node.found('tick-1'))?.running ?? false).toBe(false);
    });

    it('R2: finds what ended meanwhile', async () => {
      const file = join(base, 'now');
      const { request } = await node.start('gone-1', fixture.programs.exitWhen(file, 3));
      await node.restart(() => writeFile(file, ''));
      // It may end a moment after the restart: then it was adopted, and this restarts until it was not.
      await until('it was found ended', async () => {
        const found = await node.found('gone-1');
        if (found?.running === false) return true;
        await node.restart();
        return false;
      });
      const found = await node.found('gone-1');
      expect(found).toMatchObject({ id: 'gone-1', running: false });
      expect([null, 3]).toContain(found?.exitCode);
      await node.runtime.start(request);
      await until('it exits again', () => node.exitsOf('gone-1').length > 0);
    });

    it('R3: tells an exit once, after its start has resolved, with code and reason', async () => {
      for (const code of [0, 1]) {
        const id = `exit-${code}`;
        let resolved = false;
        const starting = node.start(id, fixture.programs.exit(code)).then(() => {
          resolved = true;
        });
        await until('the exit is told', () => {
          expect(node.exitsOf(id).length === 0 || resolved).toBe(true);
          return node.exitsOf(id).length > 0;
        });
        await starting;
        expect(node.exitsOf(id)).toEqual([{ exitCode: code, reason: `exited with code ${code}` }]);
        expect(await node.found(id)).toMatchObject({ running: false, exitCode: code });
        expect(await node.lines(id)).toEqual(['bye']);
      }
      await node.restart();
      await node.runtime.list();
      expect(node.exits).toHaveLength(2);
    });

    it('R3: tells the exit of an adopted instance', async () => {
      const file = join(base, 'now');
      await node.start('later-1', fixture.programs.exitWhen(file, 4));
      await node.restart();
      await writeFile(file, '');
      await until('the exit is told', () => node.exitsOf('later-1').length > 0);
      expect([null, 4]).toContain(node.exitsOf('later-1')[0]?.exitCode);
      expect(node.exitsOf('later-1')[0]?.reason).not.toBe('');
      expect(await node.found('later-1')).toMatchObject({ running: false });
      expect(node.exits).toHaveLength(1);
    });

    it('R4: asks first, and tells no exit', async () => {
      await node.start('polite-1', fixture.programs.polite());
      await node.linesUntil('polite-1', (line) => line === 'ready');
      await node.runtime.stop('polite-1', 20_000);
      expect(await node.lines('polite-1')).toEqual(['ready', 'asked']);
      expect((await node.found('polite-1'))?.running ?? false).toBe(false);
      await node.restart();
      expect(node.exits).toEqual([]);
    });

    it('R4: forces what does not listen, started or adopted', async () => {
      for (const adopted of [false, true]) {
        const id = `stubborn-${adopted ? 2 : 1}`;
        await node.start(id, fixture.programs.stubborn());
        await node.linesUntil(id, (line) => line === 'ready');
        if (adopted) await node.restart();
        await node.runtime.stop(id, 200);
        expect((await node.found(id))?.running ?? false).toBe(false);
      }
      expect(node.exits).toEqual([]);
    });

    it('R4: stops at once what has only just started, and what is unknown', async () => {
      await node.start('brief-1', fixture.programs.tick());
      await Promise.all([node.runtime.stop('brief-1', 2_000), node.runtime.stop('brief-1', 2_000)]);
      expect((await node.found('brief-1'))?.running ?? false).toBe(false);
      await node.runtime.stop('unknown-1', 2_000);
      await node.runtime.remove('unknown-1');
      expect(node.exits).toEqual([]);
    });

    it('R5: keeps stdout and stderr, all or the last lines', async () => {
      await node.start('print-1', fixture.programs.print(300));
      await node.linesUntil('print-1', (line) => line === 'end');
      await until('stderr is there too', async () => (await node.lines('print-1')).includes('err 300'));
      const lines = await node.lines('print-1');
      const numbered = (word: string) => Array.from({ length: 300 }, (_, index) => `${word} ${index + 1}`);
      expect(lines.filter((line) => line.startsWith('out'))).toEqual(numbered('out'));
      expect(lines.filter((line) => line.startsWith('err'))).toEqual(numbered('err'));
      expect(await node.lines('print-1', { tailLines: 7 })).toEqual(lines.slice(-7));
      expect(await node.lines('print-1', { tailLines: 0 })).toEqual([]);
      expect(await node.lines('print-1', { tailLines: 100_000 })).toEqual(lines);
    });

    it('R5: follows from the last lines on, until aborted or removed', async () => {
      await node.start('tick-1', fixture.programs.tick());
      await node.linesUntil('tick-1', (line) => line === 'tick 5');
      const lines = await node.linesUntil('tick-1', (line) => line === 'tick 12', { tailLines: 2 });
      const first = Number(lines[0]?.slice('tick '.length));
      expect(lines).toEqual(Array.from({ length: 12 - first + 1 }, (_, index) => `tick ${first + index}`));

      const abort = new AbortController();
      for await (const _ of node.runtime.logs('tick-1', { follow: true, signal: abort.signal })) abort.abort();

      const followed = node.lines('tick-1', { follow: true });
      await node.runtime.remove('tick-1');
      expect((await followed).length).toBeGreaterThanOrEqual(0);
    });

    it('R5: keeps a bounded amount, the newest', async () => {
      await node.start('flood-1', fixture.programs.flood(3 * limits.instanceLogBytes));
      await until('the flood is over', async () => (await node.lines('flood-1', { tailLines: 1 }))[0] === 'end');
      const slackBytes = 64 * 1024;
      await until('the log has shrunk', async () => {
        const keptBytes = (await node.lines('flood-1')).reduce((sum, line) => sum + line.length + 1, 0);
        return keptBytes > slackBytes && keptBytes <= 2 * limits.instanceLogBytes + slackBytes;
      });
      expect(await node.lines('flood-1', { tailLines: 1 })).toEqual(['end']);
    });

    it('R6: refuses what the node does not have, and leaves nothing', async () => {
      const spec = fixture.programs.missing();
      if (spec === null) return;
      const error = await node.start('none-1', spec).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(CodedError);
      expect(error).toMatchObject({ code: 'command_not_found' });
      expect(await node.runtime.list()).toEqual([]);
      expect(await fixture.leftovers(node.directory, node.uid, 'none-1')).toEqual([]);
      expect(node.exits).toEqual([]);
    });

    it('removes a running instance without a trace', async () => {
      const { endpoints } = await node.start('web-1', fixture.programs.serve());
      await until('it answers', () => answers(endpoints[0]?.port));
      expect(await fixture.leftovers(node.directory, node.uid, 'web-1')).not.toEqual([]);
      await node.runtime.remove('web-1');
      expect(await node.runtime.list()).toEqual([]);
      expect(await fixture.leftovers(node.directory, node.uid, 'web-1')).toEqual([]);
      await expect(node.lines('web-1')).rejects.toMatchObject({ code: 'not_found' });
      await node.restart();
      expect(await node.runtime.list()).toEqual([]);
      expect(node.exits).toEqual([]);
    });

    it('keeps two nodes on one machine apart', async () => {
      const other = await newNode();
      await node.start('tick-1', fixture.programs.tick());
      await other.start('tick-1', fixture.programs.tick());
      await other.start('tick-2', fixture.programs.tick());
      await Promise.all([node.restart(), other.restart()]);
      expect((await node.runtime.list()).map(({ id }) => id)).toEqual(['tick-1']);
      expect((await other.runtime.list()).map(({ id }) => id).sort()).toEqual(['tick-1', 'tick-2']);
      await node.runtime.stop('tick-2', 1_000);
      await node.runtime.remove('tick-1');
      expectGapless(await other.linesUntil('tick-1', (line) => line === 'tick 10'));
      expect((await other.runtime.list()).filter(({ running }) => running)).toHaveLength(2);
      expect(other.exits).toEqual([]);
    });
  });
}
