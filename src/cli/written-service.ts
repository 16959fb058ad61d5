/**
 * A Service as a person would write it: the exact inverse of reading one. Plain numbers become the units
 * that say them exactly (cores, bytes, milliseconds); what is empty by default is left out.
 */
import { formatDuration, parseDurationMs } from '../core/base/duration.ts';
import { formatBytes, formatCores, parseBytes, parseCores } from '../core/base/quantity.ts';
import { API_VERSION, type ServiceSpec } from '../core/model/service.ts';

export interface Declared {
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: ServiceSpec;
}

export function writtenService(name: string, { labels, spec }: Declared): Record<string, unknown> {
  return {
    apiVersion: API_VERSION,
    kind: 'Service',
    metadata: { name, ...(Object.keys(labels).length > 0 && { labels }) },
    spec: writtenSpec(spec),
  };
}

export function writtenSpec(spec: ServiceSpec): Record<string, unknown> {
  const { resources, disconnect, restart, update, stopGrace, placement, ...rest } = spec;
  const written = {
    ...rest,
    resources: { cpu: cores(resources.cpu), memory: bytes(resources.memory), disk: bytes(resources.disk) },
    placement: withoutEmpty(placement),
    update: { ...update, provenAfter: duration(update.provenAfter) },
    restart: {
      backoff: duration(restart.backoff),
      maxBackoff: duration(restart.maxBackoff),
      resetAfter: duration(restart.resetAfter),
    },
    disconnect: {
      ...disconnect,
      ...(disconnect.lostAfter !== undefined && { lostAfter: duration(disconnect.lostAfter) }),
      ...(disconnect.stopOnNodeAfter !== undefined && { stopOnNodeAfter: duration(disconnect.stopOnNodeAfter) }),
    },
    stopGrace: duration(stopGrace),
  };
  return withoutEmpty(written);
}

/** An empty `command` of a container means something else than none; all other empty things are defaults. */
function withoutEmpty(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).filter(([key, inner]) => {
      if (inner === undefined) return false;
      if (key === 'command' || typeof inner !== 'object' || inner === null) return true;
      return Object.keys(inner).length > 0;
    }),
  );
}

const cores = exactly(formatCores, parseCores);
const bytes = exactly(formatBytes, parseBytes);
const duration = exactly(formatDuration, parseDurationMs);

/** With a unit where reading it gives the same number again, else the number. */
function exactly(format: (value: number) => string, parse: (text: string) => number | null) {
  return (value: number): string | number => {
    const text = format(value);
    return parse(text) === value && !/^\d+$/.test(text) ? text : value;
  };
}
