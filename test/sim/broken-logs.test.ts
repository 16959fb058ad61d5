/** Replicated logs that each break one rule outside of the Raft core: the simulation of whole logs has to find each. */
import { expect, it } from 'vitest';
import { type Break, firstFound, loadBroken, seedsUpTo } from './broken-program.ts';

interface BrokenLog extends Break {
  readonly rule: string;
  readonly caught: RegExp;
}

const SEEDS = 200;

const BROKEN_LOGS: Readonly<Record<string, BrokenLog>> = {
  'sends what it promises before it is durable': {
    rule: 'a message waits for its write (ADR 0010, effects and their order)',
    file: 'src/node/write-order.ts',
    find: 'if (effect.after <= this.#durable)',
    replace: 'if (effect.after >= 0)',
    caught: /not linearizable|lead term|and was|the entries say/,
  },
  'answers reads without a word of the others': {
    rule: 'a read is confirmed by a quorum (dissertation 6.4)',
    file: 'src/node/raft-log.ts',
    find: 'if (this.#ended !== null) return Promise.resolve(false);',
    replace: 'if (this.#ended === null) return Promise.resolve(true);',
    caught: /not linearizable/,
  },
  'applies a repeated question twice': {
    rule: 'a question that is repeated under its key is applied once',
    file: 'src/sim/raft/registers.ts',
    find: 'if (known !== undefined) return known;',
    replace: '',
    caught: /not linearizable/,
  },
  'gives out a record that tore or rotted': {
    rule: 'T2: a damaged record is found by its checksum and never given out',
    file: 'src/adapters/memory/disk.ts',
    find: 'const damage = damagedRecord(raft);',
    replace: 'const damage: string | null = raft.firstIndex > 0 ? null : damagedRecord(raft);',
    caught: /JSON|and was|the entries say/,
  },
  'turns away a leader that is new since it was away': {
    rule: 'members vouch for those who are new since a replica was away (ADR 0010, links)',
    file: 'src/node/raft-log.ts',
    find: "if (this.#vouching.heard(from, said, must(this.#raft, 'an open log').status)) this.#setPeers();",
    replace: '',
    seed: 728,
    caught: /not within/,
  },
};

it.each(Object.entries(BROKEN_LOGS))('a log that %s is found', async (_, broken) => {
  const { runFramed } = await loadBroken<typeof import('./framed-raft.ts')>('test/sim/framed-raft.ts', broken);
  const found = await firstFound(seedsUpTo(SEEDS, broken.seed), runFramed, broken.caught);
  expect(found, `${broken.rule}; no seed finds it`).not.toBe(null);
});
