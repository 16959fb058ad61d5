/** B1 and B2: a placer that has seen everything happen answers as one that sees it all for the first time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../node/sha256.ts';
import { must } from '../base/assert.ts';
import { summaryOfNode } from '../capacity/summaries.ts';
import type { Report } from '../model/messages.ts';
import { PLACEMENT_POLICIES, serviceSpecSchema } from '../model/service.ts';
import { apply } from './apply.ts';
import type { Command, Decision } from './commands.ts';
import { Observed } from './observed.ts';
import { Placer } from './placer.ts';
import { OrchestratorState } from './state.ts';

const CHILDREN = ['a', 'b', 'c', 'd'];
const SERVICES = ['s0', 's1', 's2'];
const MIB = 2 ** 20;

const child = fc.constantFrom(...CHILDREN);
const service = fc.constantFrom(...SERVICES);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('place' as const),
      service,
      count: fc.integer({ min: 1, max: 6 }),
      committed: fc.constantFrom('as found', 'not at all', 'for another service'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('stop' as const), at: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('forget' as const), at: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('takenUp' as const), child, cores: fc.option(fc.integer({ min: 0, max: 8 })) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cordon' as const), child, cordoned: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('link' as const), child, open: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), child }) },
  { weight: 1, arbitrary: fc.constant({ do: 'time' as const }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const summary = (name: string, cores: number) => {
  const total = { cpuMilli: 8_000, memoryBytes: 4_096 * MIB, diskBytes: 0 };
  const free = { ...total, cpuMilli: cores * 1_000 };
  return summaryOfNode({ name, total, free, load: 0, architecture: 'amd64', runtimes: ['process'], labels: {} });
};

class World {
  readonly state = new OrchestratorState(sha256);
  readonly observed = new Observed((id) => this.state.instances.has(id));
  readonly placer: Placer;
  readonly #policy: (typeof PLACEMENT_POLICIES)[number];

  constructor(policy: (typeof PLACEMENT_POLICIES)[number]) {
    this.#policy = policy;
    this.placer = new Placer(this.state, this.observed, { policy });
    this.#apply({ type: 'initialise', epoch: 'e', name: 'site' });
    this.#apply({
      type: 'request',
      request: { type: 'createToken', id: 't', secretHash: 'h', role: 'worker', expiresAtMs: null, uses: null },
    });
    for (const name of CHILDREN) {
      const request = {
        type: 'registerChild',
        name,
        kind: 'node',
        publicKeyFingerprint: name,
        tokenId: 't',
        secretHash: 'h',
      } as const;
      this.#apply({ type: 'request', request });
      const link = this.observed.link(name, 1);
      Object.assign(link, { session: name, summary: summary(name, 8) });
    }
    for (const [at, name] of SERVICES.entries()) {
      // The first two ask for the same; of the third there is one on a node.
      const ports = at === 2 ? [{ hostPort: 80 }] : [];
      const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['x'], resources: { cpu: at === 2 ? 0.5 : 1 }, ports });
      this.#apply({ type: 'request', request: { type: 'applyService', name, labels: {}, spec } });
    }
  }

  #apply(command: Command): void {
    const { told, changedMembers } = apply(this.state, { atMs: 1, command });
    for (const name of [...told, ...changedMembers]) this.placer.touch(name);
  }

  #decide(...decisions: readonly Decision[]): void {
    this.#apply({ type: 'decide', decisions });
  }

  take(step: Step): void {
    const instances = [...this.state.instances.values()];
    if (step.do === 'time') this.placer.touchAll(1);
    if ('child' in step) this.placer.touch(step.child);
    if (step.do === 'place') this.#place(step.service, step.count, step.committed);
    if (step.do === 'stop' || step.do === 'forget') {
      const instance = instances[step.at % Math.max(1, instances.length)]?.id;
      if (instance) this.#decide(step.do === 'stop' ? { do: 'stop', instance, leaving: 'scaling' } : { do: 'forget', instance });
    }
    if (step.do === 'cordon') {
      const member = this.state.members.get(step.child);
      if (member) member.cordoned = step.cordoned;
    }
    const link = this.observed.links.get(step.do === 'takenUp' || step.do === 'link' ? step.child : '');
    if (step.do === 'link' && link) link.session = step.open ? step.child : null;
    if (step.do === 'takenUp' && link) {
      const version = this.state.members.get(step.child)?.version ?? 0;
      const news = step.cores === null ? {} : { summary: summary(step.child, step.cores) };
      const report: Report = {
        type: 'report',
        session: step.child,
        sequence: link.sequence + 1,
        version,
        changed: [],
        gone: [],
        ...news,
      };
      this.observed.reportReceived(link, report, 1);
    }
    if (step.do === 'remove' && this.state.countOn(step.child) === 0) {
      this.state.removeMember(step.child);
      this.observed.forgetChild(step.child);
    }
  }

  /** A round, by both placers; the one that has seen all goes on, whether the round was committed or not. */
  #place(service: string, count: number, committed: string): void {
    const anew = new Placer(this.state, this.observed, { policy: this.#policy });
    const [seasoned, fresh] = [this.placer, anew].map((placer) => {
      placer.beginRound(1);
      return Array.from({ length: count }, (_, at) => {
        const record = this.state.services.get(service);
        const spec = record?.specs.get(1);
        const instance = `${service}-${this.state.nextNumber + at}`;
        return spec && placer.findPlace(spec, { service, instance, target: null, avoid: null });
      });
    });
    expect(seasoned).toEqual(fresh);
    if (committed === 'not at all') return;
    for (const found of seasoned ?? []) {
      const number = this.state.nextNumber;
      if (found)
        this.#decide({
          do: 'create',
          id: `${service}-${number}`,
          number,
          service: committed === 'as found' ? service : must(SERVICES.at(SERVICES.indexOf(service) - 1), 'another service'),
          generation: 1,
          replaces: null,
          target: null,
          avoid: null,
          child: found.ok ? found.value.child : null,
          seen: found.ok ? found.value.seen : undefined,
        });
    }
    this.placer.assertFresh();
  }
}

describe('a placer', () => {
  it('answers after whatever has happened as one that was just made (B1, B2)', () => {
    fc.assert(
      fc.property(fc.constantFrom(...PLACEMENT_POLICIES), fc.array(step, { maxLength: 40 }), (policy, steps) => {
        const world = new World(policy);
        for (const step of steps) world.take(step);
      }),
      { numRuns: 400 },
    );
  });
});
