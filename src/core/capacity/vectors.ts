/** Arithmetic on amounts of what is reserved: thousandths of a core, bytes of memory, bytes of disk. */
import type { ServiceSpec } from '../model/service.ts';
import type { ResourceVector } from '../model/summary.ts';

export const ZERO: ResourceVector = { cpuMilli: 0, memoryBytes: 0, diskBytes: 0 };

/** What one instance of the service reserves. Rounded up: a node never holds more than it has. */
export function requirementOf(spec: Pick<ServiceSpec, 'resources'>): ResourceVector {
  const { cpu, memory, disk } = spec.resources;
  // 0.07 * 1000 is 70.00000000000001: only what exceeds the error of the multiplication is rounded up.
  return { cpuMilli: Math.max(0, Math.ceil(cpu * 1000 - 1e-6)), memoryBytes: Math.ceil(memory), diskBytes: Math.ceil(disk) };
}

export function add(a: ResourceVector, b: ResourceVector): ResourceVector {
  return {
    cpuMilli: a.cpuMilli + b.cpuMilli,
    memoryBytes: a.memoryBytes + b.memoryBytes,
    diskBytes: a.diskBytes + b.diskBytes,
  };
}

/** `a - b`, at least zero in each resource. */
export function subtract(a: ResourceVector, b: ResourceVector): ResourceVector {
  return {
    cpuMilli: Math.max(0, a.cpuMilli - b.cpuMilli),
    memoryBytes: Math.max(0, a.memoryBytes - b.memoryBytes),
    diskBytes: Math.max(0, a.diskBytes - b.diskBytes),
  };
}

/** Per resource, the larger of both. */
export function largestOf(a: ResourceVector, b: ResourceVector): ResourceVector {
  return {
    cpuMilli: Math.max(a.cpuMilli, b.cpuMilli),
    memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
    diskBytes: Math.max(a.diskBytes, b.diskBytes),
  };
}

/** Whether `need` fits into `free`. */
export function fits(need: ResourceVector, free: ResourceVector): boolean {
  return need.cpuMilli <= free.cpuMilli && need.memoryBytes <= free.memoryBytes && need.diskBytes <= free.diskBytes;
}

/** Whether whatever fits into `b` fits into `a` too. */
export function dominates(a: ResourceVector, b: ResourceVector): boolean {
  return fits(b, a);
}

/**
 * How much of `free` it takes to hold `need`, 0 to 1, as the mean over the resources that are needed: 1 is
 * an exact fit. `need` must fit.
 */
export function tightness(need: ResourceVector, free: ResourceVector): number {
  let sum = 0;
  let needed = 0;
  if (need.cpuMilli > 0) {
    sum += need.cpuMilli / free.cpuMilli;
    needed += 1;
  }
  if (need.memoryBytes > 0) {
    sum += need.memoryBytes / free.memoryBytes;
    needed += 1;
  }
  if (need.diskBytes > 0) {
    sum += need.diskBytes / free.diskBytes;
    needed += 1;
  }
  return needed === 0 ? 0 : sum / needed;
}
