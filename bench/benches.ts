/** The benches there are. Each is loaded when it is run. */
import type { Bench } from './bench.ts';

export interface BenchEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Bench>;
}

export const benches: readonly BenchEntry[] = [
  {
    name: 'footprint',
    summary: 'memory, CPU and disk writes of idle nodes, beside a bare Node and an idle Docker Swarm manager',
    load: async () => (await import('./footprint.ts')).footprint,
  },
  {
    name: 'deploy',
    summary:
      'from the request to RUNNING through root, cluster and node; killed processes and nodes; containers against Docker Swarm',
    load: async () => (await import('./deploy.ts')).deploy,
  },
  {
    name: 'placement',
    summary: 'one placement with area and label constraints in the core, over 500 and 10,000 children',
    load: async () => (await import('./placement.ts')).placement,
  },
  {
    name: 'log',
    summary: 'commits to the log of a replica alone, one at a time and in groups, beside plain synced writes',
    load: async () => (await import('./log-append.ts')).logAppend,
  },
  {
    name: 'commit',
    summary: 'committed placements over 10,000 children, from the requests to what the children are sent, beside the log alone',
    load: async () => (await import('./commit.ts')).commit,
  },
  {
    name: 'append',
    summary: 'appends a second and their latency, three voters, beside etcd: the same client, disk and minutes',
    load: async () => (await import('./append.ts')).append,
  },
  {
    name: 'on-demand',
    summary: "Messina's experiment: six nodes, gateways that lead on demand, its eight phases, and decisions at saturation",
    load: async () => (await import('./on-demand.ts')).onDemand,
  },
  {
    name: 'failover',
    summary: 'from the death of the leader to the next commit, three voters, beside etcd over the same links',
    load: async () => (await import('./failover.ts')).failover,
  },
  {
    name: 'false-elections',
    summary: 'elections that nobody needs, in idle hours over links that lose packets, simulated',
    load: async () => (await import('./false-elections.ts')).falseElections,
  },
];
