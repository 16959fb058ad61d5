/** A replica that has no others: what the tests of the log need of Raft. */

import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { Prng } from '../../src/core/base/prng.ts';
import type { Replica } from '../../src/core/raft/membership.ts';
import { RaftLog } from '../../src/node/raft-log.ts';
import type { PeerLink } from '../../src/ports/peer-link.ts';
import type { RaftStorage } from '../../src/ports/raft-storage.ts';

export const ALONE: Replica = { id: 'r1', name: 'one', url: 'https://127.0.0.1:7443', role: 'voter' };

/** Nobody is there. */
const noLink: PeerLink = { open() {}, setPeers() {}, send() {}, refuse() {}, close: () => Promise.resolve() };

export function aloneOn(storage: RaftStorage): RaftLog {
  return new RaftLog(
    {
      clock: systemClock,
      random: new Prng(1),
      storage,
      link: noLink,
      frames: { encode: () => new Uint8Array(0), decode: () => null },
      attachment: () => null,
      membershipChanged: () => undefined,
    },
    {
      id: ALONE.id,
      membership: [ALONE],
      leadership: 'standing',
      electionTimeoutMinMs: 150,
      electionTimeoutMaxMs: 3_000,
      quietMs: 1_000,
    },
  );
}
