/**
 * A client that wants one value put and does not know who leads: it asks one member after the other, every few
 * milliseconds, and leaves open what is not answered. Done is done, whoever says so first.
 */
import { machineMs } from '../parts/machine-clock.ts';
import { serveParent } from '../parts/serve-parent.ts';
import { PutClient } from './put-client.ts';

export interface ProbeRequest {
  readonly ports: readonly number[];
  readonly valueBytes: number;
}

const PACE_MS = 5;
const PATIENCE_MS = 30_000;

export function putProbe(): void {
  const clients = new Map<number, PutClient>();
  let count = 0;
  serveParent({
    /** When it was told that it is done, on the machine's clock; or when its patience was at an end. */
    probe: ({ ports, valueBytes }: ProbeRequest) =>
      new Promise<number>((resolve) => {
        const value = Buffer.alloc(valueBytes, 'x');
        const startMs = machineMs();
        let turn = 0;
        const ask = (): void => {
          const port = ports[turn % ports.length] ?? 0;
          const client = clients.get(port) ?? new PutClient(port);
          clients.set(port, client);
          turn += 1;
          count += 1;
          void client.put({ key: `probe/${count}`, value }).then((isDone) => {
            if (!isDone) return;
            clearInterval(timer);
            resolve(machineMs());
          });
          if (machineMs() - startMs < PATIENCE_MS) return;
          clearInterval(timer);
          resolve(machineMs());
        };
        const timer = setInterval(ask, PACE_MS);
        ask();
      }),
  });
}
