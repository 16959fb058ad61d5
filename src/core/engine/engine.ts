/**
 * The part of a node that runs work. It compares what its parent wants with what is there and lets the
 * runtimes start, stop and start again. It needs its parent only to hear of changes: cut off, restarted or
 * rebooted offline it goes on with the last wishes, which it keeps on disk.
 *
 * Invariants:
 *  E1. A wish is durable before anything is started for it and before it is acknowledged.
 *  E2. Per instance at most one effect is under way.
 *  E3. What is not wanted ends: also what runtimes still have from a time nobody remembers.
 *  E4. What runs is never stopped because a link came or went, except by `stopOnNodeAfter`.
 *  E5. The node never gives more than it has: what does not fit is refused, and the parent chooses anew.
 *  E6. A refusal is durable before the parent hears of it: once it has given the instance to another node, this
 *      one must not start it, whatever room it finds after a reboot.
 */
import { unreachable } from '../base/assert.ts';
import type { Random } from '../base/prng.ts';
import { summaryOfNode } from '../capacity/summaries.ts';
import { add, fits, requirementOf, subtract, ZERO } from '../capacity/vectors.ts';
import type { Assignment, DownMessage, Endpoint, InstanceReport, UpMessage } from '../model/messages.ts';
import type { Position, RuntimeName } from '../model/service.ts';
import type { ResourceVector, Summary } from '../model/summary.ts';
import { ChildSession, type ChildStatus, sameCapacity, type Wish } from '../uplink/child-session.ts';
import { InstanceOnNode } from './record.ts';
import { restartPauseMs } from './restart.ts';
import type { SavedWishes } from './saved-wishes.ts';

export interface FoundOnNode {
  readonly id: string;
  readonly runtime: RuntimeName;
  readonly running: boolean;
  readonly exitCode: number | null;
  readonly endpoints: readonly Endpoint[];
}

export type EngineInput =
  /** Once, first: what was saved, and what the runtimes found. */
  | { readonly type: 'restored'; readonly saved: SavedWishes | null; readonly found: readonly FoundOnNode[] }
  | { readonly type: 'wishesSaved'; readonly epoch: string; readonly version: number }
  | { readonly type: 'instanceStarted'; readonly id: string; readonly endpoints: readonly Endpoint[] }
  | { readonly type: 'instanceStartFailed'; readonly id: string; readonly reason: string }
  | { readonly type: 'instanceExited'; readonly id: string; readonly exitCode: number | null; readonly reason: string }
  /** A stop without removal is done. */
  | { readonly type: 'instanceStopped'; readonly id: string }
  /** Nothing of it is left. */
  | { readonly type: 'instanceRetired'; readonly id: string }
  | { readonly type: 'loadMeasured'; readonly load: number }
  /** A runtime has come up after the start, with what it still has from before. */
  | { readonly type: 'runtimeAppeared'; readonly runtime: RuntimeName; readonly found: readonly FoundOnNode[] }
  | { readonly type: 'uplinkOpened'; readonly session: string }
  | { readonly type: 'uplinkMessageReceived'; readonly message: Extract<DownMessage, { type: 'desired' }> }
  /** `silentMs`: how long the link had been silent before that was noticed. */
  | { readonly type: 'uplinkClosed'; readonly silentMs: number }
  | { readonly type: 'timePassed' };

export type EngineEffect =
  | { readonly type: 'saveWishes'; readonly wishes: SavedWishes }
  /** `endpoints`: where it could be reached before, so that a restart keeps its ports. */
  | { readonly type: 'startInstance'; readonly assignment: Assignment; readonly endpoints: readonly Endpoint[] }
  | { readonly type: 'stopInstance'; readonly id: string; readonly runtime: RuntimeName; readonly graceMs: number }
  /** Stop it, then remove every trace. */
  | { readonly type: 'retireInstance'; readonly id: string; readonly runtime: RuntimeName; readonly graceMs: number }
  | { readonly type: 'sendToParent'; readonly message: UpMessage }
  | { readonly type: 'restartUplink'; readonly reason: string };

export interface EngineInit {
  readonly name: string;
  readonly software: string;
  readonly architecture: string;
  readonly runtimes: readonly RuntimeName[];
  readonly labels: Readonly<Record<string, string>>;
  readonly position: Position | undefined;
  readonly total: ResourceVector;
  readonly random: Random;
}

const LOAD_STEP = 0.05;
/** For strays whose service nobody remembers. */
const STRAY_GRACE_MS = 10_000;

export class Engine {
  readonly #init: EngineInit;
  readonly #session: ChildSession;
  readonly #instances = new Map<string, InstanceOnNode>();
  readonly #reports = new Map<string, InstanceReport>();
  #epoch = '';
  #version = 0;
  /** Wishes that are being saved, oldest first. */
  readonly #unsaved: Wish[] = [];
  /** Saves that were asked for, and those of them that are done: they end in order. */
  #savesBegun = 0;
  #savesDone = 0;
  #cutOffSinceMs: number | null = null;
  #runtimes: readonly RuntimeName[];
  #load = 0;
  #summary: Summary | null = null;
  #restored = false;
  #effects: EngineEffect[] = [];
  #nowMs = 0;

  constructor(init: EngineInit) {
    this.#init = init;
    this.#runtimes = init.runtimes;
    this.#session = new ChildSession('node', init.software);
  }

  /** How its instances are doing, by id. */
  get reports(): ReadonlyMap<string, InstanceReport> {
    return this.#reports;
  }

  runtimeOf(id: string): RuntimeName | undefined {
    return this.#instances.get(id)?.assignment.spec.runtime;
  }

  step(nowMs: number, input: EngineInput): readonly EngineEffect[] {
    this.#nowMs = nowMs;
    this.#effects = [];
    this.#take(input);
    for (const instance of [...this.#instances.values()]) this.#drive(instance);
    this.#speakToParent();
    return this.#effects;
  }

  /** When time alone will next change something. */
  nextWakeMs(): number {
    let wakeMs = this.#session.nextHeartbeatMs();
    for (const instance of this.#instances.values()) {
      if (instance.busy) continue;
      if (instance.state === 'FAILED' && instance.wanted && !instance.held) wakeMs = Math.min(wakeMs, instance.nextStartAtMs);
      const limitMs = instance.assignment.spec.disconnect.stopOnNodeAfter;
      if (limitMs !== undefined && this.#cutOffSinceMs !== null && !instance.held)
        wakeMs = Math.min(wakeMs, this.#cutOffSinceMs + limitMs);
    }
    return wakeMs;
  }

  #take(input: EngineInput): void {
    switch (input.type) {
      case 'restored':
        this.#restore(input.saved, input.found);
        return;
      case 'wishesSaved':
        this.#wishesSaved(input.epoch, input.version);
        return;
      case 'instanceStarted':
        this.#outcome(input.id, (instance) => {
          instance.startedAtMs = this.#nowMs;
          instance.become('RUNNING', this.#nowMs, { endpoints: [...input.endpoints] });
        });
        return;
      case 'instanceStartFailed':
        this.#outcome(input.id, (instance) => this.#failed(instance, null, input.reason));
        return;
      case 'instanceExited': {
        const instance = this.#instances.get(input.id);
        // While a stop or a start is under way, its own outcome tells.
        if (instance?.state === 'RUNNING' && !instance.busy) this.#failed(instance, input.exitCode, input.reason);
        return;
      }
      case 'instanceStopped':
        this.#outcome(input.id, (instance) =>
          instance.become('FAILED', this.#nowMs, { reason: 'stopped: no orchestrator within stopOnNodeAfter', endpoints: [] }),
        );
        return;
      case 'instanceRetired':
        this.#retired(input.id);
        return;
      case 'runtimeAppeared':
        this.#runtimes = [...new Set([...this.#runtimes, input.runtime])];
        for (const one of input.found) if (!this.#instances.has(one.id)) this.#retireStray(one); // E3
        return;
      case 'loadMeasured':
        this.#load = input.load;
        return;
      case 'uplinkOpened':
        this.#cutOffSinceMs = null;
        this.#effects.push({
          type: 'sendToParent',
          message: this.#session.linkOpened(input.session, this.#status(), this.#nowMs),
        });
        return;
      case 'uplinkMessageReceived':
        this.#desiredReceived(input.message);
        return;
      case 'uplinkClosed':
        this.#session.linkClosed();
        this.#cutOffSinceMs ??= this.#nowMs - input.silentMs;
        return;
      case 'timePassed':
        return;
      default:
        unreachable(input);
    }
  }

  #restore(saved: SavedWishes | null, found: readonly FoundOnNode[]): void {
    this.#restored = true;
    this.#cutOffSinceMs = this.#nowMs;
    this.#epoch = saved?.epoch ?? '';
    this.#version = saved?.version ?? 0;
    const assignments = new Map(saved?.assignments.map((assignment) => [assignment.id, assignment]));
    const leaving = new Map(saved?.leaving.map((assignment) => [assignment.id, assignment]));
    // First what has been here: it has its share already.
    for (const one of found) {
      const assignment = assignments.get(one.id) ?? leaving.get(one.id);
      if (!assignment) {
        this.#retireStray(one); // E3
        continue;
      }
      const instance = new InstanceOnNode(assignment, this.#nowMs);
      this.#instances.set(one.id, instance);
      instance.wanted = assignments.has(one.id);
      instance.touched = true;
      if (one.running) {
        instance.startedAtMs = this.#nowMs;
        instance.become('RUNNING', this.#nowMs, { endpoints: [...one.endpoints] });
      } else {
        instance.become('FAILED', this.#nowMs, { reason: 'ended while tendril was not running', exitCode: one.exitCode });
      }
    }
    for (const { id, reason } of saved?.refused ?? []) {
      const assignment = assignments.get(id);
      if (!assignment || this.#instances.has(id)) continue;
      const instance = new InstanceOnNode(assignment, this.#nowMs);
      instance.refusal = { reason, save: 0 };
      instance.become('REFUSED', this.#nowMs, { reason });
      this.#instances.set(id, instance);
    }
    // The rest was taken on, all but what came with the very last wish: only room can be lacking (a runtime may come up late).
    for (const assignment of assignments.values())
      if (!this.#instances.has(assignment.id)) this.#accept(assignment, this.#lackOfRoomFor(assignment));
    this.#saveRefusals();
  }

  #retireStray({ id, runtime }: FoundOnNode): void {
    this.#effects.push({ type: 'retireInstance', id, runtime, graceMs: STRAY_GRACE_MS });
  }

  #desiredReceived(message: Extract<DownMessage, { type: 'desired' }>): void {
    const received = this.#session.desiredReceived(message);
    if (received.kind === 'broken') this.#effects.push({ type: 'restartUplink', reason: received.reason });
    // Heard again: what this node held back by itself may go on.
    for (const instance of this.#instances.values()) instance.held = false;
    if (received.kind !== 'wish') return;
    this.#unsaved.push(received.wish);
    this.#save(); // E1
  }

  #save(): void {
    this.#savesBegun += 1;
    this.#effects.push({ type: 'saveWishes', wishes: this.#wishesAfter() });
  }

  /** All that is wanted once the wishes under way are taken up. */
  #wishesAfter(): SavedWishes {
    const assignments = new Map<string, Assignment>();
    for (const instance of this.#instances.values()) if (instance.wanted) assignments.set(instance.id, instance.assignment);
    let epoch = this.#epoch;
    let version = this.#version;
    for (const wish of this.#unsaved) {
      if (wish.all) assignments.clear();
      for (const id of wish.unset) assignments.delete(id);
      for (const assignment of wish.set) assignments.set(assignment.id, assignment);
      epoch = wish.epoch;
      version = wish.version;
    }
    const known = [...this.#instances.values()];
    return {
      epoch,
      version,
      assignments: [...assignments.values()],
      refused: known.flatMap(({ id, refusal }) => (refusal && assignments.has(id) ? [{ id, reason: refusal.reason }] : [])),
      leaving: known.flatMap(({ id, touched, assignment }) => (touched && !assignments.has(id) ? [assignment] : [])),
    };
  }

  #wishesSaved(epoch: string, version: number): void {
    this.#savesDone += 1;
    for (const instance of this.#instances.values()) {
      const { refusal } = instance;
      if (refusal && instance.state !== 'REFUSED' && refusal.save <= this.#savesDone)
        instance.become('REFUSED', this.#nowMs, { reason: refusal.reason });
    }
    const saved = this.#unsaved.findIndex((wish) => wish.epoch === epoch && wish.version === version);
    for (const wish of this.#unsaved.splice(0, saved + 1)) this.#takeUp(wish);
    this.#saveRefusals();
  }

  /** E6. */
  #saveRefusals(): void {
    if ([...this.#instances.values()].some(({ refusal }) => refusal !== null && refusal.save > this.#savesBegun)) this.#save();
  }

  #takeUp(wish: Wish): void {
    this.#epoch = wish.epoch;
    this.#version = wish.version;
    const unset = wish.all
      ? [...this.#instances.keys()].filter((id) => !wish.set.some((assignment) => assignment.id === id))
      : wish.unset;
    for (const id of unset) {
      const instance = this.#instances.get(id);
      if (instance) instance.wanted = false;
    }
    for (const assignment of wish.set) {
      const known = this.#instances.get(assignment.id);
      if (known?.wanted && known.refusal === null) continue;
      if (known?.touched) {
        known.wanted = true;
        known.assignment = assignment;
        continue;
      }
      this.#instances.delete(assignment.id);
      this.#accept(assignment, this.#lackFor(assignment));
    }
  }

  /** E5. */
  #accept(assignment: Assignment, lack: string | null): void {
    const instance = new InstanceOnNode(assignment, this.#nowMs);
    if (lack !== null) instance.refusal = { reason: lack, save: this.#savesBegun + 1 };
    this.#instances.set(assignment.id, instance);
  }

  #lackFor(assignment: Assignment): string | null {
    if (!this.#runtimes.includes(assignment.spec.runtime)) return `the node lacks the runtime ${assignment.spec.runtime}`;
    return this.#lackOfRoomFor(assignment);
  }

  #lackOfRoomFor({ spec }: Assignment): string | null {
    const need = requirementOf(spec);
    const free = this.#free();
    if (need.cpuMilli > free.cpuMilli) return `needs ${need.cpuMilli}m CPU, ${free.cpuMilli}m are free`;
    if (!fits(need, free))
      return `needs ${need.memoryBytes} bytes of memory and ${need.diskBytes} of disk, ${free.memoryBytes} and ${free.diskBytes} are free`;
    for (const port of spec.ports) {
      const taken = [...this.#instances.values()].find(
        (other) =>
          other.reserves &&
          other.assignment.spec.ports.some((theirs) => theirs.hostPort === port.hostPort && theirs.protocol === port.protocol),
      );
      if (port.hostPort !== undefined && taken) return `host port ${port.protocol}/${port.hostPort} is used by ${taken.id}`;
    }
    return null;
  }

  #free(): ResourceVector {
    let used = ZERO;
    for (const instance of this.#instances.values())
      if (instance.reserves) used = add(used, requirementOf(instance.assignment.spec));
    return subtract(this.#init.total, used);
  }

  /** The one place where an instance's next effect is chosen. */
  #drive(instance: InstanceOnNode): void {
    if (instance.busy) return; // E2
    if (!instance.wanted) {
      if (!instance.touched) {
        this.#instances.delete(instance.id);
        return;
      }
      const { id, assignment } = instance;
      instance.busy = true;
      instance.become('STOPPING', this.#nowMs, { endpoints: [...instance.endpoints] });
      this.#effects.push({ type: 'retireInstance', id, runtime: assignment.spec.runtime, graceMs: assignment.spec.stopGrace });
      return;
    }
    if (instance.refusal !== null) return;
    this.#holdWhenCutOff(instance);
    if (instance.held) {
      if (instance.state !== 'RUNNING') return;
      instance.busy = true;
      const { id, assignment } = instance;
      this.#effects.push({ type: 'stopInstance', id, runtime: assignment.spec.runtime, graceMs: assignment.spec.stopGrace });
      return;
    }
    const waitMs = instance.nextStartAtMs - this.#nowMs;
    // Longer than any pause: the clock was set back.
    const paused = waitMs > 0 && waitMs <= instance.assignment.spec.restart.maxBackoff;
    const due = instance.state === 'SCHEDULED_NODE' || (instance.state === 'FAILED' && !paused);
    if (!due) return;
    const again = instance.state === 'FAILED' && instance.touched;
    instance.busy = true;
    instance.touched = true;
    const { restarts, exitCode } = instance.report;
    const endpoints = instance.endpoints;
    instance.become('STARTING', this.#nowMs, { restarts: restarts + (again ? 1 : 0), exitCode });
    this.#effects.push({ type: 'startInstance', assignment: instance.assignment, endpoints });
  }

  #holdWhenCutOff(instance: InstanceOnNode): void {
    const limitMs = instance.assignment.spec.disconnect.stopOnNodeAfter;
    if (limitMs === undefined || this.#cutOffSinceMs === null || instance.held) return;
    if (this.#nowMs - this.#cutOffSinceMs >= limitMs) instance.held = true;
  }

  #outcome(id: string, take: (instance: InstanceOnNode) => void): void {
    const instance = this.#instances.get(id);
    if (!instance) return;
    instance.busy = false;
    take(instance);
  }

  #failed(instance: InstanceOnNode, exitCode: number | null, reason: string): void {
    const { restart } = instance.assignment.spec;
    const ranMs = instance.state === 'RUNNING' ? this.#nowMs - instance.startedAtMs : 0;
    instance.failures = ranMs >= restart.resetAfter ? 1 : instance.failures + 1;
    instance.nextStartAtMs = this.#nowMs + restartPauseMs(instance.failures, restart, this.#init.random);
    instance.become('FAILED', this.#nowMs, { reason, exitCode, endpoints: [...instance.endpoints] });
  }

  #retired(id: string): void {
    const instance = this.#instances.get(id);
    if (!instance) return;
    instance.become('TERMINATED', this.#nowMs);
    this.#instances.delete(id);
    if (instance.wanted) this.#accept(instance.assignment, this.#lackFor(instance.assignment)); // wanted again meanwhile
    this.#saveRefusals();
  }

  #status(): ChildStatus {
    for (const id of this.#reports.keys()) if (!this.#instances.has(id)) this.#reports.delete(id);
    for (const instance of this.#instances.values()) this.#reports.set(instance.id, instance.report);
    return { epoch: this.#epoch, version: this.#version, summary: this.#refreshSummary(), instances: this.#reports };
  }

  #refreshSummary(): Summary {
    const { name, architecture, labels, position, total } = this.#init;
    const fresh = summaryOfNode({
      name,
      architecture,
      runtimes: [...this.#runtimes],
      labels,
      position,
      total,
      free: this.#free(),
      load: this.#load,
    });
    const kept = this.#summary;
    if (kept !== null && Math.abs(kept.load - fresh.load) < LOAD_STEP && sameCapacity(kept, fresh)) return kept;
    this.#summary = fresh;
    return fresh;
  }

  #speakToParent(): void {
    if (!this.#restored) return;
    const status = this.#status();
    const report = this.#session.report(status, this.#nowMs);
    if (report) this.#effects.push({ type: 'sendToParent', message: report });
  }
}
