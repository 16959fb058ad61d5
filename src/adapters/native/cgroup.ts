/**
 * Limits by control groups, version 1 or 2, where the kernel offers them and this user may write them.
 *
 * Memory is a hard limit: past it the kernel kills within the instance and nothing else (with version 2 the whole
 * instance, `memory.oom.group`). CPU is a weight in proportion to what was reserved, not a quota: when the
 * node is busy each gets its share, and when it is idle a small service may answer as fast as it can. A
 * quota of a tenth of a core would stall every request for most of each 100 ms period.
 *
 * Groups lie below tendril's own, so that whatever limits tendril limits its instances too (with version 2
 * the kernel lets only groups without processes, or the root, hold groups with limits: then below the root).
 * Under systemd the unit needs `Delegate=yes`, and `KillMode=process` so that instances outlive a restart.
 */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ioErrorCode } from './io-errors.ts';

export interface ResourceLimits {
  /** Cores. */
  readonly cpu: number;
  /** Bytes; 0 sets no limit. */
  readonly memory: number;
}

/** Where one controller's groups can be made. */
export interface CgroupMount {
  readonly version: 1 | 2;
  readonly controllers: readonly ('memory' | 'cpu')[];
  /** Directories to make groups in, the best first. */
  readonly parents: readonly string[];
}

/** Reads `/proc/self/mountinfo` and `/proc/self/cgroup` (cgroups(7), proc(5)). */
export function parseCgroupMounts(mountInfo: string, ownGroups: string): CgroupMount[] {
  const own = new Map(
    ownGroups.split('\n').flatMap((line) => {
      const [, controllers, ...path] = line.split(':');
      return controllers === undefined ? [] : [[controllers, path.join(':')] as const];
    }),
  );
  const mounts: CgroupMount[] = [];
  for (const line of mountInfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '/', mountPoint = ''] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    const parentsOf = (path = '/') => {
      const below = root !== '/' && `${path}/`.startsWith(`${root}/`) ? path.slice(root.length) : path;
      return [...new Set([resolve(mountPoint, `.${below}`), mountPoint])];
    };
    if (type === 'cgroup2') {
      mounts.push({ version: 2, controllers: ['memory', 'cpu'], parents: parentsOf(own.get('')) });
    } else if (type === 'cgroup') {
      const names = options.split(',');
      const controllers = (['memory', 'cpu'] as const).filter((controller) => names.includes(controller));
      const path = [...own].find(([key]) => controllers.some((controller) => key.split(',').includes(controller)))?.[1];
      if (controllers.length > 0) mounts.push({ version: 1, controllers, parents: parentsOf(path) });
    }
  }
  return mounts;
}

interface Site {
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
  readonly directory: string;
}

export class Cgroups {
  readonly #sites: readonly Site[];
  /** For a person: what is limited, or why nothing is. */
  readonly detail: string;

  private constructor(sites: readonly Site[]) {
    this.#sites = sites;
    const controllers = sites.flatMap((site) => site.controllers).sort();
    this.detail =
      controllers.length === 0
        ? 'no limits, as no control group can be written'
        : `${controllers.reverse().join(' and ')} limited by cgroup v${sites[0]?.version}`;
  }

  static none(): Cgroups {
    return new Cgroups([]);
  }

  /** Finds what this system offers; `name` sets this node's groups apart. */
  static detect(name: string): Cgroups {
    let mounts: readonly CgroupMount[] = [];
    try {
      mounts = parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'), readFileSync('/proc/self/cgroup', 'utf8'));
    } catch {
      // A kernel without control groups.
    }
    const sites: Site[] = [];
    // Version 2 first: a hybrid system has both, and each controller in one of them only.
    for (const mount of [...mounts].sort((a, b) => b.version - a.version)) {
      const taken = sites.flatMap((site) => site.controllers);
      const wanted = mount.controllers.filter((controller) => !taken.includes(controller));
      const site = wanted.length === 0 ? null : firstUsable(mount, wanted, name);
      if (site !== null) sites.push(site);
    }
    return new Cgroups(sites);
  }

  /** Makes the groups of an instance; their directories, to be kept in its record. */
  create(id: string, limits: ResourceLimits): string[] {
    return this.#sites.map((site) => {
      const group = join(makeParent(site), id);
      mkdirSync(group, { recursive: true });
      if (site.controllers.includes('memory') && limits.memory > 0) limitMemory(site.version, group, limits.memory);
      if (site.controllers.includes('cpu')) weighCpu(site.version, group, limits.cpu);
      return group;
    });
  }

  /** Groups of this node that belong to no instance of `known`: a crash has left them. */
  leftovers(known: ReadonlySet<string>): string[] {
    return this.#sites.flatMap((site) =>
      existsSync(site.directory)
        ? readdirSync(site.directory, { withFileTypes: true })
            .filter((entry) => entry.isDirectory() && !known.has(entry.name))
            .map((entry) => join(site.directory, entry.name))
        : [],
    );
  }
}

/** The command that puts itself into `groups` and then becomes `executable`: nothing of it ever runs outside of them. */
export function enterAndExec(groups: readonly string[], executable: string, args: readonly string[]): [string, ...string[]] {
  const script =
    'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; n=$((n-1)); done; exec "$@"';
  return ['/bin/sh', '-c', script, 'sh', String(groups.length), ...groups, executable, ...args];
}

/** Ids of the living processes in the groups. */
export function cgroupMembers(groups: readonly string[]): number[] {
  const members = new Set<number>();
  for (const group of groups)
    for (const line of (readOrNull(join(group, 'cgroup.procs')) ?? '').split('\n')) if (line !== '') members.add(Number(line));
  return [...members];
}

/** Whether the kernel has killed there for want of memory. */
export function ranOutOfMemory(groups: readonly string[]): boolean {
  return groups.some((group) => {
    const text = readOrNull(join(group, 'memory.events')) ?? readOrNull(join(group, 'memory.oom_control')) ?? '';
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
  });
}

/** False while a process still is in one of them. */
export function removeCgroups(groups: readonly string[]): boolean {
  return groups.every((group) => {
    const removed = removeDirectory(group);
    // The node's own directory goes with its last instance.
    if (removed) removeDirectory(dirname(group));
    return removed;
  });
}

function firstUsable(mount: CgroupMount, wanted: readonly string[], name: string): Site | null {
  for (const parent of mount.parents) {
    const offered = mount.version === 1 ? wanted : offeredControllers(parent).filter((controller) => wanted.includes(controller));
    if (offered.length === 0) continue;
    const site: Site = { version: mount.version, controllers: offered, directory: join(parent, name) };
    try {
      const directory = makeParent(site);
      const usable = offered.filter((controller) => existsSync(join(directory, controlFile(mount.version, controller))));
      for (const controller of usable) accessSync(join(directory, controlFile(mount.version, controller)), constants.W_OK);
      removeDirectory(directory);
      if (usable.length > 0) return { ...site, controllers: usable };
    } catch {
      // Not for us; perhaps the next.
    }
  }
  return null;
}

function offeredControllers(parent: string): string[] {
  return (readOrNull(join(parent, 'cgroup.controllers')) ?? '').trim().split(' ');
}

function controlFile(version: 1 | 2, controller: string): string {
  if (controller === 'memory') return version === 1 ? 'memory.limit_in_bytes' : 'memory.max';
  return version === 1 ? 'cpu.shares' : 'cpu.weight';
}

function makeParent(site: Site): string {
  const enabled = site.controllers.map((controller) => `+${controller}`).join(' ');
  if (site.version === 2) writeFileSync(join(dirname(site.directory), 'cgroup.subtree_control'), enabled);
  mkdirSync(site.directory, { recursive: true });
  if (site.version === 2) writeFileSync(join(site.directory, 'cgroup.subtree_control'), enabled);
  return site.directory;
}

function limitMemory(version: 1 | 2, group: string, bytes: number): void {
  if (version === 2) {
    writeFileSync(join(group, 'memory.max'), String(bytes));
    writeIfThere(join(group, 'memory.swap.max'), '0');
    writeIfThere(join(group, 'memory.oom.group'), '1');
  } else {
    writeFileSync(join(group, 'memory.limit_in_bytes'), String(bytes));
    writeIfThere(join(group, 'memory.memsw.limit_in_bytes'), String(bytes));
  }
}

/** The kernel's default, 1024 shares or weight 100, is one core's. */
function weighCpu(version: 1 | 2, group: string, cores: number): void {
  if (version === 2) writeFileSync(join(group, 'cpu.weight'), String(between(1, Math.round(cores * 100), 10_000)));
  else writeFileSync(join(group, 'cpu.shares'), String(between(2, Math.round(cores * 1024), 262_144)));
}

function between(min: number, value: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}

function writeIfThere(path: string, value: string): void {
  // Absent without swap accounting or in older kernels; what it adds can be done without.
  if (existsSync(path)) writeFileSync(path, value);
}

function removeDirectory(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return ioErrorCode(error) === 'ENOENT';
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
