/** Two of three voters are lost for good: what runs, runs on, and an operator lets the last one go on alone; real processes. */
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Group, startGroup } from '../rig/group.ts';

let group: Group;
beforeAll(async () => {
  group = await startGroup({ voters: 3 });
});
afterAll(() => group?.close());

test('a lost majority stops commits and says so; recovered by hand, the group grows again, and who is of the old one stays out', async () => {
  const { site } = group;
  const alone = () =>
    site.until('n2 knows that it is alone', async () => {
      const { quorum, leader } = await group.view('n2');
      return !quorum && leader === null;
    }, 10_000);
  const before = await group.run('steady', { placement: { node: 'n2' } });
  const writers = group.writers(2);
  await writers.progress('at first');
  const acknowledged = await writers.stop();
  const running = site.node('n2').instances();
  const directory = site.node('n2').directory;
  await site.node('root').powerCut();
  await rm(site.node('root').directory, { recursive: true });
  await site.node('n3').kill(); // its disk is found again, much later

  await alone();
  await expect(group.replica('n2').service('steady')).rejects.toMatchObject({ code: 'no_quorum' });
  const status = await site.cli('--context', 'n2', 'status');
  expect([status.exitCode, status.stdout]).toEqual([1, expect.stringContaining('no quorum of the voters can be reached')]);
  expect(site.node('n2').instances()).toEqual(running);

  const recover = (...words: string[]) => site.cli('recover', '--data-dir', directory, ...words);
  const inUse = await recover('--confirm', 'n2');
  console.log(inUse);
  await site.node('n2').stop();
  const asked = await recover();
  console.log(asked);
  const wrong = await recover('--confirm', 'root');
  console.log(wrong);
  const again = await recover();
  expect(again).toEqual(asked);
  await site.node('n2').start();
  await alone();
  await site.node('n2').stop();
  const done = await recover('--confirm', 'n2');
  console.log(done);
  expect(done.exitCode).toBe(0);
  await site.node('n2').start();
  console.log(await recover());
  console.log((await group.view('n2')));
  console.log((await site.cli('--context', 'n2', 'events')).stdout);
  console.log((await site.cli('--context', 'n2', 'status')).stdout);
  console.log(site.node('n2').instances(), running);
  const services = await site.api('n2').services();
  for (const [s, g] of acknowledged) console.log(s, g, services.find((x) => x.name === s)?.generation);
  await site.node('n3').start();
  await new Promise((r) => setTimeout(r, 3000));
  console.log(site.node('n3').tail(10));
  console.log(site.node('n2').tail(10));
});
