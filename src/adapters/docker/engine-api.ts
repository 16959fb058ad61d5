/**
 * The few calls of the Docker Engine API that running containers takes, typed and checked, over the engine's
 * unix socket; Podman's compatible API answers the same. Reference: docs.docker.com/reference/api/engine.
 *
 * Expected outcomes are values; anything else the engine refuses is `runtime_failed` with its own words, and
 * an engine that does not answer is `unavailable`.
 */
import type { IncomingMessage } from 'node:http';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import { type EngineCall, EngineHttp, type EngineReply, jsonLines, parseReply, refusalMessage } from './engine-http.ts';
import {
  containerListSchema,
  containerSchema,
  createdSchema,
  eventSchema,
  type InspectedContainer,
  type InspectedImage,
  imageSchema,
  infoSchema,
  type ListedContainer,
  pullLineSchema,
  versionSchema,
} from './engine-schemas.ts';
import { parseImageReference } from './image-reference.ts';
import { LogFrames } from './log-frames.ts';

/** Docker 19.03 and Podman 2: the oldest with all that is used here. */
const OLDEST_API: ApiVersion = [1, 40];
/** The newest that this client was written against; newer engines still speak it. */
const NEWEST_API: ApiVersion = [1, 51];

type ApiVersion = readonly [major: number, minor: number];

export interface EngineVersion {
  /** `Docker 28.2.2`, `Podman 5.4.0`. */
  readonly name: string;
  /** The API version that both sides speak, such as `1.41`. */
  readonly api: string;
}

export interface EngineInfo {
  readonly osType: string;
  /** Whether the kernel lets a memory limit, a CPU limit bind. */
  readonly memoryLimit: boolean;
  readonly cpuLimit: boolean;
}

export interface PullProgress {
  readonly layer: string;
  readonly status: string;
  readonly currentBytes: number;
  readonly totalBytes: number;
}

export type CreateOutcome =
  | { readonly kind: 'created'; readonly containerId: string }
  | { readonly kind: 'no_image'; readonly message: string }
  | { readonly kind: 'name_taken' };

export type StartOutcome =
  | { readonly kind: 'started' }
  | { readonly kind: 'no_container' }
  | { readonly kind: 'refused'; readonly message: string };

export interface EngineEvent {
  readonly action: string;
  readonly containerId: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch, as near as a number comes. */
  readonly timeNano: number;
}

export interface EngineLogQuery {
  readonly follow: boolean;
  readonly tailLines?: number | undefined;
  /** Only what was written from then on: seconds since the epoch with decimals. */
  readonly since?: string | undefined;
  readonly signal: AbortSignal;
}

export type Filters = Readonly<Record<string, readonly string[]>>;

export class EngineApi {
  readonly #http: EngineHttp;
  #version: Promise<EngineVersion> | null = null;

  constructor(socketPath: string) {
    this.#http = new EngineHttp(socketPath);
  }

  /** Asked once; again after `forgetVersion`. Rejects with `runtime_missing` when the engine is too old or too new. */
  version(): Promise<EngineVersion> {
    this.#version ??= this.#askVersion().catch((error: unknown) => {
      this.#version = null;
      throw error;
    });
    return this.#version;
  }

  /** The engine went away, and what comes back may be another. */
  forgetVersion(): void {
    this.#version = null;
  }

  async info(): Promise<EngineInfo> {
    const info = parseReply(infoSchema, succeeded(await this.#call({ method: 'GET', path: '/info' })).text);
    return { osType: info.OSType ?? 'linux', memoryLimit: info.MemoryLimit ?? true, cpuLimit: info.CpuCfsQuota ?? true };
  }

  /** null when the engine has no such image. */
  async inspectImage(image: string): Promise<InspectedImage | null> {
    const reply = await this.#call({ method: 'GET', path: `/images/${encodeURI(image)}/json` });
    return reply.status === 404 ? null : parseReply(imageSchema, succeeded(reply).text);
  }

  /** Fetches an image from its registry. Rejects with `image_not_found`, and the reason, when that cannot be done. */
  async pullImage(image: string, onProgress: (progress: PullProgress) => void = () => {}, signal?: AbortSignal): Promise<void> {
    const { repository, version } = parseImageReference(image);
    const response = await this.#stream({
      method: 'POST',
      path: '/images/create',
      query: { fromImage: repository, tag: version },
      idleTimeoutMs: limits.imagePullIdleMs,
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.statusCode !== 200) {
      const reply = await this.#http.refusal(response);
      throw new CodedError('image_not_found', `${image} (${refusalMessage(reply)})`);
    }
    for await (const line of jsonLines(pullLineSchema, response)) {
      if (line.error !== undefined) throw new CodedError('image_not_found', `${image} (${line.error})`);
      onProgress({
        layer: line.id ?? '',
        status: line.status ?? '',
        currentBytes: line.progressDetail?.current ?? 0,
        totalBytes: line.progressDetail?.total ?? 0,
      });
    }
  }

  async createContainer(name: string, config: object): Promise<CreateOutcome> {
    const reply = await this.#call({ method: 'POST', path: '/containers/create', query: { name }, body: config });
    if (reply.status === 404) return { kind: 'no_image', message: refusalMessage(reply) };
    if (reply.status === 409) return { kind: 'name_taken' };
    return { kind: 'created', containerId: parseReply(createdSchema, succeeded(reply).text).Id };
  }

  /** One that runs already counts as started. */
  async startContainer(container: string): Promise<StartOutcome> {
    const reply = await this.#call({ method: 'POST', path: `/containers/${container}/start` });
    if (reply.status < 400) return { kind: 'started' };
    const message = refusalMessage(reply);
    // The engine also says 404 when the program inside does not exist.
    if (reply.status === 404 && /no such container|no container with/i.test(message)) return { kind: 'no_container' };
    return { kind: 'refused', message };
  }

  /** Asks, waits `graceSeconds`, forces; resolves when it is over. False when there is no such container. */
  async stopContainer(container: string, graceSeconds: number): Promise<boolean> {
    const reply = await this.#call({
      method: 'POST',
      path: `/containers/${container}/stop`,
      query: { t: String(graceSeconds) },
      idleTimeoutMs: limits.engineReplyTimeoutMs + graceSeconds * 1000,
    });
    return found(reply);
  }

  /** Ends it if it runs, and deletes it with its anonymous volumes. False when there is no such container. */
  async removeContainer(container: string): Promise<boolean> {
    const reply = await this.#call({ method: 'DELETE', path: `/containers/${container}`, query: { force: 'true', v: 'true' } });
    // 409: somebody else is removing it just now.
    return reply.status === 409 || found(reply);
  }

  /** null when there is no such container. */
  async inspectContainer(container: string): Promise<InspectedContainer | null> {
    const reply = await this.#call({ method: 'GET', path: `/containers/${container}/json` });
    return reply.status === 404 ? null : parseReply(containerSchema, succeeded(reply).text);
  }

  /** Running or not. */
  async listContainers(label: string): Promise<readonly ListedContainer[]> {
    const query = { all: 'true', filters: JSON.stringify({ label: [label] }) };
    return parseReply(containerListSchema, succeeded(await this.#call({ method: 'GET', path: '/containers/json', query })).text);
  }

  /** stdout and stderr in their order, as bytes. null when there is no such container. */
  async containerLogs(container: string, query: EngineLogQuery): Promise<AsyncIterable<Uint8Array> | null> {
    const response = await this.#stream({
      method: 'GET',
      path: `/containers/${container}/logs`,
      query: {
        stdout: 'true',
        stderr: 'true',
        follow: String(query.follow),
        tail: query.tailLines === undefined ? 'all' : String(query.tailLines),
        ...(query.since === undefined ? {} : { since: query.since }),
      },
      signal: query.signal,
    });
    if (response.statusCode === 200) return payloadOf(response);
    const reply = await this.#http.refusal(response);
    // 409: it is being removed.
    if (reply.status === 404 || reply.status === 409) return null;
    throw new CodedError('runtime_failed', refusalMessage(reply));
  }

  /** What happens from now on. Ends, with or without an error, when the engine goes away. */
  async events(filters: Filters): Promise<{ readonly events: AsyncIterable<EngineEvent>; close(): void }> {
    const response = await this.#stream({ method: 'GET', path: '/events', query: { filters: JSON.stringify(filters) } });
    if (response.statusCode !== 200) throw new CodedError('runtime_failed', refusalMessage(await this.#http.refusal(response)));
    return { events: eventsOf(response), close: () => response.destroy() };
  }

  close(): void {
    this.#http.close();
  }

  async #call(call: EngineCall): Promise<EngineReply> {
    return await this.#http.call({ ...call, path: await this.#versioned(call.path) });
  }

  async #stream(call: EngineCall): Promise<IncomingMessage> {
    return await this.#http.stream({ ...call, path: await this.#versioned(call.path) });
  }

  async #versioned(path: string): Promise<string> {
    return `/v${(await this.version()).api}${path}`;
  }

  async #askVersion(): Promise<EngineVersion> {
    const said = parseReply(versionSchema, succeeded(await this.#http.call({ method: 'GET', path: '/version' })).text);
    const isPodman = said.Components?.some((component) => /podman/i.test(component.Name)) ?? false;
    const name = `${isPodman ? 'Podman' : 'Docker'} ${said.Version}`;
    const newest = parseApiVersion(said.ApiVersion);
    const oldest = parseApiVersion(said.MinAPIVersion ?? said.ApiVersion);
    if (isOlder(newest, OLDEST_API))
      throw new CodedError(
        'runtime_missing',
        `${name} speaks API ${said.ApiVersion}, Tendril needs ${OLDEST_API.join('.')} or later`,
      );
    if (isOlder(NEWEST_API, oldest))
      throw new CodedError(
        'runtime_missing',
        `${name} speaks no API before ${said.MinAPIVersion}, Tendril knows ${NEWEST_API.join('.')}`,
      );
    return { name, api: (isOlder(newest, NEWEST_API) ? newest : NEWEST_API).join('.') };
  }
}

function parseApiVersion(text: string): ApiVersion {
  const [major = 0, minor = 0] = text.split('.').map(Number);
  return [major, minor];
}

function isOlder(a: ApiVersion, b: ApiVersion): boolean {
  return a[0] !== b[0] ? a[0] < b[0] : a[1] < b[1];
}

function succeeded(reply: EngineReply): EngineReply {
  if (reply.status >= 200 && reply.status < 400) return reply;
  throw new CodedError('runtime_failed', refusalMessage(reply));
}

function found(reply: EngineReply): boolean {
  return reply.status === 404 ? false : succeeded(reply) === reply;
}

async function* payloadOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  const frames = new LogFrames();
  for await (const chunk of response) yield* frames.payload(chunk);
}

async function* eventsOf(response: IncomingMessage): AsyncGenerator<EngineEvent> {
  for await (const event of jsonLines(eventSchema, response))
    yield {
      action: event.Action,
      containerId: event.Actor.ID,
      attributes: event.Actor.Attributes ?? {},
      timeNano: event.timeNano ?? (event.time ?? 0) * 1e9,
    };
}
