/**
 * What an orchestrator knows for certain: the part of its world that is committed, the same on every replica.
 * It changes only in apply.ts, one log entry at a time. What is merely observed (links, load, how instances
 * are doing) lives in observed.ts and is never written down.
 *
 * Invariants (checked by `assertState` in simulation):
 *  S1. Every instance belongs to a service that is there, and its generation's spec is kept.
 *  S2. An instance that has a child is in that child's index, and the child is a member.
 *  S3. `since` of everything a child was told lies in (0, member.version], each version used once.
 *  S4. An instance's number was never used before: ids are not reused, so a stray copy of an old instance
 *      on a node that comes back after months is never taken for a new one.
 *  S5. `moving` holds exactly the instances that have a move.
 */
import { assert, must } from '../base/assert.ts';
import type { ChildRecord, TokenRecord } from '../model/membership.ts';
import type { ReplicaRecord } from '../model/replicas.ts';
import type { RequestOutcome, RequestRefusal } from '../model/requests.ts';
import type { ServiceSpec } from '../model/service.ts';
import { DecisionChain, type Hash, type KeptChain } from './decision-chain.ts';

export interface ServiceRecord {
  /** `web`; or `parent:web-3`, the third instance of the parent's web, which this cluster keeps running. */
  readonly key: string;
  /** The service's name as the user gave it, wherever that was. */
  readonly service: string;
  readonly owner: 'user' | 'parent';
  labels: Readonly<Record<string, string>>;
  generation: number;
  replicas: number;
  /** By generation: the present one, and older ones while instances of theirs are left. */
  readonly specs: Map<number, ServiceSpec>;
  readonly createdAtMs: number;
  updatedAtMs: number;
  deleting: boolean;
  /** Idempotency key of the request that last changed it. */
  request?: string | undefined;
}

/** Why an instance that may still run shall not. */
export const LEAVING = ['scaling', 'migrating', 'updating', 'deleting', 'replaced', 'surplus'] as const;
export type Leaving = (typeof LEAVING)[number];

/** Where a user wants an instance moved; both empty: anywhere but where it is. */
export interface Target {
  readonly cluster: string | null;
  readonly node: string | null;
}

export function describeTarget(target: Target): string {
  if (target.cluster !== null && target.node !== null) return `${target.cluster}/${target.node}`;
  return target.node ?? target.cluster ?? 'another place';
}

/** How long a requested move may wait for its new place. */
export const MOVE_PATIENCE_MS = 120_000;

export interface InstanceRecord {
  readonly id: string;
  /** Key of its service. */
  readonly service: string;
  readonly generation: number;
  readonly createdAtMs: number;
  /** The instance whose place it takes. */
  readonly replaces: string | null;
  target: Target | null;
  /** A child that it must not be put on: the one it is moved away from. */
  avoid: string | null;
  child: string | null;
  /** Version of the child's desired state at which the child was told. */
  since: number;
  leaving: Leaving | null;
  /** Its child has been silent for too long; a successor may be running. */
  lost: boolean;
  /** A move that was asked for and is not over. */
  move: { readonly target: Target; readonly deadlineMs: number; readonly request?: string | undefined } | null;
  changedAtMs: number;
}

/** A child and what it has been told. */
export interface Member {
  record: ChildRecord;
  cordoned: boolean;
  draining: boolean;
  /** Version of its desired state: grows with every change of it. */
  version: number;
  /** What it was last told to stop, oldest first. A child that knows less than `forgottenVersion` is told everything anew. */
  unset: { readonly id: string; readonly version: number }[];
  forgottenVersion: number;
}

/** Where this orchestrator stands with its own parent. */
export interface Upstream {
  readonly epoch: string;
  readonly version: number;
}

export interface RememberedRequest {
  readonly key: string;
  readonly answer: { readonly ok: true; readonly value: RequestOutcome } | { readonly ok: false; readonly error: RequestRefusal };
}

export class OrchestratorState {
  /** Names this life of the state: children that know another epoch are told everything anew. Empty until initialised. */
  epoch = '';
  /** Of the first life: what the chain of decision records begins with. */
  firstEpoch = '';
  name = '';
  createdAtMs = 0;
  /** The number that the next instance gets. */
  nextNumber = 1;
  upstream: Upstream | null = null;
  readonly services = new Map<string, ServiceRecord>();
  readonly instances = new Map<string, InstanceRecord>();
  readonly members = new Map<string, Member>();
  readonly tokens = new Map<string, TokenRecord>();
  /** Who shall be a replica of this orchestrator, by id; the group follows. */
  readonly replicas = new Map<string, ReplicaRecord>();
  /** Answers by idempotency key, oldest first. */
  readonly remembered = new Map<string, RememberedRequest['answer']>();
  readonly decisions: DecisionChain;

  // Indexes, rebuilt on restore.
  readonly #moving = new Set<InstanceRecord>();
  readonly #byService = new Map<string, Set<InstanceRecord>>();
  /** Keys of services by what the user knows as one service: in a cluster, each of the parent's instances is a service of its own. */
  readonly #byUserService = new Map<string, Set<string>>();
  readonly #successors = new Map<string, Set<string>>();
  readonly #byChild = new Map<string, Set<InstanceRecord>>();

  constructor(hash: Hash) {
    this.decisions = new DecisionChain(hash);
  }

  /** Instances of a service, oldest first. */
  instancesOf(serviceKey: string): InstanceRecord[] {
    return [...(this.#byService.get(serviceKey) ?? [])];
  }

  /** How many more instances the service shall have than there are, those that are leaving included. */
  missingOf(serviceKey: string): number {
    return (this.services.get(serviceKey)?.replicas ?? 0) - (this.#byService.get(serviceKey)?.size ?? 0);
  }

  /** Instances of all that the user knows as the same service: what `spread` spreads. */
  instancesAlike(serviceKey: string): InstanceRecord[] {
    const service = this.services.get(serviceKey);
    const keys = service ? this.#byUserService.get(userService(service)) : undefined;
    return [...(keys ?? [])].flatMap((key) => this.instancesOf(key));
  }

  /** Instances that a child was given and that are not forgotten yet. */
  instancesOn(child: string): InstanceRecord[] {
    return [...(this.#byChild.get(child) ?? [])];
  }

  /** Whether an instance that is to take this one's place is on its way or there. */
  hasSuccessor(id: string): boolean {
    for (const successor of this.#successors.get(id) ?? []) if (this.instances.get(successor)?.leaving === null) return true;
    return false;
  }

  /** Those that are to take the place of one that is still wanted: when, time decides. */
  *instancesAwaitingProof(): Iterable<InstanceRecord> {
    for (const [old, successors] of this.#successors) {
      if (this.instances.get(old)?.leaving !== null) continue;
      for (const id of successors) {
        const instance = this.instances.get(id);
        if (instance?.leaving === null) yield instance;
      }
    }
  }

  countOn(child: string): number {
    return this.#byChild.get(child)?.size ?? 0;
  }

  addInstance(instance: InstanceRecord): void {
    assert(!this.instances.has(instance.id), `instance ${instance.id} is there already`);
    this.instances.set(instance.id, instance);
    addTo(this.#byService, instance.service, instance);
    const service = this.services.get(instance.service);
    if (service) addTo(this.#byUserService, userService(service), service.key);
    if (instance.replaces !== null) addTo(this.#successors, instance.replaces, instance.id);
    if (instance.child !== null) addTo(this.#byChild, instance.child, instance);
    if (instance.move !== null) this.#moving.add(instance);
  }

  /** Begins or changes a move, or ends it (null). */
  setMove(instance: InstanceRecord, move: InstanceRecord['move']): void {
    instance.move = move;
    if (move === null) this.#moving.delete(instance);
    else this.#moving.add(instance);
  }

  /** Instances with a move that is not over. */
  get moving(): ReadonlySet<InstanceRecord> {
    return this.#moving;
  }

  /** Gives an instance to a child, or takes it back (null). */
  assign(instance: InstanceRecord, child: string | null): void {
    if (instance.child !== null) this.#byChild.get(instance.child)?.delete(instance);
    instance.child = child;
    if (child !== null) addTo(this.#byChild, child, instance);
  }

  removeInstance(instance: InstanceRecord): void {
    this.assign(instance, null);
    this.#moving.delete(instance);
    this.instances.delete(instance.id);
    this.#byService.get(instance.service)?.delete(instance);
    this.#successors.delete(instance.id);
    if (instance.replaces !== null) this.#successors.get(instance.replaces)?.delete(instance.id);
  }

  removeService(key: string): void {
    assert((this.#byService.get(key)?.size ?? 0) === 0, `service ${key} still has instances`);
    const service = this.services.get(key);
    if (service) this.#byUserService.get(userService(service))?.delete(key);
    this.services.delete(key);
    this.#byService.delete(key);
  }

  removeMember(name: string): void {
    assert(this.countOn(name) === 0, `child ${name} still has instances`);
    this.members.delete(name);
    this.#byChild.delete(name);
  }

  specOf(instance: InstanceRecord): ServiceSpec {
    const service = must(this.services.get(instance.service), `service ${instance.service}`);
    return must(service.specs.get(instance.generation), `spec ${instance.generation} of ${instance.service}`);
  }

  toJSON(): unknown {
    return {
      epoch: this.epoch,
      firstEpoch: this.firstEpoch,
      name: this.name,
      createdAtMs: this.createdAtMs,
      nextNumber: this.nextNumber,
      upstream: this.upstream,
      services: [...this.services.values()].map((service) => ({ ...service, specs: [...service.specs] })),
      instances: [...this.instances.values()],
      members: [...this.members.values()],
      tokens: [...this.tokens.values()],
      replicas: [...this.replicas.values()],
      remembered: [...this.remembered],
      decisions: this.decisions,
    };
  }

  /** From what `toJSON` gave: a snapshot of our own, whose checksum the log has verified. */
  static fromJSON(json: unknown, hash: Hash): OrchestratorState {
    const stored = json as StoredState;
    const state = new OrchestratorState(hash);
    state.epoch = stored.epoch;
    state.firstEpoch = stored.firstEpoch ?? stored.epoch;
    state.name = stored.name;
    state.createdAtMs = stored.createdAtMs;
    state.nextNumber = stored.nextNumber;
    state.upstream = stored.upstream;
    for (const service of stored.services) state.services.set(service.key, { ...service, specs: new Map(service.specs) });
    for (const member of stored.members) state.members.set(member.record.name, member);
    for (const token of stored.tokens) state.tokens.set(token.id, token);
    for (const replica of stored.replicas ?? []) state.replicas.set(replica.id, replica);
    for (const [key, answer] of stored.remembered) state.remembered.set(key, answer);
    for (const instance of stored.instances) state.addInstance(instance);
    // A snapshot of before there were records: they begin here.
    if (stored.decisions) state.decisions.restore(stored.decisions);
    else state.decisions.begin(state.epoch);
    return state;
  }
}

interface StoredState {
  epoch: string;
  firstEpoch?: string;
  name: string;
  createdAtMs: number;
  nextNumber: number;
  upstream: Upstream | null;
  services: (Omit<ServiceRecord, 'specs'> & { specs: [number, ServiceSpec][] })[];
  instances: InstanceRecord[];
  members: Member[];
  tokens: TokenRecord[];
  replicas?: ReplicaRecord[];
  remembered: [string, RememberedRequest['answer']][];
  decisions?: KeptChain;
}

/** A cluster's own `web` and the parent's are two. */
export function userService(service: ServiceRecord): string {
  return `${service.owner}/${service.service}`;
}

function addTo<T>(index: Map<string, Set<T>>, key: string, one: T): void {
  const all = index.get(key);
  if (all) all.add(one);
  else index.set(key, new Set([one]));
}

/** Checks S1 to S5; for simulation and tests. */
export function assertState(state: OrchestratorState): void {
  for (const instance of state.instances.values()) {
    const service = must(state.services.get(instance.service), `S1: service of ${instance.id}`);
    assert(service.specs.has(instance.generation), `S1: spec of ${instance.id}`);
    assert(Number(/(\d+)$/.exec(instance.id)?.[1]) < state.nextNumber, `S4: number of ${instance.id}`);
    assert(state.moving.has(instance) === (instance.move !== null), `S5: move of ${instance.id}`);
    if (instance.child === null) continue;
    const member = must(state.members.get(instance.child), `S2: child of ${instance.id}`);
    assert(state.instancesOn(instance.child).includes(instance), `S2: ${instance.id} in the index of ${instance.child}`);
    assert(instance.since > 0 && instance.since <= member.version, `S3: since of ${instance.id}`);
  }
}
