/**
 * Runs instances as plain processes of this machine that need nobody to live: each leads a session of its
 * own, writes its output to its own file, and is found again after a restart by its record. There is no
 * helper process per instance.
 *
 *   start   check, mark (environment), enter the control groups, execute, record
 *   ended   own children: told by the kernel at once; adopted ones: looked for every POLL_MS, while there are any
 *   open    read the records; adopt what lives; kill what bears our mark without a living record, which is
 *           what a crash between execution and record leaves, and what an instance left when it ended
 *
 * An instance is one process, its leader, and whatever that has started. When the leader ends, the rest goes too,
 * as in a container. Members are known by control group; without, by session and by mark, so that only a
 * process that both left the session and cleared its environment could stay.
 *
 * Everything that changes an instance takes turns per id (`#turns`). Exits are told from such a turn, so never
 * before the start that they belong to.
 */
import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Endpoint } from '../../core/model/messages.ts';
import type { RuntimeName } from '../../core/model/service.ts';
import type { Clock } from '../../ports/clock.ts';
import type {
  Detection,
  FoundInstance,
  LogQuery,
  Runtime,
  RuntimeExit,
  RuntimeListener,
  StartRequest,
} from '../../ports/runtime.ts';
import { Cgroups, cgroupMembers, removeCgroups } from './cgroup.ts';
import { instanceEnvironment, marks } from './environment.ts';
import { fileFailure } from './io-errors.ts';
import type { InstanceFolders, Launcher } from './launcher.ts';
import { LogFile } from './log-file.ts';
import { bootId, findProcesses, signalProcess } from './proc.ts';
import { type InstanceRecord, readRecord, writeRecord } from './record.ts';
import { execute, exitOf, isAlive, membersOf, type Run, runOf, startFailure, unwitnessedExit } from './run.ts';
import { Turns } from './turns.ts';

/** How soon the end of an adopted process is noticed. */
const POLL_MS = 500;
/** How often the size of running instances' output is looked at. */
const LOG_CHECK_MS = 1_000;
/** How often a process that has been told to end is looked at, in the long run. */
const END_CHECK_MS = 20;
/** How long the kernel may take to carry out SIGKILL; a process stuck in a device may take for ever. */
const KILL_BOUND_MS = 10_000;

export interface NativeComponents {
  readonly clock: Clock;
  /** What limits instances; without, what the system offers. */
  readonly cgroups?: Cgroups | undefined;
}

export interface NativeInit {
  /** The runtime's own directory, one folder an instance. */
  readonly directory: string;
  /** Sets this node's processes apart from those of any other on the machine. */
  readonly nodeUid: string;
}

interface Instance {
  readonly id: string;
  readonly folders: InstanceFolders;
  readonly log: LogFile;
  endpoints: readonly Endpoint[];
  exitCode: number | null;
  /** null when it has ended and all of it has been cleared away. */
  run: Run | null;
}

export class NativeRuntime implements Runtime {
  readonly name: RuntimeName;
  readonly #launcher: Launcher;
  readonly #clock: Clock;
  readonly #init: NativeInit;
  #boot = '';
  readonly #turns = new Turns();
  readonly #instances = new Map<string, Instance>();
  #cgroups: Cgroups | null;
  #listener: RuntimeListener | null = null;
  #cancelPoll: (() => void) | null = null;
  #cancelLogCheck: (() => void) | null = null;
  #closed = false;

  constructor(launcher: Launcher, components: NativeComponents, init: NativeInit) {
    assert(/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(init.nodeUid), `"${init.nodeUid}" cannot name files`);
    this.name = launcher.name;
    this.#launcher = launcher;
    this.#clock = components.clock;
    this.#cgroups = components.cgroups ?? null;
    this.#init = init;
  }

  async detect(): Promise<Detection> {
    if (process.platform !== 'linux') return { available: false, detail: 'needs Linux' };
    const detection = await this.#launcher.detect();
    return detection.available ? { available: true, detail: `${detection.detail}; ${this.#limiter().detail}` } : detection;
  }

  async open(listener: RuntimeListener): Promise<void> {
    this.#listener = listener;
    this.#boot = bootId();
    const orphanedCgroups: string[] = [];
    try {
      mkdirSync(this.#init.directory, { recursive: true, mode: 0o750 });
      for (const entry of readdirSync(this.#init.directory, { withFileTypes: true }))
        if (entry.isDirectory()) orphanedCgroups.push(...(await this.#recover(entry.name)));
    } catch (error) {
      throw fileFailure(error, this.#init.directory);
    }
    await this.#killStrays(orphanedCgroups);
    await this.#checkLogs();
    this.#watch();
  }

  async list(): Promise<readonly FoundInstance[]> {
    return [...this.#instances.values()].map(({ id, run, exitCode, endpoints }) => ({
      id,
      running: run !== null && run.exit === null,
      exitCode: run?.exit ? run.exit.exitCode : exitCode,
      endpoints,
    }));
  }

  start(request: StartRequest): Promise<readonly Endpoint[]> {
    const { id } = request.assignment;
    return this.#turns.take(id, async () => {
      this.#assertOpen();
      const known = this.#instances.get(id);
      if (known?.run) {
        if (known.run.exit === null) return known.endpoints;
        await this.#finish(known, known.run);
      }
      const instance = known ?? this.#newInstance(id);
      try {
        await this.#launch(instance, request);
      } catch (error) {
        if (known === undefined) await rm(instance.folders.own, { recursive: true, force: true });
        throw error;
      }
      this.#instances.set(id, instance);
      this.#watch();
      return instance.endpoints;
    });
  }

  stop(id: string, graceMs: number): Promise<void> {
    // At once, not when its turn comes: an end from here on is our doing.
    const running = this.#instances.get(id)?.run;
    if (running) running.stopRequested = running.exit === null;
    return this.#turns.take(id, () => this.#end(id, graceMs));
  }

  remove(id: string): Promise<void> {
    const running = this.#instances.get(id)?.run;
    if (running) running.stopRequested = running.exit === null;
    return this.#turns.take(id, async () => {
      const instance = this.#instances.get(id);
      if (instance === undefined) return;
      await this.#end(id, 0);
      instance.log.close();
      try {
        await rm(instance.folders.own, { recursive: true, force: true });
      } catch (error) {
        throw fileFailure(error, instance.folders.own);
      }
      this.#instances.delete(id);
    });
  }

  async *logs(id: string, query: LogQuery): AsyncGenerator<Uint8Array> {
    const instance = this.#instances.get(id);
    if (instance === undefined) throw new CodedError('not_found', `instance ${id}`);
    yield* instance.log.read(query);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelPoll?.();
    this.#cancelLogCheck?.();
    await this.#turns.settled();
    for (const { run, log } of this.#instances.values()) {
      run?.child?.removeAllListeners();
      log.close();
    }
    this.#instances.clear();
  }

  // --- starting

  #newInstance(id: string): Instance {
    const own = join(this.#init.directory, id);
    return {
      id,
      folders: { own, work: join(own, 'work') },
      log: new LogFile(own, limits.instanceLogBytes),
      endpoints: [],
      exitCode: null,
      run: null,
    };
  }

  async #launch(instance: Instance, { assignment, hostPorts, address }: StartRequest): Promise<void> {
    const { id, folders } = instance;
    try {
      mkdirSync(folders.work, { recursive: true, mode: 0o750 });
    } catch (error) {
      throw fileFailure(error, folders.own);
    }
    const launch = await this.#launcher.prepare(assignment, folders);
    const endpoints = assignment.spec.ports.map(({ name }) => ({
      name,
      address,
      port: must(hostPorts[name], `host port ${name}`),
    }));
    let cgroups: readonly string[] = [];
    try {
      cgroups = this.#limiter().create(id, assignment.spec.resources);
      const output = instance.log.openForAppend();
      let child: ChildProcess;
      try {
        child = execute(launch, cgroups, instanceEnvironment(assignment, hostPorts, this.#init.nodeUid), output);
      } finally {
        closeSync(output);
      }
      if (child.pid === undefined) throw await startFailure(child, launch.executable);
      this.#adoptChild(instance, child, cgroups, endpoints);
    } catch (error) {
      await this.#killAll(id, null, cgroups);
      throw fileFailure(error, `start of ${id}`);
    }
  }

  /** In the same breath as the execution: until the loop turns, the kernel keeps even a process that has ended. */
  #adoptChild(instance: Instance, child: ChildProcess, cgroups: readonly string[], endpoints: readonly Endpoint[]): void {
    const run = runOf(child, cgroups);
    child.on('exit', (code, signal) => this.#leaderEnded(instance, run, exitOf(code, signal, cgroups)));
    child.unref();
    writeRecord(instance.folders.own, this.#recordOf(run, endpoints, null));
    instance.run = run;
    instance.endpoints = endpoints;
    instance.exitCode = null;
  }

  // --- ending

  #leaderEnded(instance: Instance, run: Run, exit: RuntimeExit): void {
    run.exit = exit;
    if (this.#closed || run.stopRequested) return;
    const clearing = this.#turns.take(instance.id, async () => {
      if (instance.run === run) await this.#finish(instance, run);
    });
    clearing.catch((error: unknown) => {
      // What is left of it cannot be killed, or this program ends. The next start clears away first.
      if (!this.#closed) this.#listener?.exited(instance.id, { ...exit, reason: `${exit.reason}; ${(error as Error).message}` });
    });
  }

  /** Clears away what an ended leader leaves, and tells. */
  async #finish(instance: Instance, run: Run): Promise<void> {
    const exit = must(run.exit, 'exit of an ended run');
    await this.#killAll(instance.id, run, run.cgroups);
    instance.run = null;
    instance.exitCode = exit.exitCode;
    try {
      writeRecord(instance.folders.own, this.#recordOf(run, instance.endpoints, exit));
    } catch {
      // A full disk. The record still names a process that is gone, so the next tendril finds the same, but for the code.
    }
    if (!run.stopRequested) this.#listener?.exited(instance.id, exit);
    await instance.log.check().catch(() => {});
  }

  async #end(id: string, graceMs: number): Promise<void> {
    const instance = this.#instances.get(id);
    const run = instance?.run;
    if (!instance || !run) return;
    if (run.exit === null) run.stopRequested = true;
    if (graceMs > 0) {
      for (const pid of this.#members(id, run, run.cgroups)) signalProcess(pid, 'SIGTERM');
      await this.#waitUntil(graceMs, () => this.#hasEnded(run) && this.#members(id, run, run.cgroups).length === 0);
    }
    await this.#killAll(id, run, run.cgroups);
    run.exit ??= { exitCode: null, reason: 'stopped' };
    await this.#finish(instance, run);
  }

  /** Resolves when nothing of the instance runs any more. */
  async #killAll(id: string, run: Run | null, cgroups: readonly string[]): Promise<void> {
    const gone = await this.#waitUntil(KILL_BOUND_MS, () => {
      const members = this.#members(id, run, cgroups);
      for (const pid of members) signalProcess(pid, 'SIGKILL');
      return members.length === 0 && (run === null || this.#hasEnded(run)) && removeCgroups(cgroups);
    });
    if (!gone) throw new CodedError('runtime_failed', `${id} does not end, even when killed`);
  }

  #hasEnded(run: Run): boolean {
    if (run.exit !== null) return true;
    return run.child === null && !isAlive(run);
  }

  #members(id: string, run: Run | null, cgroups: readonly string[]): number[] {
    return membersOf(run, cgroups, marks(this.#init.nodeUid, this.name, id));
  }

  // --- coming back

  /** Takes up what a record tells. Returns control groups whose leader has ended meanwhile. */
  async #recover(id: string): Promise<readonly string[]> {
    const instance = this.#newInstance(id);
    const record = readRecord(instance.folders.own);
    if (record === 'none') {
      // Its start never resolved.
      await rm(instance.folders.own, { recursive: true, force: true });
      return [];
    }
    this.#instances.set(id, instance);
    if (record === 'torn') return [];
    instance.endpoints = record.endpoints;
    instance.exitCode = record.exit?.exitCode ?? null;
    if (record.exit !== null) return [];
    const { pid, startTicks, cgroups } = record;
    const run: Run = { pid, startTicks, cgroups, child: null, stopRequested: false, exit: null };
    if (record.bootId === this.#boot && isAlive(run)) {
      instance.run = run;
      return [];
    }
    writeRecord(instance.folders.own, this.#recordOf(run, record.endpoints, unwitnessedExit('while down', cgroups)));
    return cgroups;
  }

  async #killStrays(orphanedCgroups: readonly string[]): Promise<void> {
    const living = new Set([...this.#instances.values()].filter(({ run }) => run !== null).map(({ id }) => id));
    const groups = [...new Set([...orphanedCgroups, ...this.#limiter().leftovers(living)])];
    await this.#waitUntil(KILL_BOUND_MS, () => {
      const strays = findProcesses(marks(this.#init.nodeUid, this.name), null)
        .filter(({ environment }) => !living.has(environment.get('TENDRIL_INSTANCE') ?? ''))
        .map(({ pid }) => pid);
      for (const pid of [...strays, ...cgroupMembers(groups)]) signalProcess(pid, 'SIGKILL');
      return strays.length === 0 && removeCgroups(groups);
    });
  }

  // --- looking after what runs

  /** Keeps timers only while there is something to look at. */
  #watch(): void {
    const running = [...this.#instances.values()].filter(({ run }) => run !== null && run.exit === null);
    if (this.#closed || running.length === 0) return;
    this.#cancelLogCheck ??= this.#clock.startTimer(LOG_CHECK_MS, () => {
      this.#cancelLogCheck = null;
      void this.#checkLogs().then(() => this.#watch());
    });
    if (running.some(({ run }) => run?.child === null))
      this.#cancelPoll ??= this.#clock.startTimer(POLL_MS, () => {
        this.#cancelPoll = null;
        this.#pollAdopted();
        this.#watch();
      });
  }

  #pollAdopted(): void {
    for (const instance of this.#instances.values()) {
      const { run } = instance;
      if (run === null || run.child !== null || run.exit !== null || run.stopRequested) continue;
      if (!isAlive(run)) this.#leaderEnded(instance, run, unwitnessedExit('while adopted', run.cgroups));
    }
  }

  async #checkLogs(): Promise<void> {
    for (const { log } of this.#instances.values()) {
      // A failing disk must not end the rounds; the next one tries again.
      await log.check().catch(() => {});
    }
  }

  #recordOf(run: Run, endpoints: readonly Endpoint[], exit: RuntimeExit | null): InstanceRecord {
    const { pid, startTicks, cgroups } = run;
    return { version: 1, pid, startTicks, bootId: this.#boot, cgroups: [...cgroups], endpoints: [...endpoints], exit };
  }

  #limiter(): Cgroups {
    this.#cgroups ??= Cgroups.detect(`tendril-${this.#init.nodeUid}-${this.name}`);
    return this.#cgroups;
  }

  #assertOpen(): void {
    if (this.#closed) throw new CodedError('unavailable', 'the runtime is closed');
  }

  /** Whether `holds` came true within the bound. */
  async #waitUntil(boundMs: number, holds: () => boolean): Promise<boolean> {
    let waitedMs = 0;
    while (!holds()) {
      this.#assertOpen();
      if (waitedMs >= boundMs) return false;
      // Most processes end within a millisecond or two.
      const pauseMs = Math.min(Math.max(1, waitedMs), END_CHECK_MS, boundMs - waitedMs);
      await new Promise<void>((resolve) => this.#clock.startTimer(pauseMs, resolve));
      waitedMs += pauseMs;
    }
    return true;
  }
}
