/**
 * What a node costs that does nothing: `footprint`. Real processes on loopback, watched from one minute after
 * their start: memory at the end of the watch, CPU time and bytes written over all of it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Bench, type BenchContext, type Figure, figure } from './bench.ts';
import { measureGrowth } from './footprint-growth.ts';
import { type Idle, readProcess, watchIdle } from './process-reading.ts';
import { withDeployment } from './site.ts';
import { isSwarmPossible, withSwarm } from './swarm.ts';

const SETTLE_MS = 60_000;
/** Each kind of process as often, side by side. */
const COPIES = 3;
const MB = 1e6;

export const footprint: Bench = {
  run: async (context) => [...(await measureKinds(context)), ...(await measureGrowth(context))],
};

function measureKinds(context: BenchContext): Promise<readonly Figure[]> {
  return withDeployment({ nodes: COPIES }, (tree) =>
    withAll(
      Array.from(
        { length: COPIES },
        () => (use: (pid: number) => Promise<readonly Figure[]>) =>
          withDeployment({ rootWorks: true }, (single) => use(single.root.pid)),
      ),
      async (singles) => {
        const workers = [...tree.processes.values()].filter(({ port }) => port === null).map(({ pid }) => pid);
        return withBareNode((bare) => watchAll(context, { workers, singles, root: tree.root.pid, bare }));
      },
    ),
  );
}

interface Watched {
  readonly workers: readonly number[];
  readonly singles: readonly number[];
  readonly root: number;
  readonly bare: number;
}

async function watchAll({ tell, idleMinutes }: BenchContext, watched: Watched): Promise<readonly Figure[]> {
  const docker = isSwarmPossible() ? await readSwarm(tell) : null;
  tell(`settling for ${SETTLE_MS / 1_000} s`);
  await delay(SETTLE_MS);
  const pids = [...watched.workers, ...watched.singles, watched.root, watched.bare];
  tell(`watching ${pids.length} idle processes for ${idleMinutes} min`);
  const seen = await watchIdle(pids, idleMinutes);
  const idle = new Map(pids.map((pid, index) => [pid, seen[index]]));
  const of = (some: readonly number[], what: keyof Idle) => some.map((pid) => idle.get(pid)?.[what] ?? Number.NaN);
  const [workers, singles] = [watched.workers, watched.singles];
  const time = `${idleMinutes} min`;
  return [
    figure(
      {
        name: 'worker idle, resident memory',
        unit: 'MB',
        goal: { atMost: 60 },
        anchor: 'Oakestra 255 MB, K3s agent 268 MB',
      },
      of(workers, 'residentMb'),
    ),
    figure({ name: 'worker idle, its share of memory (PSS)', unit: 'MB' }, of(workers, 'proportionalMb')),
    figure(
      { name: 'all-in-one idle, resident memory', unit: 'MB', goal: { atMost: 110 }, anchor: 'Oakestra 635 MB' },
      of(singles, 'residentMb'),
    ),
    figure({ name: 'all-in-one idle, its share of memory (PSS)', unit: 'MB' }, of(singles, 'proportionalMb')),
    figure({ name: `root of ${COPIES} nodes idle, resident memory`, unit: 'MB' }, of([watched.root], 'residentMb')),
    figure({ name: 'for comparison: Node that does nothing, resident memory', unit: 'MB' }, of([watched.bare], 'residentMb')),
    ...(docker === null
      ? []
      : [figure({ name: 'for comparison: dockerd and containerd, idle Swarm manager, resident memory', unit: 'MB' }, [docker])]),
    figure(
      {
        name: `worker idle, CPU over ${time}`,
        unit: '% of a core',
        goal: { atMost: 0.3 },
        anchor: 'Oakestra worker 3.7 %',
      },
      of(workers, 'cpuPercent'),
    ),
    figure({ name: `all-in-one idle, CPU over ${time}`, unit: '% of a core', goal: { atMost: 0.3 } }, of(singles, 'cpuPercent')),
    figure({ name: `root of ${COPIES} nodes idle, CPU over ${time}`, unit: '% of a core' }, of([watched.root], 'cpuPercent')),
    figure({ name: `written to disk in ${time}, all of these together`, unit: 'bytes', goal: { atMost: 0 } }, [
      of([...workers, ...singles, watched.root], 'writtenBytes').reduce((sum, bytes) => sum + bytes, 0),
    ]),
  ];
}

/** Megabytes that an engine takes which is a Swarm of one and runs nothing. */
async function readSwarm(tell: BenchContext['tell']): Promise<number> {
  tell('an idle Swarm manager, to compare');
  return withSwarm(async (rig) => {
    await delay(SETTLE_MS / 2);
    const engine = processes().filter(({ command }) => command.includes(rig.socketPath.replace(/docker\.sock$/, '')));
    return engine.reduce((sum, { pid }) => sum + readProcess(pid).residentBytes, 0) / MB;
  });
}

function processes(): { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [{ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
      } catch {
        return []; // gone meanwhile
      }
    });
}

async function withBareNode<T>(use: (pid: number) => Promise<T>): Promise<T> {
  const bare: ChildProcess = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e9)'], { env: {}, stdio: 'ignore' });
  try {
    return await use(bare.pid ?? 0);
  } finally {
    bare.kill('SIGKILL');
  }
}

type With<T, R> = (use: (value: T) => Promise<R>) => Promise<R>;

/** All of them at once, released in reverse. */
function withAll<T, R>(makers: readonly With<T, R>[], use: (values: readonly T[]) => Promise<R>): Promise<R> {
  const [first, ...others] = makers;
  if (!first) return use([]);
  return first((value) => withAll(others, (values) => use([value, ...values])));
}
