import { describe, expect, it } from 'vitest';
import { enterAndExec, parseCgroupMounts } from './cgroup.ts';

const mount = (root: string, at: string, type: string, options: string) =>
  `30 25 0:26 ${root} ${at} rw,nosuid shared:9 - ${type} ${type} rw,${options}`;

describe('where control groups are', () => {
  it('version 2: below our own group, else below the root', () => {
    expect(
      parseCgroupMounts(mount('/', '/sys/fs/cgroup', 'cgroup2', 'nsdelegate'), '0::/system.slice/tendril.service\n'),
    ).toEqual([
      { version: 2, controllers: ['memory', 'cpu'], parents: ['/sys/fs/cgroup/system.slice/tendril.service', '/sys/fs/cgroup'] },
    ]);
  });

  it('version 1: each controller where it is mounted, joint ones together', () => {
    const mounts = [
      mount('/', '/sys/fs/cgroup/memory', 'cgroup', 'memory'),
      mount('/', '/sys/fs/cgroup/cpu,cpuacct', 'cgroup', 'cpu,cpuacct'),
      mount('/', '/sys/fs/cgroup/cpuset', 'cgroup', 'cpuset'),
      mount('/', '/proc', 'proc', 'relatime'),
    ].join('\n');
    expect(parseCgroupMounts(mounts, '4:memory:/a:b\n2:cpu,cpuacct:/\n1:cpuset:/\n')).toEqual([
      { version: 1, controllers: ['memory'], parents: ['/sys/fs/cgroup/memory/a:b', '/sys/fs/cgroup/memory'] },
      { version: 1, controllers: ['cpu'], parents: ['/sys/fs/cgroup/cpu,cpuacct'] },
    ]);
  });

  it('in a container that sees only its own part', () => {
    expect(
      parseCgroupMounts(mount('/docker/abc', '/sys/fs/cgroup/memory', 'cgroup', 'memory'), '4:memory:/docker/abc\n'),
    ).toEqual([{ version: 1, controllers: ['memory'], parents: ['/sys/fs/cgroup/memory'] }]);
  });

  it('nowhere', () => {
    expect(parseCgroupMounts('', '')).toEqual([]);
  });
});

it('hands words on as they are, whatever a shell would make of them', () => {
  const [shell, flag, , ...rest] = enterAndExec(['/g 1'], '/bin/echo', ['a b', '$HOME', '"', '']);
  expect([shell, flag, ...rest]).toEqual(['/bin/sh', '-c', 'sh', '1', '/g 1', '/bin/echo', 'a b', '$HOME', '"', '']);
});
