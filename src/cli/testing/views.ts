/** Views as an orchestrator would answer them, for tests of what the command line makes of them. */
import { serviceSpecSchema } from '../../core/model/service.ts';
import type { ChildView, EventView, InstanceView, ServiceView, TokenView } from '../../core/model/views.ts';

/** All times in these views are before it. */
export const NOW_MS = Date.UTC(2026, 0, 2, 12);

const MINUTE_MS = 60_000;

export function serviceView(view: Partial<ServiceView> = {}): ServiceView {
  return {
    name: 'web',
    labels: { app: 'web' },
    owner: 'user',
    generation: 3,
    phase: 'RUNNING',
    reason: '',
    wanted: 2,
    running: 2,
    createdAtMs: NOW_MS - 190 * MINUTE_MS,
    updatedAtMs: NOW_MS - 5 * MINUTE_MS,
    spec: serviceSpecSchema.parse({
      runtime: 'process',
      command: ['python3', '-m', 'http.server'],
      replicas: 2,
      resources: { cpu: '250m', memory: '64Mi' },
      ports: [{}],
      placement: { policy: 'spread', labels: { site: 'north' } },
    }),
    ...view,
  };
}

export function instanceView(view: Partial<InstanceView> = {}): InstanceView {
  return {
    id: 'web-1',
    service: 'web',
    generation: 3,
    state: 'RUNNING',
    reason: '',
    child: 'garching',
    node: 'garching/n2',
    endpoints: [{ name: 'http', address: '10.0.0.5', port: 31000 }],
    restarts: 0,
    exitCode: null,
    createdAtMs: NOW_MS - 5 * MINUTE_MS - 12_000,
    sinceMs: NOW_MS - 5 * MINUTE_MS,
    replaces: null,
    refusals: [],
    ...view,
  };
}

export function waitingInstance(id = 'web-2'): InstanceView {
  return instanceView({
    id,
    state: 'REQUESTED',
    reason: 'no node has room: 2 lack cpu, 1 lacks the label site=north',
    child: null,
    node: '',
    endpoints: [],
    sinceMs: NOW_MS - 42_000,
    createdAtMs: NOW_MS - 42_000,
    refusals: [
      { child: 'n1', kind: 'cpu', detail: 'needs 4 cores, 1.5 are free' },
      { child: 'garching', kind: 'labels', detail: 'no node has site=north' },
    ],
  });
}

const GIB = 2 ** 30;

export function childView(view: Partial<ChildView> = {}): ChildView {
  const total = { cpuMilli: 4_000, memoryBytes: 8 * GIB, diskBytes: 64 * GIB };
  const free = { cpuMilli: 3_500, memoryBytes: 7.5 * GIB, diskBytes: 60 * GIB };
  return {
    name: 'n1',
    kind: 'node',
    state: 'ready',
    software: '0.1.0',
    registeredAtMs: NOW_MS - 26 * 60 * MINUTE_MS,
    lastHeardMs: NOW_MS - 2_000,
    instances: 2,
    summary: {
      nodes: 1,
      total,
      free,
      load: 0.124,
      groups: [
        {
          architecture: 'arm64',
          runtimes: ['process', 'python'],
          labels: { site: 'north' },
          unclearLabels: [],
          largest: total,
          position: { latitude: 48.25, longitude: 11.65 },
          radiusKm: 0,
          points: [{ free, count: 1 }],
        },
      ],
      nodeNames: ['n1'],
      namesComplete: true,
    },
    ...view,
  };
}

export function tokenView(view: Partial<TokenView> = {}): TokenView {
  return {
    id: 'k3jq',
    role: 'worker',
    createdAtMs: NOW_MS - MINUTE_MS,
    expiresAtMs: NOW_MS + 59 * MINUTE_MS,
    usesLeft: 1,
    ...view,
  };
}

export function eventView(view: Partial<EventView> = {}): EventView {
  return { sequence: 1, atMs: NOW_MS - 42_000, level: 'info', subject: 'service/web', message: 'scaled to 2', ...view };
}
