/** Simulation: `npm run sim`; `npm run sim -- --help` says what there is. */
import { parseArgs } from 'node:util';
import { decodeFrame, encodeFrame } from '../src/adapters/peer/frames.ts';
import { LEADERSHIPS, type Leadership } from '../src/core/model/replicas.ts';
import { type RunName, runs } from '../src/core/raft/testing/runs.ts';
import { runGroupSeed } from '../src/sim/group/group-run.ts';
import { runRaftSeed } from '../src/sim/raft/raft-run.ts';
import { runSeed } from '../src/sim/run.ts';

const HELP = `npm run sim -- [WHAT] [--seed X] [--seeds N] [--trace] [--twice] [--keep-going]

WHAT
  deployments  whole deployments: root, clusters, nodes, requests (the default)
  group        an orchestrator of several replicas with its nodes; --mode standing or on-demand
  raft         replicated logs: drivers, disks, links, and clients whose histories are judged
  raft-core    the Raft core alone; --run NAME for one kind of run of: ${Object.keys(runs).join(', ')}

  --seed X      begins with seed X, a random one otherwise; alone it replays that seed with its trace
  --seeds N     runs N seeds
  --trace       prints what happens
  --twice       runs every seed twice and compares the traces; otherwise one in fifty
  --keep-going  goes on after a seed that failed
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    run: { type: 'string' },
    mode: { type: 'string', default: 'standing' },
    trace: { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

type Print = ((line: string) => void) | null;

interface Simulation {
  /** What is run, for a person who repeats it. */
  readonly command: string;
  /** Whether each seed is told of, or how far it is every few seconds. */
  readonly tellsEach: boolean;
  readonly run: (seed: number, print: Print) => Promise<Outcome>;
}

interface Outcome {
  /** The same for the same seed, every time. */
  readonly digest: string;
  readonly story: string;
  /** What went wrong, and how often. */
  readonly fired: Readonly<Record<string, number>>;
}

const deployments: Simulation = {
  command: 'npm run sim --',
  tellsEach: true,
  async run(seed, print) {
    const { knobs, digest, events, simulatedMs, requests, convergedMs, fired } = await runSeed(seed, print);
    const nodes = Math.max(1, knobs.clusters) * knobs.nodesPerCluster;
    const story =
      `${knobs.clusters} clusters, ${nodes} nodes, ${Math.round(simulatedMs / 1000)} s simulated, ${requests} requests, ` +
      `faults ${JSON.stringify(fired)}, converged in ${Math.round(convergedMs / 1000)} s, ${events} events`;
    return { digest, story, fired };
  },
};

function group(mode: Leadership): Simulation {
  return {
    command: `npm run sim -- group --mode ${mode}`,
    tellsEach: true,
    async run(seed, print) {
      const frames = { encode: encodeFrame, decode: decodeFrame };
      const { knobs, digest, events, simulatedMs, requests, fired, settledMs } = await runGroupSeed(seed, mode, frames, print);
      const story =
        `${knobs.replicas} replicas ${mode}, ${knobs.nodes} nodes, ${Math.round(simulatedMs / 1000)} s simulated, ${requests} requests, ` +
        `faults ${JSON.stringify(fired)}, settled in ${Math.round(settledMs / 1000)} s, ${events} events`;
      return { digest, story, fired };
    },
  };
}

const replicatedLogs: Simulation = {
  command: 'npm run sim -- raft',
  tellsEach: false,
  async run(seed, print) {
    const frames = { encode: encodeFrame, decode: decodeFrame };
    const { knobs, digest, events, simulatedMs, judged, terms, fired, seen } = await runRaftSeed(seed, frames, print);
    const story =
      `${knobs.voters} voters ${knobs.leadership}, ${Math.round(simulatedMs / 1000)} s simulated, ${judged} operations judged, ` +
      `${terms} terms, ${events} events`;
    return { digest, story, fired: { ...fired, ...seen } };
  },
};

function core(name: RunName): Simulation {
  return {
    command: `npm run sim -- raft-core --run ${name}`,
    tellsEach: false,
    run: async (seed, print) => {
      const { digest, invariants, readsDone, fired } = runs[name](seed, print);
      const { committed, acknowledged, elections } = invariants;
      const story = `${committed.length} entries, ${acknowledged.size} acknowledged, ${readsDone} reads, ${elections} elections`;
      return { digest: digest.value.toString(16), story, fired: Object.fromEntries(fired) };
    },
  };
}

/** How often a long run says how far it is. */
const PROGRESS_MS = 5_000;
/** Without --twice one seed in so many is run again, and has to leave the same trace. */
const AGAIN_EVERY = 50;

/** How many seeds failed. */
async function simulate({ command, tellsEach, run }: Simulation, first: number, count: number): Promise<number> {
  const print = values.trace || (count === 1 && values.seed !== undefined) ? (line: string) => console.log(line) : null;
  const fired = new Map<string, number>();
  const startedMs = performance.now();
  let toldMs = startedMs;
  let failed = 0;
  const progress = (done: number): void => {
    const each = ((performance.now() - startedMs) / done).toFixed(1);
    console.log(`${command}: ${done} of ${count} seeds from ${first} on, ${failed} failed, ${each} ms each`);
    toldMs = performance.now();
  };
  let seed = first;
  for (; seed < first + count; seed += 1) {
    try {
      const seedMs = performance.now();
      const { digest, story, fired: inRun } = await run(seed, print);
      const seconds = ((performance.now() - seedMs) / 1000).toFixed(2);
      for (const [fault, times] of Object.entries(inRun)) fired.set(fault, (fired.get(fault) ?? 0) + times);
      if (tellsEach || count === 1) console.log(`seed ${seed} ok ${digest}: ${story} in ${seconds} s`);
      if (values.twice || seed % AGAIN_EVERY === 0) {
        const again = await run(seed, null);
        if (again.digest !== digest) throw new Error(`seed ${seed} does not replay: ${digest}, then ${again.digest}`);
      }
    } catch (error) {
      failed += 1;
      console.error(error instanceof Error ? (error.stack ?? error.message) : error);
      console.error(`seed ${seed} FAILED: ${command} --seed ${seed}`);
      if (!values['keep-going']) break;
    }
    if (performance.now() - toldMs > PROGRESS_MS) progress(seed + 1 - first);
  }
  if (count > 1) {
    progress(Math.min(seed + 1, first + count) - first);
    console.log(`what happened: ${JSON.stringify(Object.fromEntries(fired))}`);
  }
  return failed;
}

function simulationsOf(what: string): readonly Simulation[] | null {
  if (what === 'deployments') return [deployments];
  if (what === 'raft') return [replicatedLogs];
  const mode = LEADERSHIPS.find((one) => one === values.mode);
  if (what === 'group') return mode ? [group(mode)] : null;
  const kinds = Object.keys(runs).filter((name): name is RunName => values.run === undefined || name === values.run);
  return what === 'raft-core' && kinds.length > 0 ? kinds.map(core) : null;
}

const simulations = simulationsOf(positionals[0] ?? 'deployments');
if (values.help || simulations === null || positionals.length > 1) {
  process.stdout.write(HELP);
  process.exitCode = values.help ? 0 : 2;
} else {
  const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(values.seed);
  for (const simulation of simulations)
    if ((await simulate(simulation, first, Number(values.seeds ?? 1))) > 0) process.exitCode = 1;
}
