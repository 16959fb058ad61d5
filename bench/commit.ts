/**
 * Committed placements a second: a real orchestrator core on the real log on disk, with 10,000 children that exist as
 * messages only. Services are asked for all at once; the clock stops when the children have been sent everything.
 * With one replica, and with three on this machine: the leader in this process, the two that follow it, each with its
 * own disk and a core that applies what is committed, in theirs. Beside each stands the same log alone, given the same
 * entries: what disk and links leave to reach.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { LevelRaftStorage } from '../src/adapters/level/raft-storage.ts';
import type { PlacementPolicyName } from '../src/core/model/service.ts';
import type { Log } from '../src/ports/log.ts';
import { aloneOn } from '../test/rig/lone-replica.ts';
import { type Bench, type BenchContext, type Figure, figure } from './bench.ts';
import { Group } from './group/group.ts';
import { PLACEMENTS, PlacementSite } from './placement-site.ts';
import { type Bar, barPlot } from './plot/plot.ts';
import { roundUp } from './plot/scale.ts';

const RUNS = 5;
const REPLICAS = [1, 3] as const;
/** A change of leader in the midst of a run ends it, and it is made anew. */
const INTERRUPTIONS_MAX = 5;
const GOAL = 10_000;
const TITLE = 'Committed placements over 10,000 nodes';

interface Load {
  readonly name: string;
  readonly services: number;
  readonly policy: PlacementPolicyName;
}

const LOADS: readonly Load[] = [
  { name: '20 services of 1,000 copies, least-loaded', services: 20, policy: 'least-loaded' },
  { name: '20 services of 1,000 copies, spread', services: 20, policy: 'spread' },
  { name: '2,000 services of 10 copies, spread', services: 2_000, policy: 'spread' },
];

interface Measure {
  readonly placementsPerSecond: number;
  /** By the log alone, with the same entries. */
  readonly boundPerSecond: number;
  /** The longest that anything else would have had to wait for the core. */
  readonly longestStepMs: number;
  /** Runs before it that ended because the leadership was lost. */
  readonly interruptions: number;
}

type WithLog = <T>(hasCore: boolean, use: (log: Log) => Promise<T>) => Promise<T>;

export const commit: Bench = {
  async run(context) {
    const { tell, show } = context;
    const rows: { readonly load: Load; readonly replicas: number; readonly measures: readonly Measure[] }[] = [];
    for (const load of LOADS)
      for (const replicas of REPLICAS) {
        const measures: Measure[] = [];
        for (let run = 1; run <= RUNS; run += 1) {
          tell(`${load.name}, ${replicas === 1 ? 'one replica' : `${replicas} replicas`}: run ${run} of ${RUNS}`);
          measures.push(await measure(load, replicas === 1 ? withLoneLog : withVoters(replicas), context));
        }
        rows.push({ load, replicas, measures });
      }
    show(
      'commit',
      TITLE,
      plotOf(rows.map(({ load, replicas, measures }) => ({ load, replicas, rates: of(measures, 'placementsPerSecond') }))),
    );
    return rows.flatMap(({ load, replicas, measures }) => figuresOf(load, replicas, measures));
  },
};

function figuresOf(load: Load, replicas: number, measures: readonly Measure[]): readonly Figure[] {
  const with_ = replicas === 1 ? 'one replica' : `${replicas} voters on this machine`;
  const rate = `placements committed and sent, ${with_}, 10,000 children; ${load.name}`;
  return [
    figure(
      { name: rate, unit: '1/s', goal: { atLeast: GOAL }, anchor: 'Nomad C1M 3,750/s, C2M 1,500/s' },
      of(measures, 'placementsPerSecond'),
    ),
    figure({ name: 'the same entries by the log alone', unit: 'placements/s' }, of(measures, 'boundPerSecond')),
    figure(
      { name: 'the first as a share of the second', unit: '×' },
      measures.map(({ placementsPerSecond, boundPerSecond }) => placementsPerSecond / boundPerSecond),
    ),
    figure({ name: 'longest step of the core meanwhile', unit: 'ms' }, of(measures, 'longestStepMs')),
    ...(replicas === 1
      ? []
      : [figure({ name: 'runs that a change of leader ended, made anew', unit: 'runs' }, [sum(of(measures, 'interruptions'))])]),
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function of(measures: readonly Measure[], key: keyof Measure): number[] {
  return measures.map((each) => each[key]);
}

/** How often it had to be made anew stands beside it. */
async function measure(load: Load, withLog: WithLog, { tell }: BenchContext): Promise<Measure> {
  for (let interruptions = 0; ; interruptions += 1) {
    try {
      const placed = await withLog(true, (log) => place(log, load));
      const boundSeconds = await withLog(false, (log) => appendAll(log, placed.entries));
      return {
        placementsPerSecond: PLACEMENTS / placed.seconds,
        boundPerSecond: PLACEMENTS / boundSeconds,
        longestStepMs: placed.longestStepMs,
        interruptions,
      };
    } catch (error) {
      if (interruptions === INTERRUPTIONS_MAX) throw error;
      tell(`once more: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

async function place(log: Log, load: Load) {
  const site = new PlacementSite(log, load.policy);
  await site.open();
  return site.place(load.services);
}

const withLoneLog: WithLog = async (_, use) => {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-bench-'));
  const log = aloneOn(new LevelRaftStorage(join(directory, 'log')));
  try {
    return await use(log);
  } finally {
    await log.close();
    await rm(directory, { recursive: true });
  }
};

/** The first of them in this process. */
function withVoters(voters: number): WithLog {
  return async (hasCore, use) => {
    const group = await Group.open({ voters, program: hasCore ? 'core-replica' : 'log-replica', isFirstHere: true });
    const { log, leads } = await group.logHere();
    try {
      const [outcome] = await Promise.all([use(log), leads()]);
      return outcome;
    } finally {
      await log.close();
      await group.close();
    }
  };
}

/** All of them proposed at once: nothing that decides as it goes can be faster. */
async function appendAll(log: Log, entries: readonly Uint8Array[]): Promise<number> {
  let committed = 0;
  let startMs = 0;
  const elapsedMs = await new Promise<number>((resolve, reject) => {
    log
      .open({
        restored: () => reject(new Error('the directory is not new')),
        ready({ leads }) {
          if (!leads) return;
          startMs = performance.now();
          for (const [at, data] of entries.entries()) log.propose(at, data);
        },
        committed(delivered) {
          committed += delivered.length;
          if (committed === entries.length) resolve(performance.now() - startMs);
        },
        dropped: (_, reason) => reject(new Error(reason)),
        failed: reject,
      })
      .catch(reject);
  });
  return elapsedMs / 1_000;
}

function plotOf(rows: readonly { readonly load: Load; readonly replicas: number; readonly rates: readonly number[] }[]): string {
  const barOf = (rates: readonly number[]): Bar => {
    const { value, spread } = figure({ name: 'rate', unit: '1/s' }, rates);
    return { value, low: spread[0], high: spread[1] };
  };
  const highest = Math.max(GOAL, ...rows.flatMap(({ rates }) => rates));
  return barPlot({
    title: TITLE,
    y: { label: 'placements committed and sent, 1/s', scale: 'linear', from: 0, to: roundUp(1.1 * highest) },
    series: [
      { name: 'one replica', tone: 0 },
      { name: 'three voters on this machine', tone: 1 },
    ],
    groups: LOADS.map((load) => ({
      name: load.name,
      bars: REPLICAS.map((replicas) => {
        const row = rows.find((each) => each.load === load && each.replicas === replicas);
        return row ? barOf(row.rates) : null;
      }),
    })),
    levels: [
      { value: GOAL, text: 'goal' },
      { value: 3_750, text: 'Nomad C1M' },
      { value: 1_500, text: 'Nomad C2M' },
    ],
    note: 'whiskers: lowest and highest run',
  });
}
