/** `npm run sim -- [--seed X] [--seeds N] [--trace]`: runs seeds of the simulation, each twice when asked with --twice. */
import { parseArgs } from 'node:util';
import { runSeed } from '../src/sim/run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
});

const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const count = Number(values.seeds);
const print = values.trace ? (line: string) => console.log(line) : null;
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  try {
    const startedMs = performance.now();
    const result = await runSeed(seed, print);
    const seconds = (performance.now() - startedMs) / 1000;
    const { knobs, digest, events, simulatedMs, requests, convergedMs } = result;
    const nodes = Math.max(1, knobs.clusters) * knobs.nodesPerCluster;
    console.log(
      `seed ${seed} ok ${digest}: ${knobs.clusters} clusters, ${nodes} nodes, ${Math.round(simulatedMs / 1000)} s simulated, ` +
        `${requests} requests, faults ${JSON.stringify(result.fired)}, converged in ${Math.round(convergedMs / 1000)} s, ` +
        `${events} events in ${seconds.toFixed(2)} s`,
    );
    if (values.twice) {
      const again = await runSeed(seed);
      if (again.digest !== digest) throw new Error(`seed ${seed} does not replay: ${digest}, then ${again.digest}`);
    }
  } catch (error) {
    failed += 1;
    console.error(error instanceof Error ? error.message : error);
    console.error(`seed ${seed} FAILED: npm run sim -- --seed ${seed} --trace`);
    if (!values['keep-going']) break;
  }
}
process.exitCode = failed > 0 ? 1 : 0;
