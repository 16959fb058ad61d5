/** Rounds of decisions, of an orchestrator that has services and nobody to run them. */

import { describe, expect, it } from 'vitest';
import { must } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { ALONE } from '../model/leadership.ts';
import { serviceSpecSchema } from '../model/service.ts';
import { type Command, type Decision, decodeCommand, encodeCommand } from './commands.ts';
import { Orchestrator } from './orchestrator.ts';
import { testInit } from './testing/init.ts';

interface Proposed {
  readonly data: string;
  readonly proposal: number;
}

class Site {
  readonly core = new Orchestrator(testInit());
  #index = 0;

  constructor() {
    this.core.step(1_000, { type: 'logReady', leadership: ALONE });
    this.commit({ type: 'initialise', epoch: 'e', name: 'edge' });
  }

  /** What is proposed thereupon. */
  commit(entry: Command | Proposed): readonly Proposed[] {
    this.#index += 1;
    const { data, proposal } =
      'data' in entry ? entry : { data: encodeCommand({ atMs: 1_000, command: entry }), proposal: undefined };
    const effects = this.core.step(1_000, { type: 'entryCommitted', index: this.#index, data, proposal });
    return effects.flatMap((effect) => (effect.type === 'propose' ? [{ data: effect.data, proposal: effect.proposal }] : []));
  }

  ask(name: string, replicas: number): readonly Proposed[] {
    const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['x'], replicas });
    return this.commit({ type: 'request', request: { type: 'applyService', name, labels: {}, spec } });
  }
}

function decisionsIn({ data }: Proposed): readonly Decision[] {
  const { command } = decodeCommand(data);
  if (command.type !== 'decide') throw new Error('not a round of decisions');
  return command.decisions;
}

function servicesIn(round: Proposed): readonly string[] {
  return decisionsIn(round).map((decision) => (decision.do === 'create' ? decision.service : ''));
}

describe('rounds of decisions', () => {
  it('are of a bounded size: what is left over is decided when the round is committed', () => {
    const site = new Site();
    const sizes: number[] = [];
    const waiting = [...site.ask('large', limits.replicas)];
    for (let round = waiting.shift(); round !== undefined; round = waiting.shift()) {
      sizes.push(decisionsIn(round).length);
      waiting.push(...site.commit(round));
    }
    expect(sizes.slice(0, -1).every((size) => size === limits.decisionsPerRound)).toBe(true);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(limits.replicas);
    expect(site.core.state.instances.size).toBe(limits.replicas);
  });

  it('come for a service that asks for little before the rest of one that asks for much', () => {
    const site = new Site();
    const [first] = site.ask('large', limits.replicas);
    site.ask('small', 1);
    const [second] = site.commit(must(first, 'a round'));
    const rest = Array.from({ length: limits.decisionsPerRound - 1 }, () => 'large');
    expect(servicesIn(must(second, 'a second round'))).toEqual(['small', ...rest]);
  });

  it('finish a service that was begun before another one of its size', () => {
    const site = new Site();
    const turns: string[][] = [];
    const waiting = ['a', 'b', 'c'].flatMap((name) => site.ask(name, limits.replicas));
    for (let round = waiting.shift(); round !== undefined; round = waiting.shift()) {
      turns.push([...new Set(servicesIn(round))]);
      waiting.push(...site.commit(round));
    }
    const turnsOf = (service: string) => turns.flatMap((services, at) => (services.includes(service) ? [at] : []));
    expect(turnsOf('a')).toEqual([0, 1, 2, 3]);
    expect(turnsOf('c').at(0)).toBe(turnsOf('b').at(-1));
  });
});
