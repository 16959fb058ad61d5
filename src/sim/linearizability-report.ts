/** Why a history is not linearizable, as text: how far an order goes, what cannot come next, and when all that was. */
import type { Model, Operation } from './linearizability.ts';

/** Operations that are shown of the order: what led to the state that nothing fits. */
const ORDER_SHOWN = 8;
/** Operations that are shown at all. */
const LINES_MAX = 24;
const BAR_WIDTH = 48;

export interface Finding<State, Op> {
  readonly key: string;
  readonly model: Model<State, Op>;
  readonly operations: readonly Operation<Op>[];
  readonly order: readonly Operation<Op>[];
  readonly state: State;
  readonly stuck: readonly Operation<Op>[];
}

/**
 * One line an operation, the earliest call first. The bars are drawn by the order of calls and returns, not to scale;
 * the numbers before the words are the places in the order, `!` is what cannot come next.
 */
export function explain<State, Op>({ key, model, operations, order, state, stuck }: Finding<State, Op>): string {
  const lastPlaced = order.slice(-ORDER_SHOWN);
  const shown = [...lastPlaced, ...stuck.slice(0, LINES_MAX - lastPlaced.length)].sort((a, b) => a.invokedAtMs - b.invokedAtMs);
  const places = new Map(order.map((operation, at) => [operation, String(at + 1)]));
  const stops = [...new Set(shown.flatMap(({ invokedAtMs, returnedAtMs }) => [invokedAtMs, returnedAtMs ?? invokedAtMs]))].sort(
    (a, b) => a - b,
  );
  const columnOf = (atMs: number): number =>
    stops.length < 2 ? 0 : Math.round((stops.indexOf(atMs) * (BAR_WIDTH - 2)) / (stops.length - 1));
  const rows = shown.map((operation) => {
    const { client, invokedAtMs, returnedAtMs, op } = operation;
    const from = columnOf(invokedAtMs);
    const to = returnedAtMs === null ? BAR_WIDTH : Math.max(from + 1, columnOf(returnedAtMs));
    const bar = `${' '.repeat(from)}[${'='.repeat(Math.max(0, to - from - 1))}${returnedAtMs === null ? '?' : ']'}`;
    return [
      places.get(operation) ?? '!',
      client,
      model.describe(op),
      bar,
      `${timeOf(invokedAtMs)} to ${returnedAtMs === null ? 'no answer' : timeOf(returnedAtMs)}`,
    ];
  });
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  const left = order.length - lastPlaced.length;
  return [
    `${key}: not linearizable. The longest order has ${order.length} of ${operations.length} operations and leads to ${model.keyOf(state)};`,
    `none of these can come next: ${stuck.map(({ client, op }) => `${client} ${model.describe(op)}`).join(', ')}`,
    ...(left > 0 ? [`(1 to ${left} of the order are not shown)`] : []),
    ...lines,
  ].join('\n');
}

/** To the microsecond: moments in one millisecond are told apart by that. */
function timeOf(ms: number): string {
  return Number.isInteger(ms) ? `${ms} ms` : `${ms.toFixed(3)} ms`;
}
