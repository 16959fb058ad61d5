/** Two of three voters are lost for good: what runs, runs on, and an operator lets the last one go on alone; real processes. */
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Group, startGroup } from '../rig/group.ts';

const LAST = 'n2';
let group: Group;
beforeAll(async () => {
  group = await startGroup({ voters: 3 });
});
afterAll(() => group?.close());

test('a lost majority stops commits, and nothing else; recovered by hand, the group grows again, without those of the old one', async () => {
  const { site } = group;
  const last = site.node(LAST);
  const recover = (...words: string[]) => site.cli('recover', '--data-dir', last.directory, ...words);
  const steady = await group.run('steady', { placement: { node: LAST } });
  const writers = group.writers(2);
  await writers.progress('at first');
  const acknowledged = await writers.stop();
  const processes = last.instances();
  await site.until('every voter signs', () => last.log.some(({ msg }) => String(msg).includes('holds the authority')), 10_000);

  await site.node('root').powerCut();
  await rm(site.node('root').directory, { recursive: true });
  await site.node('n3').kill(); // its disk turns up again, later
  await group.isAlone(LAST);
  await expect(group.replica(LAST).service('steady')).rejects.toMatchObject({ code: 'no_quorum' });
  const status = await site.cli('--context', LAST, 'status');
  expect(status.exitCode).toBe(1);
  expect(status.stdout).toContain('no quorum of the voters can be reached: nothing can be decided; instances keep running');
  expect(last.instances()).toEqual(processes);

  // Offline, and asked twice: before, it only tells.
  expect((await recover('--confirm', LAST)).stderr).toContain('Another tendril uses this data directory');
  await last.stop();
  const told = await recover();
  expect(told.exitCode).toBe(1);
  expect(told.stdout).toMatch(/n2 knows the log up to entry \d+ and these replicas: .*\nIt would go on alone, without .*n3/);
  expect((await recover('--confirm', 'root')).stderr).toContain("this data directory is n2's");
  expect(await recover()).toEqual(told);
  await last.start();
  // It knows whom it may answer, and what it cannot say.
  expect(await group.view(LAST)).toMatchObject({ quorum: false, leader: null });
  await expect(group.replica(LAST).service('steady')).rejects.toMatchObject({ code: 'no_quorum' });
  await last.stop();
  const done = await recover('--confirm', LAST);
  expect([done.exitCode, done.stderr]).toEqual([0, '']);
  expect((await recover()).stdout).toContain('there is nothing to recover from');
  await last.start();

  const { term, replicas } = await group.view(LAST);
  expect(replicas.map(({ name, leads }) => [name, leads])).toEqual([[LAST, true]]);
  const events = (await site.cli('--context', LAST, 'events')).stdout;
  expect(events).toMatch(/warning +orchestrator +recovered by hand: n2 goes on alone, without .*n3/);
  for (const [service, generation] of acknowledged)
    expect((await group.replica(LAST).service(service)).generation).toBe(generation);
  expect(await site.running(LAST, 'steady', 1)).toMatchObject([{ id: steady.id, restarts: 0 }]);
  expect(last.instances()).toEqual(processes);

  // One of the former group is turned away, and reads why.
  await site.node('n3').start();
  const isTold = () => site.node('n3').log.some(({ reason }) => String(reason).includes('the group was recovered without it'));
  await site.until('it reads that the group went on without it', isTold, 10_000);
  expect((await group.view(LAST)).term).toBe(term);
  await site.node('n3').stop();

  await group.forget('root');
  await group.forget('n3');
  await group.join('n4', 'voter');
  await group.join('n5', 'voter');
  const anew = group.writers(2);
  await anew.progress('three voters again');
  await last.kill();
  await anew.progress('any of them may be lost again');
  await last.start();
  await group.settled();
  expect(await group.faults(anew)).toEqual([]);
  expect(last.instances()).toEqual(processes);
});
