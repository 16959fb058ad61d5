/** Decision records as a person reads them: a row each, or one with what was seen and why it was chosen. */
import type { ChainVerdict, DecisionCause, DecisionRecord, Rejection } from '../core/model/decisions.ts';
import { readableBytes, readableCpu, readablePercent } from './output/amounts.ts';
import { type CellContext, type Column, gridOf } from './output/columns.ts';
import { type Field, formatFields } from './output/fields.ts';
import { formatTable } from './output/table.ts';
import { printable } from './shell.ts';

const CAUSES: Readonly<Record<DecisionCause, string>> = {
  create: 'a new copy was wanted',
  replace: 'the copy that it replaces was lost',
  migrate: 'the copy that it replaces was to move',
  update: 'the copy that it replaces was of an older spec',
  refused: 'the child that was chosen before refused it',
};

const REJECTIONS: Readonly<Record<Rejection, string>> = {
  not_connected: 'not connected',
  cordoned: 'cordoned',
  excluded: 'refused before, or to be left',
  host_port: 'with its host port in use',
  not_named: 'not the requested node or cluster',
  no_nodes: 'without nodes',
  resources: 'without room',
  unsuitable: 'without what the service requires',
};

/** To the second, in UTC: records are compared between machines. */
function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace(/\..*/, '');
}

const columns: readonly Column<DecisionRecord>[] = [
  { head: 'NUMBER', cell: ({ number }) => String(number) },
  { head: 'TIME (UTC)', cell: ({ atMs }) => timeOf(atMs) },
  { head: 'INSTANCE', cell: ({ instance }) => instance },
  { head: 'CHOICE', cell: ({ choice }) => choice },
  { head: 'CAUSE', cell: ({ cause }) => cause },
  { head: 'TERM', cell: ({ term }) => String(term) },
  { head: 'VOTES', cell: ({ votes }) => String(votes.length) },
  { head: 'LEADER', wide: true, cell: ({ leader }) => leader },
  { head: 'POLICY', wide: true, cell: ({ seen }) => seen?.policy ?? '' },
  { head: 'REPLACES', wide: true, cell: ({ replaces }) => replaces ?? '' },
  { head: 'HASH', wide: true, cell: ({ hash }) => hash.slice(0, 16) },
];

export function formatDecisions(records: readonly DecisionRecord[], context: CellContext): string {
  return formatTable(gridOf(columns, records, context));
}

export function formatDecision(record: DecisionRecord, context: CellContext): string {
  const { seen, votes } = record;
  const votesText = votes.map(({ voter, load }) => `${voter} (load ${readablePercent(load)})`).join(', ');
  const fields: Field[] = [
    ['Decision', `${record.number}, ${timeOf(record.atMs)} UTC`],
    ['Instance', `${record.instance}, of service ${record.service}`],
    ['Cause', `${record.cause}: ${CAUSES[record.cause]}`],
    ...(record.replaces === null ? [] : [['Replaces', record.replaces] as const]),
    ...(record.request === null ? [] : [['Request', record.request] as const]),
    ['Choice', context.paint.place(printable(record.choice))],
    ['Why', seen ? whyOf(record, seen) : 'not recorded'],
    ['Decided by', `${record.leader}, in term ${record.term}`],
    ['Votes', votesText || 'none: the leader stands'],
    ['Hash', record.hash],
    ['Builds on', record.before],
  ];
  const head = formatFields(fields.map(([name, value]) => [name, name === 'Choice' ? value : printable(value)] as const));
  return seen ? `${head}\n${formatTable(gridOf(candidateColumns(record), seen.candidates, context))}${othersOf(seen)}` : head;
}

type Seen = NonNullable<DecisionRecord['seen']>;

const candidateColumns = ({ choice }: DecisionRecord): readonly Column<Seen['candidates'][number]>[] => [
  { head: 'CANDIDATE', cell: ({ name }) => (name === choice ? { text: name, tone: 'place' } : name) },
  { head: 'SCORE', cell: ({ score }) => score.toFixed(3) },
  { head: 'LOAD WITH IT', cell: ({ load }) => readablePercent(load) },
  { head: 'CPU FREE', cell: ({ cpuMilli }) => readableCpu(cpuMilli) },
  { head: 'MEMORY FREE', cell: ({ memoryBytes }) => readableBytes(memoryBytes) },
];

function whyOf({ choice }: DecisionRecord, { policy, candidates, others }: Seen): string {
  const able = candidates.length + others;
  if (able === 1) return `the only one that could take it (policy ${policy})`;
  const [best, second] = candidates;
  const tie = best?.name === choice && second?.score === best.score ? ', by lot among equals' : '';
  return `the first of ${able} that could take it, by policy ${policy}${tie}`;
}

function othersOf({ others, rejected }: Seen): string {
  const byCount = Object.entries(rejected).sort(([, a], [, b]) => b - a);
  const parts = byCount.map(([reason, count]) => `${count} ${REJECTIONS[reason as Rejection] ?? reason}`);
  return [
    ...(others > 0 ? [`${others} more could have taken it.\n`] : []),
    ...(parts.length > 0 ? [`Out of the question: ${parts.join(', ')}.\n`] : []),
  ].join('');
}

export function formatVerdict({ records, anchor, tip, problem }: ChainVerdict, { paint }: CellContext): string {
  const kept = records === 0 ? 'no records' : `records ${anchor.number + 1} to ${tip.number}`;
  if (problem) return `${paint.bad('not verified')}: decision ${problem.number} ${problem.what}\n`;
  return `${paint.good('verified')}: ${kept}, each builds on the one before\nnewest hash: ${tip.hash}\n`;
}
