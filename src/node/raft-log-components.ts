/** What the driver of a replica works with. */
import type { Random } from '../core/base/prng.ts';
import type { Membership } from '../core/raft/membership.ts';
import type { PeerMessage } from '../core/raft/messages.ts';
import type { Clock } from '../ports/clock.ts';
import type { PeerLink } from '../ports/peer-link.ts';
import type { RaftStorage } from '../ports/raft-storage.ts';

export interface RaftLogComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly storage: RaftStorage;
  readonly link: PeerLink;
  /** Puts messages into frames, and reads them: null for what no replica would send. */
  readonly frames: {
    encode(message: PeerMessage): Uint8Array;
    decode(frame: Uint8Array): PeerMessage | null;
  };
  /** On demand: what this replica tells of its children, with a vote or when it is asked. */
  readonly attachment: () => Uint8Array | null;
  /** On demand: what another one, of this name, tells. */
  readonly told?: (name: string, attachment: Uint8Array) => void;
  readonly membershipChanged: (membership: Membership) => void;
  /** A connection with another replica began or ended. */
  readonly connectionsChanged?: () => void;
}
