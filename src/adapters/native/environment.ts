/**
 * The environment of an instance: a bare minimum of the node's, what its spec says, where to listen, and who
 * it is. Nothing else of tendril's own environment, which may hold secrets, reaches it.
 */
import type { Assignment } from '../../core/model/messages.ts';
import type { RuntimeName } from '../../core/model/service.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function nodePath(): string {
  return process.env.PATH || DEFAULT_PATH;
}

/** By this whatever a node has started is known as that node's. */
export function nodeMark(nodeUid: string): Record<string, string> {
  return { TENDRIL_NODE: nodeUid };
}

/** By these an instance's process is known as ours, even when no record of it was written. */
export function marks(nodeUid: string, runtime: RuntimeName, id?: string): Record<string, string> {
  return { ...nodeMark(nodeUid), TENDRIL_RUNTIME: runtime, ...(id === undefined ? {} : { TENDRIL_INSTANCE: id }) };
}

export function instanceEnvironment(
  assignment: Assignment,
  hostPorts: Readonly<Record<string, number>>,
  nodeUid: string,
): Record<string, string> {
  const { id, service, spec } = assignment;
  const environment: Record<string, string> = {
    PATH: nodePath(),
    HOME: process.env.HOME || '/',
    LANG: process.env.LANG || 'C.UTF-8',
    ...spec.env,
  };
  for (const [index, { name }] of spec.ports.entries()) {
    const port = String(hostPorts[name]);
    if (index === 0) environment.PORT = port;
    environment[`PORT_${name.toUpperCase().replaceAll('-', '_')}`] = port;
  }
  return { ...environment, TENDRIL_SERVICE: service, ...marks(nodeUid, spec.runtime, id) };
}
