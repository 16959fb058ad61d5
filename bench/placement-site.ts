/**
 * What the driver of an orchestrator does between core and log, with children that exist as messages only: 10,000 of
 * them, all connected, who say each second that they are there.
 */
import { performance } from 'node:perf_hooks';
import { assert } from '../src/core/base/assert.ts';
import { limits } from '../src/core/base/limits.ts';
import { Prng } from '../src/core/base/prng.ts';
import { summaryOfNode } from '../src/core/capacity/summaries.ts';
import type { ClientRequest } from '../src/core/model/requests.ts';
import { type PlacementPolicyName, serviceSpecSchema } from '../src/core/model/service.ts';
import {
  Orchestrator,
  type OrchestratorEffect,
  type OrchestratorInit,
  type OrchestratorInput,
} from '../src/core/orchestrator/orchestrator.ts';
import { sha256 } from '../src/node/sha256.ts';
import type { Log, LogEntry } from '../src/ports/log.ts';

export const CHILDREN = 10_000;
/** Enough to take seconds; two on each child, as the mean. */
export const PLACEMENTS = 20_000;
const TICK_MS = 500;
const MIB = 2 ** 20;

export function orchestratorInit(policy: PlacementPolicyName): OrchestratorInit {
  return {
    name: 'site',
    epoch: 'e1',
    software: 'bench',
    random: new Prng(1),
    policy,
    heartbeatMs: 1_000,
    entriesPerSnapshot: limits.logEntriesPerSnapshot,
    hash: sha256,
  };
}

export class PlacementSite {
  readonly #log: Log;
  readonly #core: Orchestrator;
  readonly #sent = new Set<string>();
  readonly #inputs: OrchestratorInput[] = [];
  #stepping = false;
  #ticks = 0;
  #entries: Uint8Array[] = [];
  #longestStepMs = 0;
  #answered = 0;
  #expected: { readonly done: () => boolean; readonly resolve: () => void; readonly reject: (error: Error) => void } | null =
    null;

  constructor(log: Log, policy: PlacementPolicyName) {
    this.#log = log;
    this.#core = new Orchestrator(orchestratorInit(policy));
  }

  /** With all children known and connected. */
  async open(): Promise<void> {
    const ready = this.#until(() => this.#core.state.epoch !== '');
    await this.#log.open({
      restored: () => assert(false, 'the directory is new'),
      ready: (leadership) => {
        if (this.#core.leads && !leadership.leads) this.#expected?.reject(new Error('the leadership was lost'));
        this.#take({ type: 'logReady', leadership });
      },
      committed: (entries) => this.#committed(entries),
      dropped: (_, reason) => this.#expected?.reject(new Error(reason)),
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

  async place(services: number): Promise<{ entries: readonly Uint8Array[]; seconds: number; longestStepMs: number }> {
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
    await all.finally(() => clearInterval(tick));
    const seconds = (performance.now() - startMs) / 1_000;
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

  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#expected = { done, resolve, reject };
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
