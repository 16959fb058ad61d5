/**
 * RODS's experiment (its figures 7 and 8): an orchestrator with one idle worker, then with more of them, up to thirty.
 * What it and a worker take should not depend on how many there are.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Leadership } from '../src/core/model/replicas.ts';
import type { Deployment } from '../test/rig/deployment.ts';
import { type BenchContext, type Figure, figure, median } from './bench.ts';
import { linePlot } from './plot/plot.ts';
import { roundUp } from './plot/scale.ts';
import { type Idle, watchIdle } from './process-reading.ts';
import { withDeployment } from './site.ts';

const COUNTS = [1, 5, 10, 20, 30] as const;
/** Of these the table tells; the plots show all. */
const TOLD: readonly number[] = [1, 10, 30];
const SETTLE_MS = 20_000;
/** One look at each count takes this share of the time that idle processes are watched for. */
const SHARE = 0.1;
/** Thirty times the workers, and at most a fifth more: what counts as flat here. */
const FLAT = 1.2;

interface Step {
  readonly workers: number;
  readonly orchestrators: readonly Idle[];
  readonly nodes: readonly Idle[];
}

/** With one replica; with more in both ways to lead. */
export async function measureGrowth(context: BenchContext): Promise<readonly Figure[]> {
  const modes: readonly Leadership[] = context.replicas === 1 ? ['standing'] : ['standing', 'on-demand'];
  const figures: Figure[] = [];
  for (const mode of modes) figures.push(...(await measureMode(mode, context)));
  return figures;
}

function measureMode(mode: Leadership, context: BenchContext): Promise<readonly Figure[]> {
  const flags = (name: string): readonly string[] => (name === 'root' ? ['--leadership', mode] : []);
  return withDeployment({ flags }, async (site) => {
    for (let number = 2; number <= context.replicas; number += 1) await site.addReplica(`replica-${number}`, 'root', 'voter');
    const steps: Step[] = [];
    for (const workers of COUNTS) steps.push(await lookAt(site, workers, `${mode}: `, context));
    const name = context.replicas === 1 ? 'one replica' : `${context.replicas} replicas, ${mode}`;
    show(steps, name, context);
    return figuresOf(steps, name);
  });
}

async function lookAt(site: Deployment, workers: number, mode: string, { tell, idleMinutes }: BenchContext): Promise<Step> {
  const orchestrators = [...site.processes.values()].filter(({ port }) => port !== null);
  for (let number = site.processes.size - orchestrators.length + 1; number <= workers; number += 1)
    await site.addNode(`worker-${number}`, 'root');
  const nodes = [...site.processes.values()].filter(({ port }) => port === null);
  tell(`${mode}${workers === 1 ? 'one idle worker' : `${workers} idle workers`}`);
  await delay(SETTLE_MS);
  const pids = [...orchestrators, ...nodes].map(({ pid }) => pid);
  const idle = await watchIdle(pids, SHARE * idleMinutes);
  return { workers, orchestrators: idle.slice(0, orchestrators.length), nodes: idle.slice(orchestrators.length) };
}

function figuresOf(steps: readonly Step[], name: string): readonly Figure[] {
  const first = steps[0];
  const last = steps.at(-1);
  if (!first || !last) return [];
  const told = steps.filter(({ workers }) => TOLD.includes(workers));
  const rows = told.flatMap(({ workers, orchestrators, nodes }) => {
    const around = `${name}, ${workers === 1 ? 'one worker' : `${workers} workers`}`;
    const [ours, theirs] = [`${around}: orchestrator`, `${around}: worker`];
    return [
      figure(
        { name: `${ours}, resident memory`, unit: 'MB', goal: { atMost: 110 }, anchor: 'Oakestra 635 MB' },
        of(orchestrators, 'residentMb'),
      ),
      figure({ name: `${ours}, CPU`, unit: '% of a core' }, of(orchestrators, 'cpuPercent')),
      figure(
        { name: `${theirs}, resident memory`, unit: 'MB', goal: { atMost: 60 }, anchor: 'Oakestra 255 MB' },
        of(nodes, 'residentMb'),
      ),
      figure({ name: `${theirs}, CPU`, unit: '% of a core' }, of(nodes, 'cpuPercent')),
    ];
  });
  const growth = (what: 'orchestrators' | 'nodes') => [
    median(of(last[what], 'residentMb')) / median(of(first[what], 'residentMb')),
  ];
  const written = steps.flatMap(({ orchestrators, nodes }) => of([...orchestrators, ...nodes], 'writtenBytes'));
  return [
    ...rows,
    figure(
      { name: `${name}: orchestrator's memory, 30 workers to one`, unit: '×', goal: { atMost: FLAT } },
      growth('orchestrators'),
    ),
    figure({ name: `${name}: worker's memory, 30 workers to one`, unit: '×', goal: { atMost: FLAT } }, growth('nodes')),
    figure({ name: `${name}: written to disk while idle, all together`, unit: 'bytes', goal: { atMost: 0 } }, [
      written.reduce((sum, bytes) => sum + bytes, 0),
    ]),
  ];
}

function of(some: readonly Idle[], what: keyof Idle): readonly number[] {
  return some.map((idle) => idle[what]);
}

function show(steps: readonly Step[], name: string, context: BenchContext): void {
  const file = name.replaceAll(/[ ,]+/g, '-');
  for (const [what, label] of [
    ['residentMb', 'resident memory, MB'],
    ['cpuPercent', 'CPU, % of a core'],
  ] as const) {
    const lines = (['orchestrators', 'nodes'] as const).map((who) =>
      steps.map((step) => [step.workers, median(of(step[who], what))] as const),
    );
    const highest = Math.max(...lines.flat().map(([, value]) => value));
    const title = `Idle: ${label.replace(/,.*/, '')} from 1 to 30 workers, ${name}`;
    const [orchestrator = [], worker = []] = lines;
    context.show(
      `footprint-${what === 'residentMb' ? 'memory' : 'cpu'}-${file}`,
      title,
      linePlot({
        title,
        x: { label: 'workers', scale: 'linear', from: 0, to: 30 },
        y: { label, scale: 'linear', from: 0, to: roundUp(1.1 * highest) },
        hasDots: true,
        series: [
          { name: 'orchestrator', tone: 0, points: orchestrator },
          { name: 'worker', tone: 2, isDashed: true, points: worker },
        ],
      }),
    );
  }
}
