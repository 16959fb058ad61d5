/** A node's or a cluster's place with its parent: joining, the certificate and its renewal, the uplink, streams. */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { MqttUplink } from '../adapters/mqtt/uplink.ts';
import { makeKey } from '../adapters/tls/certificate-request.ts';
import { type ChildIdentity, dialOptions } from '../adapters/tls/dial.ts';
import { validityOf } from '../adapters/tls/fingerprint.ts';
import { CodedError } from '../core/model/errors.ts';
import type { ChildKind } from '../core/model/membership.ts';
import type { ParentLinkComponents } from '../node/parent-link.ts';
import { Renewal } from '../node/renewal.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { readText, writeText } from './documents.ts';
import { systemRandom } from './random.ts';

const KEY = 'member-key.pem';
const CERTIFICATE = 'member.pem';
const PARENT_CA = 'parent-ca.pem';

export interface ParentInfo {
  readonly url: string;
  readonly name: string;
  readonly broker?: string | undefined;
}

/** Joins with a token. The key is kept first, so that a retry after a lost answer is the same member; the rest only when all went well. */
export async function join(
  store: Store,
  wish: { readonly url: string; readonly token: string; readonly name: string; readonly kind: ChildKind; readonly nowMs: number },
): Promise<ParentInfo> {
  const { joinParent } = await import('../adapters/tls/join-client.ts');
  const known = await readText(store, KEY);
  const keyPem = known ?? (await makeKey());
  if (known === null) await writeText(store, KEY, keyPem);
  const answer = await joinParent({ ...wish, keyPem });
  await writeText(store, PARENT_CA, answer.caPem);
  await writeText(store, CERTIFICATE, answer.certificatePem);
  return { url: wish.url, name: answer.orchestratorName, ...(answer.broker === undefined ? {} : { broker: answer.broker }) };
}

export interface Membership {
  readonly link: ParentLinkComponents;
  /** A connection to the parent under the name that it asked for. */
  dialBack(id: string): Promise<Duplex>;
  close(): void;
}

export async function openMembership(
  components: { readonly store: Store; readonly clock: Clock; readonly logger: Logger },
  init: { readonly name: string; readonly parent: ParentInfo },
): Promise<Membership> {
  const { store, clock, logger } = components;
  let identity = await readIdentity(store);
  const { url, broker } = init.parent;
  const renewal = new Renewal(
    {
      clock,
      random: systemRandom,
      renew: async () => {
        const { renewAtParent } = await import('../adapters/tls/join-client.ts');
        identity = await renewAtParent(url, identity);
        await writeText(store, CERTIFICATE, identity.certificatePem);
        logger.info(
          { validUntil: new Date(validityOf(identity.certificatePem).notAfterMs).toISOString() },
          'certificate renewed',
        );
        return validityOf(identity.certificatePem);
      },
      failed: (error) => logger.warn({ problem: problemOf(error) }, 'the certificate could not be renewed; trying again'),
    },
    validityOf(identity.certificatePem),
  );
  renewal.start();
  const mqttUrl = broker ?? `${url.replace(/^https:/, 'wss:').replace(/\/$/, '')}/mqtt`;
  const warn = (message: string, details: Readonly<Record<string, string | number>>) => logger.warn(details, message);
  return {
    link: {
      uplink: new MqttUplink(
        { clock, random: systemRandom, warn },
        { url: mqttUrl, name: init.name, tls: () => dialOptions(identity) },
      ),
      newSessionId: () => randomBytes(9).toString('base64url'),
    },
    dialBack: async (id) => {
      const { dialBack } = await import('../adapters/streams/dial-back.ts');
      return dialBack(url, id, dialOptions(identity));
    },
    close: () => renewal.stop(),
  };
}

async function readIdentity(store: Store): Promise<ChildIdentity> {
  const [keyPem, certificatePem, caPem] = await Promise.all([
    readText(store, KEY),
    readText(store, CERTIFICATE),
    readText(store, PARENT_CA),
  ]);
  if (keyPem === null || certificatePem === null || caPem === null)
    throw new CodedError('data_dir_corrupt', 'this node has joined, but its key or its certificate is missing');
  return { keyPem, certificatePem, caPem };
}

function problemOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
