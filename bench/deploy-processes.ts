/**
 * Native processes through all three levels: root, two clusters of three nodes, each a real process over real
 * links. A time begins when the request is sent, or the signal, and ends when the API of the root tells the new
 * state to one who watches.
 */
import type { Deployment } from '../test/rig/deployment.ts';
import { type BenchContext, type Figure, figure, p95 } from './bench.ts';
import { InstanceWatch } from './instance-watch.ts';
import { withDeployment } from './site.ts';

const DEPLOYS = 30;
const WARM_UP = 5;
const NODE_LOSSES = 5;

export function measureProcesses({ tell }: BenchContext): Promise<readonly Figure[]> {
  return withDeployment({ clusters: { garching: 3, potsdam: 3 }, cpu: '16', memory: '16Gi' }, async (deployment) => {
    const watch = await InstanceWatch.open(deployment.api('root'));
    tell(`${DEPLOYS} services, one after the other`);
    const services = Array.from({ length: WARM_UP + DEPLOYS }, (_, index) => `one-${index}`);
    const deployMs: number[] = [];
    for (const service of services) deployMs.push(await timeDeploy(deployment, watch, service));
    tell('their processes killed, one after the other');
    const restartMs: number[] = [];
    for (const service of services) restartMs.push(await timeRestart(deployment, watch, service));
    for (const service of services) await deployment.api('root').deleteService(service);
    for (const service of services) await watch.gone(service);
    const crashMs: number[] = [];
    const silenceMs: number[] = [];
    for (let run = 0; run < NODE_LOSSES; run++) {
      tell(`nodes lost: ${run + 1} of ${NODE_LOSSES}`);
      crashMs.push(await timeNodeLoss(deployment, watch, `killed-${run}`, 'killed'));
      silenceMs.push(await timeNodeLoss(deployment, watch, `silent-${run}`, 'silent'));
    }
    const warmDeployMs = deployMs.slice(WARM_UP);
    return [
      figure(
        {
          name: 'request to RUNNING, root → cluster → node',
          unit: 'ms',
          goal: { atMost: 100 },
          anchor: 'Oakestra 4–6 s, K3s 5 s (containers)',
        },
        warmDeployMs,
      ),
      figure({ name: 'request to RUNNING, 95th percentile', unit: 'ms' }, warmDeployMs, p95),
      figure({ name: 'killed process to running again', unit: 'ms', goal: { atMost: 150 } }, restartMs.slice(WARM_UP)),
      figure({ name: 'killed process to running again, 95th percentile', unit: 'ms' }, restartMs.slice(WARM_UP), p95),
      figure(
        { name: 'node killed to replacement RUNNING', unit: 's', goal: { atMost: 5 }, anchor: 'Oakestra ≥ 30 s' },
        crashMs.map((ms) => ms / 1_000),
      ),
      figure(
        { name: 'node gone silent, links left open, to replacement RUNNING', unit: 's', goal: { atMost: 5 } },
        silenceMs.map((ms) => ms / 1_000),
      ),
    ];
  });
}

async function timeDeploy(deployment: Deployment, watch: InstanceWatch, service: string): Promise<number> {
  const startMs = performance.now();
  const running = watch.running(service, 1);
  await deployment.apply('root', service);
  return (await running) - startMs;
}

async function timeRestart(deployment: Deployment, watch: InstanceWatch, service: string): Promise<number> {
  const [before] = watch.of(service);
  const victim = deployment.instanceProcesses().find(({ instance }) => instance.startsWith(before?.id ?? '?'));
  if (!before || !victim) throw new Error(`no process of ${service}`);
  const again = watch.until('running again', service, (instances) =>
    instances.some(({ state, restarts }) => state === 'RUNNING' && restarts > before.restarts),
  );
  const startMs = performance.now();
  process.kill(victim.pid, 'SIGKILL');
  return (await again) - startMs;
}

/** Default patience throughout. The node is back and the service gone when this ends. */
async function timeNodeLoss(
  deployment: Deployment,
  watch: InstanceWatch,
  service: string,
  how: 'killed' | 'silent',
): Promise<number> {
  await deployment.apply('root', service);
  await watch.running(service, 1);
  const [before] = watch.of(service);
  const where = before?.node ?? '';
  const node = deployment.node(where.slice(where.lastIndexOf('/') + 1));
  const replaced = watch.until('a replacement', service, (instances) =>
    instances.some(({ state, node: now }) => state === 'RUNNING' && now !== where && now !== ''),
  );
  const startMs = performance.now();
  if (how === 'silent') node.freeze();
  else await node.powerCut();
  const tookMs = (await replaced) - startMs;
  if (how === 'silent') node.thaw();
  else await node.start();
  await deployment.api('root').deleteService(service);
  await watch.gone(service);
  return tookMs;
}
