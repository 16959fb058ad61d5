/**
 * Runs an orchestrator: takes one input at a time, steps the core, drains the effects through the ports.
 * Synchronous throughout, so that simulation drives the very same code.
 */
import type { Result } from '../core/base/result.ts';
import type { Leadership } from '../core/model/leadership.ts';
import type { DownMessage } from '../core/model/messages.ts';
import type { PeerReport } from '../core/model/peer-report.ts';
import type { ClientRequest, RequestOutcome, RequestRefusal } from '../core/model/requests.ts';
import type { EventView } from '../core/model/views.ts';
import {
  Orchestrator,
  type OrchestratorEffect,
  type OrchestratorInit,
  type OrchestratorInput,
} from '../core/orchestrator/orchestrator.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log, LogEntry } from '../ports/log.ts';
import type { Logger } from '../ports/logger.ts';
import type { Downlink } from '../ports/uplink.ts';
import { closeAll } from './close-all.ts';
import { ParentLink, type ParentLinkComponents } from './parent-link.ts';

export interface OrchestratorDriverComponents {
  readonly clock: Clock;
  readonly log: Log;
  readonly downlink: Downlink;
  /** How to reach the parent; null for a root. */
  readonly parent: ParentLinkComponents | null;
  readonly logger: Logger;
  /** The parent asks for a stream to be dialled. */
  readonly onStreamRequest: (id: string) => void;
  /** Who leads has changed; the core knows already. */
  readonly leadershipChanged?: (leadership: Leadership) => void;
  /** On demand (ADR 0010): the other replicas. */
  readonly group?: {
    wantLeadership(): void;
    /** Tells whoever leads what is seen here; `whilePaused`: or the one that led last. */
    tell(options: { readonly whilePaused: boolean }): void;
  };
  /** An entry of the log, or a snapshot, has been applied. */
  readonly applied?: () => void;
  /** The log cannot go on: the process should end. */
  readonly onFailure: (error: Error) => void;
}

/** How often time alone is looked at: losses, expired pauses, deadlines. */
const TICK_MS = 500;
/** Changes that come within this time are told to the leader at once. */
const TELL_AFTER_MS = 30;

const SHUTTING_DOWN = { ok: false, error: { code: 'unavailable', what: 'shutting down', details: [] } } as const;

export interface Changed {
  readonly kind: 'service' | 'instance' | 'child';
  readonly name: string;
}

export interface OrchestratorWatcher {
  changed(changes: readonly Changed[]): void;
  happened(event: EventView): void;
}

export class OrchestratorDriver {
  readonly core: Orchestrator;
  readonly #components: OrchestratorDriverComponents;
  #parentLink: ParentLink | null;
  readonly #queue: OrchestratorInput[] = [];
  readonly #tickets = new Map<number, (answer: Result<RequestOutcome, RequestRefusal>) => void>();
  readonly #watchers = new Set<OrchestratorWatcher>();
  #nextTicket = 1;
  #stepping = false;
  #cancelTick: (() => void) | null = null;
  #cancelTell: (() => void) | null = null;
  #closed = false;
  #isStarted = false;
  /** Links with children are open. */
  #isServing = false;
  /** The link with the parent is. */
  #isSpeaking = false;
  #isSettling = false;
  #settled: Promise<void> = Promise.resolve();
  parentConnected = false;
  parentProblem = '';
  parentSinceMs = 0;

  constructor(components: OrchestratorDriverComponents, init: OrchestratorInit) {
    this.#components = components;
    this.core = new Orchestrator(init);
    this.#parentLink = components.parent && new ParentLink(components.parent, this.#parentListener());
  }

  /** Resolves when the log is read and, if this replica leads, children may come. */
  async start(): Promise<void> {
    const { log } = this.#components;
    await log.open({
      restored: (snapshot, index) => {
        this.#take({ type: 'snapshotRestored', snapshot: decode(snapshot), index });
        this.#components.applied?.();
      },
      committed: (entries) => this.#entriesCommitted(entries),
      ready: (leadership) => {
        this.#take({ type: 'logReady', leadership });
        this.#components.leadershipChanged?.(leadership);
      },
      dropped: (proposal, reason) => this.#take({ type: 'proposalDropped', proposal, reason }),
      failed: (error) => this.#components.onFailure(error),
    });
    this.#isStarted = true;
    await this.#settle();
    this.#tick();
  }

  /** I5: links with children are open exactly while this replica serves; one change of it after the other. */
  #settle(): Promise<void> {
    if (!this.#isSettling) this.#settled = this.#openOrCloseLinks();
    return this.#settled;
  }

  async #openOrCloseLinks(): Promise<void> {
    const { downlink } = this.#components;
    this.#isSettling = true;
    while (!this.#closed) {
      const { serves, speaksToParent } = this.core;
      if (serves && !this.#isServing) {
        this.#isServing = true;
        await downlink.open({
          received: (child, message) => this.#take({ type: 'childMessageReceived', child, message }),
          closed: (child) => this.#take({ type: 'childLinkClosed', child }),
        });
      } else if (speaksToParent && !this.#isSpeaking) {
        this.#isSpeaking = true;
        this.#parentLink?.open();
      } else if (!speaksToParent && this.#isSpeaking) {
        this.#isSpeaking = false;
        this.#parentState(false, 'another replica has it');
        await this.#parentLink?.close();
      } else if (!serves && this.#isServing) {
        this.#isServing = false;
        await downlink.close();
      } else break;
    }
    this.#isSettling = false; // nothing comes between the last look and this
  }

  /** Resolves when the request is committed or refused. */
  submit(request: ClientRequest, idempotencyKey?: string): Promise<Result<RequestOutcome, RequestRefusal>> {
    if (this.#closed) return Promise.resolve(SHUTTING_DOWN);
    return new Promise((resolve) => {
      const ticket = this.#nextTicket++;
      this.#tickets.set(ticket, resolve);
      this.#take({ type: 'requestReceived', ticket, request, idempotencyKey });
    });
  }

  /** On demand: what another replica sees of its children. */
  peerTold(peer: string, report: PeerReport): void {
    this.#take({ type: 'peerTold', peer, report });
  }

  /** On demand: names of the replicas that there is a connection with. */
  peersConnected(peers: readonly string[]): void {
    this.#take({ type: 'peersConnected', peers });
  }

  watch(watcher: OrchestratorWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** A voter has been given the orchestrator's place with its parent by another one. */
  setParent(parent: ParentLinkComponents): void {
    if (this.#parentLink !== null || this.#closed) return;
    this.#parentLink = new ParentLink(parent, this.#parentListener());
    if (this.#isSpeaking) this.#parentLink.open();
  }

  /** Asks a child to dial a stream back. */
  askForStream(child: string, id: string): void {
    this.#components.downlink.send(child, { type: 'stream', id });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTick?.();
    this.#cancelTell?.();
    const { downlink, log } = this.#components;
    await closeAll([
      () => this.#parentLink?.close(),
      () => downlink.close(),
      // It was being opened meanwhile.
      () => (this.#isSettling ? this.#settled.then(() => downlink.close()) : undefined),
      () => log.close(),
      () => {
        for (const answer of this.#tickets.values()) answer(SHUTTING_DOWN);
        this.#tickets.clear();
      },
    ]);
  }

  #parentListener() {
    return {
      opened: (session: string) => {
        this.#parentState(true, '');
        this.#take({ type: 'uplinkOpened', session });
      },
      desiredReceived: (message: Extract<DownMessage, { type: 'desired' }>) =>
        this.#take({ type: 'uplinkMessageReceived', message }),
      streamRequested: (id: string) => this.#components.onStreamRequest(id),
      closed: (reason: string) => {
        this.#parentState(false, reason);
        this.#take({ type: 'uplinkClosed' });
      },
    };
  }

  #parentState(connected: boolean, problem: string): void {
    if (connected !== this.parentConnected) this.#components.logger.info({ connected, problem }, 'link to parent');
    this.parentConnected = connected;
    this.parentProblem = problem;
    this.parentSinceMs = this.#components.clock.nowMs();
  }

  #entriesCommitted(entries: readonly LogEntry[]): void {
    for (const entry of entries)
      this.#take({ type: 'entryCommitted', index: entry.index, data: decode(entry.data), proposal: entry.proposal });
    this.#components.applied?.();
  }

  #take(input: OrchestratorInput): void {
    if (this.#closed) return;
    this.#queue.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        this.#drain(this.core.step(this.#components.clock.nowMs(), next));
      }
    } finally {
      this.#stepping = false;
    }
    const { serves, speaksToParent } = this.core;
    if (this.#isStarted && (serves !== this.#isServing || speaksToParent !== this.#isSpeaking)) void this.#settle();
  }

  #drain(effects: readonly OrchestratorEffect[]): void {
    const { log, downlink, logger } = this.#components;
    const changes = new Map<string, Changed>();
    for (const effect of effects) {
      switch (effect.type) {
        case 'propose':
          log.propose(effect.proposal, encode(effect.data));
          break;
        case 'answer':
          this.#tickets.get(effect.ticket)?.(effect.answer);
          this.#tickets.delete(effect.ticket);
          break;
        case 'sendToChild':
          downlink.send(effect.child, effect.message);
          break;
        case 'disconnectChild':
          downlink.disconnect(effect.child);
          break;
        case 'sendToParent':
          this.#parentLink?.send(effect.message);
          break;
        case 'restartUplink':
          logger.warn({ reason: effect.reason }, 'link to parent starts over');
          this.#parentLink?.reopen(effect.reason);
          break;
        case 'compact':
          log.compact(encode(effect.snapshot), effect.index).catch(this.#components.onFailure);
          break;
        case 'wantLeadership':
          this.#components.group?.wantLeadership();
          break;
        case 'tellLeader':
          this.#tellSoon();
          break;
        case 'changed':
          changes.set(`${effect.kind}/${effect.name}`, effect);
          break;
        case 'happened':
          logger[effect.event.level === 'warning' ? 'warn' : 'info']({ subject: effect.event.subject }, effect.event.message);
          for (const watcher of this.#watchers) watcher.happened(effect.event);
          break;
      }
    }
    if (changes.size > 0) for (const watcher of this.#watchers) watcher.changed([...changes.values()]);
  }

  #tellSoon(): void {
    const { group, clock } = this.#components;
    if (!group || this.core.leads || this.#cancelTell !== null) return;
    this.#cancelTell = clock.startTimer(TELL_AFTER_MS, () => {
      this.#cancelTell = null;
      group.tell({ whilePaused: this.core.pausedUnder !== null });
    });
  }

  #tick(): void {
    if (this.#closed) return;
    this.#take({ type: 'timePassed' });
    this.#cancelTick = this.#components.clock.startTimer(TICK_MS, () => this.#tick());
  }
}

// TextEncoder and TextDecoder are the same everywhere; nothing here needs Node's Buffer.
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function encode(text: string): Uint8Array {
  return encoder.encode(text);
}

function decode(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
