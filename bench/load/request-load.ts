/** Users of gateways in a process of their own: so many requests a second at random times, or always so many under way. */
import { Prng } from '../../src/core/base/prng.ts';
import { machineMs } from '../parts/machine-clock.ts';
import { serveParent } from '../parts/serve-parent.ts';
import { PutClient } from './put-client.ts';

export interface RequestPlan {
  /** Begins the ids of its requests. */
  readonly name: string;
  /** Of the gateways, which take turns. */
  readonly ports: readonly number[];
  readonly durationMs: number;
  /** All gateways together; independent of each other (Poisson). */
  readonly perSecond?: number;
  /** Instead: at each gateway, the next one when one is answered. */
  readonly atOnce?: number;
}

export interface RequestOutcome {
  /** From a request to its answer. */
  readonly answeredMs: Float64Array;
  /** Since the plan began, until the last of them was answered. */
  readonly tookMs: number;
}

/** The key under which gateways take requests; its value is a list of ids. */
const REQUESTS = 'requests';

export function requestLoad(): void {
  serveParent({ run });
}

async function run({ name, ports, durationMs, perSecond, atOnce = 0 }: RequestPlan): Promise<RequestOutcome> {
  const clients = ports.map((port) => new PutClient(port));
  const answered: number[] = [];
  let count = 0;
  const startMs = machineMs();
  const ask = async (client: PutClient): Promise<void> => {
    const id = `${name}/${count}`;
    count += 1;
    const sentMs = machineMs();
    const isDone = await client.put({ key: REQUESTS, value: Buffer.from(JSON.stringify([id])) });
    if (!isDone) throw new Error(`${id} was refused`);
    answered.push(machineMs() - sentMs);
  };
  if (perSecond === undefined) {
    await Promise.all(
      clients.flatMap((client) =>
        Array.from({ length: atOnce }, async () => {
          while (machineMs() - startMs < durationMs) await ask(client);
        }),
      ),
    );
  } else await Promise.all(await askAtRandom(clients, ask, durationMs, perSecond));
  const tookMs = machineMs() - startMs;
  for (const client of clients) client.close();
  return { answeredMs: Float64Array.from(answered), tookMs };
}

async function askAtRandom(
  clients: readonly PutClient[],
  ask: (client: PutClient) => Promise<void>,
  durationMs: number,
  perSecond: number,
): Promise<readonly Promise<void>[]> {
  const random = new Prng(perSecond * 100 + clients.length);
  const asked: Promise<void>[] = [];
  const endMs = machineMs() + durationMs;
  for (let at = 0; machineMs() < endMs; at += 1) {
    const pauseMs = (-Math.log(1 - random.next()) * 1_000) / perSecond;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    const client = clients[at % clients.length];
    if (client) asked.push(ask(client));
  }
  return asked;
}
