/** What a bench is, and how its samples become figures: several runs, their median, how far they spread. */
import { assert } from '../src/core/base/assert.ts';

export interface Figure {
  readonly name: string;
  /** Median over the runs. */
  readonly value: number;
  readonly unit: string;
  /** `≤ 60`; empty when the figure is only told, such as a peer's. */
  readonly goal: string;
  /** What to compare it with. */
  readonly anchor: string;
  /** null where there is no goal. */
  readonly met: boolean | null;
  /** Lowest and highest run; of a mean, its confidence interval of 95 %. */
  readonly spread: readonly [number, number];
  readonly isMean?: boolean;
  readonly runs: number;
}

/** A bound that the median has to keep. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number };

export interface BenchContext {
  /** Progress, for a person who waits. */
  readonly tell: (line: string) => void;
  /** How long an idle process is watched. */
  readonly idleMinutes: number;
  /** How many an orchestrator has whose growth is watched. */
  readonly replicas: number;
  /** Shows a picture (SVG) beside the table. `name` becomes its file's; `title` says what is seen. */
  readonly show: (name: string, title: string, svg: string) => void;
}

export interface Bench {
  readonly run: (context: BenchContext) => Promise<readonly Figure[]>;
}

export interface FigureText {
  readonly name: string;
  readonly unit: string;
  readonly goal?: Goal | undefined;
  readonly anchor?: string | undefined;
}

/** The median of the samples is the value, unless another one of them is what counts. */
export function figure(text: FigureText, samples: readonly number[], summarise = median): Figure {
  assert(samples.length > 0, `${text.name} was not measured`);
  const value = rounded(summarise(samples));
  const { goal } = text;
  return {
    name: text.name,
    value,
    unit: text.unit,
    goal: goal === undefined ? '' : 'atMost' in goal ? `≤ ${goal.atMost}` : `≥ ${goal.atLeast}`,
    anchor: text.anchor ?? '',
    met: goal === undefined ? null : 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast,
    spread: [rounded(Math.min(...samples)), rounded(Math.max(...samples))],
    runs: samples.length,
  };
}

/** Of many like events: their mean, and between which bounds it is with 95 % confidence (normal approximation). */
export function meanFigure(text: FigureText, samples: readonly number[]): Figure {
  const mean = samples.reduce((sum, each) => sum + each, 0) / samples.length;
  const variance = samples.reduce((sum, each) => sum + (each - mean) ** 2, 0) / Math.max(1, samples.length - 1);
  const halfWidth = 1.96 * Math.sqrt(variance / samples.length);
  return {
    ...figure(text, samples, () => mean),
    spread: [rounded(mean - halfWidth), rounded(mean + halfWidth)],
    isMean: true,
  };
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5);
}

export function p95(samples: readonly number[]): number {
  return percentile(samples, 0.95);
}

export function p99(samples: readonly number[]): number {
  return percentile(samples, 0.99);
}

/** The nearest rank: always one of the samples, for an even number of them the lower of the two in the middle. */
function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Three digits say all that such measurements hold. */
function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
