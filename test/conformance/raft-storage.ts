/** What every storage of a replica keeps, as tests: T1 to T3 of src/ports/raft-storage.ts. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/core/base/limits.ts';
import type { RestoredReplica } from '../../src/core/raft/contract.ts';
import type { RaftEntry, SnapshotHead } from '../../src/core/raft/messages.ts';
import type { RaftStorage } from '../../src/ports/raft-storage.ts';

const TERM_9 = { term: 9, votedFor: null, commit: 0 };

export interface StoragePlace {
  storage(): RaftStorage;
  remove(): Promise<void>;
}

const entry = (index: number, term = 1, text = `${index}`): RaftEntry => ({ index, term, kind: 'data', data: Buffer.from(text) });
const entries = (from: number, to: number, term = 1) => Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term));
const names = (found: readonly RaftEntry[]) => found.map(({ index, term, data }) => `${index} ${term} ${Buffer.from(data)}`);
const headAt = (index: number, bytes: number): SnapshotHead => ({ index, term: 1, membership: [], bytes });

export function describeRaftStorage(name: string, createPlace: () => Promise<StoragePlace>): void {
  describe(`raft storage: ${name}`, () => {
    let place: StoragePlace;
    let storage: RaftStorage;
    let found: RestoredReplica;

    async function restart(): Promise<void> {
      await storage.close();
      storage = place.storage();
      found = await storage.load();
    }

    beforeEach(async () => {
      place = await createPlace();
      storage = place.storage();
      found = await storage.load();
    });

    afterEach(async () => {
      await storage.close();
      await place.remove();
    });

    it('is empty when it is new, and locked while it is loaded', async () => {
      expect(found).toEqual({ hard: { term: 0, votedFor: null, commit: 0 }, snapshot: null, entries: [] });
      await expect(place.storage().load()).rejects.toMatchObject({ code: 'data_dir_locked' });
    });

    it('keeps term, vote, commit and entries, and replaces what follows in the order of the calls (T1)', async () => {
      const writes = [
        storage.persist({ term: 1, votedFor: 'a', commit: 0 }, entries(1, 9)),
        storage.persist({ term: 2, votedFor: null, commit: 3 }, [entry(4, 2)]),
        storage.persist({ term: 2, votedFor: null, commit: 4 }, [{ ...entry(5, 2, ''), kind: 'blank' }]),
      ];
      await Promise.all(writes);
      await restart();
      expect(found.hard).toEqual({ term: 2, votedFor: null, commit: 4 });
      expect(names(found.entries)).toEqual([...names(entries(1, 3)), '4 2 4', '5 2 ']);
      expect(found.entries.at(-1)?.kind).toBe('blank');
    });

    it('takes a snapshot and keeps a tail before its end (T2)', async () => {
      await storage.persist(TERM_9, entries(1, 10));
      const content = Buffer.alloc(2 * limits.snapshotPieceBytes + 1, 'x');
      await storage.takeSnapshot(headAt(8, content.length), content, 6);
      await restart();
      expect(found.snapshot).toEqual(headAt(8, content.length));
      expect(names(found.entries)).toEqual(names(entries(6, 10)));
      expect(Buffer.compare((await storage.readSnapshot()) ?? Buffer.of(), content)).toBe(0);
      expect(await storage.readPiece(8, 2)).toHaveLength(1);
      expect(await storage.readPiece(7, 0)).toBeNull();
      expect(names(await storage.readEntries(6, 10, 2))).toEqual(names(entries(6, 7)));
    });

    it('adopts a snapshot in place of all entries, and forgets an unfinished one', async () => {
      await storage.persist(TERM_9, entries(1, 10));
      await storage.keepPiece(headAt(20, 4), 0, Buffer.from('left'));
      await restart();
      expect(found.snapshot).toBeNull();
      expect(found.entries).toHaveLength(10);
      await storage.keepPiece(headAt(30, 4), 0, Buffer.from('good'));
      const adopted = storage.adoptSnapshot(headAt(30, 4));
      await storage.persist(TERM_9, [entry(31, 3)]);
      expect(Buffer.from(await adopted).toString()).toBe('good');
      await restart();
      expect(found.snapshot?.index).toBe(30);
      expect(names(found.entries)).toEqual(['31 3 31']);
    });

    it('takes nothing after it was closed', async () => {
      await storage.close();
      await expect(storage.persist(TERM_9, [entry(1)])).rejects.toMatchObject({ code: 'unavailable' });
    });
  });
}
