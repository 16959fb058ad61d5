/** E5 and E6 over restarts: what was refused stays refused, and what is leaving holds its share until it is gone. */
import { expect, it } from 'vitest';
import { type Assignment, assignmentSchema } from '../model/messages.ts';
import { Engine, type EngineEffect, type EngineInput, type FoundOnNode } from './engine.ts';
import type { SavedWishes } from './saved-wishes.ts';

const NOW_MS = 1_000_000;

function assignment(id: string, cpu: number): Assignment {
  return assignmentSchema.parse({ id, service: 'web', spec: { runtime: 'process', command: ['serve'], resources: { cpu } } });
}

/** A node with one core. */
function engine(saved: SavedWishes | null, found: readonly FoundOnNode[] = []) {
  const core = new Engine({
    name: 'n1',
    software: 'test',
    architecture: 'amd64',
    runtimes: ['process'],
    labels: {},
    position: undefined,
    total: { cpuMilli: 1_000, memoryBytes: 2 ** 30, diskBytes: 0 },
    random: { next: () => 0 },
  });
  const step = (input: EngineInput): readonly EngineEffect[] => core.step(NOW_MS, input);
  const restored = step({ type: 'restored', saved, found });
  step({ type: 'uplinkOpened', session: 's' });
  const want = (set: readonly Assignment[]) =>
    step({
      type: 'uplinkMessageReceived',
      message: {
        type: 'desired',
        session: 's',
        epoch: 'e',
        from: saved?.version ?? 0,
        to: (saved?.version ?? 0) + 1,
        more: false,
        heartbeatMs: 1_000,
        set: [...set],
        unset: [],
      },
    });
  const savedUpTo = (version: number) => step({ type: 'wishesSaved', epoch: 'e', version });
  return { core, restored, want, savedUpTo };
}

const wishesOf = (effects: readonly EngineEffect[]) =>
  effects.flatMap((effect) => (effect.type === 'saveWishes' ? [effect.wishes] : [])).at(-1) ?? null;
const startsIn = (effects: readonly EngineEffect[]) =>
  effects.flatMap((effect) => (effect.type === 'startInstance' ? [effect.assignment.id] : []));

it('makes a refusal durable before the parent hears of it, and keeps it over a reboot (E6)', () => {
  const before = engine(null);
  before.want([assignment('a-1', 0.8), assignment('b-2', 0.8)]);
  const takenUp = before.savedUpTo(1);
  expect(startsIn(takenUp)).toEqual(['a-1']);
  expect(before.core.reports.get('b-2')?.state).toBe('SCHEDULED_NODE');
  const wishes = wishesOf(takenUp);
  expect(wishes?.refused.map(({ id }) => id)).toEqual(['b-2']);
  before.savedUpTo(1);
  expect(before.core.reports.get('b-2')?.state).toBe('REFUSED');

  // Even with the room that it lacked: another node may have it by now.
  const free = wishes && { ...wishes, assignments: wishes.assignments.filter(({ id }) => id === 'b-2') };
  const after = engine(free);
  expect(startsIn(after.restored)).toEqual([]);
  expect(after.core.reports.get('b-2')?.state).toBe('REFUSED');
});

it('counts what is leaving until it is gone, also after a restart (E5)', () => {
  const saved = { epoch: 'e', version: 3, assignments: [], refused: [], leaving: [assignment('a-1', 0.8)] };
  const node = engine(saved, [{ id: 'a-1', runtime: 'process', running: true, exitCode: null, endpoints: [] }]);
  expect(node.restored).toMatchObject([{ type: 'retireInstance', id: 'a-1' }]);
  node.want([assignment('b-2', 0.8)]);
  expect(startsIn(node.savedUpTo(4))).toEqual([]);
  node.savedUpTo(4);
  expect(node.core.reports.get('b-2')?.state).toBe('REFUSED');
  expect(node.core.reports.get('a-1')?.state).toBe('STOPPING');
});
