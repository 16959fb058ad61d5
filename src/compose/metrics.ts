/** What Prometheus reads: counts of what there is, states of instances, the process itself. Label sets stay small. */
import { Gauge, Registry } from 'prom-client';
import type { UplinkCounters } from '../adapters/mqtt/payload.ts';
import { INSTANCE_STATES } from '../core/model/instance-state.ts';
import type { OrchestratorBackend } from '../node/orchestrator-backend.ts';

export interface Metrics {
  /** Prometheus text format. */
  text(): Promise<string>;
}

/** Values are read when somebody asks: an orchestrator that nobody scrapes computes nothing. */
export function composeMetrics(sources: {
  readonly backend: OrchestratorBackend;
  readonly uplinkCounters: () => UplinkCounters;
}): Metrics {
  const registry = new Registry();
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  const { backend, uplinkCounters } = sources;
  gauge('tendril_services', 'Services, those of the parent included.', () => backend.services().length);
  gauge('tendril_instances_wanted', 'Instances that shall run.', () => backend.status().instances.wanted);
  gauge('tendril_log_index', 'Index of the last applied log entry.', () => backend.status().log.index);
  gauge('tendril_parent_connected', '1 while the link to the parent is open.', () =>
    backend.status().parent?.connected ? 1 : 0,
  );
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge('process_cpu_seconds_total', 'CPU used since the start.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  for (const direction of ['In', 'Out'] as const) {
    const name = direction === 'In' ? 'received' : 'sent';
    gauge(
      `tendril_uplink_messages_${name}_total`,
      `Messages ${name} on children's links.`,
      () => uplinkCounters()[`messages${direction}`],
    );
    gauge(
      `tendril_uplink_bytes_${name}_total`,
      `Payload bytes ${name} on children's links.`,
      () => uplinkCounters()[`bytes${direction}`],
    );
  }
  gauge(
    'tendril_uplink_messages_invalid_total',
    "Messages on children's links that were dropped.",
    () => uplinkCounters().droppedInvalid,
  );
  new Gauge({
    name: 'tendril_instances',
    help: 'Instances by state.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const counts = new Map<string, number>(INSTANCE_STATES.map((state) => [state, 0]));
      for (const { state } of backend.instances()) counts.set(state, (counts.get(state) ?? 0) + 1);
      for (const [state, count] of counts) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'tendril_children',
    help: 'Nodes and clusters by state.',
    labelNames: ['kind', 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { kind, state } of backend.children()) this.inc({ kind, state });
    },
  });
  return { text: () => registry.metrics() };
}
