import { beforeAll } from 'vitest';
import { PeerNetwork } from '../../src/adapters/memory/peer-link.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import type { ChildIdentity } from '../../src/adapters/tls/dial.ts';
import { Prng } from '../../src/core/base/prng.ts';
import { Certificates } from '../rig/certificates.ts';
import { PeerSite } from '../rig/peer-site.ts';
import { describePeerLink, type PeerWorld, REPLICAS } from './peer-link.ts';

const identities = new Map<string, ChildIdentity>();

beforeAll(async () => {
  const certificates = await Certificates.make();
  for (const id of REPLICAS) identities.set(id, await certificates.replicaIdentity(`node-${id}`, id));
});

async function memoryWorld(patienceMs: number): Promise<PeerWorld> {
  const network = new PeerNetwork(
    { clock: systemClock, random: new Prng(1) },
    { latencyMs: 1, jitterMs: 2, silenceMs: patienceMs },
  );
  return {
    link: (id, options) => network.link(id, options),
    membership: (_, ids) => ids.map((id) => ({ id, name: `node-${id}`, url: `https://${id}:7443`, role: 'voter' })),
    break: (a, b) => void network.break(a, b),
    block: (a, b) => {
      network.block(a, b);
      network.block(b, a);
    },
    heal: (a, b) => network.heal(a, b),
    hold: (a, b) => network.block(a, b),
    release: (a, b) => network.heal(a, b),
    stop: () => Promise.resolve(),
  };
}

async function webSocketWorld(patienceMs: number): Promise<PeerWorld> {
  const site = await PeerSite.open(identities, patienceMs);
  return {
    link: (id, options) => site.link(id, options),
    membership: (of, ids) => site.membership(of, ids),
    break: (a, b) => {
      for (const wire of site.between(a, b)) wire.cut();
    },
    block: (a, b) => {
      for (const wire of site.between(a, b)) wire.stall();
    },
    heal: (a, b) => {
      for (const wire of site.between(a, b)) wire.heal();
    },
    hold: (a, b) => {
      for (const wire of site.between(a, b)) wire.hold();
    },
    release: (a, b) => {
      for (const wire of site.between(a, b)) wire.release();
    },
    stop: () => site.close(),
  };
}

describePeerLink('memory', memoryWorld);
describePeerLink('TLS WebSockets', webSocketWorld);
