/**
 * `npm start`: a whole edge on this machine, made of real processes, to look at and to break.
 *
 *   npm start             until Ctrl-C
 *   npm start -- --once   a proof that it works, by itself; ends with 0, or says what went wrong
 */
import { parseArgs } from 'node:util';
import { painter } from '../cli/output/painter.ts';
import { errorsLogged, makeDirectory, startClusters, startNodes, startRoot } from './edge.ts';
import { SWEEP, startGuard, sweep } from './guard.ts';
import { showLive } from './live.ts';
import { proveOnce } from './once.ts';
import { SITES } from './plan.ts';
import { deploy } from './services.ts';
import { Steps } from './steps.ts';

const ONCE_BOUND_MS = 120_000;
const HELP = `npm start             start an edge on this machine and show it, until Ctrl-C
npm start -- --once   start it, deploy, kill a node, see the replacement answer, and end
`;

const values = readWords();
if (values === null) process.exitCode = 2;
else if (values.sweep !== undefined) await sweep(values.sweep);
else if (values.help) process.stdout.write(HELP);
else process.exitCode = await demonstrate(values.once);

/** null, and said why, when they are none that it knows. */
function readWords(): { readonly once: boolean; readonly help: boolean; readonly sweep?: string } | null {
  const options = {
    once: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
    [SWEEP.slice(2)]: { type: 'string' },
  } as const;
  try {
    return parseArgs({ options }).values as { readonly once: boolean; readonly help: boolean; readonly sweep?: string };
  } catch (error) {
    process.stderr.write(`error: ${reasonOf(error)}\n\n${HELP}`);
    return null;
  }
}

async function demonstrate(once: boolean): Promise<number> {
  if (process.platform !== 'linux') {
    process.stderr.write('The demo runs its services as processes, for which Tendril needs Linux.\n');
    return 1;
  }
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort());
  // Not AbortSignal.any with AbortSignal.timeout: Node 20 may collect the timeout before it fires.
  let overdue = false;
  const bound = setTimeout(() => {
    overdue = true;
    interrupt.abort(new Error(`not done within ${ONCE_BOUND_MS / 1000} s`));
  }, ONCE_BOUND_MS);
  if (!once) clearTimeout(bound);
  // Whoever reads has gone.
  process.stdout.on('error', () => interrupt.abort());
  const paint = painter(process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb');
  const steps = new Steps(process.stdout, paint);
  const startedMs = performance.now();

  const directory = await makeDirectory();
  const guard = startGuard(directory);
  let code = 0;
  try {
    await run(once, directory, { steps, paint, signal: interrupt.signal });
  } catch (error) {
    code = interrupt.signal.aborted && !overdue ? (once ? 130 : 0) : 1;
    if (code === 1) {
      const lines = [reasonOf(overdue ? interrupt.signal.reason : error), ...(await errorsLogged(directory))];
      process.stderr.write(`${paint.bad('error:')} ${lines.join('\n  ')}\n`);
    }
  }
  clearTimeout(bound);
  try {
    await steps.step('clearing up', async () => {
      await guard.end();
      return 'cleared up: no process and no file is left';
    });
  } catch (error) {
    process.stderr.write(`${paint.bad('error:')} ${reasonOf(error)}\n`);
    return 1;
  }
  if (once && code === 0)
    process.stdout.write(`All of it worked, in ${((performance.now() - startedMs) / 1000).toFixed(1)} s.\n`);
  return code;
}

async function run(
  once: boolean,
  directory: string,
  context: { readonly steps: Steps; readonly paint: ReturnType<typeof painter>; readonly signal: AbortSignal },
): Promise<void> {
  const { steps, paint, signal } = context;
  const edge = await steps.result('starting the root', async () => {
    const started = await startRoot(directory, signal);
    return [`root: ${started.url}`, started];
  });
  try {
    const names = SITES.map(({ cluster }) => cluster).join(' and ');
    await steps.step(`starting the clusters ${names}`, async () => {
      await startClusters(edge, signal);
      return `clusters ${names}: joined`;
    });
    const wanted = SITES.flatMap(({ nodes }) => nodes).length;
    await steps.step(`starting ${wanted} nodes`, async (told) => {
      await startNodes(edge, (ready) => told(`${ready} of ${wanted} ready`), signal);
      return `${wanted} nodes: joined and ready`;
    });
    const { names: services, without } = await steps.result('deploying the examples', async () => {
      const deployed = await deploy(edge.client);
      return [`deployed: ${deployed.names.join(', ')}`, deployed];
    });
    if (!once) return await showLive(edge, without, { output: process.stdout, paint, signal });
    for (const note of without) process.stdout.write(`    ${paint.warn(note)}\n`);
    process.stdout.write(`${await proveOnce(edge, services[0] ?? '', steps, signal)}\n`);
  } finally {
    await edge.client.close();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
