/** What `tendril doctor` finds about the replicas of an orchestrator: the view of the one that answered, the leader if there is one. */
import { limits } from '../../core/base/limits.ts';
import type { GroupView, ReplicaView } from '../../core/model/replicas.ts';
import type { Check } from './check.ts';

export function isLeaderless({ leader, paused }: GroupView): boolean {
  return leader === null && !paused;
}

export function checkGroup(group: GroupView): Check[] {
  const self = group.replicas.find((replica) => replica.self);
  if (isLeaderless(group)) return [withoutLeader(group, self)];
  const found = [...unreachable(group), ...unfinished(group), ...behind(group)];
  return found.length > 0 ? found : [{ name: 'replicas', result: 'ok', finding: asWanted(group) }];
}

function withoutLeader({ quorum, replicas }: GroupView, self: ReplicaView | undefined): Check {
  const name = 'replicas';
  if (self?.wanted === null)
    return {
      name,
      result: 'fail',
      finding: `${self.name} was removed from this orchestrator`,
      advice: 'Turn to another replica. To let it join again: another data directory, and tendril up --join URL --token T.',
    };
  if (quorum)
    return { name, result: 'warn', finding: 'nobody leads: an election is under way', advice: 'Ask again in a few seconds.' };
  const away = replicas.filter(({ connected }) => !connected).map((replica) => replica.name);
  return {
    name,
    result: 'fail',
    finding: `no quorum of the voters can be reached from ${self?.name ?? 'here'}: it misses ${away.join(', ')}`,
    advice:
      'Nothing can be decided; instances keep running. Bring them back, or mend the network between them. ' +
      'If they are lost for good: tendril recover.',
  };
}

function unreachable({ replicas }: GroupView): Check[] {
  const away = replicas.filter(({ role, connected }) => role !== null && !connected);
  if (away.length === 0) return [];
  const voters = replicas.filter(({ role }) => role === 'voter');
  const spare = voters.filter(({ connected }) => connected).length - majorityOf(voters.length);
  const words = away.map(({ name, role }) => `${name} (${role})`).join(', ');
  return [
    {
      name: 'replicas',
      result: 'warn',
      finding: `unreachable: ${words}`,
      advice:
        (spare > 0 ? '' : 'When one more voter is lost, nothing can be decided. ') +
        'Start them, or mend the network; one that is gone for good: tendril node remove NAME.',
    },
  ];
}

function unfinished({ replicas }: GroupView): Check[] {
  const waiting = replicas.filter(({ role, wanted }) => role !== wanted);
  if (waiting.length === 0) return [];
  const words = waiting.map(({ name, role, wanted }) =>
    wanted === null
      ? `${name} is to leave`
      : `${name} is to be a ${wanted}, and is ${role === null ? 'not here yet' : `a ${role}`}`,
  );
  return [
    {
      name: 'replicas',
      result: 'warn',
      finding: words.join('; '),
      advice: 'The group follows by itself as soon as they can be reached and have caught up.',
    },
  ];
}

/** Who is further behind than the log's tail is sent a snapshot: a disk or a link that does not keep up. */
function behind({ replicas }: GroupView): Check[] {
  const slow = replicas.filter((replica) => replica.connected && (replica.behind ?? 0) > limits.logTailEntries);
  if (slow.length === 0) return [];
  return [
    {
      name: 'replicas',
      result: 'warn',
      finding: slow.map((replica) => `${replica.name} is ${replica.behind} entries behind`).join(', '),
      advice: 'If it stays so: its disk or the link to it is too slow for what is decided here.',
    },
  ];
}

function asWanted({ replicas, leader, paused }: GroupView): string {
  const voters = replicas.filter(({ role }) => role === 'voter').length;
  const learners = replicas.length - voters;
  const spare = voters - majorityOf(voters);
  const who = `${voters} ${voters === 1 ? 'voter' : 'voters'}${learners > 0 ? ` and ${learners} ${learners === 1 ? 'learner' : 'learners'}` : ''}`;
  const led = leader === null ? (paused ? 'on demand, paused' : '') : `${leader} leads`;
  const can = spare === 0 ? 'none may be lost' : spare === 1 ? 'one voter may be lost' : `${spare} voters may be lost`;
  return [who, led, can].filter((part) => part !== '').join(', ');
}

function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}
