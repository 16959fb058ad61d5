/** A node's or a cluster's place with its parent: joining, the certificate and its renewal, the uplink, streams. */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import * as z from 'zod/mini';
import { MqttUplink } from '../adapters/mqtt/uplink.ts';
import { makeKey } from '../adapters/tls/certificate-request.ts';
import { type ChildIdentity, dialOptions } from '../adapters/tls/dial.ts';
import { validityOf } from '../adapters/tls/fingerprint.ts';
import { Addresses } from '../core/base/addresses.ts';
import { CodedError } from '../core/model/errors.ts';
import type { ChildKind } from '../core/model/membership.ts';
import type { ParentLinkComponents } from '../node/parent-link.ts';
import { Renewal } from '../node/renewal.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { readParentUrls, readText, writeParentUrls, writeText } from './documents.ts';
import { readProfile, writeProfile } from './profile.ts';
import { systemRandom } from './random.ts';

const KEY = 'member-key.pem';
const CERTIFICATE = 'member.pem';
const PARENT_CA = 'parent-ca.pem';

export interface ParentInfo {
  readonly url: string;
  readonly name: string;
  readonly broker?: string | undefined;
}

/** What a cluster is to its parent by: its voters share it. */
export const parentIdentitySchema = z.object({
  url: z.string(),
  name: z.string(),
  broker: z.optional(z.string()),
  keyPem: z.string(),
  certificatePem: z.string(),
  caPem: z.string(),
});
export type ParentIdentity = z.output<typeof parentIdentitySchema>;

/** null: there is no parent. */
export async function readParentIdentity(store: Store): Promise<ParentIdentity | null> {
  const parent = (await readProfile(store))?.parent ?? null;
  if (parent === null) return null;
  const { url, name, broker } = parent;
  return { url, name, ...(broker === undefined ? {} : { broker }), ...(await readIdentity(store)) };
}

/** From another voter. The profile comes last: it says that there is a parent. */
export async function writeParentIdentity(store: Store, parent: ParentIdentity): Promise<void> {
  const { url, name, broker } = parent;
  await writeText(store, KEY, parent.keyPem);
  await writeText(store, PARENT_CA, parent.caPem);
  await writeText(store, CERTIFICATE, parent.certificatePem);
  const profile = await readProfile(store);
  if (profile) await writeProfile(store, { ...profile, parent: { url, name, ...(broker === undefined ? {} : { broker }) } });
}

/** Of a replica that votes no longer. */
export async function removeParentIdentity(store: Store): Promise<void> {
  const profile = await readProfile(store);
  if (profile?.parent) await writeProfile(store, { ...profile, parent: null });
  for (const name of [CERTIFICATE, KEY, PARENT_CA]) await store.remove(name);
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
  if ((await readParentUrls(store)).length > 0) await writeParentUrls(store, []); // of another parent
  await writeText(store, PARENT_CA, answer.caPem);
  await writeText(store, CERTIFICATE, answer.certificatePem);
  return { url: wish.url, name: answer.orchestratorName, ...(answer.broker === undefined ? {} : { broker: answer.broker }) };
}

export interface Membership {
  readonly link: ParentLinkComponents;
  /** Of the parent's replicas the one that the link is with; without a link, the one that is dialled next. */
  parentUrl(): string;
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
  const { broker } = init.parent;
  const given = new URL(init.parent.url).origin;
  const replicas = new Addresses({ given, known: (await readParentUrls(store)).filter(isUsable), random: systemRandom });
  let remembering = Promise.resolve();
  const told = (urls: readonly string[]) => {
    if (!replicas.told(urls.filter(isUsable))) return;
    remembering = remembering
      .then(() => writeParentUrls(store, replicas.all))
      .catch((error) => logger.warn({ problem: problemOf(error) }, 'the addresses of the orchestrator could not be kept'));
  };
  const renewal = new Renewal(
    {
      clock,
      random: systemRandom,
      renew: async () => {
        const { renewAtParent } = await import('../adapters/tls/join-client.ts');
        identity = await inTurn(replicas.all, (url) => renewAtParent(url, identity));
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
  const warn = (message: string, details: Readonly<Record<string, string | number>>) => logger.warn(details, message);
  return {
    link: {
      uplink: new MqttUplink(
        { clock, warn },
        {
          addresses: broker === undefined ? replicas : new Addresses({ given: broker, random: systemRandom }),
          name: init.name,
          tls: () => dialOptions(identity),
        },
      ),
      newSessionId: () => randomBytes(9).toString('base64url'),
      told,
    },
    parentUrl: () => replicas.present,
    dialBack: async (id) => {
      const { dialBack } = await import('../adapters/streams/dial-back.ts');
      return inTurn(replicas.all, (url) => dialBack(url, id, dialOptions(identity)));
    },
    close: () => renewal.stop(),
  };
}

/** The schema has seen to its form; whether it is a host that can be is known here. */
function isUsable(url: string): boolean {
  return URL.canParse(url);
}

/** With the first that it works with. Rejects with the reason of the one that was tried first. */
async function inTurn<T>(urls: readonly string[], attempt: (url: string) => Promise<T>): Promise<T> {
  let first: unknown = null;
  for (const url of urls) {
    try {
      return await attempt(url);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      first ??= error;
    }
  }
  throw first;
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
