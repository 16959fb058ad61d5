/** The etcd that tests start is one, keeps what it is told over a kill, and asks who calls. */
import { afterEach, expect, test } from 'vitest';
import { Etcd, type EtcdOptions } from './etcd.ts';
import { until } from './until.ts';

let etcd: Etcd | null = null;

afterEach(async () => {
  await etcd?.stop();
  etcd = null;
});

test.each<EtcdOptions>([{}, { tls: true, auth: true }, { members: 3 }])(
  'etcd %o keeps what it was told when it is killed',
  async (options) => {
    etcd = await Etcd.start(options);
    await etcd.control(['put', 'tendril/a', 'kept']);
    await etcd.kill();
    await etcd.run();
    expect(await etcd.control(['get', 'tendril/a', '--print-value-only'])).toBe('kept\n');
  },
);

test('three members go on without one', async () => {
  const cluster = await Etcd.start({ members: 3 });
  etcd = cluster;
  await cluster.members[0]?.kill();
  // It may have been the one that led, and what is asked of the others before they have elected another is refused.
  await until('the others take it', () => cluster.control(['put', 'tendril/a', 'b'], 1), 30_000);
  await cluster.members[0]?.run();
  expect(await cluster.control(['get', 'tendril/a', '--print-value-only'], 0)).toBe('b\n');
});
