/**
 * How long nothing can be decided after the leader is gone: three voters as processes, links of a millisecond, and a
 * client that goes on asking the others. The leader is killed, which its peers are told of by their connections' ends;
 * or it is stopped, which nobody is told of, as when its machine loses power. Beside it goes etcd with the times that
 * it has by default, through the same wires, asked by the same client in the same minutes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Bench, type BenchContext, type Figure, figure, median, p99 } from './bench.ts';
import { Group } from './group/group.ts';
import { WireShop } from './group/wire-shop.ts';
import { EtcdSite } from './load/etcd-site.ts';
import type { ProbeRequest } from './load/put-probe.ts';
import { machineMs } from './parts/machine-clock.ts';
import { Part } from './parts/part.ts';
import { cumulated, linePlot } from './plot/plot.ts';
import { roundUp } from './plot/scale.ts';

const ROUND_TRIP_MS = 1;
const VALUE_BYTES = 256;
const KILLS = 100;
const STOPS = 40;
/** Up to this long a leader leads undisturbed between two rounds: they fall anywhere between two heartbeats. */
const PEACE_MS = 200;
const TITLE = 'Time from the loss of the leader to the next commit, three voters';
const GOAL = { medianMs: 250, p99Ms: 500 } as const;
const ANCHOR = 'etcd elects after 1 s; RODS waits 1–4 s by design, 10 s on a tie';

/** What is brought down, again and again. */
interface Site {
  readonly name: string;
  readonly ports: readonly number[];
  /** Resolves when one leads and all follow. */
  readonly settled: () => Promise<Victim>;
}

interface Victim {
  readonly signal: (signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT') => void;
  /** It has ended. */
  readonly ended: () => Promise<void>;
  readonly startAgain: () => Promise<void>;
}

interface Gaps {
  readonly killed: number[];
  readonly stopped: number[];
}

export const failover: Bench = {
  async run(context) {
    const wires = await WireShop.open(ROUND_TRIP_MS);
    const wireTo = (port: number): Promise<number> => wires.wireTo(port);
    const group = await Group.open({ voters: 3, program: 'store-replica', wireTo });
    const etcd = await EtcdSite.start(wireTo);
    try {
      const [ours, theirs] = await Promise.all([gapsOf(tendrilSite(group), context), gapsOf(etcdSite(etcd), context)]);
      context.show('failover', TITLE, plotOf(ours, theirs));
      return figuresOf(ours, theirs, wires.roundTripMs);
    } finally {
      await Promise.all([group.close(), etcd.stop(), wires.close()]);
    }
  },
};

async function gapsOf(site: Site, { tell }: BenchContext): Promise<Gaps> {
  const probe = new Part('put-probe');
  const request: ProbeRequest = { ports: site.ports, valueBytes: VALUE_BYTES };
  const gaps: Gaps = { killed: [], stopped: [] };
  const round = async (victim: Victim, signal: 'SIGKILL' | 'SIGSTOP'): Promise<number> => {
    await probe.ask<number>('probe', request);
    await delay(Math.random() * PEACE_MS);
    const startMs = machineMs();
    victim.signal(signal);
    return (await probe.ask<number>('probe', request)) - startMs;
  };
  try {
    for (let at = 1; at <= KILLS; at += 1) {
      if (at % 10 === 1) tell(`${site.name}: kill ${at} of ${KILLS}`);
      const victim = await site.settled();
      gaps.killed.push(await round(victim, 'SIGKILL'));
      await victim.ended();
      await victim.startAgain();
    }
    for (let at = 1; at <= STOPS; at += 1) {
      if (at % 10 === 1) tell(`${site.name}: stop ${at} of ${STOPS}`);
      const victim = await site.settled();
      gaps.stopped.push(await round(victim, 'SIGSTOP'));
      victim.signal('SIGCONT');
    }
    return gaps;
  } finally {
    await probe.kill();
  }
}

function tendrilSite(group: Group): Site {
  return {
    name: 'Tendril',
    ports: group.replicas.map(({ putPort }) => putPort),
    async settled() {
      const leader = await group.settled();
      const part = group.partOf(leader);
      return {
        signal: (signal) => part.signal(signal),
        ended: () => part.kill(),
        startAgain: () => group.start(leader),
      };
    },
  };
}

function etcdSite(site: EtcdSite): Site {
  return {
    name: 'etcd',
    ports: site.etcd.members.map(({ port }) => port),
    async settled() {
      const leader = await site.settled();
      const { pid } = leader;
      return {
        signal: (signal) => process.kill(pid, signal),
        ended: () => leader.kill(),
        startAgain: () => leader.run(),
      };
    },
  };
}

function figuresOf(ours: Gaps, theirs: Gaps, roundTripMs: number): readonly Figure[] {
  const killed = 'leader killed to the next commit';
  const stopped = 'leader stopped, its connections left open, to the next commit';
  const told = (name: string, samples: readonly number[], others: readonly number[]): Figure[] => [
    figure({ name: `${name}: etcd, median`, unit: 'ms' }, others),
    figure({ name: `${name}: etcd, 99th percentile`, unit: 'ms' }, others, p99),
    figure({ name: `${name}: Tendril's median as a share of etcd's`, unit: '×' }, [median(samples) / median(others)]),
  ];
  return [
    figure({ name: `${killed}, median`, unit: 'ms', goal: { atMost: GOAL.medianMs }, anchor: ANCHOR }, ours.killed),
    figure({ name: `${killed}, 99th percentile`, unit: 'ms', goal: { atMost: GOAL.p99Ms } }, ours.killed, p99),
    ...told('leader killed', ours.killed, theirs.killed),
    figure({ name: `${stopped}, median`, unit: 'ms' }, ours.stopped),
    figure({ name: `${stopped}, 99th percentile`, unit: 'ms' }, ours.stopped, p99),
    ...told('leader stopped', ours.stopped, theirs.stopped),
    figure({ name: 'round trip between voters', unit: 'ms' }, [roundTripMs]),
  ];
}

function plotOf(ours: Gaps, theirs: Gaps): string {
  const all = [...ours.killed, ...ours.stopped, ...theirs.killed, ...theirs.stopped];
  return linePlot({
    title: TITLE,
    x: { label: 'time without a commit, ms', scale: 'log', from: 10, to: roundUp(Math.max(...all)) },
    y: { label: 'share of the losses, %', scale: 'linear', from: 0, to: 100 },
    series: [
      { name: 'Tendril, killed', tone: 0, points: cumulated(ours.killed) },
      { name: 'Tendril, stopped', tone: 0, isDashed: true, points: cumulated(ours.stopped) },
      { name: 'etcd, killed', tone: 1, points: cumulated(theirs.killed) },
      { name: 'etcd, stopped', tone: 1, isDashed: true, points: cumulated(theirs.stopped) },
    ],
    marks: [
      { x: GOAL.medianMs, y: 50, text: 'goal' },
      { x: GOAL.p99Ms, y: 99, text: 'goal' },
    ],
  });
}
