import { it } from 'vitest';
import { until } from '../../test/rig/until.ts';
import { MemoryDownlink } from '../adapters/memory/uplink.ts';
import { systemClock } from '../adapters/system-clock/clock.ts';
import { Prng } from '../core/base/prng.ts';
import type { Log, LogListener } from '../ports/log.ts';
import { OrchestratorDriver } from './orchestrator-driver.ts';
import { sha256 } from './sha256.ts';

/** A log that commits nothing, and whose leadership is what a test says. */
class SilentLog implements Log {
  listener: LogListener | null = null;
  propose = () => undefined;
  compact = async () => undefined;
  close = async () => undefined;

  async open(listener: LogListener): Promise<void> {
    this.listener = listener;
    this.leads(false);
  }

  leads(leads: boolean): void {
    this.listener?.ready({ leads, term: 1, leader: null });
  }
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

it('has its links open exactly while it leads, however fast that changes (I5)', async () => {
  const log = new SilentLog();
  const downlink = new MemoryDownlink({ clock: systemClock, schedule: (callback) => void setImmediate(callback) });
  const driver = new OrchestratorDriver(
    {
      clock: systemClock,
      log,
      downlink,
      parent: null,
      logger: quiet,
      onStreamRequest: () => undefined,
      onFailure: (error) => {
        throw error;
      },
    },
    {
      ...{ name: 'site', epoch: 'e1', software: 'test', random: new Prng(1), policy: 'spread' },
      ...{ heartbeatMs: 1_000, entriesPerSnapshot: 100, hash: sha256 },
    },
  );
  await driver.start();
  let isOpen = false;
  downlink.uplink('n1').open({
    opened: () => {
      isOpen = true;
    },
    received: () => undefined,
    closed: () => {
      isOpen = false;
    },
  });
  for (const changes of [[true], [false], [false, true], [true, false], [true, false, true], [false, true, false]]) {
    for (const leads of changes) log.leads(leads);
    await until(`links are as after ${changes.join()}`, () => isOpen === changes.at(-1), 5_000);
  }
  await driver.close();
});
