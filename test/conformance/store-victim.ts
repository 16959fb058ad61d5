/** A node whose only fate is to be killed: it replaces one document by its next version, again and again. */
import { integerBetween, Prng } from '../../src/core/base/prng.ts';
import type { Store } from '../../src/ports/store.ts';

/** The version that the content is; 0 for none. Throws when it is not the whole of one. */
export function readVersion(content: Uint8Array | null): number {
  if (content === null) return 0;
  const [version = '', length = '', filler = ''] = Buffer.from(content).toString().split(' ');
  if (filler !== version.slice(-1).repeat(Number(length)) || !/^\d+$/.test(version)) throw new Error('the document is damaged');
  return Number(version);
}

/** Reports `ack <version>` when that is durable; goes on until `write` fails or the process ends. */
export async function runStoreVictim(store: Store, seed: number, report: (line: string) => void): Promise<void> {
  const random = new Prng(seed);
  for (let version = readVersion(await store.read('document')) + 1; ; version += 1) {
    const length = integerBetween(random, 0, 300_000);
    await store.write('document', Buffer.from(`${version} ${length} ${String(version).slice(-1).repeat(length)}`));
    report(`ack ${version}`);
  }
}
