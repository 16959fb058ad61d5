/**
 * The link between a child and its parent, seen from both ends. Adapters: memory (same process, simulation)
 * and mqtt (embedded or external broker). Conformance: test/conformance/uplink.ts.
 *
 * Promises every adapter keeps:
 *  U1. Between `opened` and `closed` messages arrive in order, unaltered, at most once.
 *  U2. When anything may have been lost, the link is closed and opened anew: the child then says hello.
 *  U3. A parent receives from a child only what that child's certificate sent.
 *  U4. What does not parse is dropped, counted and logged; it never reaches the listener.
 *  U5. Callbacks never nest inside `send`.
 */
import type { DownMessage, UpMessage } from '../core/model/messages.ts';

export interface UplinkListener {
  opened(): void;
  received(message: DownMessage): void;
  /**
   * `reason` is for a person to read; `silentMs`, how long nothing had been heard before that was noticed (0 unless
   * said). Also after a dial that failed: then no `opened` came before.
   */
  closed(reason: string, silentMs?: number): void;
}

/** The child's end. It dials, and dials again with growing, jittered pauses, until closed. */
export interface Uplink {
  open(listener: UplinkListener): void;
  /** Dropped when the link is not open. */
  send(message: UpMessage): void;
  /** Ends this session and dials anew: what was received does not follow from what was known. `closed` comes later. */
  reopen(reason: string): void;
  /** The listener hears nothing more. */
  close(): Promise<void>;
}

export interface DownlinkListener {
  received(child: string, message: UpMessage): void;
  /** The link of a child that had said hello is gone: closed, timed out, or its last will arrived. */
  closed(child: string): void;
}

/** The parent's end, for all its children. */
export interface Downlink {
  /** Children can link from here on, until `close`; then it can be opened again: a replica that leads once more. */
  open(listener: DownlinkListener): Promise<void>;
  /** Dropped when the child has no open link. */
  send(child: string, message: DownMessage): void;
  /** Ends the child's link (removed, certificate revoked, session broken); `closed` comes later. It may dial again. */
  disconnect(child: string): void;
  close(): Promise<void>;
}
