/**
 * Messina's experiment (Morabito et al., 2024, section 5.1): six nodes, of which two, four or six are gateways, and two,
 * four or six requests a second. Every phase that the paper times is timed here, under its name; and the whole decision,
 * from the request at the gateway until the chosen node deploys, against a bound of the same run: three round trips and
 * two syncs.
 */
import { type Bench, type BenchContext, type Figure, figure, meanFigure, median } from './bench.ts';
import { Group } from './group/group.ts';
import { type DecisionTimes, decisionTimes, PHASES, type Phase } from './group/phases.ts';
import type { TraceEvent } from './group/trace.ts';
import { WireShop } from './group/wire-shop.ts';
import type { RequestOutcome, RequestPlan } from './load/request-load.ts';
import { Part } from './parts/part.ts';
import { type Bar, barPlot } from './plot/plot.ts';
import { roundUp } from './plot/scale.ts';
import type { Tone } from './plot/svg.ts';
import { syncsMs } from './syncs.ts';

const NODES = 6;
const COUNTS = [2, 4, 6] as const;
const ROUND_TRIP_MS = 1;
const COMBINATION_MS = 16_000;
/** As short as this, nearly every request finds the group silent and makes it elect, as in the paper. */
const SHORT_QUIET_MS = 50;
/** As the program has it. */
const QUIET_MS = 1_000;
const SATURATION_MS = 4_000;
const SATURATION_RUNS = 5;
const AT_ONCE = 16;
const TITLE = "Messina's phases: six nodes, a round trip of 1 ms";

interface Combination {
  readonly gateways: number;
  readonly perSecond: number;
  readonly decisions: readonly DecisionTimes[];
}

export const onDemand: Bench = {
  async run(context) {
    const wires = await WireShop.open(ROUND_TRIP_MS);
    const load = new Part('request-load');
    try {
      const experiment = await withGroup(wires, SHORT_QUIET_MS, (group) => messina(group, load, context));
      const busy = await withGroup(wires, QUIET_MS, async (group) => {
        context.tell('six gateways, 6 requests/s, the quiet period as it is by default');
        const { decisions } = await combine(group, load, NODES, 6);
        return { decisions, perSecond: await saturate(group, load, context) };
      });
      const syncMs = median(await syncsMs(1));
      const crowdedSyncMs = median(await syncsMs(NODES));
      for (const by of ['gateways', 'perSecond'] as const) show(experiment, by, context);
      return [
        ...phaseFigures(experiment),
        ...wholeFigures(experiment, { roundTripMs: wires.roundTripMs, syncMs, crowdedSyncMs }),
        figure(
          { name: 'quiet period of 1 s, 6 gateways, 6 requests/s: whole decision, median', unit: 'ms' },
          busy.decisions.map(({ wholeMs }) => wholeMs),
        ),
        figure(
          { name: 'decisions at saturation, 6 gateways', unit: '1/s', goal: { atLeast: 500 }, anchor: 'the paper stops at 6/s' },
          busy.perSecond,
        ),
      ];
    } finally {
      await Promise.all([load.kill(), wires.close()]);
    }
  },
};

async function withGroup<T>(wires: WireShop, quietMs: number, use: (group: Group) => Promise<T>): Promise<T> {
  const group = await Group.open({
    voters: NODES,
    program: 'gateway-replica',
    leadership: 'on-demand',
    quietMs,
    wireTo: (port) => wires.wireTo(port),
  });
  try {
    await group.paused();
    return await use(group);
  } finally {
    await group.close();
  }
}

async function messina(group: Group, load: Part, { tell }: BenchContext): Promise<readonly Combination[]> {
  const combinations: Combination[] = [];
  for (const gateways of COUNTS)
    for (const perSecond of COUNTS) {
      tell(`${gateways} gateways, ${perSecond} requests/s`);
      combinations.push(await combine(group, load, gateways, perSecond));
    }
  return combinations;
}

async function combine(group: Group, load: Part, gateways: number, perSecond: number): Promise<Combination> {
  await group.paused();
  const trace = (isOn: boolean) =>
    Promise.all(
      group.replicas.map(async (replica) => {
        const events = await group.partOf(replica).ask<readonly TraceEvent[]>('trace', isOn);
        return [replica.id, events] as const;
      }),
    );
  await trace(true);
  const plan: RequestPlan = {
    name: `${gateways}-${perSecond}`,
    ports: group.replicas.slice(0, gateways).map(({ putPort }) => putPort),
    durationMs: COMBINATION_MS,
    perSecond,
  };
  await load.ask<RequestOutcome>('run', plan);
  await group.paused();
  return { gateways, perSecond, decisions: decisionTimes(new Map(await trace(false))) };
}

async function saturate(group: Group, load: Part, { tell }: BenchContext): Promise<readonly number[]> {
  const rates: number[] = [];
  for (let run = 1; run <= SATURATION_RUNS; run += 1) {
    tell(`saturation: run ${run} of ${SATURATION_RUNS}`);
    const plan: RequestPlan = {
      name: `all-${run}`,
      ports: group.replicas.map(({ putPort }) => putPort),
      durationMs: SATURATION_MS,
      atOnce: AT_ONCE,
    };
    const { answeredMs, tookMs } = await load.ask<RequestOutcome>('run', plan);
    rates.push((answeredMs.length * 1_000) / tookMs);
  }
  return rates;
}

function phasesOf(decisions: readonly DecisionTimes[], phase: Phase): readonly number[] {
  return decisions.flatMap(({ phases }) => phases[phase] ?? []);
}

const PHASE_NAMES = Object.keys(PHASES) as readonly Phase[];

function phaseFigures(experiment: readonly Combination[]): readonly Figure[] {
  const all = experiment.flatMap(({ decisions }) => decisions);
  return PHASE_NAMES.map((phase) => meanFigure({ name: `${phase}, mean`, unit: 'ms' }, phasesOf(all, phase)));
}

interface Costs {
  readonly roundTripMs: number;
  readonly syncMs: number;
  readonly crowdedSyncMs: number;
}

function wholeFigures(experiment: readonly Combination[], { roundTripMs, syncMs, crowdedSyncMs }: Costs): readonly Figure[] {
  const whole = (decisions: readonly DecisionTimes[]) => decisions.map(({ wholeMs }) => wholeMs);
  const elected = experiment.flatMap(({ decisions }) => decisions.filter(({ hadElection }) => hadElection));
  const forwarded = experiment.flatMap(({ decisions }) => decisions.filter(({ hadElection }) => !hadElection));
  const boundMs = 3 * roundTripMs + 2 * crowdedSyncMs;
  return [
    ...experiment.map(({ gateways, perSecond, decisions }) =>
      meanFigure({ name: `whole decision, ${gateways} gateways, ${perSecond} requests/s, mean`, unit: 'ms' }, whole(decisions)),
    ),
    figure(
      {
        name: 'whole decision with its election, median',
        unit: 'ms',
        goal: { atMost: Number(boundMs.toPrecision(3)) },
        anchor: '3 round trips + 2 syncs of this run',
      },
      whole(elected),
    ),
    ...(forwarded.length === 0
      ? []
      : [figure({ name: 'whole decision by a leader that was there, median', unit: 'ms' }, whole(forwarded))]),
    figure({ name: 'round trip between nodes', unit: 'ms' }, [roundTripMs]),
    figure({ name: 'a synced write, six processes at once', unit: 'ms' }, [crowdedSyncMs]),
    figure({ name: 'a synced write, alone', unit: 'ms' }, [syncMs]),
  ];
}

function show(experiment: readonly Combination[], by: 'gateways' | 'perSecond', context: BenchContext): void {
  const groups = PHASE_NAMES.map((phase) => ({
    name: phase,
    bars: COUNTS.map((count): Bar | null => {
      const samples = experiment.flatMap((each) => (each[by] === count ? phasesOf(each.decisions, phase) : []));
      if (samples.length === 0) return null;
      const { value, spread } = meanFigure({ name: phase, unit: 'ms' }, samples);
      return { value, low: spread[0], high: spread[1] };
    }),
  }));
  const highest = Math.max(...groups.flatMap(({ bars }) => bars.map((bar) => bar?.high ?? 0)));
  const title = `${TITLE}, by ${by === 'gateways' ? 'gateways' : 'requests a second'}`;
  context.show(
    `on-demand-${by === 'gateways' ? 'gateways' : 'rates'}`,
    title,
    barPlot({
      title,
      y: { label: 'mean, ms', scale: 'linear', from: 0, to: roundUp(highest) },
      series: COUNTS.map((count, at) => ({
        name: `${count} ${by === 'gateways' ? 'gateways' : 'requests/s'}`,
        tone: at as Tone,
      })),
      groups,
      note: 'whiskers: 95 % confidence interval of the mean',
    }),
  );
}
