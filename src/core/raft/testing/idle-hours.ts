/**
 * A group with nothing to do, over links that lose packets: how often is there an election, with a leader that was there
 * all the time? The links are streams, as replicas have them (TCP: what is lost comes late, and what follows waits for
 * it), or bare datagrams, where it never comes.
 */
import { assert } from '../../base/assert.ts';
import { CALM, Cluster } from './cluster.ts';

const HOUR_MS = 3_600_000;
/** The first leader has measured the round trip by then. */
const WARM_UP_MS = 60_000;
/** Linux: the round trip and at least 200 ms (RFC 6298; TCP_RTO_MIN), with nothing behind the lost packet that would tell of it sooner. */
const LEAST_RETRANSMISSION_MS = 200;

export interface IdleKnobs {
  readonly seed: number;
  readonly voters: number;
  readonly roundTripMs: number;
  readonly lossRate: number;
  readonly links: 'streams' | 'datagrams';
}

export interface IdleHour {
  readonly elections: number;
  /** Replicas that heard nobody for so long that they asked whether they would be elected, and were told no. */
  readonly asked: number;
  readonly lost: number;
}

export function idleHour({ seed, voters, roundTripMs, lossRate, links }: IdleKnobs): IdleHour {
  const network = {
    latencyMs: 0.48 * roundTripMs,
    jitterMs: 0.04 * roundTripMs,
    lossRate,
    repeatRate: 0,
    strayRate: 0,
    retransmitMs: links === 'streams' ? roundTripMs + LEAST_RETRANSMISSION_MS : null,
  };
  const cluster = new Cluster({ ...CALM, seed, voters, network });
  assert(
    cluster.runUntil(() => cluster.leader() !== null, WARM_UP_MS),
    'somebody leads',
  );
  cluster.run(WARM_UP_MS);
  const count = () => ({
    elections: cluster.invariants.elections,
    asked: cluster.fired.get('asked') ?? 0,
    lost: cluster.fired.get('loss') ?? 0,
  });
  const before = count();
  cluster.run(HOUR_MS);
  const after = count();
  return {
    elections: after.elections - before.elections,
    asked: after.asked - before.asked,
    lost: after.lost - before.lost,
  };
}
