import { expect, it } from 'vitest';
import { PeerTelling } from './peer-telling.ts';
import { ReplicaLeadership } from './replica-leadership.ts';

const SEEN = Uint8Array.of(1);

function telling() {
  const leadership = new ReplicaLeadership({
    ...{ id: 'a', membership: [], leadership: 'on-demand', quietMs: 1_000 },
    ...{ electionTimeoutMinMs: 150, electionTimeoutMaxMs: 1_000 },
  });
  const heard: string[] = [];
  const sent: string[] = [];
  const peers = new PeerTelling({
    leadership,
    send: (to, { type }) => sent.push(`${type} to ${to}`),
    attachment: () => SEEN,
    told: (replica) => heard.push(replica),
    nameOf: (id) => id,
  });
  /** `votedFor`: by this replica. */
  const changed = (term: number, leader: string | null, votedFor: string | null, voters: readonly string[] = []): void => {
    leadership.changed(term, leader, null, voters);
    const votes = voters.map((voter) => ({ voter, attachment: SEEN }));
    peers.leadershipChanged(leader, votedFor, votes);
  };
  return { peers, changed, heard, sent, leadership };
}

it('takes in what votes tell when it leads: before, it may not know of whom they speak', () => {
  const { peers, changed, heard, leadership } = telling();
  changed(1, 'a', 'a', ['b']);
  peers.heard({ voter: 'c', attachment: SEEN });
  expect(heard).toEqual([]);
  expect(leadership.delivered(1)).toBe(true);
  peers.led();
  expect(heard).toEqual(['b', 'c']);
  peers.heard({ voter: 'd', attachment: SEEN });
  expect(heard).toEqual(['b', 'c', 'd']);
});

it('tells a new leader what it sees when its vote has not, or is out of date', () => {
  const { peers, changed, sent } = telling();
  changed(1, null, 'b');
  peers.voted();
  changed(1, 'b', 'b');
  expect(sent).toEqual([]);
  changed(2, null, 'b');
  peers.voted();
  peers.tell({ whilePaused: false });
  changed(2, 'b', 'b');
  expect(sent).toEqual(['tell to b']);
  changed(3, null, null);
  changed(3, 'c', null);
  expect(sent).toEqual(['tell to b', 'tell to c']);
});
