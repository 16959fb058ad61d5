/**
 * How a child, or a user's CLI, dials an orchestrator: TLS 1.3, and no authority trusted but the one it
 * joined. Used by HTTPS calls, MQTT over WebSocket and streams alike (`ws` takes them as the options of an
 * https.Agent). Loads nothing but Node's own TLS.
 */
import { type ConnectionOptions, checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { ReplicaId } from '../../core/raft/membership.ts';
import { isOrchestrator, replicaOf } from './identity-name.ts';

export interface Trust {
  readonly caPem: string;
}

/** What a child holds after joining, and a replica likewise. */
export interface ChildIdentity extends Trust {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export type DialOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'minVersion' | 'rejectUnauthorized'> & {
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
};

/** With only a CA it dials as a stranger: for joining, and for users, who bring a token. */
export function dialOptions(trust: Trust | ChildIdentity): DialOptions {
  const own = 'keyPem' in trust ? { cert: trust.certificatePem, key: trust.keyPem } : {};
  return { ...own, ca: trust.caPem, minVersion: 'TLSv1.3', rejectUnauthorized: true, checkServerIdentity: checkOrchestrator };
}

/** To another replica: whatever answers at its address has to be that one, and not whoever took its place. */
export function dialReplicaOptions(identity: ChildIdentity, id: ReplicaId): DialOptions {
  return {
    ...dialOptions(identity),
    checkServerIdentity: (_host, certificate) => {
      const found = replicaOf(certificate.subjectaltname);
      return found?.id === id ? undefined : new Error(`that is ${found ? `replica ${found.id}` : 'no replica'}, not ${id}`);
    },
  };
}

/**
 * The pinned authority signs `tendril://orchestrator` for orchestrators only, so behind whatever address or
 * NAT it was found, it is the right one. A broker that the operator runs is known by its host name instead.
 */
function checkOrchestrator(host: string, certificate: PeerCertificate): Error | undefined {
  return isOrchestrator(certificate.subjectaltname) ? undefined : checkServerIdentity(host, certificate);
}
