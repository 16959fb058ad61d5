/**
 * Committed placements a second: a real orchestrator core on the real log on disk, with 10,000 children that exist as
 * messages only. Services are asked for all at once; the clock stops when the children have been sent everything.
 * Beside it stands the same log alone, given entries of the same sizes: what the disk leaves to reach.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { LevelRaftStorage } from '../src/adapters/level/raft-storage.ts';
import { assert } from '../src/core/base/assert.ts';
import { limits } from '../src/core/base/limits.ts';
import { Prng } from '../src/core/base/prng.ts';
import { summaryOfNode } from '../src/core/capacity/summaries.ts';
import type { ClientRequest } from '../src/core/model/requests.ts';
import { type PlacementPolicyName, serviceSpecSchema } from '../src/core/model/service.ts';
import { Orchestrator, type OrchestratorEffect, type OrchestratorInput } from '../src/core/orchestrator/orchestrator.ts';
import { sha256 } from '../src/node/sha256.ts';
import type { Log, LogEntry } from '../src/ports/log.ts';
import { aloneOn } from '../test/rig/lone-replica.ts';
import { type Bench, figure } from './bench.ts';

const RUNS = 5;
const CHILDREN = 10_000;
/** Enough to take seconds; two on each child, as the mean. */
const PLACEMENTS = 20_000;
const TICK_MS = 500;
const MIB = 2 ** 20;

interface Load {
  readonly name: string;
  readonly services: number;
  readonly policy: PlacementPolicyName;
}

const LOADS: readonly Load[] = [
  { name: '20 services of 1,000 copies, least-loaded', services: 20, policy: 'least-loaded' },
  { name: '20 services of 1,000 copies, spread', services: 20, policy: 'spread' },
  { name: '2,000 services of 10 copies, spread', services: 2_000, policy: 'spread' },
];

interface Measure {
  readonly placementsPerSecond: number;
  /** By the log alone, with the same entries. */
  readonly boundPerSecond: number;
  /** The longest that anything else would have had to wait for the core. */
  readonly longestStepMs: number;
}

export const commit: Bench = {
  async run({ tell }) {
    const figures = [];
    for (const load of LOADS) {
      const measures: Measure[] = [];
      for (let run = 1; run <= RUNS; run += 1) {
        tell(`${load.name}: run ${run} of ${RUNS}`);
        measures.push(await measure(load));
      }
      const rate = `placements committed and sent, one replica, 10,000 children; ${load.name}`;
      figures.push(
        figure(
          { name: rate, unit: '1/s', goal: { atLeast: 10_000 }, anchor: 'Nomad C1M 3,750/s, C2M 1,500/s' },
          of(measures, 'placementsPerSecond'),
        ),
        figure({ name: 'the same entries by the log alone', unit: 'placements/s' }, of(measures, 'boundPerSecond')),
        figure(
          { name: 'the first as a share of the second', unit: '×' },
          measures.map(({ placementsPerSecond, boundPerSecond }) => placementsPerSecond / boundPerSecond),
        ),
        figure({ name: 'longest step of the core meanwhile', unit: 'ms' }, of(measures, 'longestStepMs')),
      );
    }
    return figures;
  },
};

function of(measures: readonly Measure[], key: keyof Measure): number[] {
  return measures.map((each) => each[key]);
}

async function measure(load: Load): Promise<Measure> {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-bench-'));
  try {
    const site = new Site(join(directory, 'site'), load.policy);
    await site.open();
    const placed = await site.place(load);
    await site.close();
    const boundSeconds = await appendAll(join(directory, 'bound'), placed.entries);
    return {
      placementsPerSecond: PLACEMENTS / placed.seconds,
      boundPerSecond: PLACEMENTS / boundSeconds,
      longestStepMs: placed.longestStepMs,
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** What the driver of a process does between core and log, with children that only listen. */
class Site {
  readonly #log: Log;
  readonly #core: Orchestrator;
  readonly #sent = new Set<string>();
  readonly #inputs: OrchestratorInput[] = [];
  #stepping = false;
  #ticks = 0;
  #entries: Uint8Array[] = [];
  #longestStepMs = 0;
  #answered = 0;
  #expected: { readonly done: () => boolean; readonly resolve: () => void } | null = null;

  constructor(directory: string, policy: PlacementPolicyName) {
    this.#log = aloneOn(new LevelRaftStorage(directory));
    this.#core = new Orchestrator({
      name: 'site',
      epoch: 'e1',
      software: 'bench',
      random: new Prng(1),
      policy,
      heartbeatMs: 1_000,
      entriesPerSnapshot: limits.logEntriesPerSnapshot,
      hash: sha256,
    });
  }

  /** With all children known and connected. */
  async open(): Promise<void> {
    const ready = this.#until(() => this.#core.state.epoch !== '');
    await this.#log.open({
      restored: () => assert(false, 'the directory is new'),
      ready: (leadership) => this.#take({ type: 'logReady', leadership }),
      committed: (entries) => this.#committed(entries),
      dropped: (_, reason) => assert(false, reason),
      failed: (error) => assert(false, error.message),
    });
    await ready;
    const registered = this.#until(() => this.#core.state.members.size === CHILDREN);
    this.#request(0, { type: 'createToken', id: 't', secretHash: 'h', role: 'worker', expiresAtMs: null, uses: null });
    const names = Array.from({ length: CHILDREN }, (_, at) => `n${at}`);
    for (const [at, name] of names.entries())
      this.#request(at + 1, {
        type: 'registerChild',
        name,
        kind: 'node',
        publicKeyFingerprint: name,
        tokenId: 't',
        secretHash: 'h',
      });
    await registered;
    const random = new Prng(7);
    for (const name of names) this.#hello(name, random);
  }

  async place({ services }: Load): Promise<{ entries: readonly Uint8Array[]; seconds: number; longestStepMs: number }> {
    this.#entries = [];
    this.#longestStepMs = 0;
    this.#answered = 0;
    const tick = setInterval(() => this.#tick(), TICK_MS);
    const startMs = performance.now();
    const all = this.#until(() => this.#sent.size === PLACEMENTS && this.#answered === services);
    for (let at = 0; at < services; at += 1) {
      const spec = serviceSpecSchema.parse({
        runtime: 'process',
        command: ['true'],
        replicas: PLACEMENTS / services,
        resources: { cpu: 0.1, memory: '64Mi' },
      });
      this.#request(at, { type: 'applyService', name: `web${at}`, labels: {}, spec });
    }
    await all;
    const seconds = (performance.now() - startMs) / 1_000;
    clearInterval(tick);
    assert(
      [...this.#core.state.instances.values()].every(({ child }) => child !== null),
      'all are placed',
    );
    return { entries: this.#entries, seconds, longestStepMs: this.#longestStepMs };
  }

  /** Time passes, and half of the children let themselves be heard: each once a second. */
  #tick(): void {
    this.#ticks += 1;
    for (let at = this.#ticks % 2; at < CHILDREN; at += 2) {
      const sequence = Math.ceil(this.#ticks / 2);
      this.#take({
        type: 'childMessageReceived',
        child: `n${at}`,
        message: { type: 'report', session: `n${at}`, sequence, version: 0, changed: [], gone: [] },
      });
    }
    this.#take({ type: 'timePassed' });
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#expected = { done, resolve };
    });
  }

  #request(ticket: number, request: ClientRequest): void {
    this.#take({ type: 'requestReceived', ticket, request });
  }

  #hello(name: string, random: Prng): void {
    const total = { cpuMilli: 8_000, memoryBytes: 16_384 * MIB, diskBytes: 10 ** 11 };
    const free = { ...total, cpuMilli: 2_000 + Math.floor(random.next() * 6_000) };
    const summary = summaryOfNode({
      name,
      total,
      free,
      load: random.next(),
      architecture: 'amd64',
      runtimes: ['process'],
      labels: {},
    });
    const hello = {
      type: 'hello',
      protocol: 1,
      session: name,
      kind: 'node',
      software: 'bench',
      epoch: 'e1',
      version: 0,
    } as const;
    this.#take({ type: 'childMessageReceived', child: name, message: { ...hello, summary, instances: [] } });
  }

  #committed(entries: readonly LogEntry[]): void {
    for (const { index, data, proposal } of entries)
      this.#take({ type: 'entryCommitted', index, data: new TextDecoder().decode(data), proposal });
  }

  #take(input: OrchestratorInput): void {
    this.#inputs.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      const startMs = performance.now();
      for (const effect of this.#core.step(Date.now(), next)) this.#effect(effect);
      this.#longestStepMs = Math.max(this.#longestStepMs, performance.now() - startMs);
    }
    this.#stepping = false;
    if (this.#expected?.done()) this.#expected.resolve();
  }

  #effect(effect: OrchestratorEffect): void {
    if (effect.type === 'propose') {
      const data = new TextEncoder().encode(effect.data);
      this.#entries.push(data);
      this.#log.propose(effect.proposal, data);
    }
    if (effect.type === 'answer') {
      assert(effect.answer.ok, 'the request was granted');
      this.#answered += 1;
    }
    if (effect.type === 'compact')
      this.#log
        .compact(new TextEncoder().encode(effect.snapshot), effect.index)
        .catch((error: Error) => assert(false, error.message));
    if (effect.type === 'sendToChild' && effect.message.type === 'desired')
      for (const { id } of effect.message.set) this.#sent.add(id);
  }
}

/** All of them proposed at once: nothing that decides as it goes can be faster. */
async function appendAll(directory: string, entries: readonly Uint8Array[]): Promise<number> {
  const log: Log = aloneOn(new LevelRaftStorage(directory));
  let committed = 0;
  let startMs = 0;
  const elapsedMs = await new Promise<number>((resolve, reject) => {
    log
      .open({
        restored: () => reject(new Error('the directory is not new')),
        ready({ leads }) {
          if (!leads) return;
          startMs = performance.now();
          for (const [at, data] of entries.entries()) log.propose(at, data);
        },
        committed(delivered) {
          committed += delivered.length;
          if (committed === entries.length) resolve(performance.now() - startMs);
        },
        dropped: (_, reason) => reject(new Error(reason)),
        failed: reject,
      })
      .catch(reject);
  });
  await log.close();
  return elapsedMs / 1_000;
}
