/**
 * Appends a second and how long one takes, beside etcd: three voters each, real syncs on the same disk, values of the
 * same size, in turns, by one client program that makes etcd's own call to the leader of either. Clients run in a process
 * of their own. The other group is up meanwhile and idle.
 */
import { assert } from '../src/core/base/assert.ts';
import { type Bench, type BenchContext, type Figure, figure, median, p99 } from './bench.ts';
import { Group } from './group/group.ts';
import type { OwnAppends } from './group/store-replica.ts';
import { EtcdSite } from './load/etcd-site.ts';
import type { LoadOutcome, LoadRequest } from './load/put-load.ts';
import { Part } from './parts/part.ts';
import { cumulated, linePlot } from './plot/plot.ts';
import { roundUp } from './plot/scale.ts';
import { cpuMsOf } from './process-reading.ts';

const RUNS = 7;
const CLIENTS = [1, 100] as const;
const VALUE_BYTES = 256;
const WARM_UP_MS = 500;
const RUN_MS = 3_000;
/** A change of leader in the midst of a run ends it, and it is made anew. */
const TRIES_MAX = 5;
const TITLE = 'Time to append a value of 256 bytes, three voters on one machine';

/** Of one group with so many clients. */
interface Side {
  readonly perSecond: number[];
  readonly medianMs: number[];
  readonly p99Ms: number[];
  readonly cpuUs: number[];
  latenciesMs: readonly number[];
}

interface Target {
  readonly name: 'Tendril' | 'etcd';
  readonly leaderPort: () => Promise<number>;
  readonly pids: readonly number[];
}

export const append: Bench = {
  async run(context) {
    const group = await Group.open({ voters: 3, program: 'store-replica' });
    const etcd = await EtcdSite.start();
    const clients = new Part('put-load');
    try {
      const targets: readonly Target[] = [
        {
          name: 'Tendril',
          leaderPort: async () => (await group.settled()).putPort,
          pids: group.replicas.map((replica) => group.partOf(replica).pid),
        },
        { name: 'etcd', leaderPort: async () => (await etcd.settled()).port, pids: etcd.etcd.members.map(({ pid }) => pid) },
      ];
      const sides = new Map(targets.flatMap(({ name }) => CLIENTS.map((count) => [`${name} ${count}`, newSide()] as const)));
      const own: number[] = [];
      let interrupted = 0;
      for (let run = 1; run <= RUNS; run += 1) {
        context.tell(`run ${run} of ${RUNS}`);
        for (const count of CLIENTS)
          for (const target of targets) {
            const side = sides.get(`${target.name} ${count}`);
            assert(side !== undefined, 'every target has its side');
            interrupted += await measure(clients, target, count, side, context);
          }
        own.push(await appendOwn(group));
      }
      context.show('append', TITLE, plotOf(sides));
      return figuresOf(sides, own, interrupted);
    } finally {
      await Promise.all([group.close(), etcd.stop(), clients.kill()]);
    }
  },
};

/** How often it had to be made anew. */
async function measure(clients: Part, target: Target, count: number, side: Side, { tell }: BenchContext): Promise<number> {
  for (let failures = 0; ; failures += 1) {
    const port = await target.leaderPort();
    const cpuMs = (): number => target.pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0);
    const beforeMs = cpuMs();
    const request: LoadRequest = {
      port,
      clients: count,
      valueBytes: VALUE_BYTES,
      warmUpMs: WARM_UP_MS,
      durationMs: RUN_MS,
    };
    try {
      const { latenciesMs, appends } = await clients.ask<LoadOutcome>('run', request);
      const samples = [...latenciesMs];
      side.perSecond.push((samples.length * 1_000) / RUN_MS);
      side.medianMs.push(median(samples));
      side.p99Ms.push(p99(samples));
      side.cpuUs.push(((cpuMs() - beforeMs) * 1_000) / appends);
      side.latenciesMs = samples;
      return failures;
    } catch (error) {
      if (failures === TRIES_MAX) throw error;
      tell(`${target.name}: the leader changed, once more`);
    }
  }
}

async function appendOwn(group: Group): Promise<number> {
  const leader = await group.settled();
  return group.partOf(leader).ask('append', { atOnce: 100, valueBytes: VALUE_BYTES, durationMs: RUN_MS } satisfies OwnAppends);
}

function newSide(): Side {
  return { perSecond: [], medianMs: [], p99Ms: [], cpuUs: [], latenciesMs: [] };
}

function figuresOf(sides: ReadonlyMap<string, Side>, own: readonly number[], interrupted: number): readonly Figure[] {
  const of = (name: string): Side => {
    const side = sides.get(name);
    assert(side !== undefined, `${name} was measured`);
    return side;
  };
  return [
    ...CLIENTS.flatMap((count) => {
      const [ours, theirs] = [of(`Tendril ${count}`), of(`etcd ${count}`)];
      const clients = count === 1 ? '1 client' : `${count} clients`;
      const ratio = ours.perSecond.map((rate, run) => rate / (theirs.perSecond[run] ?? Number.NaN));
      return [
        figure({ name: `${clients}: appends, ratio to etcd`, unit: '×', goal: { atLeast: 1 }, anchor: 'etcd, in turns' }, ratio),
        figure({ name: `${clients}: appends`, unit: '1/s' }, ours.perSecond),
        figure({ name: `${clients}: appends, etcd`, unit: '1/s' }, theirs.perSecond),
        figure({ name: `${clients}: one append, median`, unit: 'ms' }, ours.medianMs),
        figure({ name: `${clients}: one append, median, etcd`, unit: 'ms' }, theirs.medianMs),
        figure({ name: `${clients}: one append, 99th percentile`, unit: 'ms' }, ours.p99Ms),
        figure({ name: `${clients}: one append, 99th percentile, etcd`, unit: 'ms' }, theirs.p99Ms),
        figure({ name: `${clients}: CPU of the three servers for one append`, unit: 'µs' }, ours.cpuUs),
        figure({ name: `${clients}: CPU of the three servers for one append, etcd`, unit: 'µs' }, theirs.cpuUs),
      ];
    }),
    figure({ name: 'appends of the leader itself, 100 at a time, no client in between', unit: '1/s' }, own),
    figure({ name: 'runs that a change of leader ended, made anew', unit: 'runs' }, [interrupted]),
  ];
}

function plotOf(sides: ReadonlyMap<string, Side>): string {
  const all = [...sides.values()].flatMap(({ latenciesMs }) => [...latenciesMs]);
  const points = (name: string) => cumulated(sides.get(name)?.latenciesMs ?? []);
  return linePlot({
    title: TITLE,
    x: {
      label: 'time of one append, ms',
      scale: 'log',
      from: 0.2,
      to: roundUp(all.reduce((most, each) => Math.max(most, each), 1)),
    },
    y: { label: 'share of the appends, %', scale: 'linear', from: 0, to: 100 },
    series: [
      { name: 'Tendril, 1 client', tone: 0, isDashed: true, points: points('Tendril 1') },
      { name: 'Tendril, 100 clients', tone: 0, points: points('Tendril 100') },
      { name: 'etcd, 1 client', tone: 1, isDashed: true, points: points('etcd 1') },
      { name: 'etcd, 100 clients', tone: 1, points: points('etcd 100') },
    ],
  });
}
