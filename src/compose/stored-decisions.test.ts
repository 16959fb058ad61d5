/** Decision records read from a data directory on a real disk, whole and tampered with. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { aloneOn } from '../../test/rig/lone-replica.ts';
import { LevelRaftStorage } from '../adapters/level/raft-storage.ts';
import { entryKey, SNAPSHOT_KEY, seal, unseal } from '../adapters/level/records.ts';
import type { Seen } from '../core/model/decisions.ts';
import { serviceSpecSchema } from '../core/model/service.ts';
import { apply } from '../core/orchestrator/apply.ts';
import { type Command, decodeCommand, encodeCommand } from '../core/orchestrator/commands.ts';
import { OrchestratorState } from '../core/orchestrator/state.ts';
import { sha256 } from '../node/sha256.ts';
import { readStoredDecisions } from './stored-decisions.ts';

const REPLICAS = 4;
const SEEN: Seen = {
  policy: 'spread',
  candidates: [{ name: 'n1', score: 0.5, load: 0.25, cpuMilli: 1_000, memoryBytes: 2 ** 30 }],
  others: 0,
  rejected: {},
};

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tendril-stored-'));
  await mkdir(join(directory, 'whole'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** What an orchestrator with one node writes that places four copies, each in a round of its own; then a snapshot up to `compactTo`. */
async function write(compactTo = 0): Promise<string> {
  const path = join(directory, 'whole');
  const log = aloneOn(new LevelRaftStorage(join(path, 'log')));
  const state = new OrchestratorState(sha256);
  let taken = 0;
  let snapshot: string | null = null;
  const proposed: { resolve: () => void }[] = [];
  await log.open({
    restored: () => {},
    committed: (entries) => {
      for (const { data, index } of entries) {
        apply(state, decodeCommand(new TextDecoder().decode(data)));
        taken = index;
        if (index === compactTo) snapshot = JSON.stringify(state);
        proposed.shift()?.resolve();
      }
    },
    ready: () => {},
    dropped: () => {},
    failed: (error) => {
      throw error;
    },
  });
  const commit = (command: Command) =>
    new Promise<void>((resolve) => {
      proposed.push({ resolve });
      log.propose(taken + 1, new TextEncoder().encode(encodeCommand({ atMs: 1_000 + taken, command })));
    });
  const request = (request: Extract<Command, { type: 'request' }>['request']) => commit({ type: 'request', request });
  await commit({ type: 'initialise', epoch: 'e1', name: 'site' });
  await request({ type: 'createToken', id: 't', secretHash: 'h', role: 'worker', expiresAtMs: null, uses: null });
  const join1 = { name: 'n1', kind: 'node', publicKeyFingerprint: 'f', tokenId: 't', secretHash: 'h' } as const;
  await request({ type: 'registerChild', ...join1 });
  const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['web'], replicas: REPLICAS });
  await request({ type: 'applyService', name: 'web', labels: {}, spec });
  for (let number = 1; number <= REPLICAS; number += 1) {
    const rest = { service: 'web', generation: 1, replaces: null, target: null, avoid: null, child: 'n1', seen: SEEN };
    const decisions = [{ do: 'create', id: `web-${number}`, number, ...rest } as const];
    await commit({ type: 'decide', by: { term: 1, leader: 'site', votes: [] }, tip: state.decisions.tip, decisions });
  }
  if (snapshot !== null) await log.compact(new TextEncoder().encode(snapshot), compactTo);
  await log.close();
  return path;
}

/** Changes one value of the database, with a checksum that fits unless it says otherwise. */
async function tamper(path: string, change: (database: ClassicLevel<Buffer, Buffer>) => Promise<void>): Promise<string> {
  const copy = join(directory, 'tampered');
  await cp(path, copy, { recursive: true });
  const database = new ClassicLevel<Buffer, Buffer>(join(copy, 'log'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await database.open();
  await change(database);
  await database.close();
  return copy;
}

async function rewrite(database: ClassicLevel<Buffer, Buffer>, key: Buffer, change: (text: string) => string): Promise<void> {
  const value = await database.get(key);
  const content = value && unseal(key, value);
  if (!content) throw new Error('no such value');
  // An entry begins with numbers: byte for byte.
  const before = content.toString('latin1');
  const after = change(before);
  expect(after).not.toBe(before);
  // The snapshot's record says how many bytes it has.
  expect(key.equals(SNAPSHOT_KEY)).toBe(false);
  await database.put(key, seal(key, Buffer.from(after, 'latin1')));
}

/** Before it: Raft's own entry, four commands of `write`. */
const FIRST_DECISION = 6;

describe('the records in a data directory', () => {
  it('are read without changing it', async () => {
    const path = await write();
    const before = await contentOf(join(path, 'log'));
    const stored = await readStoredDecisions(path);
    expect(stored.verify()).toMatchObject({ ok: true, records: REPLICAS, tip: { number: REPLICAS } });
    expect(stored.list(2).map(({ instance }) => instance)).toEqual(['web-3', 'web-4']);
    expect(stored.record(1)).toMatchObject({ instance: 'web-1', choice: 'n1', seen: SEEN });
    expect(stored.record(9)).toBeNull();
    expect(await contentOf(join(path, 'log'))).toEqual(before);
  });

  it('are the same whether they come from the log or from a snapshot and the rest of the log', async () => {
    const fromSnapshot = (await readStoredDecisions(await write(FIRST_DECISION + 1))).verify();
    await rm(join(directory, 'whole'), { recursive: true });
    await mkdir(join(directory, 'whole'));
    expect((await readStoredDecisions(await write())).verify()).toEqual(fromSnapshot);
    expect(fromSnapshot).toMatchObject({ ok: true, records: REPLICAS });
  });

  it('show an altered entry, also one whose checksum was made to fit (D4)', async () => {
    const path = await write();
    const altered = await tamper(path, (database) =>
      rewrite(database, entryKey(FIRST_DECISION), (text) => text.replace('"load":0.25', '"load":0.75')),
    );
    expect((await readStoredDecisions(altered)).verify().problem).toMatchObject({ number: 1 });
  });

  it('are refused, naming the entry, when a checksum does not fit or an entry is missing', async () => {
    const path = await write();
    const torn = await tamper(path, async (database) => {
      const value = Buffer.from((await database.get(entryKey(FIRST_DECISION))) ?? '');
      value.writeUInt8(value.readUInt8(20) ^ 1, 20);
      await database.put(entryKey(FIRST_DECISION), value);
    });
    await expect(readStoredDecisions(torn)).rejects.toMatchObject({
      code: 'data_dir_corrupt',
      message: expect.stringContaining(`entry ${FIRST_DECISION}`),
    });
    await rm(torn, { recursive: true });
    const missing = await tamper(path, (database) => database.del(entryKey(FIRST_DECISION)));
    await expect(readStoredDecisions(missing)).rejects.toMatchObject({
      message: expect.stringContaining(`entry ${FIRST_DECISION}`),
    });
  });

  it('show a record in the snapshot that was edited or removed', async () => {
    const path = await write(FIRST_DECISION + 2);
    const pieceOf = async (database: ClassicLevel<Buffer, Buffer>) => {
      const [key] = await database.keys({ gte: Buffer.from('p'), lt: Buffer.from('q') }).all();
      if (!key) throw new Error('no snapshot');
      return key;
    };
    const edited = await tamper(path, async (database) =>
      rewrite(database, await pieceOf(database), (text) => {
        const at = text.indexOf('"instance":"web-2"');
        return text.slice(0, at) + text.slice(at).replace('"choice":"n1"', '"choice":"n2"');
      }),
    );
    expect((await readStoredDecisions(edited)).verify().problem).toMatchObject({ number: 2 });
    await rm(edited, { recursive: true });
    const removed = await tamper(path, async (database) =>
      rewrite(database, await pieceOf(database), (text) => {
        const state = JSON.parse(text) as { decisions: { records: unknown[] } };
        state.decisions.records.splice(1, 1);
        return JSON.stringify(state).padEnd(text.length);
      }),
    );
    expect((await readStoredDecisions(removed)).verify().problem).toMatchObject({
      number: 2,
      what: expect.stringContaining('is missing'),
    });
  });

  it('are not looked for where no orchestrator was', async () => {
    await expect(readStoredDecisions(directory)).rejects.toMatchObject({ code: 'data_dir_foreign' });
  });
});

async function contentOf(path: string): Promise<readonly (readonly [string, string])[]> {
  const names = (await readdir(path)).sort();
  return Promise.all(names.map(async (name) => [name, sha256(await readFile(join(path, name), 'latin1'))] as const));
}
