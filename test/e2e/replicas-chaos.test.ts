/**
 * Whatever may happen to three voters under load, one thing after the other or two at once, as a seed has it; real
 * processes in networks of their own. TENDRIL_TEST_SEED=N another seed, TENDRIL_TEST_ROUNDS=N longer.
 */
import { describe, expect, test } from 'vitest';
import { chance, Prng, pick } from '../../src/core/base/prng.ts';
import type { Leadership } from '../../src/core/model/replicas.ts';
import { type Group, rounds, startGroup } from '../rig/group.ts';
import { Network } from '../rig/network.ts';
import type { Writers } from '../rig/writers.ts';

const SEED = Number(process.env.TENDRIL_TEST_SEED ?? 1);

interface Fault {
  begin(victim: string): Promise<unknown>;
  end(victim: string): Promise<unknown>;
}

function faultsOf({ site, names }: Group, network: Network): Readonly<Record<string, Fault>> {
  const others = (victim: string) => names.filter((name) => name !== victim);
  const start = (victim: string) => site.node(victim).start();
  const heal = () => network.heal();
  return {
    'is killed': { begin: (victim) => site.node(victim).kill(), end: start },
    'is stopped': { begin: (victim) => site.node(victim).stop(), end: start },
    hangs: { begin: async (victim) => site.node(victim).freeze(), end: async (victim) => site.node(victim).thaw() },
    'is cut off': { begin: (victim) => network.cut([victim]), end: heal },
    'is not heard': {
      begin: (victim) => Promise.all(others(victim).map((other) => network.cutOneWay(victim, other))),
      end: heal,
    },
    'hears nobody': {
      begin: (victim) => Promise.all(others(victim).map((other) => network.cutOneWay(other, victim))),
      end: heal,
    },
  };
}

/** One or two at once; with two, the third one may be alone. */
async function misfortune(group: Group, network: Network, writers: Writers, random: Prng, tell: (line: string) => void) {
  const faults = faultsOf(group, network);
  const first = pick(random, group.names);
  const second = pick(
    random,
    group.names.filter((name) => name !== first),
  );
  const victims = chance(random, 0.5) ? [first] : [first, second];
  const ends: (() => Promise<unknown>)[] = [];
  for (const victim of victims) {
    const what = pick(random, Object.keys(faults));
    tell(`${victim} ${what}`);
    await faults[what]?.begin(victim);
    ends.push(async () => faults[what]?.end(victim));
    if (ends.length < victims.length) await writers.progress(`${victim} ${what}`, 1);
  }
  const [left = ''] = group.names.filter((name) => !victims.includes(name));
  if (victims.length === 1) await writers.progress('one is away');
  else await Promise.any([writers.progress('two are away', 1), group.isAlone(left)]);
  for (const end of chance(random, 0.5) ? ends : ends.reverse()) await end();
  tell('all is whole');
  await group.settled();
  await writers.progress('all is whole');
}

describe.each<Leadership>(['standing', 'on-demand'])('leadership %s', (leadership) => {
  test(`seed ${SEED}: nothing acknowledged is lost, nothing is done twice, and nothing that runs notices`, async () => {
    const trace: string[] = [];
    const random = new Prng(SEED);
    const network = await Network.open();
    try {
      const flags = (name: string) => (name === 'root' ? ['--leadership', leadership] : []);
      const group = await startGroup({ voters: 3, network, flags });
      try {
        const runs = [];
        for (const name of group.names) runs.push(await group.run(`on-${name}`, { placement: { node: name } }));
        runs.push(await group.run('anywhere'));
        const processes = group.site.instanceProcesses();
        const writers = group.writers(3, leadership);
        await writers.progress('at first');
        for (let round = 1; round <= rounds(5); round += 1)
          await misfortune(group, network, writers, random, (line) => trace.push(`${round}: ${line}`));

        expect(await group.faults(writers)).toEqual([]);
        for (const { id, service } of runs)
          expect(await group.site.running('root', service, 1)).toMatchObject([{ id, restarts: 0 }]);
        expect(group.site.instanceProcesses()).toEqual(processes);
        const verdicts = await Promise.all(group.names.map((name) => group.site.api(name).verifyDecisions()));
        for (const verdict of verdicts) expect(verdict).toMatchObject({ ok: true, tip: verdicts[0]?.tip });
      } finally {
        await network.heal();
        await group.close();
      }
    } catch (error) {
      throw new Error(`after\n${trace.join('\n')}`, { cause: error });
    } finally {
      await network.close();
    }
  }, 300_000);
});
