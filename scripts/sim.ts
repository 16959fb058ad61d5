/**
 * `npm run sim -- [group] [--seed X] [--seeds N] [--trace]`: runs seeds of the simulation, each twice when asked with
 * --twice. `group`: of a replicated orchestrator with its nodes, under `--mode standing` or `on-demand`.
 */
import { parseArgs } from 'node:util';
import { decodeFrame, encodeFrame } from '../src/adapters/peer/frames.ts';
import { LEADERSHIPS } from '../src/core/model/replicas.ts';
import { runGroupSeed } from '../src/sim/group/group-run.ts';
import { runSeed } from '../src/sim/run.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1' },
    mode: { type: 'string', default: 'standing' },
    trace: { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
});

type Print = ((line: string) => void) | null;

/** What a run came to, in words. */
interface Ran {
  readonly digest: string;
  readonly text: string;
}

async function runDeployment(seed: number, print: Print): Promise<Ran> {
  const { knobs, digest, events, simulatedMs, requests, fired, convergedMs } = await runSeed(seed, print);
  const nodes = Math.max(1, knobs.clusters) * knobs.nodesPerCluster;
  const text =
    `${knobs.clusters} clusters, ${nodes} nodes, ${Math.round(simulatedMs / 1000)} s simulated, ${requests} requests, ` +
    `faults ${JSON.stringify(fired)}, converged in ${Math.round(convergedMs / 1000)} s, ${events} events`;
  return { digest, text };
}

async function runGroup(seed: number, print: Print): Promise<Ran> {
  const mode = LEADERSHIPS.find((one) => one === values.mode);
  if (!mode) throw new Error(`--mode is one of ${LEADERSHIPS.join(', ')}`);
  const frames = { encode: encodeFrame, decode: decodeFrame };
  const { knobs, digest, events, simulatedMs, requests, fired, settledMs } = await runGroupSeed(seed, mode, frames, print);
  const text =
    `${knobs.replicas} replicas ${mode}, ${knobs.nodes} nodes, ${Math.round(simulatedMs / 1000)} s simulated, ${requests} requests, ` +
    `faults ${JSON.stringify(fired)}, settled in ${Math.round(settledMs / 1000)} s, ${events} events`;
  return { digest, text };
}

const [what = ''] = positionals;
const run = { '': runDeployment, group: runGroup }[what];
if (!run) throw new Error(`there is no simulation of ${what}`);
const again = what === 'group' ? `group --mode ${values.mode} ` : '';
const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const count = Number(values.seeds);
const print = values.trace ? (line: string) => console.log(line) : null;
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  try {
    const startedMs = performance.now();
    const { digest, text } = await run(seed, print);
    const seconds = (performance.now() - startedMs) / 1000;
    console.log(`seed ${seed} ok ${digest}: ${text} in ${seconds.toFixed(2)} s`);
    if (values.twice) {
      const second = await run(seed, null);
      if (second.digest !== digest) throw new Error(`seed ${seed} does not replay: ${digest}, then ${second.digest}`);
    }
  } catch (error) {
    failed += 1;
    console.error(error instanceof Error ? error.message : error);
    console.error(`seed ${seed} FAILED: npm run sim -- ${again}--seed ${seed} --trace`);
    if (!values['keep-going']) break;
  }
}
process.exitCode = failed > 0 ? 1 : 0;
