/** Three members of etcd as Debian ships it, with the times that it has by default, to be measured beside. */
import { assert } from '../../src/core/base/assert.ts';
import { Etcd, type EtcdMember } from '../../test/rig/etcd.ts';
import { until } from '../../test/rig/until.ts';

const DEFAULT_TIMES = ['--heartbeat-interval', '100', '--election-timeout', '1000'];
const ELECTION_LIMIT_MS = 30_000;

interface Status {
  readonly header: { readonly member_id: string };
  readonly leader?: string;
  readonly raftIndex: string;
}

export class EtcdSite {
  readonly etcd: Etcd;

  private constructor(etcd: Etcd) {
    this.etcd = etcd;
  }

  static async start(wireTo?: (port: number) => Promise<number>): Promise<EtcdSite> {
    return new EtcdSite(await Etcd.start({ members: 3, flags: DEFAULT_TIMES, ...(wireTo ? { wireTo } : {}) }));
  }

  /** Resolves when all follow one and have its log. */
  async settled(): Promise<EtcdMember> {
    return until(
      'one member of etcd leads, and all have its log',
      async () => {
        const statuses = await Promise.all(this.etcd.members.map(statusOf));
        const [first] = statuses;
        assert(first !== undefined, 'there are members');
        const isSettled = statuses.every(({ leader, raftIndex }) => leader === first.leader && raftIndex === first.raftIndex);
        return isSettled && this.etcd.members[statuses.findIndex(({ header }) => header.member_id === first.leader)];
      },
      ELECTION_LIMIT_MS,
    );
  }

  stop(): Promise<void> {
    return this.etcd.stop();
  }
}

async function statusOf({ port }: EtcdMember): Promise<Status> {
  const answer = await fetch(`http://127.0.0.1:${port}/v3/maintenance/status`, { method: 'POST', body: '{}' });
  // etcd's own words about itself.
  return (await answer.json()) as Status;
}
