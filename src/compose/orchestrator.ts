/**
 * Puts a replica of an orchestrator together on this machine: identity, TLS port, broker, replicated log, API, and its
 * local node if it works itself. An orchestrator of one replica is the ordinary case (ADR 0012).
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Duplex, Readable } from 'node:stream';
import { EmbeddedBroker } from '../adapters/mqtt/embedded-broker.ts';
import { ExternalDownlink } from '../adapters/mqtt/external-downlink.ts';
import { dialOptions, dialReplicaOptions } from '../adapters/tls/dial.ts';
import { certificateFingerprint } from '../adapters/tls/fingerprint.ts';
import { LeaderForwarding } from '../adapters/tls/leader-forwarding.ts';
import { isCertified, peerOf, SecureServer } from '../adapters/tls/secure-server.ts';
import { serverNames } from '../adapters/tls/server-names.ts';
import { authenticate, hashSecret, makeToken } from '../adapters/tls/token-secret.ts';
import { bearerToken } from '../api/access.ts';
import { createApi } from '../api/api.ts';
import { limits } from '../core/base/limits.ts';
import { isMember, type Peer } from '../core/model/membership.ts';
import { AdmissionDesk } from '../node/admission.ts';
import { ChildStreams } from '../node/child-streams.ts';
import { closeAll } from '../node/close-all.ts';
import { JoinedDownlink } from '../node/joined-downlink.ts';
import { parentOfLocalNode } from '../node/local-parent.ts';
import { OrchestratorBackend } from '../node/orchestrator-backend.ts';
import { OrchestratorDriver } from '../node/orchestrator-driver.ts';
import { Renewal } from '../node/renewal.ts';
import { ReplicaDesk } from '../node/replica-desk.ts';
import { sha256 } from '../node/sha256.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import type { EngineParts } from './engine.ts';
import { ensureAdminToken, ensureLocalMember, readAdminToken } from './first-start.ts';
import { readInstanceLogs } from './instance-logs.ts';
import { groupOf, parseListen, portUrl } from './listen.ts';
import { LocalNode } from './local-node.ts';
import { replicateInEtcd, sharedLog } from './log.ts';
import type { Membership } from './membership.ts';
import type { Metrics } from './metrics.ts';
import type { Profile } from './profile.ts';
import { systemRandom } from './random.ts';
import { ReplicaDuties, replicaPeerWithKey } from './replica-duties.ts';
import { issueCertificates, ReplicaIdentity } from './replica-identity.ts';
import type { Replicated } from './replicated.ts';
import { Replication } from './replication.ts';
import { RequestGate } from './request-gate.ts';
import { nameIn, throttled, toldOf } from './turned-away.ts';
import { serveUpgrades } from './upgrades.ts';

/** How often a child lets itself be heard when nothing changes. */
const HEARTBEAT_MS = 1_000;

export interface OrchestratorParts {
  readonly port: number;
  /** null on a replica that has joined others: its users have tokens from there. */
  readonly adminToken: string | null;
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
  components: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly store: Store;
    /** With the own parent; null of a root, and of a replica that does not hold what it takes. */
    readonly membership: Membership | null;
    /** Once it holds it: null when there is no parent. */
    readonly openMembership: () => Promise<Membership | null>;
  },
  input: OrchestratorInput,
): Promise<OrchestratorParts> {
  const { clock, logger, store } = components;
  let parent = components.membership;
  const { profile, software, directory, onFailure } = input;
  const startedAtMs = clock.nowMs();
  const { uid: id, name, group } = profile;
  const orchestratorName = group?.name ?? name;
  const leadership = profile.leadership ?? 'standing';
  const isOnDemand = leadership === 'on-demand';
  const { host, port } = parseListen(profile.listen);

  const identity = await ReplicaIdentity.open(
    store,
    { id, name, serverNames: serverNames(profile.advertise), lifetimeMs: input.certificateLifetimeMs },
    startedAtMs,
  );
  const caFingerprint = certificateFingerprint(identity.caPem);
  const warn = (message: string, details: Readonly<Record<string, string | number>>) => logger.warn(details, message);

  const sharing = { clock, logger, wanted: () => driver.core.state.replicas.values() };
  const replication: Replicated = profile.log
    ? await replicateInEtcd({ ...sharing, store, identity, groupChanged: () => followGroup() }, profile, profile.log)
    : new Replication(
        {
          ...sharing,
          identity: () => identity.replica,
          groupChanged: () => {
            if (isOnDemand) driver.peersConnected(replication.connected);
            followGroup();
          },
          report: () => driver.core.peerReport(clock.nowMs()),
          told: (replica, report) => {
            driver.peerTold(replica, report);
            gate?.told(replica);
          },
        },
        { id, directory, leadership, membership: groupOf(profile) },
      );
  const local = profile.works ? new LocalNode({ clock, logger, store, identity }, name) : null;
  const keepsName = (peer: Peer): boolean => {
    const record = driver.core.state.members.get(peer.name)?.record;
    return record === undefined || isMember(record, peer);
  };
  const broker = profile.broker === undefined ? new EmbeddedBroker({ warn, keepsName }) : null;
  const remote =
    broker ??
    new ExternalDownlink(
      { clock, random: systemRandom, warn },
      { url: profile.broker ?? '', name, tls: () => dialOptions(identity.replica) },
    );

  const streamDialled = (stream: string) => {
    parent?.dialBack(stream).then(
      (connection) => api.serveConnection(connection, { trustedAs: 'parent' }),
      (error: unknown) => warn('no stream to the parent', { problem: String(error) }),
    );
  };
  const driver = new OrchestratorDriver(
    {
      clock,
      logger,
      log: replication.log,
      downlink: local ? new JoinedDownlink([local.downlink, remote]) : remote,
      parent: parent?.link ?? null,
      onStreamRequest: streamDialled,
      leadershipChanged: () => followGroup(),
      applied: () => {
        replication.wantedChanged();
        duties.look();
      },
      group: replication.log,
      onFailure,
    },
    {
      name: orchestratorName,
      epoch: randomBytes(12).toString('hex'),
      software,
      random: systemRandom,
      policy: profile.policy,
      heartbeatMs: HEARTBEAT_MS,
      entriesPerSnapshot: limits.logEntriesPerSnapshot,
      hash: sha256,
      leading: leadership,
      replica: { id, name, url: portUrl(profile, port), publicKeyFingerprint: identity.publicKeyFingerprint },
    },
  );
  let openPort: number | null = null;
  const duties = new ReplicaDuties({
    clock,
    logger,
    identity,
    replication,
    record: () => driver.core.state.replicas.get(id),
    url: () => (openPort === null ? null : portUrl(profile, openPort)),
    moveSelf: (url) => driver.submit({ type: 'moveReplica', id, url }),
    lacksParent: () => parent === null && driver.core.state.upstream !== null,
    secretsTaken: async () => {
      parent ??= await components.openMembership();
      if (parent) driver.setParent(parent.link);
    },
  });
  const forwarding = new LeaderForwarding(name, () => identity.replica);
  let followed = '';
  let gate: RequestGate | null = null;
  const followGroup = (): void => {
    const { leader } = replication;
    local?.follow(id, parentOfLocalNode(leadership, { self: id, leads: driver.core.leads, leader, group: replication }));
    gate?.groupChanged();
    replication.wantedChanged();
    duties.look();
    const now = driver.core.leads ? 'self' : (leader?.url ?? '');
    if (now !== followed) forwarding.reset();
    followed = now;
  };

  const streams = new ChildStreams({
    clock,
    newId: () => randomBytes(18).toString('base64url'),
    ask: (child, stream) => driver.askForStream(child, stream),
  });
  const connect = async (child: string): Promise<Duplex> => {
    const via = driver.core.viaOf(child);
    const replica = via === null ? null : replication.replicaNamed(via);
    if (replica === null) return streams.dial(child);
    const { dialThrough } = await import('../adapters/streams/dial-back.ts');
    return dialThrough(replica.url, child, dialReplicaOptions(identity.replica, replica.id));
  };
  const backend = new OrchestratorBackend(
    {
      driver,
      clock,
      dialChild: (child) => connect(child),
      readLogs: readInstanceLogs,
      readLocalLogs: local ? (instance, options) => Readable.from(local.readLogs(instance, options)) : null,
      checkToken: authenticate,
      metrics: () => readMetrics(),
      parentUrl: () => parent?.parentUrl() ?? null,
      group: () => replication.view(),
    },
    { software, startedAtMs, localNode: local ? name : null },
  );
  // An orchestrator that nobody scrapes does not load the library.
  let metrics: Metrics | null = null;
  const readMetrics = async () => {
    const { composeMetrics } = await import('./metrics.ts');
    metrics ??= composeMetrics({ backend, uplinkCounters: () => remote.counters });
    return metrics.text();
  };

  const lifetime = input.certificateLifetimeMs === undefined ? {} : { lifetimeMs: input.certificateLifetimeMs };
  const named = { caPem: identity.caPem, orchestratorName, ...(profile.broker === undefined ? {} : { broker: profile.broker }) };
  const desk = new AdmissionDesk(
    {
      clock,
      hashSecret,
      signer: {
        caPem: identity.caPem,
        readRequest: async (csrPem) => identity.signer.readRequest(csrPem),
        signChild: async (request) => identity.signer.signChild({ ...request, ...lifetime }),
      },
      registry: {
        token: (token) => driver.core.state.tokens.get(token),
        child: (child) => driver.core.state.members.get(child)?.record,
        register: ({ nowMs: _, ...request }) => driver.submit({ type: 'registerChild', ...request }),
      },
    },
    named,
  );
  const replicaDesk = new ReplicaDesk(
    {
      clock,
      hashSecret,
      records: {
        token: (token) => driver.core.state.tokens.get(token),
        child: (child) => driver.core.state.members.get(child)?.record,
        replicas: () => driver.core.state.replicas.values(),
        submit: (request) => driver.submit(request),
      },
      group: () => replication.membership,
      signer: {
        readRequest: async (csrPem) => identity.signer.readRequest(csrPem),
        issue: async (request) => issueCertificates(identity.signer, { ...request, lifetimeMs: input.certificateLifetimeMs }),
        sealSecretsFor: (publicKeyPem) => identity.sealSecretsFor(publicKeyPem),
      },
    },
    { ...named, leadership, ...sharedLog(profile) },
  );
  const turnedAway = throttled(clock, (reason, who) => warn('turned away', { reason, who }));
  const defect = (error: unknown, where: string): void =>
    logger.error({ where, problem: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'defect');
  const api = await createApi({
    backend,
    clock,
    mintToken: () => makeToken(caFingerprint),
    admission: {
      caPem: identity.caPem,
      peerOf,
      join: (body) => toldOf(desk.join(body), nameIn(body), turnedAway),
      renew: (peer, body) => toldOf(desk.renew(peer, body), peer.name, turnedAway),
    },
    replicaUrls: () => driver.core.orchestrators(),
    replicas: {
      view: () => replication.view(),
      peerOf: replicaPeerWithKey,
      join: (body) => toldOf(replicaDesk.join(body), nameIn(body), turnedAway),
      renew: (peer, body) => toldOf(replicaDesk.renew(peer, body), peer.name, turnedAway),
      secrets: (peer) => replicaDesk.secrets(peer),
      move: (peer, body) => replicaDesk.move(peer, body),
    },
    defect,
    gate: (incoming, response) => gate?.take(incoming, response),
  });

  gate = new RequestGate(
    {
      ...{ clock, driver, replication, forwarding, defect },
      handler: api.handler,
      openStreams: () => api.openStreams(),
      isParent: (incoming) => api.isTrusted(incoming),
      isKnown: (incoming) => {
        const token = bearerToken(incoming.headers.authorization);
        return token === undefined ? isCertified(incoming.socket) : backend.authenticate(token).ok;
      },
    },
    leadership,
  );
  const request = (incoming: IncomingMessage, response: ServerResponse): void => gate?.take(incoming, response);
  const server = new SecureServer({ host, port, identity: identity.replica, request, turnedAway });
  const upgrades = { driver, replication, broker, streams, turnedAway, local: local && { name, node: local } };
  serveUpgrades(server, upgrades, leadership);

  const renewal = new Renewal(
    {
      clock,
      random: systemRandom,
      renew: async () => {
        await identity.renew(clock.nowMs(), duties.askToRenew);
        server.replaceIdentity(identity.replica);
        return identity.validity;
      },
      failed: (error) => warn('the own certificate could not be renewed', { problem: String(error) }),
    },
    identity.validity,
  );
  const close = () =>
    closeAll([
      () => replication.handOver(),
      () => renewal.stop(),
      () => duties.close(),
      () => replication.close(),
      () => gate?.close(),
      () => parent?.close(),
      () => local?.close(),
      () => api.close(),
      () => driver.close(),
      () => forwarding.reset(),
      () => server.close(),
    ]);

  // First the log, then the port: to a state that is not read yet, no token and no member is known.
  await driver.start();
  try {
    await server.open();
    openPort = server.port;
    renewal.start();
    duties.look();
    const adminToken =
      driver.core.leads && !group ? await ensureAdminToken(store, driver, caFingerprint) : await readAdminToken(store);
    if (local) {
      const { publicKeyFingerprint } = identity;
      if (driver.core.leads) await ensureLocalMember(driver, { name, publicKeyFingerprint }, caFingerprint);
      const parentHost = profile.parent ? new URL(profile.parent.url).hostname : host === '0.0.0.0' || host === '::' ? '' : host;
      await local.start({ profile, directory, software, dockerHost: input.dockerHost, parentHost, onFailure });
      followGroup();
    }
    return { port: server.port, adminToken, caPem: identity.caPem, engine: local?.engine ?? null, close };
  } catch (error) {
    await close();
    throw error;
  }
}
