/**
 * The node in an orchestrator's own process. While this replica serves it has its uplink within the process; while
 * another one does (node/local-parent.ts) it is a node like any other, and dials that one.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { MemoryDownlink } from '../adapters/memory/uplink.ts';
import { MqttUplink } from '../adapters/mqtt/uplink.ts';
import { dialOptions } from '../adapters/tls/dial.ts';
import type { Leader } from '../adapters/tls/leader-forwarding.ts';
import { Addresses } from '../core/base/addresses.ts';
import { CodedError } from '../core/model/errors.ts';
import type { ReplicaId } from '../core/raft/membership.ts';
import { SwitchingUplink } from '../node/switching-uplink.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { LogQuery } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import type { Uplink } from '../ports/uplink.ts';
import { composeEngine, type EngineParts, serveStreams } from './engine.ts';
import type { Profile } from './profile.ts';
import { systemRandom } from './random.ts';
import type { ReplicaIdentity } from './replica-identity.ts';

export interface LocalNodeComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly identity: ReplicaIdentity;
}

export interface LocalNodeInit {
  readonly profile: Profile;
  readonly directory: string;
  readonly software: string;
  readonly dockerHost: string | undefined;
  /** As the machine's address is found by. */
  readonly parentHost: string;
  readonly onFailure: (error: Error) => void;
}

export class LocalNode {
  readonly downlink: MemoryDownlink;
  readonly #components: LocalNodeComponents;
  readonly #uplink = new SwitchingUplink();
  readonly #inside: Uplink;
  readonly #name: string;
  #remote: { readonly url: string; readonly uplink: Uplink } | null = null;
  #engine: EngineParts | null = null;
  readonly #http = serveStreams(() => this.#engine);

  constructor(components: LocalNodeComponents, name: string) {
    this.#components = components;
    this.#name = name;
    this.downlink = new MemoryDownlink({ clock: components.clock, schedule: (callback) => void setImmediate(callback) });
    this.#inside = this.downlink.uplink(name);
  }

  get engine(): EngineParts | null {
    return this.#engine;
  }

  async start(init: LocalNodeInit): Promise<void> {
    const { clock, logger, store, identity } = this.#components;
    this.#engine = await composeEngine(
      { clock, logger, store, link: { uplink: this.#uplink, newSessionId: () => randomBytes(9).toString('base64url') } },
      {
        ...init,
        onStreamRequest: (id) => {
          const url = this.#remote?.url;
          if (url === undefined) return; // within the process its output is read directly
          import('../adapters/streams/dial-back.ts')
            .then(({ dialBack }) => dialBack(url, id, dialOptions(identity.node)))
            .then(
              (stream) => this.#http.serve(stream),
              (error: unknown) => logger.warn({ problem: String(error) }, 'no stream to the orchestrator'),
            );
        },
      },
    );
    await this.#engine.driver.start();
  }

  /** Turns to this replica, whose id is `self`, or to another one. */
  follow(self: ReplicaId, parent: Leader | null): void {
    if (parent === null) return; // until one is known, there is nobody to turn to: what runs, runs on
    if (parent.id === self) {
      this.#remote = null;
      this.#uplink.turnTo(this.#inside, 'its own replica serves now');
      return;
    }
    if (this.#remote?.url !== parent.url) this.#remote = { url: parent.url, uplink: this.#dial(parent.url) };
    this.#uplink.turnTo(this.#remote.uplink, `${parent.name} serves now`);
  }

  /** For another replica, over a connection that it has made. */
  serve(connection: Duplex): void {
    this.#http.serve(connection);
  }

  readLogs(id: string, query: LogQuery): AsyncIterable<Uint8Array> {
    if (!this.#engine) throw new CodedError('unavailable', 'the node is starting');
    return this.#engine.readLogs(id, query);
  }

  async close(): Promise<void> {
    await this.#engine?.driver.close();
  }

  #dial(url: string): Uplink {
    const { clock, logger, identity } = this.#components;
    return new MqttUplink(
      { clock, warn: (message, details) => logger.warn(details, message) },
      { addresses: new Addresses({ given: url, random: systemRandom }), name: this.#name, tls: () => dialOptions(identity.node) },
    );
  }
}
