/**
 * When a majority of the voters is lost for good: one replica goes on alone, from what its disk has. Nobody but an
 * operator can say that the others are gone, so it is never done by itself; and what only they had is given up, so it is
 * an entry of the log, for everyone to see (ADR 0010).
 *
 * All that is on this disk counts as committed: entries that no quorum had may have been acknowledged by one that did.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { openDataDirectory } from '../adapters/file-store/data-directory.ts';
import { FileStore } from '../adapters/file-store/store.ts';
import { LevelRaftStorage } from '../adapters/level/raft-storage.ts';
import { CodedError } from '../core/model/errors.ts';
import { encodeCommand } from '../core/orchestrator/commands.ts';
import type { RestoredReplica } from '../core/raft/contract.ts';
import { decodeMembership, encodeMembership, type Membership } from '../core/raft/membership.ts';
import { groupOf } from './listen.ts';
import { type Profile, readProfile, writeProfile } from './profile.ts';
import { readCaKey, readReplicaKey } from './replica-identity.ts';

export interface Recovery {
  readonly name: string;
  /** Names of the group as this disk knows it. */
  readonly group: readonly string[];
  readonly lastIndex: number;
  /** When this replica is the only one already, there is nothing to recover from. */
  readonly isAlone: boolean;
}

/** What it would be; with `confirmed`, the replica's name, it is done. Throws a CodedError. */
export async function recover(
  directory: string,
  init: { readonly confirmed: string | null; readonly nowMs: number },
): Promise<Recovery> {
  const opened = await openDataDirectory(directory);
  try {
    const store = new FileStore(join(opened.path, 'documents'));
    const profile = await readProfile(store);
    if (!profile?.orchestrates) throw new CodedError('data_dir_foreign', `${directory} is not that of an orchestrator's replica`);
    if (profile.log)
      throw new CodedError('conflict', `the log of ${profile.name} is in etcd: it is etcd that is recovered (docs/etcd.md)`);
    if ((await readCaKey(store, await readReplicaKey(store))) === null)
      throw new CodedError(
        'conflict',
        `${profile.name} is no voter and does not hold the authority: recover from a voter's data directory`,
      );
    const storage = new LevelRaftStorage(join(opened.path, 'log'));
    try {
      const restored = await storage.load();
      const membership = membershipIn(restored, profile);
      const lastIndex = restored.entries.at(-1)?.index ?? restored.snapshot?.index ?? 0;
      const isAlone = membership.length === 1 && membership[0]?.id === profile.uid;
      const recovery = { name: profile.name, group: membership.map(({ name }) => name), lastIndex, isAlone };
      if (isAlone || init.confirmed === null) return recovery;
      if (init.confirmed !== profile.name)
        throw new CodedError('invalid_request', `--confirm ${init.confirmed}: this data directory is ${profile.name}'s`);
      await goOnAlone(storage, restored, { profile, membership, lastIndex, nowMs: init.nowMs });
      await writeProfile(store, withoutOthers(profile));
      return recovery;
    } finally {
      await storage.close();
    }
  } finally {
    await opened.release();
  }
}

function membershipIn({ snapshot, entries }: RestoredReplica, profile: Profile): Membership {
  const entry = entries.findLast(({ kind }) => kind === 'membership');
  if (entry) return decodeMembership(entry.data);
  return snapshot?.membership ?? groupOf(profile);
}

async function goOnAlone(
  storage: LevelRaftStorage,
  { hard }: RestoredReplica,
  at: { readonly profile: Profile; readonly membership: Membership; readonly lastIndex: number; readonly nowMs: number },
): Promise<void> {
  const { uid: id, name } = at.profile;
  const own = at.membership.find((replica) => replica.id === id) ?? groupOf(at.profile).find((replica) => replica.id === id);
  if (!own) throw new CodedError('data_dir_corrupt', 'the log does not know this replica');
  const term = hard.term + 1;
  const command = {
    ...({ type: 'recovered', id, name } as const),
    epoch: randomBytes(12).toString('hex'),
    former: at.membership.map((replica) => replica.name),
  };
  const data = new TextEncoder().encode(encodeCommand({ atMs: at.nowMs, command }));
  await storage.persist({ ...hard, term, votedFor: id }, [
    { index: at.lastIndex + 1, term, kind: 'membership', data: encodeMembership([{ ...own, role: 'voter' }]) },
    { index: at.lastIndex + 2, term, kind: 'data', data },
  ]);
}

function withoutOthers(profile: Profile): Profile {
  const { group } = profile;
  return group ? { ...profile, group: { ...group, replicas: group.replicas.filter(({ id }) => id === profile.uid) } } : profile;
}
