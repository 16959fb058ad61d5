/** A tap on what a log delivers: the checkers see it before its user does. */
import type { Log, LogEntry } from '../ports/log.ts';

export interface LogTap {
  readonly restored?: (snapshot: Uint8Array, index: number) => void;
  readonly entrySeen: (entry: LogEntry) => void;
}

export function tappedLog(log: Log, tap: LogTap): Log {
  return {
    open: (listener) =>
      log.open({
        restored: (snapshot, index) => {
          tap.restored?.(snapshot, index);
          listener.restored(snapshot, index);
        },
        committed: (entries) => {
          for (const entry of entries) tap.entrySeen(entry);
          listener.committed(entries);
        },
        ready: (leadership) => listener.ready(leadership),
        dropped: (proposal, reason, fate) => listener.dropped(proposal, reason, fate),
        failed: (error) => listener.failed(error),
      }),
    propose: (proposal, data) => log.propose(proposal, data),
    compact: (snapshot, index) => log.compact(snapshot, index),
    close: () => log.close(),
  };
}
