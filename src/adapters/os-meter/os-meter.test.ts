import { tmpdir, totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { loadBetween, memoryUseIn, OsMeter, parseCpuTimes, usableMemoryBytes } from './os-meter.ts';

describe('os meter', () => {
  it('takes stock of this machine', async () => {
    const inventory = await new OsMeter({ directory: tmpdir() }).inventory();
    expect(inventory.architecture).toMatch(/^(amd64|arm64|arm|riscv64|386|ppc64le|s390x|loong64)$/);
    expect(inventory.cores).toBeGreaterThanOrEqual(1);
    expect(inventory.memoryBytes).toBeGreaterThan(0);
    expect(inventory.memoryBytes).toBeLessThanOrEqual(totalmem());
    expect(inventory.diskBytes).toBeGreaterThan(0);
    expect(inventory.hostname).not.toBe('');
  });

  it('measures a load between 0 and 1', () => {
    const meter = new OsMeter({ directory: tmpdir() });
    for (let sample = 0; sample < 3; sample += 1) {
      const load = meter.load();
      expect(load).toBeGreaterThanOrEqual(0);
      expect(load).toBeLessThanOrEqual(1);
    }
  });

  it('counts waiting as idle, steal as busy and guests once', () => {
    expect(parseCpuTimes('cpu  100 10 50 800 30 4 5 1 60 7\ncpu0 1 1 1 1\n')).toEqual({ busyTicks: 170, totalTicks: 1000 });
  });

  it('is the busy share of the time since the last sample, whatever the counters do', () => {
    const at = (busyTicks: number, totalTicks: number) => ({ busyTicks, totalTicks });
    expect(loadBetween(at(100, 1000), at(150, 1200))).toBe(0.25);
    expect(loadBetween(at(100, 1000), at(100, 1000))).toBe(0);
    expect(loadBetween(at(100, 1000), at(90, 1010))).toBe(0);
    expect(loadBetween(at(100, 1000), at(130, 1010))).toBe(1);
  });

  it('keeps to the limit of its control group', () => {
    expect(usableMemoryBytes(1000, 0)).toBe(1000);
    expect(usableMemoryBytes(1000, 2 ** 63)).toBe(1000);
    expect(usableMemoryBytes(1000, 400)).toBe(400);
  });
});

it('weighs memory in where it is asked to', () => {
  const meminfo = 'MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    250 kB\n';
  expect(memoryUseIn(meminfo)).toBe(0.75);
  expect(memoryUseIn('nothing')).toBe(0);
  const ofMemory = new OsMeter({ directory: '/', load: { cpu: 0, memory: 1 } }).load();
  expect(ofMemory).toBeGreaterThan(0);
  expect(ofMemory).toBeLessThan(1);
});
