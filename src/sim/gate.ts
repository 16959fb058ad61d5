import type { Clock } from '../ports/clock.ts';
import type { PeerLink } from '../ports/peer-link.ts';
import type { RaftStorage } from '../ports/raft-storage.ts';
import type { Downlink, Uplink } from '../ports/uplink.ts';

/** What happens to a process that may be stopped (SIGSTOP): it waits, and happens in its order when the process goes on. */
export class Gate {
  #isOpen = true;
  #waiting: (() => void)[] = [];

  get isOpen(): boolean {
    return this.#isOpen;
  }

  pass(callback: () => void): void {
    if (this.#isOpen) callback();
    else this.#waiting.push(callback);
  }

  close(): void {
    this.#isOpen = false;
  }

  open(): void {
    this.#isOpen = true;
    for (const callback of this.#waiting.splice(0)) callback();
  }

  /** A promise as a process hears of it. */
  settle<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => this.pass(() => resolve(value)),
        (error: unknown) => this.pass(() => reject(error)),
      );
    });
  }

  clock(clock: Clock): Clock {
    return {
      nowMs: () => clock.nowMs(),
      elapsedMs: () => clock.elapsedMs(),
      startTimer: (delayMs, callback) => {
        let isCancelled = false;
        const cancel = clock.startTimer(delayMs, () =>
          this.pass(() => {
            if (!isCancelled) callback();
          }),
        );
        return () => {
          isCancelled = true;
          cancel();
        };
      },
    };
  }

  storage(storage: RaftStorage): RaftStorage {
    return {
      load: () => this.settle(storage.load()),
      persist: (hard, entries) => this.settle(storage.persist(hard, entries)),
      readEntries: (fromIndex, toIndex, bytes) => this.settle(storage.readEntries(fromIndex, toIndex, bytes)),
      takeSnapshot: (head, content, keepFromIndex) => this.settle(storage.takeSnapshot(head, content, keepFromIndex)),
      readPiece: (index, piece) => this.settle(storage.readPiece(index, piece)),
      readSnapshot: () => this.settle(storage.readSnapshot()),
      keepPiece: (head, piece, data) => this.settle(storage.keepPiece(head, piece, data)),
      adoptSnapshot: (head) => this.settle(storage.adoptSnapshot(head)),
      close: () => this.settle(storage.close()),
    };
  }

  /** `sent` is told of each frame. */
  peerLink(link: PeerLink, sent: () => void): PeerLink {
    return {
      open: (listener) =>
        link.open({
          connected: (peer) => this.pass(() => listener.connected(peer)),
          received: (peer, frame) => this.pass(() => listener.received(peer, frame)),
          disconnected: (peer) => this.pass(() => listener.disconnected(peer)),
        }),
      setPeers: (membership) => link.setPeers(membership),
      send: (peer, frame) => {
        sent();
        link.send(peer, frame);
      },
      refuse: (peer) => link.refuse(peer),
      close: () => link.close(),
    };
  }

  downlink(downlink: Downlink): Downlink {
    return {
      open: (listener) =>
        downlink.open({
          received: (child, message) => this.pass(() => listener.received(child, message)),
          closed: (child) => this.pass(() => listener.closed(child)),
        }),
      send: (child, message) => downlink.send(child, message),
      disconnect: (child) => downlink.disconnect(child),
      close: () => downlink.close(),
    };
  }

  uplink(uplink: Uplink): Uplink {
    return {
      open: (listener) =>
        uplink.open({
          opened: () => this.pass(() => listener.opened()),
          received: (message) => this.pass(() => listener.received(message)),
          closed: (reason, silentMs) => this.pass(() => listener.closed(reason, silentMs)),
        }),
      send: (message) => uplink.send(message),
      reopen: (reason) => uplink.reopen(reason),
      close: () => this.settle(uplink.close()),
    };
  }
}
