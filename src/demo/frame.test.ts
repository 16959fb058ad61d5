import { expect, test } from 'vitest';
import { painter } from '../cli/output/painter.ts';
import type { ChildView, InstanceView } from '../core/model/views.ts';
import { drawFrame, type Scene } from './frame.ts';

const child = (name: string, kind: 'node' | 'cluster'): ChildView => ({
  name,
  kind,
  state: 'ready',
  software: '1',
  registeredAtMs: 0,
  lastHeardMs: 0,
  instances: 0,
  summary: null,
});

const instance = (id: string, node: string, state: InstanceView['state'] = 'RUNNING'): InstanceView => ({
  id,
  service: id.replace(/-\d+$/, ''),
  generation: 1,
  state,
  reason: state === 'RUNNING' ? '' : 'a reason that is much longer than the room that a narrow terminal has for it',
  child: 'garching',
  node,
  endpoints: [{ name: 'http', address: '127.0.0.1', port: 40_000 }],
  restarts: 0,
  exitCode: null,
  createdAtMs: 0,
  sinceMs: 0,
  replaces: null,
  refusals: [],
});

const nodes = ['garching/n1', 'garching/n2', 'garching/n3', 'potsdam/n1', 'potsdam/n2', 'potsdam/n3'];
const scene: Scene = {
  url: 'https://127.0.0.1:17443',
  directory: '/tmp/tendril-demo-abcdef',
  clusters: ['garching', 'potsdam'].map((name) => ({ name, nodes: ['n1', 'n2', 'n3'] })),
  pids: new Map(['root', 'garching', 'potsdam', ...nodes].map((name, index) => [name, 4_000_000 + index])),
  children: new Map([
    ...['garching', 'potsdam'].map((name) => [name, child(name, 'cluster')] as const),
    ...nodes.map((name) => [name, child(name, 'node')] as const),
  ]),
  instances: [instance('web-1', 'garching/n1'), instance('web-2', 'potsdam/n1'), instance('clock-3', 'potsdam/n3')],
  events: Array.from({ length: 50 }, (_, index) => ({
    sequence: index,
    atMs: index,
    level: 'info' as const,
    subject: 'instance/web-1',
    message: `event ${index}`,
  })),
  notes: ['hello-container is left out: this machine has no Docker or Podman'],
  startedAtMs: 0,
  nowMs: 12_000,
  answeredAtMs: 12_000,
};
const plain = painter(false);
// biome-ignore lint/suspicious/noControlCharactersInRegex: a colour starts with one
const visible = (line: string) => line.replace(/\u001b\[\d+m/g, '');

test('a small terminal shows the tree, the instances and what to try', () => {
  const text = drawFrame(scene, { columns: 80, rows: 24 }, plain).join('\n');
  for (const word of [
    'https://127.0.0.1:17443',
    ...scene.instances.map(({ id }) => id),
    'left out',
    'kill -9 4000003',
    'env',
    'curl',
  ])
    expect(text).toContain(word);
  expect(text).not.toContain('…');
});

test.each([
  [80, 24],
  [120, 40],
  [60, 15],
  [40, 10],
])('it fits %i columns and %i rows, however much there is', (columns, rows) => {
  const many = Array.from({ length: 40 }, (_, index) =>
    instance(`a-service-with-quite-a-long-name-${index}`, 'garching/n1', index === 39 ? 'SCHEDULED_CLUSTER' : 'RUNNING'),
  );
  for (const paint of [plain, painter(true)]) {
    const lines = drawFrame({ ...scene, instances: many, answeredAtMs: 0 }, { columns, rows }, paint);
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines) expect(visible(line).length).toBeLessThanOrEqual(columns);
  }
});

test('what has died is said, and how it comes back', () => {
  const pids = new Map([...scene.pids].filter(([name]) => name !== 'potsdam/n2'));
  const text = drawFrame({ ...scene, pids }, { columns: 120, rows: 40 }, plain).join('\n');
  expect(text).toMatch(/n2 {2}dead/);
  expect(text).toContain('tendril up --data-dir $DEMO/potsdam-n2');
  expect(text).toContain('event 49');
});

test('where not all have room, what is on its way comes first', () => {
  const many = [...Array.from({ length: 20 }, (_, index) => instance(`web-${index}`, 'garching/n1'))];
  const text = drawFrame(
    { ...scene, instances: [...many, instance('web-99', '', 'REQUESTED')] },
    { columns: 80, rows: 24 },
    plain,
  );
  expect(text.join('\n')).toMatch(/web-99 +REQUESTED/);
  expect(text.join('\n')).toMatch(/and \d+ more/);
});
