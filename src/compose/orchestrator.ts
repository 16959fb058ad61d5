/** Puts an orchestrator together on this machine: authority, TLS port, broker, log, API, and its local node if it works itself. */
import { randomBytes, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { LevelLog } from '../adapters/level/log.ts';
import { MemoryDownlink } from '../adapters/memory/uplink.ts';
import { EmbeddedBroker } from '../adapters/mqtt/embedded-broker.ts';
import { ExternalDownlink } from '../adapters/mqtt/external-downlink.ts';
import { Authority } from '../adapters/tls/authority.ts';
import { dialOptions } from '../adapters/tls/dial.ts';
import { publicKeyFingerprint, validityOf } from '../adapters/tls/fingerprint.ts';
import { peerOf, refuseUpgrade, SecureServer } from '../adapters/tls/secure-server.ts';
import { serverNames } from '../adapters/tls/server-names.ts';
import { authenticate, hashSecret, makeToken } from '../adapters/tls/token-secret.ts';
import { createApi } from '../api/api.ts';
import { callChild } from '../api/child-api.ts';
import { isName } from '../core/base/ids.ts';
import { limits } from '../core/base/limits.ts';
import { CodedError } from '../core/model/errors.ts';
import { isMember, type Peer } from '../core/model/membership.ts';
import { AdmissionDesk } from '../node/admission.ts';
import { ChildStreams } from '../node/child-streams.ts';
import { JoinedDownlink } from '../node/joined-downlink.ts';
import { OrchestratorBackend } from '../node/orchestrator-backend.ts';
import { OrchestratorDriver } from '../node/orchestrator-driver.ts';
import { Renewal } from '../node/renewal.ts';
import { sha256 } from '../node/sha256.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { readAuthority, readServerIdentity, renewServerIdentity } from './authority-documents.ts';
import type { Profile } from './documents.ts';
import { readText, writeText } from './documents.ts';
import { composeEngine, type EngineParts } from './engine.ts';
import type { Membership } from './membership.ts';
import type { Metrics } from './metrics.ts';
import { systemRandom } from './random.ts';

/** How often a child lets itself be heard when nothing changes. */
const HEARTBEAT_MS = 1_000;
const ADMIN_TOKEN = 'admin-token';

export interface OrchestratorParts {
  readonly port: number;
  readonly adminToken: string;
  readonly caPem: string;
  readonly engine: EngineParts | null;
  close(): Promise<void>;
}

export interface OrchestratorInput {
  readonly profile: Profile;
  readonly directory: string;
  readonly software: string;
  readonly dockerHost: string | undefined;
  readonly certificateLifetimeMs: number | undefined;
  readonly onFailure: (error: Error) => void;
}

export async function composeOrchestrator(
  components: { readonly clock: Clock; readonly logger: Logger; readonly store: Store; readonly membership: Membership | null },
  input: OrchestratorInput,
): Promise<OrchestratorParts> {
  const { clock, logger, store, membership } = components;
  const { profile, software, directory, onFailure } = input;
  const startedAtMs = clock.nowMs();

  const authority = new Authority(await readAuthority(store, startedAtMs));
  const names = serverNames(profile.advertise);
  let identity = await readServerIdentity(store, authority, names, startedAtMs, input.certificateLifetimeMs);

  const warn = (message: string, details: Readonly<Record<string, string | number>>) => logger.warn(details, message);
  const local = profile.works ? new MemoryDownlink({ clock, schedule: (callback) => void setImmediate(callback) }) : null;
  const keepsName = (peer: Peer): boolean => {
    const record = driver.core.state.members.get(peer.name)?.record;
    return record === undefined || isMember(record, peer);
  };
  const broker = profile.broker === undefined ? new EmbeddedBroker({ warn, keepsName }) : null;
  const remote =
    broker ??
    new ExternalDownlink(
      { clock, random: systemRandom, warn },
      {
        url: profile.broker ?? '',
        name: profile.name,
        tls: () => dialOptions({ caPem: identity.caPem, certificatePem: identity.certificatePem, keyPem: identity.keyPem }),
      },
    );

  const streamDialled = (id: string) => {
    membership?.dialBack(id).then(
      (stream) => api.serveConnection(stream, { trustedAs: 'parent' }),
      (error: unknown) => warn('no stream to the parent', { problem: String(error) }),
    );
  };
  const driver = new OrchestratorDriver(
    {
      clock,
      logger,
      log: new LevelLog(join(directory, 'log')),
      downlink: local ? new JoinedDownlink([local, remote]) : remote,
      parent: membership?.link ?? null,
      onStreamRequest: streamDialled,
      onFailure,
    },
    {
      name: profile.name,
      epoch: randomBytes(12).toString('hex'),
      software,
      random: systemRandom,
      policy: profile.policy,
      heartbeatMs: HEARTBEAT_MS,
      entriesPerSnapshot: limits.logEntriesPerSnapshot,
      hash: sha256,
    },
  );

  const streams = new ChildStreams({
    clock,
    newId: () => randomBytes(18).toString('base64url'),
    ask: (child, id) => driver.askForStream(child, id),
  });
  let engine: EngineParts | null = null;
  const backend = new OrchestratorBackend(
    {
      driver,
      clock,
      dialChild: (child) => streams.dial(child),
      readLogs: async (connection, id, options) => {
        const query = new URLSearchParams({
          follow: String(options.follow),
          ...(options.tailLines === undefined ? {} : { tail: String(options.tailLines) }),
        });
        const path = `/v1/instances/${id}/logs?${query}`;
        const answer = await callChild(() => Promise.resolve(connection), {
          child: 'its node',
          method: 'GET',
          path,
          signal: options.signal,
        });
        if (answer.statusCode === 200) return answer;
        connection.destroy();
        throw new CodedError(answer.statusCode === 404 ? 'not_found' : 'unavailable', `the output of ${id}`);
      },
      readLocalLogs: local ? (id, options) => Readable.from(readLocal(engine, id, options)) : null,
      checkToken: authenticate,
      metrics: () => readMetrics(),
    },
    { software, startedAtMs, parentUrl: profile.parent?.url ?? null, localNode: local ? profile.name : null },
  );
  // An orchestrator that nobody scrapes does not load the library.
  let metrics: Metrics | null = null;
  const readMetrics = async () => {
    const { composeMetrics } = await import('./metrics.ts');
    metrics ??= composeMetrics({ backend, uplinkCounters: () => remote.counters });
    return metrics.text();
  };

  const desk = new AdmissionDesk(
    {
      clock,
      hashSecret,
      signer: {
        caPem: authority.caPem,
        readRequest: (csrPem) => authority.readRequest(csrPem),
        signChild: (request) =>
          authority.signChild({
            ...request,
            ...(input.certificateLifetimeMs === undefined ? {} : { lifetimeMs: input.certificateLifetimeMs }),
          }),
      },
      registry: {
        token: (id) => driver.core.state.tokens.get(id),
        child: (name) => driver.core.state.members.get(name)?.record,
        register: ({ nowMs: _, ...request }) => driver.submit({ type: 'registerChild', ...request }),
      },
    },
    { orchestratorName: profile.name, ...(profile.broker === undefined ? {} : { broker: profile.broker }) },
  );
  const turnedAway = throttled(clock, (reason, who) => warn('turned away', { reason, who }));
  const api = await createApi({
    backend,
    clock,
    mintToken: () => makeToken(authority.caFingerprint),
    admission: {
      caPem: authority.caPem,
      peerOf,
      join: (body) => toldOf(desk.join(body), nameIn(body), turnedAway),
      renew: (peer, body) => toldOf(desk.renew(peer, body), peer.name, turnedAway),
    },
    defect: (error, where) =>
      logger.error({ where, problem: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'defect'),
  });

  const { host, port } = parseListen(profile.listen);
  const server = new SecureServer({
    host,
    port,
    identity,
    request: api.handler,
    turnedAway,
  });
  /** null, and the upgrade is refused, for whoever is no member. */
  const member = (request: IncomingMessage, socket: Duplex): Peer | null => {
    const peer = peerOf(request.socket);
    const certified = peer !== null && !('refused' in peer);
    if (certified && isMember(driver.core.state.members.get(peer.name)?.record, peer)) return peer;
    const reason = certified ? 'not a member' : `certificate refused: ${peer ? peer.refused : 'none was shown'}`;
    turnedAway(reason, certified ? peer.name : (request.socket.remoteAddress ?? 'unknown'));
    refuseUpgrade(socket, certified ? 'not_a_member' : 'certificate_refused');
    return null;
  };
  server.onUpgrade('/mqtt', (request, socket, head) => {
    const peer = member(request, socket);
    if (!peer) return;
    if (broker) broker.accept(request, socket, head, peer);
    else refuseUpgrade(socket, 'not_found');
  });
  const streamSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: limits.uplinkMessageBytes });
  server.onUpgrade('/v1/streams/', (request, socket, head) => {
    const peer = member(request, socket);
    const id = (request.url ?? '').slice('/v1/streams/'.length);
    if (!peer) return;
    if (!streams.expects(id, peer.name)) refuseUpgrade(socket, 'not_found');
    else
      streamSockets.handleUpgrade(request, socket, head, (webSocket) => {
        const stream = createWebSocketStream(webSocket);
        webSocket.once('close', () => stream.destroy());
        streams.arrived(id, stream);
      });
  });

  const renewal = new Renewal(
    {
      clock,
      random: systemRandom,
      renew: async () => {
        identity = await renewServerIdentity(store, authority, names, clock.nowMs(), input.certificateLifetimeMs);
        server.replaceIdentity(identity);
        return validityOf(identity.certificatePem);
      },
      failed: (error) => warn('the own certificate could not be renewed', { problem: String(error) }),
    },
    validityOf(identity.certificatePem),
  );
  const close = async () => {
    renewal.stop();
    membership?.close();
    await engine?.driver.close();
    await api.close();
    await driver.close();
    await server.close();
  };

  // First the log, then the port: to a state that is not read yet, no token and no member is known.
  await driver.start();
  try {
    await server.open();
    renewal.start();
    const adminToken = await ensureAdminToken(store, driver, authority);
    if (local) {
      await ensureLocalMember(
        driver,
        profile.name,
        publicKeyFingerprint(new X509Certificate(identity.certificatePem)),
        authority,
      );
      engine = await composeEngine(
        {
          clock,
          logger,
          store,
          link: { uplink: local.uplink(profile.name), newSessionId: () => randomBytes(9).toString('base64url') },
        },
        {
          profile,
          directory,
          software,
          parentHost: profile.parent ? new URL(profile.parent.url).hostname : host === '0.0.0.0' || host === '::' ? '' : host,
          dockerHost: input.dockerHost,
          onStreamRequest: () => undefined,
          onFailure,
        },
      );
      await engine.driver.start();
    }

    return { port: server.port, adminToken, caPem: authority.caPem, engine, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A refusal is of interest on both sides: whoever made the token reads it in the log. */
async function toldOf<T>(answer: Promise<T>, who: string, tell: (reason: string, who: string) => void): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof CodedError) tell(`${error.message} (${error.code})`, who);
    throw error;
  }
}

/** Who asks to join, as far as it says so. */
function nameIn(body: unknown): string {
  const name = typeof body === 'object' && body !== null && 'name' in body ? body.name : null;
  return typeof name === 'string' && isName(name) ? name : 'unknown';
}

function readLocal(
  engine: EngineParts | null,
  id: string,
  options: { follow: boolean; tailLines?: number | undefined; signal: AbortSignal },
) {
  if (!engine) throw new CodedError('unavailable', 'the node is starting');
  return engine.readLogs(id, options);
}

/** `HOST:PORT`, `:PORT` or `[::]:PORT`. Throws `invalid_request`. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535)
    throw new CodedError('invalid_request', `--listen ${text}: expected HOST:PORT such as 0.0.0.0:7443`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/** The operator's own token: made once, kept beside the log, so that a lost context can be written again. */
async function ensureAdminToken(store: Store, driver: OrchestratorDriver, authority: Authority): Promise<string> {
  const known = await readText(store, ADMIN_TOKEN);
  if (known !== null) return known.trim();
  const { text, id, secretHash } = makeToken(authority.caFingerprint);
  const made = await driver.submit({ type: 'createToken', id, secretHash, role: 'admin', expiresAtMs: null, uses: null });
  if (!made.ok) throw new CodedError(made.error.code, made.error.what);
  await writeText(store, ADMIN_TOKEN, `${text}\n`);
  return text;
}

/** The node inside this process joins as any other would: with a token, made and used up on the spot. */
async function ensureLocalMember(
  driver: OrchestratorDriver,
  name: string,
  fingerprint: string,
  authority: Authority,
): Promise<void> {
  if (driver.core.state.members.has(name)) return;
  const { id, secretHash } = makeToken(authority.caFingerprint);
  await driver.submit({ type: 'createToken', id, secretHash, role: 'worker', expiresAtMs: null, uses: 1 });
  const joined = await driver.submit({
    type: 'registerChild',
    name,
    kind: 'node',
    publicKeyFingerprint: fingerprint,
    tokenId: id,
    secretHash,
  });
  if (!joined.ok) throw new CodedError(joined.error.code, joined.error.what);
  await driver.submit({ type: 'revokeToken', id });
}

/** Lines at once about those who were turned away; a site that was set up wrongly shows itself in fewer. */
const TURNED_AWAY_BURST = 20;

/** Somebody who knocks without end must not fill the disk with log lines: after a burst one a second, with the count of the others. */
function throttled(clock: Clock, tell: (reason: string, who: string) => void): (reason: string, who: string) => void {
  let left = TURNED_AWAY_BURST;
  let filledAtMs = clock.nowMs();
  let unsaid = 0;
  return (reason, who) => {
    const nowMs = clock.nowMs();
    left = Math.min(TURNED_AWAY_BURST, left + Math.max(0, nowMs - filledAtMs) / 1_000);
    filledAtMs = nowMs;
    if (left < 1) {
      unsaid += 1;
      return;
    }
    left -= 1;
    tell(unsaid === 0 ? reason : `${reason} (and ${unsaid} others)`, who);
    unsaid = 0;
  };
}
