/** Clients in a process of their own: each puts a value, waits for the answer, and puts the next. */
import { machineMs } from '../parts/machine-clock.ts';
import { serveParent } from '../parts/serve-parent.ts';
import { PutClient } from './put-client.ts';

export interface LoadRequest {
  readonly port: number;
  readonly clients: number;
  readonly valueBytes: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export interface LoadOutcome {
  /** With those of the warm-up. */
  readonly appends: number;
  /** Of those that began and ended after it. */
  readonly latenciesMs: Float64Array;
}

export function putLoad(): void {
  serveParent({ run });
}

async function run({ port, clients, valueBytes, warmUpMs, durationMs }: LoadRequest): Promise<LoadOutcome> {
  const value = Buffer.alloc(valueBytes, 'x');
  const connections = Array.from({ length: clients }, () => new PutClient(port));
  const startMs = machineMs() + warmUpMs;
  const endMs = startMs + durationMs;
  const latencies: number[] = [];
  let appends = 0;
  await Promise.all(
    connections.map(async (connection, client) => {
      for (;;) {
        const sentMs = machineMs();
        if (sentMs >= endMs) return;
        if (!(await connection.put({ key: `bench/${client}`, value }))) throw new Error('a put was refused');
        appends += 1;
        const doneMs = machineMs();
        if (sentMs >= startMs && doneMs <= endMs) latencies.push(doneMs - sentMs);
      }
    }),
  );
  for (const connection of connections) connection.close();
  return {
    appends,
    latenciesMs: Float64Array.from(latencies),
  };
}
