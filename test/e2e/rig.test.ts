import { expect, test } from 'vitest';
import { startDeployment } from '../rig/deployment.ts';

test('a deployment of three levels starts, runs a service and leaves nothing behind', async () => {
  const deployment = await startDeployment({ clusters: { garching: 2 }, wires: true });
  try {
    await deployment.apply('root', 'calm', { replicas: 2 });
    await deployment.running('root', 'calm', 2);
    expect(deployment.instanceProcesses()).toHaveLength(2);
    const { exitCode, stdout } = await deployment.cli('--context', 'root', 'get', 'instances');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('calm-');
  } finally {
    await deployment.close();
  }
  expect(deployment.instanceProcesses()).toEqual([]);
});
