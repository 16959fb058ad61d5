/** What every store keeps (src/ports/store.ts), as tests; run on the memory store and on the real one. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/core/base/assert.ts';
import { limits } from '../../src/core/base/limits.ts';
import { integerBetween, Prng } from '../../src/core/base/prng.ts';
import type { Store } from '../../src/ports/store.ts';
import type { VictimOrders } from './log-victim.ts';
import { readVersion } from './store-victim.ts';

/** Where one node's documents live. */
export interface StorePlace {
  /** The store after a start of its process. */
  store(): Store;
  /** Runs a victim (store-victim.ts) here and kills it once it has reported `lines` times; resolves with its reports. */
  killVictim(orders: VictimOrders, lines: number): Promise<readonly string[]>;
  remove(): Promise<void>;
}

export function describeStore(name: string, createPlace: () => Promise<StorePlace>): void {
  describe(`store: ${name}`, () => {
    let place: StorePlace;

    beforeEach(async () => {
      place = await createPlace();
    });

    afterEach(() => place.remove());

    it('reads what was written, also after a restart, and null for what never was', async () => {
      const store = place.store();
      expect(await store.read('identity')).toBeNull();
      await store.write('identity', Buffer.from('me'));
      await store.write('desired.json', Buffer.from([0, 255, 10, 13]));
      for (const reader of [store, place.store()]) {
        expect(Buffer.from((await reader.read('identity')) ?? []).toString()).toBe('me');
        expect([...((await reader.read('desired.json')) ?? [])]).toEqual([0, 255, 10, 13]);
        expect(await reader.read('other')).toBeNull();
      }
    });

    it('replaces longer content by shorter, and by none', async () => {
      const store = place.store();
      await store.write('a', Buffer.alloc(100_000, 'x'));
      await store.write('a', Buffer.from('y'));
      expect((await store.read('a'))?.length).toBe(1);
      await store.write('a', new Uint8Array(0));
      expect((await store.read('a'))?.length).toBe(0);
    });

    it('removes, and does not mind removing what is not there', async () => {
      const store = place.store();
      await store.remove('a');
      await store.write('a', Buffer.from('x'));
      await store.remove('a');
      await store.remove('a');
      expect(await store.read('a')).toBeNull();
      expect(await place.store().read('a')).toBeNull();
    });

    it('applies changes to one name in the order of the calls', async () => {
      const store = place.store();
      const changes = Array.from({ length: 50 }, (_, at) =>
        store.write('a', Buffer.alloc(((at * 7_919) % 13) * 1_000 + 1, String(at % 10))),
      );
      await Promise.all([...changes, store.remove('a'), store.write('a', Buffer.from('last'))]);
      expect(Buffer.from((await store.read('a')) ?? []).toString()).toBe('last');
    });

    it('keeps what it was given when the caller changes it afterwards', async () => {
      const store = place.store();
      const content = Buffer.from('before');
      const written = store.write('a', content);
      content.fill('x');
      await written;
      expect(Buffer.from((await store.read('a')) ?? []).toString()).toBe('before');
    });

    it('refuses names that could lead elsewhere', async () => {
      const store = place.store();
      for (const bad of [
        '',
        '.',
        '..',
        '../a',
        'a/b',
        '/etc/passwd',
        'a\\b',
        '.hidden',
        'A',
        'a\0',
        'a\n',
        'a.',
        'x'.repeat(129),
      ])
        for (const attempt of [() => store.read(bad), () => store.write(bad, new Uint8Array(1)), () => store.remove(bad)])
          await expect(attempt(), JSON.stringify(bad)).rejects.toThrow(AssertionError);
    });

    it('refuses what is too large, and keeps what was there', async () => {
      const store = place.store();
      await store.write('a', Buffer.from('old'));
      await expect(store.write('a', Buffer.alloc(limits.documentBytes + 1))).rejects.toMatchObject({ code: 'too_large' });
      expect(Buffer.from((await store.read('a')) ?? []).toString()).toBe('old');
    });

    const seed = Number(process.env.TENDRIL_TEST_SEED ?? Date.now() % 1_000_000_007);
    it(`has the old content or the new, whole, when it is killed at any moment (TENDRIL_TEST_SEED=${seed})`, async () => {
      const random = new Prng(seed);
      let before = 0;
      for (let round = 0; round < 8; round += 1) {
        const lines = integerBetween(random, 1, 40);
        const reports = await place.killVictim({ round, seed: integerBetween(random, 0, 2 ** 31) }, lines);
        expect(reports.length, `round ${round}: ${reports.at(-1)}`).toBeGreaterThanOrEqual(lines);
        const acknowledged = Number(reports.at(-1)?.slice('ack '.length));
        const version = readVersion(await place.store().read('document'));
        expect(acknowledged).toBe(before + reports.length);
        expect([acknowledged, acknowledged + 1], `round ${round}`).toContain(version);
        before = version;
      }
    });
  });
}
