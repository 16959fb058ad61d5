/** Three voters under load, of which one after the other dies, hangs or is restarted; real processes. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { InstanceView } from '../../src/core/model/views.ts';
import { type Group, rounds, startGroup } from '../rig/group.ts';
import type { InstanceProcess } from '../rig/tendril-process.ts';
import type { Writers } from '../rig/writers.ts';

let group: Group;
let writers: Writers;
const before = new Map<string, InstanceView>();
let processes: readonly InstanceProcess[];

beforeAll(async () => {
  group = await startGroup({ voters: 3 });
  for (const name of group.names) before.set(name, await group.run(`on-${name}`, { placement: { node: name } }));
  processes = group.site.instanceProcesses();
});
afterAll(() => group?.close());

beforeEach(() => {
  writers = group.writers(3);
});
afterEach(async () => {
  const { site } = group;
  await group.settled();
  await writers.progress('all replicas are there');
  expect(await group.faults(writers)).toEqual([]);
  for (const [name, { id }] of before) expect(await site.running(name, `on-${name}`, 1)).toMatchObject([{ id, restarts: 0 }]);
  expect(site.instanceProcesses()).toEqual(processes);
});

test('kill -9 of the leader, again and again', async () => {
  await writers.progress('at first');
  for (let round = 1; round <= rounds(2); round++) {
    const leader = await group.leader();
    await group.site.node(leader).kill();
    await group.leader(leader);
    await writers.progress(`the leader was killed, ${round}`);
    await group.site.node(leader).start();
    await group.settled();
  }
});

test('kill -9 of followers, again and again', async () => {
  for (let round = 1; round <= rounds(2); round++) {
    const leader = await group.leader();
    const follower = group.names.filter((name) => name !== leader)[round % 2] ?? '';
    await group.site.node(follower).kill();
    await writers.progress(`a follower was killed, ${round}`);
    expect(await group.leader()).toBe(leader);
    await group.site.node(follower).start();
    await group.settled();
  }
});

test('a leader that hangs is followed by another one, and follows when it goes on', async () => {
  for (let round = 1; round <= rounds(1); round++) {
    const leader = await group.leader();
    group.site.node(leader).freeze();
    await group.leader(leader);
    await writers.progress(`the leader hangs, ${round}`);
    group.site.node(leader).thaw();
    await writers.progress(`it goes on, ${round}`);
    await group.settled();
    expect(await group.leader()).not.toBe(leader);
  }
});

test('a leader that does not know yet that it is none any more answers nothing that is out of date', async () => {
  const { site } = group;
  const write = async (at: string, revision: string) => {
    await site.apply(at, 'read', { replicas: 0, env: { REVISION: revision } });
    return true;
  };
  const read = async (at: string) => (await group.replica(at).service('read', 10_000)).spec.env.REVISION ?? '';
  for (let round = 1; round <= rounds(3); round++) {
    const old = await group.leader();
    await site.until('written', () => write(old, `${round}, before`), 10_000);
    expect(await read(old)).toBe(`${round}, before`);
    site.node(old).freeze();
    const next = await group.leader(old);
    await site.until('written by the new leader', () => write(next, `${round}`), 10_000);
    // It has these before anything that others say, the new leader included.
    const reads = Promise.allSettled([read(old), read(old), read(old)]);
    await writers.progress('while it hangs', 1);
    site.node(old).thaw();
    // No answer is an answer, too.
    for (const answer of await reads) if (answer.status === 'fulfilled') expect(answer.value).toBe(`${round}`);
    await group.settled();
  }
});

test('one after the other is stopped and started again', async () => {
  const handedOver = (name: string) =>
    group.site.node(name).log.filter(({ msg }) => msg === 'handing the leadership over').length;
  for (const name of group.names) {
    const [led, before] = [(await group.leader()) === name, handedOver(name)];
    expect(await group.site.node(name).stop()).toBe(0);
    // Nobody had to wait for an election.
    expect(handedOver(name)).toBe(led ? before + 1 : before);
    await writers.progress(`${name} is stopped`);
    await group.site.node(name).start();
    await group.settled();
  }
});
