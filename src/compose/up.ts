/**
 * `tendril up`: from a data directory and a few wishes to a running node. A node that was set up once needs no
 * flags any more; flags that are given again change its settings.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join as joinPath } from 'node:path';
import { openDataDirectory } from '../adapters/file-store/data-directory.ts';
import { FileStore } from '../adapters/file-store/store.ts';
import { systemClock } from '../adapters/system-clock/clock.ts';
import { serverNames } from '../adapters/tls/server-names.ts';
import { isName } from '../core/base/ids.ts';
import { CodedError } from '../core/model/errors.ts';
import type { Leadership, ReplicaRole } from '../core/model/replicas.ts';
import type { PlacementPolicyName, Position } from '../core/model/service.ts';
import { parseToken } from '../core/model/token.ts';
import { closeAll } from '../node/close-all.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { composeEngine, type EngineParts, serveStreams } from './engine.ts';
import { parseListen, portUrl } from './listen.ts';
import { checkLog, checkShared } from './log.ts';
import { type LogSettings, settleLog } from './log-settings.ts';
import { join, type Membership, openMembership } from './membership.ts';
import { allowOptimiser } from './optimiser.ts';
import { type Profile, readProfile, writeProfile } from './profile.ts';
import { keepJoined, readReplicaKey, replicaIdOf } from './replica-identity.ts';

export const DEFAULT_LISTEN = '0.0.0.0:7443';

/** Settings as given; what is undefined stays as it was, or gets its default. */
export interface UpWishes {
  readonly directory: string;
  readonly name?: string | undefined;
  /** Join as a worker, or with `role` as a replica. */
  readonly join?: string | undefined;
  /** Join as a replica of the orchestrator itself. */
  readonly role?: ReplicaRole | undefined;
  /** Of an orchestrator's first replica: how they decide who leads. */
  readonly leadership?: Leadership | undefined;
  /** Join as a cluster. */
  readonly parent?: string | undefined;
  readonly token?: string | undefined;
  /** The same from the environment, where it may be meant for the command line: it never makes a node that has joined join anew. */
  readonly environmentToken?: string | undefined;
  readonly works?: boolean | undefined;
  readonly listen?: string | undefined;
  readonly advertise?: readonly string[] | undefined;
  readonly publicUrl?: string | undefined;
  readonly broker?: string | undefined;
  /** Of an orchestrator: its log, when that is not in its data directory. */
  readonly log?: LogSettings | undefined;
  readonly policy?: PlacementPolicyName | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly position?: Position | undefined;
  readonly address?: string | undefined;
  readonly load?: Profile['load'];
  readonly cpu?: number | undefined;
  readonly memory?: number | undefined;
  readonly certificateLifetimeMs?: number | undefined;
  readonly dockerHost?: string | undefined;
}

export interface UpContext {
  /** For the node of this name. */
  readonly loggerOf: (node: string) => Logger;
  readonly software: string;
  readonly onFailure: (error: Error) => void;
}

export interface RunningNode {
  readonly profile: Profile;
  readonly directory: string;
  readonly firstStart: boolean;
  readonly runtimes: EngineParts['runtimes'];
  /** Of an orchestrator: how to reach its API. */
  readonly api: { readonly url: string; readonly token: string | null; readonly caPem: string } | null;
  close(): Promise<void>;
}

/** Rejects with a CodedError, and has released everything then. */
export async function up(wishes: UpWishes, context: UpContext): Promise<RunningNode> {
  const opened = await openDataDirectory(wishes.directory);
  try {
    const store = new FileStore(joinPath(opened.path, 'documents'));
    const clock: Clock = systemClock;
    const known = await readProfile(store);
    const profile = await settle(wishes, known, store, clock);
    const running = await run(profile, wishes, {
      ...context,
      logger: context.loggerOf(profile.name),
      store,
      clock,
      directory: opened.path,
    });
    if (known !== null && JSON.stringify(profile) !== JSON.stringify(known))
      await writeProfile(store, { ...profile, parent: (await readProfile(store))?.parent ?? profile.parent });
    return {
      ...running,
      profile,
      directory: opened.path,
      firstStart: known === null,
      async close() {
        await closeAll([() => running.close(), () => opened.release()]);
      },
    };
  } catch (error) {
    await opened.release();
    throw error;
  }
}

/** What this node is: as before, changed by what was wished; joined where that was asked for. */
async function settle(wishes: UpWishes, known: Profile | null, store: Store, clock: Clock): Promise<Profile> {
  const url = wishes.join ?? wishes.parent;
  if (wishes.join !== undefined && wishes.parent !== undefined)
    throw new CodedError('invalid_request', '--join makes a worker, --parent a cluster: give one of them');
  const name = wishes.name ?? known?.name ?? defaultName();
  if (!isName(name)) throw new CodedError('invalid_request', `--name ${name}: a name has lower-case letters, digits and "-"`);
  if (known && wishes.name !== undefined && wishes.name !== known.name)
    throw new CodedError('conflict', `this data directory belongs to ${known.name}; another name needs another --data-dir`);
  if (wishes.role !== undefined && wishes.join === undefined && !known?.orchestrates)
    throw new CodedError('invalid_request', '--role says as what to join: it needs --join URL and --token');
  if (known && wishes.join !== undefined && wishes.role === undefined && known.orchestrates && !known.group)
    throw new CodedError('conflict', 'this data directory is that of an orchestrator; a worker needs another --data-dir');
  const orchestrates = known?.orchestrates ?? (wishes.join === undefined || wishes.role !== undefined);
  if (orchestrates) allowOptimiser();
  const joined = known?.parent ?? null;
  const isReplica = wishes.join !== undefined && orchestrates;
  checkLog(wishes, orchestrates);
  if (isReplica && known && !known.group)
    throw new CodedError('conflict', 'this data directory is that of another orchestrator; a replica needs another --data-dir');
  const token = wishes.token ?? (joined === null ? wishes.environmentToken : undefined);
  if (joined && url !== undefined && url !== joined.url && token === undefined)
    throw new CodedError('conflict', `this node has joined ${joined.url}`);
  const base: Profile = {
    // A replica that joins is known by its key, which is kept first: after a lost answer it is the same one.
    uid: known?.uid ?? (isReplica ? replicaIdOf(await readReplicaKey(store)) : randomBytes(8).toString('hex')),
    name,
    orchestrates,
    works: wishes.works ?? known?.works ?? true,
    parent: joined,
    listen: wishes.listen ?? known?.listen ?? DEFAULT_LISTEN,
    advertise: [...(wishes.advertise ?? known?.advertise ?? [])],
    policy: wishes.policy ?? known?.policy ?? 'spread',
    labels: { ...(wishes.labels ?? known?.labels ?? {}) },
    ...optional('group', known?.group),
    ...optional('log', settleLog(wishes.log, { isFirstStart: known === null, log: known?.log })),
    ...optional('leadership', known?.leadership ?? wishes.leadership),
    ...optional('publicUrl', wishes.publicUrl ?? known?.publicUrl),
    ...optional('broker', wishes.broker ?? known?.broker),
    ...optional('position', wishes.position ?? known?.position),
    ...optional('address', wishes.address ?? known?.address),
    ...optional('load', wishes.load ?? known?.load),
    ...optional('cpu', wishes.cpu ?? known?.cpu),
    ...optional('memory', wishes.memory ?? known?.memory),
  };
  const profile = isReplica
    ? await joinedAsReplica(base, { at: wishes.join ?? '', role: wishes.role ?? 'voter', token }, store, clock)
    : url !== undefined && needsToJoin(joined, url, token)
      ? { ...base, parent: await joinWith(url, token, base, store, clock) }
      : base;
  // Who joined must know it, come what may; other changes count when it has started with them (a port may be in use).
  if (known === null || profile.parent !== joined || profile.group !== known.group) await writeProfile(store, profile);
  return profile;
}

/**
 * A start script repeats its flags: who has joined there already does not need the token, which may be long used up.
 * Another token than that one means to join anew: this node was removed, or its certificate has expired.
 */
function needsToJoin(joined: Profile['parent'], url: string, token: string | undefined): boolean {
  if (joined === null || token === undefined) return joined === null;
  return joined.url !== url || (joined.joinedWith !== undefined && joined.joinedWith !== idOf(token));
}

function idOf(token: string): string {
  const parsed = parseToken(token);
  return parsed.ok ? parsed.value.id : '';
}

async function joinWith(url: string, token: string | undefined, profile: Profile, store: Store, clock: Clock) {
  if (token === undefined)
    throw new CodedError('invalid_request', `joining ${url} needs --token`, [
      { field: '--token', message: `make one there: tendril token create --role ${profile.orchestrates ? 'cluster' : 'worker'}` },
    ]);
  const parent = await join(store, {
    url,
    token,
    name: profile.name,
    kind: profile.orchestrates ? 'cluster' : 'node',
    nowMs: clock.nowMs(),
  });
  return { url: parent.url, name: parent.name, joinedWith: idOf(token), ...optional('broker', parent.broker) };
}

/** A start script repeats its flags: who has joined already does so no second time. */
async function joinedAsReplica(
  profile: Profile,
  wish: { readonly at: string; readonly role: ReplicaRole; readonly token: string | undefined },
  store: Store,
  clock: Clock,
): Promise<Profile> {
  const { at, role, token } = wish;
  if (profile.group && (token === undefined || profile.group.joinedWith === idOf(token))) return profile;
  if (token === undefined)
    throw new CodedError('invalid_request', `joining ${at} needs --token`, [
      { field: '--token', message: `make one there: tendril token create --role ${role}` },
    ]);
  const { uid: id, name, works } = profile;
  const url = portUrl(profile, parseListen(profile.listen).port);
  const { joinGroup } = await import('../adapters/tls/join-client.ts');
  const keyPem = await readReplicaKey(store);
  const names = serverNames(profile.advertise);
  const answer = await joinGroup({
    ...{ at, keyPem, token, id, name, url, role, works },
    ...{ serverNames: [...names], nowMs: clock.nowMs() },
  });
  checkShared(answer.log, profile.log);
  await keepJoined(store, answer, answer.caPem);
  return {
    ...profile,
    ...optional('broker', answer.broker ?? profile.broker),
    leadership: answer.leadership,
    group: { name: answer.orchestratorName, joinedWith: idOf(token), replicas: answer.group },
  };
}

interface RunContext extends UpContext {
  readonly logger: Logger;
  readonly store: Store;
  readonly clock: Clock;
  readonly directory: string;
}

async function run(
  profile: Profile,
  wishes: UpWishes,
  context: RunContext,
): Promise<Pick<RunningNode, 'runtimes' | 'api' | 'close'>> {
  const { store, clock, logger } = context;
  const membership = profile.parent
    ? await openMembership({ store, clock, logger }, { name: profile.group?.name ?? profile.name, parent: profile.parent })
    : null;
  try {
    return await (profile.orchestrates ? runOrchestrator : runWorker)(profile, wishes, context, membership);
  } catch (error) {
    membership?.close(); // its timer would keep a process that could not start from ending
    throw error;
  }
}

async function runOrchestrator(profile: Profile, wishes: UpWishes, context: RunContext, membership: Membership | null) {
  const { store, clock, logger, directory, software, onFailure } = context;
  const { composeOrchestrator } = await import('./orchestrator.ts');
  const parts = await composeOrchestrator(
    {
      ...{ clock, logger, store, membership },
      openMembership: async () => {
        const parent = (await readProfile(store))?.parent ?? null;
        return parent && openMembership({ store, clock, logger }, { name: profile.group?.name ?? profile.name, parent });
      },
    },
    {
      profile,
      directory,
      software,
      dockerHost: wishes.dockerHost,
      certificateLifetimeMs: wishes.certificateLifetimeMs,
      onFailure,
    },
  );
  const { host } = parseListen(profile.listen);
  const reachable = profile.advertise[0] ?? (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host);
  const bracketed = reachable.includes(':') ? `[${reachable}]` : reachable;
  return {
    runtimes: parts.engine?.runtimes ?? [],
    api: { url: `https://${bracketed}:${parts.port}`, token: parts.adminToken, caPem: parts.caPem },
    close: () => parts.close(),
  };
}

async function runWorker(profile: Profile, wishes: UpWishes, context: RunContext, membership: Membership | null) {
  const { store, clock, logger, directory, software, onFailure } = context;
  if (!membership || !profile.parent) throw new CodedError('data_dir_corrupt', 'a worker without a parent');
  let engine: EngineParts | null = null;
  const http = serveStreams(() => engine);
  engine = await composeEngine(
    { clock, logger, store, link: membership.link },
    {
      profile,
      directory,
      software,
      get parentHost() {
        return new URL(membership.parentUrl()).hostname;
      },
      dockerHost: wishes.dockerHost,
      onStreamRequest: (id) => {
        membership.dialBack(id).then(
          (stream) => http.serve(stream),
          (error: unknown) => logger.warn({ problem: String(error) }, 'no stream to the orchestrator'),
        );
      },
      onFailure,
    },
  );
  await engine.driver.start();
  const { driver } = engine;
  return {
    runtimes: engine.runtimes,
    api: null,
    close: async () => {
      membership.close();
      await driver.close();
    },
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}

/** The machine's name as a node's name. */
function defaultName(): string {
  const plain = hostname().toLowerCase().split('.', 1)[0] ?? '';
  const cleaned = plain
    .replace(/[^a-z0-9-]/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  return isName(cleaned) ? cleaned : 'node';
}
