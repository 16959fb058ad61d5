import { describe, expect, it } from 'vitest';
import { limits } from '../../core/base/limits.ts';
import { parseEtcdAddress } from './address.ts';

describe('the address of a log in etcd', () => {
  it('is one member or several, and a name', () => {
    expect(parseEtcdAddress('etcd://127.0.0.1:2379/root')).toEqual({
      secure: false,
      endpoints: [{ host: '127.0.0.1', port: 2379 }],
      name: 'root',
    });
    expect(parseEtcdAddress('etcds://etcd-1.example:2380,[2001:db8::1]:23790,etcd-3:80/site-7')).toEqual({
      secure: true,
      endpoints: [
        { host: 'etcd-1.example', port: 2380 },
        { host: '2001:db8::1', port: 23790 },
        { host: 'etcd-3', port: 80 },
      ],
      name: 'site-7',
    });
  });

  it('has etcd’s port when none is given', () => {
    expect(parseEtcdAddress('etcd://one,two:1/x').endpoints).toEqual([
      { host: 'one', port: 2379 },
      { host: 'two', port: 1 },
    ]);
  });

  it.each([
    ['etcd://127.0.0.1:2379', 'expected etcd://'],
    ['etcd://127.0.0.1:2379/a/b', 'expected etcd://'],
    ['http://127.0.0.1:2379/root', 'expected etcd://'],
    ['etcd:///root', 'expected etcd://'],
    ['etcd://127.0.0.1:2379/', 'is not a name'],
    ['etcd://127.0.0.1:2379/Root', 'is not a name'],
    ['etcd://me:secret@127.0.0.1:2379/root', '--log-user'],
    ['etcd://127.0.0.1:99999/root', 'is not HOST:PORT'],
    ['etcd://one,,two/root', 'is not HOST:PORT'],
    ['etcd://one?x=1/root', 'is not HOST:PORT'],
    ['etcd://one two/root', 'is not HOST:PORT'],
    [`etcd://${Array.from({ length: limits.etcdEndpoints + 1 }, (_, at) => `m${at}`).join(',')}/root`, 'more than'],
  ])('%s is refused, and it says why', (text, why) => {
    expect(() => parseEtcdAddress(text)).toThrow(why);
  });
});
