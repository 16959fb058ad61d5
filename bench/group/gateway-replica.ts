/**
 * A node of Messina's system (Morabito et al., "Distributed Resource Orchestration at the Edge Based on Consensus",
 * section 4.1): it takes requests, comes to lead for them, chooses the least loaded of those whose votes told of their
 * load, has the choice committed, and whoever finds itself chosen deploys. Deploying is counting here. A request that
 * finds a live leader is forwarded to it.
 */
import { must } from '../../src/core/base/assert.ts';
import type { Leadership } from '../../src/core/model/leadership.ts';
import type { RaftLog } from '../../src/node/raft-log.ts';
import type { LogEntry } from '../../src/ports/log.ts';
import { PutClient } from '../load/put-client.ts';
import { machineMs } from '../parts/machine-clock.ts';
import { serveParent } from '../parts/serve-parent.ts';
import type { ReplicaConfig, ReplicaStatus } from './group.ts';
import { startMember } from './member.ts';
import { PutServer } from './put-server.ts';
import { Trace } from './trace.ts';

/** The key of a put: whether it comes from a user, who may ask for several at once, or from another gateway. */
export const REQUESTS = 'requests';
const FORWARDED = 'forwarded';

interface Decision {
  readonly id: string;
  readonly chosen: string;
}

type Done = (isDone: boolean) => void;

export function gatewayReplica(): void {
  let gateway: Gateway | null = null;
  serveParent({
    async start(config: ReplicaConfig) {
      gateway = await Gateway.start(config);
    },
    status: () => must(gateway, 'a gateway').status,
    trace: (isOn: boolean) => must(gateway, 'a gateway').trace(isOn),
  });
}

class Gateway {
  readonly #id: string;
  readonly #trace: Trace;
  readonly #log: RaftLog;
  readonly #forwards: ReadonlyMap<string, PutClient>;
  readonly #loads: Map<string, number>;
  #leadership: Leadership = { leads: false, term: 0, leader: null };
  #deployed = 0;
  readonly #decided = new Set<string>();
  /** Requests that wait for a leader. */
  #waiting: (() => void)[] = [];
  readonly #proposed = new Map<number, { readonly id: string; readonly done: Done }>();
  #nextProposal = 0;

  static async start(config: ReplicaConfig): Promise<Gateway> {
    const trace = new Trace();
    const loads = new Map<string, number>();
    let deployed = (): number => 0;
    const { log } = await startMember(config, (components) => ({
      ...trace.around(components),
      attachment: () => Buffer.from(String(deployed())),
      told: (name, attachment) => void loads.set(name, Number(Buffer.from(attachment).toString())),
    }));
    const gateway = new Gateway(config, log, trace, loads);
    deployed = () => gateway.#deployed;
    await gateway.#open(config.putPort);
    return gateway;
  }

  private constructor(config: ReplicaConfig, log: RaftLog, trace: Trace, loads: Map<string, number>) {
    this.#id = config.id;
    this.#log = log;
    this.#trace = trace;
    this.#loads = loads;
    this.#forwards = new Map(Object.entries(config.forwardPorts).map(([id, port]) => [id, new PutClient(port)]));
  }

  get status(): ReplicaStatus {
    const { leads, leader } = this.#leadership;
    const { isPaused = false, commit = 0, lastIndex = 0 } = this.#log.status ?? {};
    return { leads, leader, isPaused, commit, lastIndex };
  }

  /** What was seen so far; from now on it is looked at or not. */
  trace(isOn: boolean) {
    this.#trace.isOn = isOn;
    return this.#trace.take();
  }

  async #open(putPort: number): Promise<void> {
    await this.#log.open({
      restored: () => undefined,
      committed: (entries) => this.#committed(entries),
      ready: (leadership) => this.#ready(leadership),
      dropped: (proposal) => this.#answer(proposal, false),
      failed: (error) => {
        throw error;
      },
    });
    const server = new PutServer(({ key, value }, answer) => {
      if (key === FORWARDED) this.#serve(Buffer.from(value).toString(), answer, true);
      else this.#receive(value, answer);
    });
    await server.listen(putPort);
  }

  /** A user's: one answer when all that it asks for is decided. */
  #receive(value: Uint8Array, answer: Done): void {
    const atMs = machineMs();
    // From the client of this bench.
    const ids = JSON.parse(Buffer.from(value).toString()) as readonly string[];
    let missing = ids.length;
    let isDone = true;
    for (const id of ids) {
      this.#trace.add({ atMs, what: 'received', id, term: 0, index: 0 });
      this.#trace.step('parsed', id);
      this.#serve(
        id,
        (one) => {
          isDone &&= one;
          missing -= 1;
          if (missing === 0) answer(isDone);
        },
        false,
      );
    }
  }

  #serve(id: string, done: Done, isForwarded: boolean): void {
    const { leads, leader, term } = this.#leadership;
    if (this.#decided.has(id)) done(true);
    else if (leads) this.#decide(id, done);
    else if (isForwarded) done(false);
    else if (leader !== null && leader !== this.#id) void this.#forward(id, leader, done);
    else {
      this.#trace.step('wanted', id, term);
      this.#waiting.push(() => this.#serve(id, done, false));
      this.#log.wantLeadership();
    }
  }

  async #forward(id: string, leader: string, done: Done): Promise<void> {
    this.#trace.step('forwarded', id);
    const isDone = await must(this.#forwards.get(leader), 'a way to the leader').put({ key: FORWARDED, value: Buffer.from(id) });
    if (isDone) done(true);
    // It leads no more, and whether it has decided nobody knows.
    else this.#serve(id, done, false);
  }

  #decide(id: string, done: Done): void {
    const { term } = this.#leadership;
    this.#trace.step('choosing', id, term);
    this.#loads.set(this.#id, this.#deployed);
    const [chosen] = [...this.#loads].reduce((least, each) => (each[1] < least[1] ? each : least));
    this.#loads.set(chosen, (this.#loads.get(chosen) ?? 0) + 1);
    this.#trace.step('chosen', id, term);
    const proposal = this.#nextProposal++;
    this.#proposed.set(proposal, { id, done });
    this.#log.propose(proposal, Buffer.from(JSON.stringify({ id, chosen } satisfies Decision)));
  }

  #committed(entries: readonly LogEntry[]): void {
    for (const { index, data, proposal } of entries) {
      // Another replica of this bench has written it.
      const { id, chosen } = JSON.parse(Buffer.from(data).toString()) as Decision;
      // Asked for once more because its answer was lost: the first decision stands.
      const isNew = !this.#decided.has(id);
      this.#decided.add(id);
      if (proposal !== undefined) this.#trace.step('committed', id, this.#leadership.term, index);
      if (isNew && chosen === this.#id) {
        this.#deployed += 1;
        this.#trace.step('deployed', id, this.#leadership.term, index);
      }
      if (proposal !== undefined) this.#answer(proposal, true);
    }
  }

  #answer(proposal: number, isDone: boolean): void {
    const proposed = this.#proposed.get(proposal);
    this.#proposed.delete(proposal);
    if (!proposed) return;
    if (isDone) proposed.done(true);
    else this.#serve(proposed.id, proposed.done, false);
  }

  #ready(leadership: Leadership): void {
    this.#leadership = leadership;
    for (const serve of this.#waiting.splice(0)) serve();
  }
}
