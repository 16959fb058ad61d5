/**
 * Compares what one service should be with what is, and decides the next steps (after Nomad's reconciler).
 * Pure: state and observations in, decisions out. Every replacement, whatever the cause, has one shape:
 * a successor is created that `replaces` an instance; when the successor runs, the old one is stopped
 * (start new, then stop old: edgeIO section 3.1.7, MIGRATE).
 *
 * Invariants:
 *  R1. An instance that runs and is wanted is never stopped before its successor has proven itself by running
 *      for a while (`update.provenAfter`), unless the service is updated stop-first, scaled down or deleted.
 *  R2. Per instance at most one successor is on its way.
 *  R3. With nothing to change, nothing is decided: running it again on its own outcome comes to rest.
 *  R4. A copy that comes back after it was replaced goes if its successor runs, and stays if it does not.
 *  R5. A round that is full ends; what is left is decided on what is true when it is looked at again.
 */
import { must } from '../base/assert.ts';
import type { Seen } from '../model/decisions.ts';
import type { ServiceSpec } from '../model/service.ts';
import type { Decision } from './commands.ts';
import type { Observed } from './observed.ts';
import {
  type InstanceRecord,
  type Leaving,
  MOVE_PATIENCE_MS,
  type OrchestratorState,
  type ServiceRecord,
  type Target,
} from './state.ts';
import { isSilent } from './views.ts';

/** Before a silent child counts as lost, when the service does not say. A cluster looks after itself for a while. */
export const LOST_AFTER_MS = { node: 4_000, cluster: 60_000 } as const;

/**
 * A child that was not heard since this orchestrator started has at least this long: while there was nobody to hear it,
 * its pauses between dials have grown (to some 22 s at most), and that is not its fault.
 */
export const UNSEEN_LOST_AFTER_MS = 30_000;
/**
 * The same after one replica took over from another: children dial anew at once, when they notice. One that died without
 * a word is missed after 5 s, and each child takes the new leader some 10 ms of handshake.
 */
export function unseenAfterTakeoverMs(children: number): number {
  return 10_000 + 20 * children;
}

/** Where an instance could go; null with the reasons kept by the caller. */
export type FindPlace = (
  spec: ServiceSpec,
  wish: { readonly service: string; readonly instance: string; readonly target: Target | null; readonly avoid: string | null },
) => { readonly child: string; readonly seen: Seen } | null;

export interface ReconcileContext {
  readonly state: OrchestratorState;
  readonly observed: Observed;
  readonly nowMs: number;
  /** How long a child may take to be heard for the first time. */
  readonly unseenLostAfterMs: number;
  readonly findPlace: FindPlace;
  /** Hands out instance numbers, each once per round. */
  readonly nextNumber: () => number;
  /** With so many decisions made, no further place is looked for: the service has to be looked at again. */
  readonly decisionsMax: number;
}

export function reconcileService(service: ServiceRecord, context: ReconcileContext): Decision[] {
  const round = new Round(service, context);
  round.forgetTheGone();
  if (service.deleting) {
    round.stopAll('deleting');
    return round.decisions;
  }
  round.judgeTheSilent();
  round.handleRefusals();
  round.finishReplacements();
  round.beginMoves();
  round.matchCount();
  round.update();
  round.placeWaiting();
  return round.decisions;
}

class Round {
  readonly decisions: Decision[] = [];
  readonly #service: ServiceRecord;
  readonly #context: ReconcileContext;
  /** Instances that are wanted, as they will be after the decisions so far. */
  readonly #kept: InstanceRecord[];
  readonly #lost = new Set<string>();
  readonly #unplaced = new Set<string>();
  readonly #stopped = new Set<string>();
  /** Successors on their way, by the instance that they replace. */
  readonly #successors = new Map<string, InstanceRecord>();
  /** Instances that get a successor in this round (R2). */
  readonly #replacedNow = new Set<string>();
  #created = 0;

  constructor(service: ServiceRecord, context: ReconcileContext) {
    this.#service = service;
    this.#context = context;
    this.#kept = context.state.instancesOf(service.key).filter((instance) => instance.leaving === null);
    for (const instance of this.#kept) {
      if (instance.lost) this.#lost.add(instance.id);
      if (instance.replaces !== null && this.#find(instance.replaces)) this.#successors.set(instance.replaces, instance);
    }
  }

  forgetTheGone(): void {
    for (const instance of this.#context.state.instancesOf(this.#service.key)) {
      if (instance.leaving !== null && this.#context.observed.isGone(instance))
        this.decisions.push({ do: 'forget', instance: instance.id });
    }
  }

  stopAll(leaving: Leaving): void {
    for (const instance of this.#kept) this.#stop(instance, leaving);
  }

  judgeTheSilent(): void {
    const { observed, nowMs, state, unseenLostAfterMs } = this.#context;
    for (const instance of this.#kept) {
      if (instance.child === null) continue;
      const link = observed.links.get(instance.child);
      if (!link) continue;
      // Between two heartbeats a child is not silent, however little patience a service has.
      const heard = link.session !== null && !isSilent(link.lastHeardMs, nowMs);
      if (heard && !instance.lost) continue;
      const kind = must(state.members.get(instance.child), 'child').record.kind;
      const lostAfterMs = state.specOf(instance).disconnect.lostAfter ?? LOST_AFTER_MS[kind];
      const patienceMs = link.seen ? lostAfterMs : Math.max(lostAfterMs, unseenLostAfterMs);
      const silent = !heard && nowMs - link.lastHeardMs > patienceMs;
      if (silent && !instance.lost) {
        this.decisions.push({ do: 'lose', instance: instance.id });
        this.#lost.add(instance.id);
      }
      if (instance.lost && !silent && link.session !== null) this.#welcomeBack(instance);
    }
  }

  /** R4. */
  #welcomeBack(instance: InstanceRecord): void {
    const successor = this.#successors.get(instance.id);
    if (successor && this.#runs(successor)) {
      this.#stop(instance, 'replaced');
      return;
    }
    this.decisions.push({ do: 'regain', instance: instance.id });
    this.#lost.delete(instance.id);
    if (successor) {
      this.#stop(successor, 'surplus');
      this.#successors.delete(instance.id);
    }
  }

  handleRefusals(): void {
    const { observed, nowMs } = this.#context;
    for (const instance of this.#kept) {
      if (instance.child === null || this.#lost.has(instance.id) || this.#stopped.has(instance.id)) continue;
      const report = observed.reportOf(instance);
      if (report?.state !== 'REFUSED') continue;
      observed.refused(instance.id, instance.child, report.reason, nowMs);
      this.decisions.push({ do: 'unplace', instance: instance.id });
      this.#unplaced.add(instance.id);
    }
  }

  finishReplacements(): void {
    for (const [oldId, successor] of this.#successors) {
      const old = this.#find(oldId);
      if (!old || this.#stopped.has(oldId) || !this.#runs(successor)) continue;
      if (this.#lost.has(oldId)) continue; // its node cannot be told; R4 decides when it comes back
      if (this.#runs(old) && !this.#isProven(successor)) continue;
      this.#stop(old, this.#leavingOf(old));
    }
  }

  #leavingOf(old: InstanceRecord): Leaving {
    if (old.generation !== this.#service.generation) return 'updating';
    return old.move !== null || this.#isDraining(old) ? 'migrating' : 'replaced';
  }

  beginMoves(): void {
    const { nowMs } = this.#context;
    for (const instance of this.#kept) {
      if (this.#stopped.has(instance.id) || this.#lost.has(instance.id)) continue;
      const successor = this.#successors.get(instance.id);
      const { move } = instance;
      const leftMs = move === null ? 0 : move.deadlineMs - nowMs;
      // More time left than there ever was: the clock was set back.
      const givesUp = move !== null && (leftMs < 0 || leftMs > MOVE_PATIENCE_MS);
      if (givesUp) this.decisions.push({ do: 'giveUpMove', instance: instance.id });
      const moves = instance.child !== null && ((move !== null && !givesUp) || this.#isDraining(instance));
      if (moves && !successor && this.#hasRoom) this.#replace(instance, givesUp || move === null ? null : move.target);
      // Given up, or not draining any more: who was to go to another place and does not run yet is not needed. (An
      // update that waits makes a successor of its own, for any place.)
      const updates = instance.generation !== this.#service.generation && successor?.target === null && successor.avoid === null;
      if (!moves && !updates && successor && !this.#runs(successor)) {
        this.#stop(successor, 'surplus');
        this.#successors.delete(instance.id);
      }
    }
  }

  matchCount(): void {
    const wanted = this.#service.replicas;
    const counted = this.#kept.filter((instance) => this.#counts(instance));
    const have = counted.length;
    for (let missing = wanted - have; missing > 0 && this.#hasRoom; missing--) this.#create(this.#lostWithoutSuccessor());
    if (have <= wanted) return;
    for (const instance of this.#leastMissed(counted).slice(0, have - wanted)) {
      this.#stop(instance, 'scaling');
      const successor = this.#successors.get(instance.id);
      if (successor) this.#stop(successor, 'surplus');
    }
  }

  /** Successors of running instances do not count: they stand for one that counts already. */
  #counts(instance: InstanceRecord): boolean {
    if (this.#stopped.has(instance.id)) return false;
    if (this.#lost.has(instance.id)) return !this.#replaceable(instance);
    const old = instance.replaces === null ? undefined : this.#find(instance.replaces);
    return !old || this.#stopped.has(old.id) || (this.#lost.has(old.id) && this.#replaceable(old));
  }

  #replaceable(instance: InstanceRecord): boolean {
    return this.#context.state.specOf(instance).disconnect.replace;
  }

  #lostWithoutSuccessor(): InstanceRecord | null {
    if (this.#lost.size === 0) return null;
    return (
      this.#kept.find(
        (instance) =>
          this.#lost.has(instance.id) &&
          !this.#successors.has(instance.id) &&
          !this.#replacedNow.has(instance.id) &&
          this.#replaceable(instance),
      ) ?? null
    );
  }

  /** Whom a smaller service misses least: first what does not run, then old generations, then the newest. */
  #leastMissed(instances: readonly InstanceRecord[]): InstanceRecord[] {
    const rank = (instance: InstanceRecord) =>
      (instance.child === null ? 0 : this.#runs(instance) ? 2 : 1) * 2 +
      (instance.generation === this.#service.generation ? 1 : 0);
    return [...instances].sort((a, b) => rank(a) - rank(b) || b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1));
  }

  update(): void {
    const { generation } = this.#service;
    const spec = must(this.#service.specs.get(generation), 'present spec');
    const outdated = this.#kept.filter(
      (instance) => instance.generation !== generation && !this.#stopped.has(instance.id) && !this.#lost.has(instance.id),
    );
    if (outdated.length === 0) return;
    const underWay = this.#kept.filter(
      (instance) =>
        instance.generation === generation &&
        !this.#stopped.has(instance.id) &&
        !this.#lost.has(instance.id) &&
        !this.#isProven(instance),
    ).length;
    let room = spec.update.maxParallel - underWay - this.#created;
    for (const instance of outdated) {
      if (instance.child === null) {
        this.#stop(instance, 'updating'); // never ran: the count makes a new one
        continue;
      }
      const successor = this.#successors.get(instance.id);
      if (successor && successor.generation !== generation) this.#stop(successor, 'surplus');
      if ((successor && successor.generation === generation) || this.#replacedNow.has(instance.id) || room <= 0) continue;
      if (!this.#hasRoom) return;
      if (spec.update.order === 'stop-first') this.#stop(instance, 'updating');
      else this.#create(instance);
      room -= 1;
    }
  }

  placeWaiting(): void {
    for (const instance of this.#kept) {
      if (!this.#hasRoom) return;
      if (instance.child !== null || this.#stopped.has(instance.id) || this.#unplaced.has(instance.id)) continue;
      const found = this.#context.findPlace(this.#context.state.specOf(instance), {
        service: this.#service.key,
        instance: instance.id,
        target: instance.target,
        avoid: instance.avoid,
      });
      if (found) this.decisions.push({ do: 'place', instance: instance.id, child: found.child, seen: found.seen });
    }
  }

  #replace(instance: InstanceRecord, target: Target | null): void {
    this.#create(instance, target, instance.child);
  }

  #create(replaces: InstanceRecord | null, target: Target | null = null, avoid: string | null = null): void {
    const { generation, key } = this.#service;
    const number = this.#context.nextNumber();
    const id = key.startsWith('parent:') ? `${key.slice('parent:'.length)}.${number}` : `${key}-${number}`;
    // A target may lie within the child that has the instance already: another node of the same cluster.
    const effectiveAvoid = target !== null && (target.cluster !== null || target.node !== null) ? null : avoid;
    const found = this.#context.findPlace(must(this.#service.specs.get(generation), 'present spec'), {
      service: key,
      instance: id,
      target,
      avoid: effectiveAvoid,
    });
    this.decisions.push({
      do: 'create',
      id,
      number,
      service: key,
      generation,
      replaces: replaces?.id ?? null,
      target,
      avoid: effectiveAvoid,
      child: found?.child ?? null,
      seen: found?.seen,
    });
    if (replaces) this.#replacedNow.add(replaces.id);
    this.#created += 1;
  }

  #stop(instance: InstanceRecord, leaving: Leaving): void {
    if (this.#stopped.has(instance.id)) return;
    this.#stopped.add(instance.id);
    this.decisions.push({ do: 'stop', instance: instance.id, leaving });
  }

  get #hasRoom(): boolean {
    return this.decisions.length < this.#context.decisionsMax;
  }

  /** One of `#kept`. */
  #find(id: string): InstanceRecord | undefined {
    const found = this.#context.state.instances.get(id);
    return found?.service === this.#service.key && found.leaving === null ? found : undefined;
  }

  #isProven(instance: InstanceRecord): boolean {
    const { state, observed, nowMs } = this.#context;
    return observed.isProven(instance, state.specOf(instance).update.provenAfter, nowMs);
  }

  #runs(instance: InstanceRecord): boolean {
    return !this.#lost.has(instance.id) && this.#context.observed.isRunning(instance);
  }

  #isDraining(instance: InstanceRecord): boolean {
    return instance.child !== null && (this.#context.state.members.get(instance.child)?.draining ?? false);
  }
}
