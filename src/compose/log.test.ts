import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkLog, checkShared, readAccess } from './log.ts';
import { parseLogFlags, settleLog } from './log-settings.ts';

const log = 'etcds://etcd-1:2379,etcd-2:2379/root';

describe('the flags of a log in etcd', () => {
  it('are remembered with whole paths, so that a restart needs none of them', () => {
    expect(parseLogFlags({})).toBeUndefined();
    expect(parseLogFlags({ log })).toEqual({ address: log });
    expect(
      parseLogFlags({ log, logCa: 'ca.pem', logCert: '/c.pem', logKey: '/k.pem', logUser: 'me', logPasswordFile: '/p' }),
    ).toEqual({ address: log, ca: resolve('ca.pem'), certificate: '/c.pem', key: '/k.pem', user: 'me', passwordFile: '/p' });
  });

  it.each([
    [{ logCa: 'ca.pem' }, 'without --log'],
    [{ log: 'root' }, 'expected etcd://'],
    [{ log, logCert: 'c.pem' }, '--log-cert and --log-key'],
    [{ log, logUser: 'me' }, '--log-user and --log-password-file'],
    [{ log: 'etcd://etcd-1:2379/root', logCa: 'ca.pem' }, 'etcds://'],
  ])('%o are refused, and it is said why', (flags, why) => {
    expect(() => parseLogFlags(flags)).toThrow(why);
  });

  it('are for the beginning: a log is reached in another way later, and not moved', () => {
    const known = { isFirstStart: false, log: { address: log } };
    expect(settleLog(undefined, known)).toEqual({ address: log });
    expect(settleLog({ address: 'etcd://elsewhere:2379/root' }, known)).toEqual({ address: 'etcd://elsewhere:2379/root' });
    expect(() => settleLog({ address: 'etcd://etcd-1:2379/other' }, known)).toThrow('"root", not "other"');
    expect(() => settleLog({ address: log }, { isFirstStart: false, log: undefined })).toThrow('another --data-dir');
    expect(settleLog({ address: log }, { isFirstStart: true, log: undefined })).toEqual({ address: log });
    expect(settleLog(undefined, { isFirstStart: false, log: undefined })).toBeUndefined();
  });

  it('go with an orchestrator under a standing leader', () => {
    expect(() => checkLog({ log: { address: log } }, false)).toThrow('for orchestrators');
    expect(() => checkLog({ log: { address: log }, leadership: 'on-demand' }, true)).toThrow('standing leader');
    checkLog({ log: { address: log }, leadership: 'standing' }, true);
    checkLog({ leadership: 'on-demand' }, true);
  });

  it('name the log that the replicas share, when one joins', () => {
    checkShared(undefined, undefined);
    checkShared('root', { address: 'etcd://elsewhere/root' });
    expect(() => checkShared('root', undefined)).toThrow('join with --log etcd://HOST:PORT/root');
    expect(() => checkShared('root', { address: 'etcd://one/other' })).toThrow('join with --log etcd://HOST:PORT/root');
    expect(() => checkShared(undefined, { address: log })).toThrow('join without --log');
  });

  it('lead to what the files say', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tendril-log-flags-'));
    try {
      for (const name of ['ca', 'certificate', 'key', 'password']) await writeFile(join(directory, name), `of ${name}\n`);
      const path = (name: string) => join(directory, name);
      const files = { ca: path('ca'), certificate: path('certificate'), key: path('key') };
      expect(await readAccess({ address: log, ...files, user: 'me', passwordFile: path('password') })).toEqual({
        endpoints: [
          { host: 'etcd-1', port: 2379 },
          { host: 'etcd-2', port: 2379 },
        ],
        tls: { ca: 'of ca\n', certificate: 'of certificate\n', key: 'of key\n' },
        user: { name: 'me', password: 'of password' },
      });
      expect(await readAccess({ address: 'etcd://one/root' })).toMatchObject({ tls: null, user: null });
      await expect(readAccess({ address: log, ca: path('missing') })).rejects.toThrow('missing cannot be read (ENOENT)');
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
