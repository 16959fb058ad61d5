/** What an instance looks like as a container: its name, labels, limits, ports, as POST /containers/create takes them. */
import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { type Endpoint, endpointSchema } from '../../core/model/messages.ts';
import type { PortSpec, ServiceSpec } from '../../core/model/service.ts';
import type { StartRequest } from '../../ports/runtime.ts';

export const NODE_LABEL = 'tendril.node';
export const INSTANCE_LABEL = 'tendril.instance';
const SERVICE_LABEL = 'tendril.service';
const ENDPOINTS_LABEL = 'tendril.endpoints';
/** Tells a container that can be started again from one that has to be made anew. */
const FINGERPRINT_LABEL = 'tendril.fingerprint';

/** Below a hundredth of a core the kernel's quota would fall under its smallest slice, 1 ms in 100 ms. */
const SMALLEST_CPU_CORES = 0.01;

export type ContainerSpec = Extract<ServiceSpec, { runtime: 'container' }>;
export type Labels = Readonly<Record<string, string>> | null;

export interface ContainerConfig {
  readonly body: { readonly Image: string; readonly Labels: Readonly<Record<string, string>> };
  readonly fingerprint: string;
  readonly endpoints: readonly Endpoint[];
}

/** Which limits the machine's kernel lets bind; the engine refuses to be asked for others. */
export interface BindingLimits {
  readonly memoryLimit: boolean;
  readonly cpuLimit: boolean;
}

/** Unique on the machine: node ids may be long and alike at their start. */
export function containerName(node: string, id: string): string {
  return `tendril-${createHash('sha256').update(node).digest('hex').slice(0, 10)}-${id}`;
}

export function containerConfig(
  node: string,
  request: StartRequest,
  spec: ContainerSpec,
  binding: BindingLimits,
): ContainerConfig {
  const { assignment, hostPorts, address } = request;
  const ports = spec.ports.map((port) => published(port, must(hostPorts[port.name], `a host port for ${port.name}`)));
  const endpoints = ports.map(({ name, host }) => ({ name, address, port: host }));
  const env = { ...portVariables(ports), TENDRIL_INSTANCE: assignment.id, TENDRIL_SERVICE: assignment.service, ...spec.env };
  const { cpu, memory } = spec.resources;
  const body = {
    Image: spec.image,
    ...(spec.command === undefined ? {} : { Cmd: spec.command }),
    ...(spec.workingDir === undefined ? {} : { WorkingDir: spec.workingDir }),
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ExposedPorts: Object.fromEntries(ports.map(({ inside }) => [inside, {}])),
    HostConfig: {
      PortBindings: bindings(ports),
      Mounts: spec.mounts.map(({ source, target, readOnly }) => ({
        Type: 'bind',
        Source: source,
        Target: target,
        ReadOnly: readOnly,
      })),
      // Swap counts too: otherwise an instance could have as much again there.
      ...(memory > 0 && binding.memoryLimit ? { Memory: memory, MemorySwap: memory } : {}),
      ...(cpu > 0 && binding.cpuLimit ? { NanoCpus: Math.round(Math.max(cpu, SMALLEST_CPU_CORES) * 1e9) } : {}),
      LogConfig: { Type: 'json-file', Config: { 'max-size': String(limits.instanceLogBytes), 'max-file': '2' } },
      RestartPolicy: { Name: 'no' },
    },
  };
  const fingerprint = createHash('sha256').update(JSON.stringify(body)).digest('hex').slice(0, 32);
  const labels = {
    [NODE_LABEL]: node,
    [INSTANCE_LABEL]: assignment.id,
    [SERVICE_LABEL]: assignment.service,
    [ENDPOINTS_LABEL]: JSON.stringify(endpoints),
    [FINGERPRINT_LABEL]: fingerprint,
  };
  return { body: { ...body, Labels: labels }, fingerprint, endpoints };
}

export function fingerprintOf(labels: Labels): string {
  return labels?.[FINGERPRINT_LABEL] ?? '';
}

/** What a container was told when it was made; none when somebody else wrote its labels. */
export function endpointsOf(labels: Labels): readonly Endpoint[] {
  try {
    const parsed = z.array(endpointSchema).safeParse(JSON.parse(labels?.[ENDPOINTS_LABEL] ?? '[]'));
    return parsed.success ? parsed.data : [];
  } catch {
    return [];
  }
}

interface PublishedPort {
  readonly name: string;
  readonly host: number;
  readonly container: number;
  /** `80/tcp` */
  readonly inside: string;
}

function published(port: PortSpec, host: number): PublishedPort {
  const container = port.containerPort ?? host;
  return { name: port.name, host, container, inside: `${container}/${port.protocol}` };
}

function bindings(ports: readonly PublishedPort[]): Record<string, { HostIp: string; HostPort: string }[]> {
  const byInside: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { inside, host } of ports) {
    byInside[inside] ??= [];
    byInside[inside].push({ HostIp: '0.0.0.0', HostPort: String(host) });
  }
  return byInside;
}

/** Where to listen, as seen from inside: `PORT` for the first, `PORT_<NAME>` for each. */
function portVariables(ports: readonly PublishedPort[]): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const { name, container } of ports) {
    variables.PORT ??= String(container);
    variables[`PORT_${name.toUpperCase().replaceAll('-', '_')}`] = String(container);
  }
  return variables;
}
