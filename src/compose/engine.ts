/** Puts an engine together on this machine: its runtimes, its capacity, its link to the parent. */
import { join } from 'node:path';
import { ContainerRuntime } from '../adapters/docker/container-runtime.ts';
import { OsHostPorts } from '../adapters/native/host-ports.ts';
import { createProcessRuntime } from '../adapters/native/process.ts';
import { createPythonRuntime } from '../adapters/native/python.ts';
import { OsMeter } from '../adapters/os-meter/os-meter.ts';
import { ChildHttp } from '../adapters/streams/child-http.ts';
import { CodedError } from '../core/model/errors.ts';
import { EngineDriver } from '../node/engine-driver.ts';
import type { ParentLinkComponents } from '../node/parent-link.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { LogQuery, Runtime } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { ownAddress } from './listen.ts';
import type { Profile } from './profile.ts';
import { systemRandom } from './random.ts';

export interface EngineParts {
  readonly driver: EngineDriver;
  /** What it runs work with, each with a word on it. */
  readonly runtimes: readonly { readonly name: string; readonly detail: string; readonly available: boolean }[];
  readLogs(id: string, query: LogQuery): AsyncIterable<Uint8Array>;
}

export async function composeEngine(
  components: { readonly clock: Clock; readonly logger: Logger; readonly store: Store; readonly link: ParentLinkComponents },
  init: {
    readonly profile: Profile;
    readonly directory: string;
    readonly software: string;
    /** Asked at every start of an instance. */
    readonly parentHost: string;
    readonly dockerHost: string | undefined;
    readonly onStreamRequest: (id: string) => void;
    readonly onFailure: (error: Error) => void;
  },
): Promise<EngineParts> {
  const { clock, logger } = components;
  const { profile, directory } = init;
  const runtimes = createRuntimes(clock, profile, directory, init.dockerHost);
  const detections = await Promise.all(runtimes.map(async (runtime) => ({ name: runtime.name, ...(await runtime.detect()) })));
  const meter = new OsMeter({ directory, load: profile.load });
  const inventory = await meter.inventory();
  const driver = new EngineDriver(
    {
      clock,
      logger,
      store: components.store,
      runtimes,
      meter,
      hostPorts: new OsHostPorts(),
      parent: components.link,
      onStreamRequest: init.onStreamRequest,
      onFailure: init.onFailure,
    },
    {
      name: profile.name,
      software: init.software,
      architecture: inventory.architecture,
      runtimes: detections.filter(({ available }) => available).map(({ name }) => name),
      labels: profile.labels,
      position: profile.position,
      total: {
        cpuMilli: Math.round((profile.cpu ?? inventory.cores) * 1000),
        memoryBytes: profile.memory ?? inventory.memoryBytes,
        diskBytes: inventory.diskBytes,
      },
      random: systemRandom,
    },
    () => profile.address ?? addressTowards(init.parentHost),
  );
  return {
    driver,
    runtimes: detections,
    readLogs: (id, query) => {
      const runtime = driver.core.runtimeOf(id);
      if (runtime === undefined) throw new CodedError('not_found', `instance ${id}`);
      return keptOutput(driver.runtime(runtime).logs(id, query));
    },
  };
}

/** Of an instance that is given to this node and never started, its runtime knows nothing: it has written nothing. */
export async function* keptOutput(logs: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* logs;
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'not_found') throw error;
  }
}

/** Serves what the parent asks for over a connection that this node dials. */
export function serveStreams(parts: () => EngineParts | null): ChildHttp {
  return new ChildHttp((id, query) => {
    const engine = parts();
    if (!engine) throw new CodedError('unavailable', 'the node is starting');
    return engine.readLogs(id, query);
  });
}

function createRuntimes(clock: Clock, profile: Profile, directory: string, dockerHost: string | undefined): readonly Runtime[] {
  const nodeUid = profile.uid;
  return [
    createProcessRuntime({ clock }, { directory: join(directory, 'process'), nodeUid }),
    createPythonRuntime({ clock }, { directory: join(directory, 'python'), nodeUid }),
    new ContainerRuntime({ clock }, { node: nodeUid, dockerHost }),
  ];
}

/** This machine's address as those see it who see the parent: loopback when all is on one machine. */
function addressTowards(parentHost: string): string {
  return parentHost === 'localhost' || parentHost.startsWith('127.') || parentHost === '::1' ? '127.0.0.1' : ownAddress();
}
