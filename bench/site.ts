/** The deployments that are measured, free of what this shell's environment would add to them. */
import { type Deployment, type DeploymentOptions, startDeployment } from '../test/rig/deployment.ts';

/** A CA bundle or options for Node, named by the environment, would weigh on every process. */
const PLAIN: NodeJS.ProcessEnv = { NODE_OPTIONS: undefined, NODE_EXTRA_CA_CERTS: undefined, DOCKER_HOST: undefined };

export async function withDeployment<T>(options: DeploymentOptions, use: (deployment: Deployment) => Promise<T>): Promise<T> {
  const deployment = await startDeployment({ ...options, env: { ...PLAIN, ...options.env } });
  try {
    return await use(deployment);
  } finally {
    await deployment.close();
  }
}
