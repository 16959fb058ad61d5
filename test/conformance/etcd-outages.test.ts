/** What a log does when etcd itself is killed, frozen, away for long, full, emptied, or not to be trusted. */
import { afterEach, describe, expect, it } from 'vitest';
import type { EtcdLog } from '../../src/adapters/etcd/log.ts';
import { limits } from '../../src/core/base/limits.ts';
import { CodedError, type ErrorCode } from '../../src/core/model/errors.ts';
import type { EtcdOptions } from '../rig/etcd.ts';
import { ETCD_PASSWORD } from '../rig/etcd.ts';
import { makeEtcdCertificates } from '../rig/etcd-certificates.ts';
import { EtcdSite, type ReplicaOptions, readCertificates } from '../rig/etcd-site.ts';
import { until } from '../rig/until.ts';
import { LogRecorder } from './log-recorder.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, at) => from + at);

let site: EtcdSite | null = null;

afterEach(async () => {
  await site?.close();
  site = null;
});

async function openSite(options: EtcdOptions = {}): Promise<EtcdSite> {
  site = await EtcdSite.open(options);
  return site;
}

async function start(at: EtcdSite, options: ReplicaOptions = {}): Promise<{ log: EtcdLog; seen: LogRecorder }> {
  const log = at.replica(options);
  const seen = new LogRecorder();
  await log.open(seen);
  return { log, seen };
}

/** A replica that has never been here reads the whole log. */
async function textsIn(at: EtcdSite): Promise<readonly string[]> {
  const { log, seen } = await start(at, { id: `reader-${Math.random()}` });
  await log.close();
  return seen.texts;
}

const answers = (seen: LogRecorder): number => seen.delivered.length + seen.drops.size;

/** Proposes a few at a time, whenever it leads, until `isEnough`; resolves when everything has been answered. */
async function proposeUntil(isEnough: () => boolean, { log, seen }: { log: EtcdLog; seen: LogRecorder }): Promise<void> {
  for (let next = answers(seen); !isEnough(); ) {
    await seen.until(({ leads }) => leads || isEnough());
    for (const to = next + 5; next < to; next += 1) log.propose(next, bytes(`entry ${next}`));
    await seen.until((recorder) => answers(recorder) === next);
  }
}

/** Whatever was delivered is there once and in order, and nothing is there that was said never to be. */
function expectTold(texts: readonly string[], seen: LogRecorder): void {
  expect(new Set(texts).size).toBe(texts.length);
  expect(texts).toEqual(seen.texts);
  for (const [proposal, fate] of seen.fates) if (fate === 'never') expect(texts).not.toContain(`entry ${proposal}`);
  for (const proposal of seen.delivered) expect(texts).toContain(`entry ${proposal}`);
}

const refusal = async (log: EtcdLog): Promise<CodedError> => {
  const error = await log.open(new LogRecorder()).catch((reason: unknown) => reason);
  if (error instanceof CodedError) return error;
  throw new Error(`expected to be refused: ${String(error)}`);
};

describe('a log whose etcd is away', () => {
  it('goes on where it was when etcd was killed and started again', async () => {
    const at = await openSite({ tls: true, auth: true });
    const { log, seen } = await start(at);
    let enough = Number.POSITIVE_INFINITY;
    const proposing = proposeUntil(() => seen.delivered.length >= enough, { log, seen });
    for (const round of numbers(3, 1)) {
      await seen.until(({ delivered }) => delivered.length >= round * 50);
      await at.etcd.kill();
      await at.etcd.run();
    }
    enough = seen.delivered.length + 50;
    await proposing;
    expect(seen.drops.size).toBe(0);
    expect(seen.leaderships).toHaveLength(1);
    expectTold(await textsIn(at), seen);
  });

  it('does not lead when it has been away for longer than the lease, and comes back in a higher term', async () => {
    const at = await openSite();
    const { log, seen } = await start(at);
    await proposeUntil(() => seen.delivered.length >= 50, { log, seen });
    await at.etcd.kill();
    const first = seen.delivered.length;
    for (const number of numbers(3, first)) log.propose(number, bytes(`entry ${number}`));
    // These are on their way when the next ones come.
    await new Promise((resolve) => setImmediate(resolve));
    for (const number of numbers(3, first + 3)) log.propose(number, bytes(`entry ${number}`));
    await seen.until(({ leads, drops }) => !leads && drops.size === 6);
    expect([...seen.fates.values()]).toEqual(['unknown', 'unknown', 'unknown', 'never', 'never', 'never']);
    const firstTerm = seen.leaderships[0]?.term ?? Number.NaN;
    log.propose(1_000_000, bytes('nobody leads'));
    await seen.until(({ drops }) => drops.size === 7);
    expect(seen.fates.get(1_000_000)).toBe('never');
    await at.etcd.run();
    await seen.until(({ leads }) => leads);
    await proposeUntil(() => seen.delivered.length >= first + 50, { log, seen });
    expect(seen.leaderships.at(-1)?.term).toBeGreaterThan(firstTerm);
    expect(seen.failure).toBeNull();
    expectTold(await textsIn(at), seen);
  });

  it('waits for it when it is opened, and says so', async () => {
    const at = await openSite();
    await at.etcd.kill();
    const log = at.replica();
    const seen = new LogRecorder();
    const opening = log.open(seen);
    await until('it says that it waits', () => at.warnings.length > 0, 10_000);
    expect(seen.calls).toEqual([]);
    await at.etcd.run();
    await opening;
    expect(seen.calls).toEqual(['ready']);
  });

  it('is not opened when it stays away', async () => {
    const at = await openSite();
    await at.etcd.kill();
    const error = await refusal(at.replica({ openMs: 200 }));
    expect(error.code).toBe('unreachable');
    expect(error.message).toContain(at.etcd.endpoints[0]);
  });

  it('is closed while etcd is away: what is under way is answered', async () => {
    const at = await openSite();
    const { log, seen } = await start(at);
    await at.etcd.kill();
    for (const number of numbers(3)) log.propose(number, bytes(`entry ${number}`));
    await log.close();
    await seen.until(({ drops }) => drops.size === 3);
  });
});

describe('a log in an etcd of three members', () => {
  it.each([
    ['killed', (at: EtcdSite, member: number) => at.etcd.members[member]?.kill()],
    ['frozen', (at: EtcdSite, member: number) => at.etcd.members[member]?.freeze()],
  ])('goes on while any one of them is %s', async (_how, end) => {
    const at = await openSite({ members: 3 });
    const { log, seen } = await start(at);
    const follower = await start(at, { id: 'follower' });
    for (const member of numbers(3)) {
      let enough = Number.POSITIVE_INFINITY;
      const proposing = proposeUntil(() => seen.delivered.length >= enough, { log, seen });
      await end(at, member);
      const before = seen.delivered.length;
      await seen.until(({ delivered }) => delivered.length >= before + 50);
      enough = 0;
      await proposing;
      if (_how === 'frozen') at.etcd.members[member]?.thaw();
      else await at.etcd.members[member]?.run();
    }
    expect(seen.leaderships).toHaveLength(1);
    expect(seen.drops.size).toBe(0);
    await follower.seen.until(({ entries }) => entries.length === seen.entries.length);
    expect(follower.seen.texts).toEqual(seen.texts);
  });
});

describe('a log whose etcd has lost something', () => {
  it('ends when etcd comes back empty, and is not opened on it', async () => {
    const at = await openSite();
    const { log, seen } = await start(at);
    await proposeUntil(() => seen.delivered.length > 0, { log, seen });
    await at.etcd.lose();
    await at.etcd.run();
    await seen.until(({ failure }) => failure !== null);
    expect(seen.failure).toMatchObject({ code: 'etcd_damaged' });
    await log.close();
    const again = await refusal(at.replica());
    expect(again.code).toBe('etcd_damaged');
    expect(again.hint).toContain('docs/etcd.md');
  });

  it('ends when etcd comes back from an old backup', async () => {
    const at = await openSite();
    const { log, seen } = await start(at);
    await proposeUntil(() => seen.delivered.length >= 20, { log, seen });
    await at.etcd.kill();
    at.etcd.backUp();
    await at.etcd.run();
    await proposeUntil(() => seen.delivered.length >= 40, { log, seen });
    await at.etcd.kill();
    at.etcd.restore();
    await at.etcd.run();
    // Its lease is in the backup too: it goes on leading until it has something to append.
    log.propose(1_000, bytes('where are the others?'));
    await seen.until(({ failure }) => failure !== null);
    expect(seen.failure).toMatchObject({ code: 'etcd_damaged' });
    await log.close();
    // And not by a start later, either: to one that knows nothing of before, all is well.
    expect((await refusal(at.replica())).code).toBe('etcd_damaged');
    await start(at, { id: 'stranger' });
  });

  it('is not opened on a damaged record, nor on what another version wrote', async () => {
    const at = await openSite();
    const { log, seen } = await start(at);
    await proposeUntil(() => seen.delivered.length >= 5, { log, seen });
    await log.close();
    const { etcd, name } = at;
    const record = (await etcd.control(['get', '--prefix', '--keys-only', `tendril/${name}/log/`])).split('\n')[0] ?? '';
    await etcd.control(['put', record, 'not what was written']);
    expect((await refusal(at.replica())).message).toContain('record 1 is not what was written');
    await etcd.control(['put', `tendril/${name}/format`, '{"version":2,"id":"x"}']);
    expect((await refusal(at.replica())).code).toBe('etcd_foreign');
  });

  it('is not begun among keys of somebody else', async () => {
    const at = await openSite();
    await at.etcd.control(['put', `tendril/${at.name}/config`, 'x']);
    expect((await refusal(at.replica())).code).toBe('etcd_foreign');
  });
});

describe('a log whose etcd is full', () => {
  it('drops what is proposed, says why, and goes on when there is room', async () => {
    const at = await openSite({ flags: ['--quota-backend-bytes', String(16 * 2 ** 20)] });
    const { log, seen } = await start(at);
    await proposeUntil(() => seen.delivered.length >= 5, { log, seen });
    const { log: other, seen: filled } = await start(at, { id: 'other' });
    await log.close();
    await filled.until(({ leads }) => leads);
    const large = Buffer.alloc(limits.etcdTransactionBytes - 1_000);
    for (let number = 0; filled.drops.size === 0; number += 1) {
      other.propose(number, large);
      await filled.until((recorder) => answers(recorder) === number + 1);
      // A snapshot takes their place: etcd keeps them in its history all the same.
      if (filled.drops.size === 0) await other.compact(bytes('all'), filled.lastIndex);
    }
    const [[number, reason] = [0, '']] = filled.drops;
    expect(reason).toContain('space exceeded');
    expect(filled.fates.get(number)).toBe('never');
    expect(filled.leads).toBe(true);
    await at.etcd.makeRoom();
    other.propose(1_000, bytes('again'));
    await filled.until(({ texts }) => texts.includes('again'));
    expect(filled.failure).toBeNull();
  });
});

describe('a log whose etcd is not to be trusted, or does not trust it', () => {
  const refuse = async (at: EtcdSite, access: NonNullable<ReplicaOptions['access']>, code: ErrorCode, says: RegExp) => {
    const error = await refusal(at.replica({ access, openMs: 0 }));
    expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(says) });
    expect(error.hint).toContain('--log-');
  };

  it('is refused with a reason, by TLS and by etcd', async () => {
    const at = await openSite({ tls: true, auth: true });
    const { certificates } = at.etcd;
    if (certificates === null) throw new Error('an etcd with TLS has certificates');
    const ours = readCertificates(certificates);
    const foreign = readCertificates(makeEtcdCertificates(at.etcd.newDirectory('foreign')));
    const password = ETCD_PASSWORD;
    await refuse(at, { tls: { ...ours, ca: foreign.ca } }, 'etcd_untrusted', /UNABLE_TO_VERIFY|SELF_SIGNED|SIGNATURE/);
    await refuse(at, { tls: { ca: ours.ca } }, 'etcd_untrusted', /certificate/i);
    await refuse(at, { tls: { ...foreign, ca: ours.ca } }, 'etcd_untrusted', /certificate/i);
    expect((await refusal(at.replica({ access: { tls: null }, openMs: 0 }))).message).toContain('does it want TLS, etcds://?');
    await refuse(at, { user: { name: 'tendril', password: 'wrong' } }, 'etcd_refused', /invalid user ID or password/);
    await refuse(at, { user: { name: 'nobody', password } }, 'etcd_refused', /invalid user ID or password/);
    await refuse(at, { user: null }, 'etcd_refused', /user name is empty|permission denied/);
    await at.etcd.control(['user', 'add', `guest:${password}`]);
    await refuse(at, { user: { name: 'guest', password } }, 'etcd_refused', /permission denied/);
    await (await start(at)).log.close();
  });

  it('is refused by an etcd without TLS, and by one without users', async () => {
    const at = await openSite();
    expect((await refusal(at.replica({ access: { tls: {} }, openMs: 0 }))).message).toContain('does it speak TLS?');
    await refuse(at, { user: { name: 'tendril', password: ETCD_PASSWORD } }, 'etcd_refused', /authentication is not enabled/);
  });

  it('says that the permission is gone when it is taken away, and goes on when it is given back', async () => {
    const at = await openSite({ auth: true });
    const { log, seen } = await start(at);
    await proposeUntil(() => seen.delivered.length >= 5, { log, seen });
    await at.etcd.control(['role', 'revoke-permission', 'tendril', '--prefix=true', 'tendril/']);
    log.propose(5, bytes('entry 5'));
    await seen.until(({ drops }) => drops.size === 1);
    expect(seen.drops.get(5)).toContain('permission denied');
    await at.etcd.control(['role', 'grant-permission', 'tendril', '--prefix=true', 'readwrite', 'tendril/']);
    await proposeUntil(() => seen.delivered.length >= 10, { log, seen });
    expectTold(await textsIn(at), seen);
  });
});
