/** `npm run bench`: lists the benches, or runs one and says what it found. */
import { parseArgs } from 'node:util';
import { must } from '../src/core/base/assert.ts';
import { benches } from './benches.ts';
import { PART } from './parts/part.ts';
import { parts } from './parts/parts.ts';
import { asTable, beginReport, type Plot, record, writePlot } from './report.ts';

const USAGE = `npm run bench                            list the benches
npm run bench -- NAME [NAME ...]         run them; all: every one
  --json           one JSON object a bench on standard output
  --record         keep the outcome in bench/results/
  --minutes N      how long idle processes are watched (footprint; 10 by default)
  --replicas N     of the orchestrator that grows to thirty workers (footprint; 1 by default)
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      minutes: { type: 'string', default: '10' },
      replicas: { type: 'string', default: '1' },
    },
  });
  const idleMinutes = Number(values.minutes);
  if (!(idleMinutes > 0)) throw new Error('--minutes: expected a number of minutes');
  const replicas = Number(values.replicas);
  if (![1, 2, 3, 4, 5, 6, 7].includes(replicas)) throw new Error('--replicas: expected a number from 1 to 7');
  if (positionals.length === 0) {
    const width = Math.max(...benches.map(({ name }) => name.length));
    for (const { name, summary } of benches) process.stdout.write(`${name.padEnd(width)}  ${summary}\n`);
    process.stdout.write(`\n${USAGE}`);
    return 0;
  }
  const names = positionals.includes('all') ? benches.map(({ name }) => name) : positionals;
  const chosen = names.map((name) => {
    const entry = benches.find((each) => each.name === name);
    if (!entry) throw new Error(`there is no bench ${name}; there are ${benches.map((each) => each.name).join(', ')}`);
    return entry;
  });
  for (const { name, load } of chosen) {
    const beginning = beginReport(name);
    const tell = (line: string) => void process.stderr.write(`${name}: ${line}\n`);
    const bench = await load();
    const plots: Plot[] = [];
    const show = (plotName: string, title: string, svg: string): void => {
      const file = `${plotName}.svg`;
      tell(`${title}: ${writePlot(file, svg, values.record)}`);
      plots.push({ file, title });
    };
    const figures = await bench.run({ tell, idleMinutes, replicas, show });
    const report = { ...beginning, figures, plots };
    if (values.record) record(report);
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${asTable(report)}\n`);
  }
  return 0;
}

async function runPart(name: string): Promise<number> {
  const start = await must(parts[name], `a part ${name}`)();
  start();
  return 0;
}

const [first, part = ''] = process.argv.slice(2);
process.exitCode = await (first === PART ? runPart(part) : main()).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});
