/** Where a value stands on an axis, and which values are named there. */

export interface Axis {
  /** What it is, with its unit. */
  readonly label: string;
  readonly scale: 'linear' | 'log';
  readonly from: number;
  readonly to: number;
}

export interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

const LINEAR_TICKS = 5;

/** From pixel `start` to pixel `end`; what lies outside is put on the edge. */
export function scaleOf({ scale, from, to }: Axis, start: number, end: number): Scale {
  const share =
    scale === 'log'
      ? (value: number) => Math.log(value / from) / Math.log(to / from)
      : (value: number) => (value - from) / (to - from);
  return {
    at: (value) => start + Math.min(1, Math.max(0, share(value))) * (end - start),
    ticks: scale === 'log' ? logTicks(from, to) : linearTicks(from, to),
  };
}

/** A number that a person would choose, at or above `value`. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((each) => each * power >= value * (1 - 1e-9)) ?? 10;
  return step * power;
}

function linearTicks(from: number, to: number): number[] {
  const rough = (to - from) / LINEAR_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((each) => each * power >= rough) ?? 10) * power;
  const ticks = [];
  for (let at = Math.ceil(from / step); at * step <= to * (1 + 1e-9); at += 1) ticks.push(at * step);
  return ticks;
}

function logTicks(from: number, to: number): number[] {
  const ticks = [];
  for (let power = 10 ** Math.floor(Math.log10(from)); power <= to; power *= 10)
    for (const step of [1, 2, 5])
      if (step * power >= from * (1 - 1e-9) && step * power <= to * (1 + 1e-9)) ticks.push(step * power);
  return ticks;
}

export function tickText(value: number): string {
  return Number(value.toPrecision(6)).toLocaleString('en');
}
