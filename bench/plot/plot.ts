/** Plots of lines and of bars, as SVG: axes with units, a legend above, all of it readable without colour. */
import { must } from '../../src/core/base/assert.ts';
import { type Axis, type Scale, scaleOf, tickText } from './scale.ts';
import { element, line, path, picture, type Tone, text } from './svg.ts';

export interface Series {
  readonly name: string;
  readonly tone: Tone;
  readonly isDashed?: boolean;
  readonly points: readonly (readonly [number, number])[];
}

/** A point that something is measured against. */
export interface Mark {
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

export interface LinePlot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  readonly marks?: readonly Mark[];
  /** Whether each point is a measurement that is to be seen. */
  readonly hasDots?: boolean;
}

export interface Bar {
  readonly value: number;
  /** Of the confidence interval, or the lowest and highest run. */
  readonly low: number;
  readonly high: number;
}

export interface BarPlot {
  readonly title: string;
  readonly y: Axis;
  readonly series: readonly { readonly name: string; readonly tone: Tone }[];
  /** One bar for each of the series; null where there is none. */
  readonly groups: readonly { readonly name: string; readonly bars: readonly (Bar | null)[] }[];
  /** Heights that something is measured against. */
  readonly levels?: readonly { readonly value: number; readonly text: string }[];
  readonly note: string;
}

const WIDTH = 760;
const HEIGHT = 400;
const MARGIN = { left: 78, right: 24, top: 78, bottom: 62 } as const;
const DASHES = '6 4';
const LEGEND_LINE = 26;

export function linePlot(plot: LinePlot): string {
  const { x, y } = scales(plot.x, plot.y);
  const lines = plot.series.map(({ tone, isDashed, points }) => {
    const places = points.map(([across, up]) => [x.at(across), y.at(up)] as const);
    const dots = plot.hasDots ? places.map(([cx, cy]) => element('circle', { cx, cy, r: 3.5, class: `f${tone}` })) : [];
    return [path(places, { class: `line s${tone}`, ...(isDashed ? { 'stroke-dasharray': DASHES } : {}) }), ...dots].join('');
  });
  const marks = (plot.marks ?? []).map((mark) => {
    const [cx, cy] = [x.at(mark.x), y.at(mark.y)];
    return [
      path(
        [
          [cx - 5, cy - 5],
          [cx + 5, cy + 5],
        ],
        { class: 'mark' },
      ),
      path(
        [
          [cx - 5, cy + 5],
          [cx + 5, cy - 5],
        ],
        { class: 'mark' },
      ),
      text(cx + 9, cy + 4, mark.text, { class: 'small' }),
    ].join('');
  });
  const names = x.ticks.map((tick) =>
    text(x.at(tick), HEIGHT - MARGIN.bottom + 18, tickText(tick), { class: 'small', 'text-anchor': 'middle' }),
  );
  const grid = x.ticks.map((tick) => line(x.at(tick), MARGIN.top, x.at(tick), HEIGHT - MARGIN.bottom, { class: 'grid' }));
  const label = text((MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 14, plot.x.label, { 'text-anchor': 'middle' });
  return picture(WIDTH, HEIGHT, plot.title, [
    ...grid,
    ...frame(plot.title, plot.y, y),
    ...names,
    label,
    legend(plot.series, (tone, isDashed, left, middle) =>
      line(left, middle, left + LEGEND_LINE, middle, {
        class: `line s${tone}`,
        ...(isDashed ? { 'stroke-dasharray': DASHES } : {}),
      }),
    ),
    ...lines,
    ...marks,
  ]);
}

export function barPlot(plot: BarPlot): string {
  const y = scaleOf(plot.y, HEIGHT - MARGIN.bottom, MARGIN.top);
  const groupWidth = (WIDTH - MARGIN.left - MARGIN.right) / plot.groups.length;
  const barWidth = Math.min(44, (groupWidth * 0.78) / plot.series.length);
  const parts = plot.groups.map(({ name, bars }, at) => {
    const middle = MARGIN.left + (at + 0.5) * groupWidth;
    const drawn = bars.map((bar, index) => {
      if (bar === null) return '';
      const left = middle + (index - bars.length / 2) * barWidth;
      const top = y.at(bar.value);
      const { tone } = must(plot.series[index], 'a series');
      const across = left + barWidth / 2;
      return [
        element('rect', { x: left + 1, y: top, width: barWidth - 2, height: HEIGHT - MARGIN.bottom - top, class: `f${tone}` }),
        line(across, y.at(bar.low), across, y.at(bar.high), { class: 'whisker' }),
        line(across - 4, y.at(bar.low), across + 4, y.at(bar.low), { class: 'whisker' }),
        line(across - 4, y.at(bar.high), across + 4, y.at(bar.high), { class: 'whisker' }),
        text(across, y.at(bar.high) - 5, tickText(Number(bar.value.toPrecision(bar.value < 0.1 ? 1 : 2))), {
          class: 'tiny',
          'text-anchor': 'middle',
        }),
      ].join('');
    });
    // Long names beside each other: every other one a line lower.
    const under = HEIGHT - MARGIN.bottom + (at % 2 === 0 ? 16 : 30);
    return `${drawn.join('')}${text(middle, under, name, { class: 'small', 'text-anchor': 'middle' })}`;
  });
  return picture(WIDTH, HEIGHT, plot.title, [
    ...frame(plot.title, plot.y, y),
    legend(plot.series, (tone, _, left, middle) =>
      element('rect', { x: left + 8, y: middle - 6, width: 12, height: 12, class: `f${tone}` }),
    ),
    ...parts,
    ...(plot.levels ?? []).flatMap((level) => [
      line(MARGIN.left, y.at(level.value), WIDTH - MARGIN.right, y.at(level.value), {
        class: 'level',
        'stroke-dasharray': DASHES,
      }),
      text(WIDTH - MARGIN.right, y.at(level.value) - 4, level.text, { class: 'small', 'text-anchor': 'end' }),
    ]),
    text((MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 10, plot.note, { class: 'small faint', 'text-anchor': 'middle' }),
  ]);
}

function scales(across: Axis, up: Axis): { readonly x: Scale; readonly y: Scale } {
  return {
    x: scaleOf(across, MARGIN.left, WIDTH - MARGIN.right),
    y: scaleOf(up, HEIGHT - MARGIN.bottom, MARGIN.top),
  };
}

/** Title, and what belongs to the upright axis. */
function frame(title: string, axis: Axis, y: Scale): readonly string[] {
  const [left, right, bottom] = [MARGIN.left, WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
  const middle = (MARGIN.top + bottom) / 2;
  return [
    text(16, 26, title, { class: 'title' }),
    ...y.ticks.map((tick) => line(left, y.at(tick), right, y.at(tick), { class: 'grid' })),
    ...y.ticks.map((tick) => text(left - 8, y.at(tick) + 4, tickText(tick), { class: 'small', 'text-anchor': 'end' })),
    line(left, bottom, right, bottom, { class: 'axis' }),
    text(22, middle, axis.label, { 'text-anchor': 'middle', transform: `rotate(-90 22 ${middle})` }),
  ];
}

type Sample = (tone: Tone, isDashed: boolean, left: number, middle: number) => string;

/** Names take about so many pixels a letter. */
const LETTER_WIDTH = 6.9;

function legend(
  series: readonly { readonly name: string; readonly tone: Tone; readonly isDashed?: boolean }[],
  sample: Sample,
): string {
  let left = 16;
  return series
    .map(({ name, tone, isDashed = false }) => {
      const entry = `${sample(tone, isDashed, left, 50)}${text(left + LEGEND_LINE + 6, 54, name)}`;
      left += LEGEND_LINE + 6 + name.length * LETTER_WIDTH + 18;
      return entry;
    })
    .join('');
}

/** More steps than that nobody can tell apart. */
const STEPS_MAX = 400;

/** The share of the samples, in percent, that is at most as large, as steps. */
export function cumulated(samples: readonly number[]): readonly (readonly [number, number])[] {
  const sorted = samples.toSorted((a, b) => a - b);
  const steps = Math.min(STEPS_MAX, sorted.length);
  return Array.from({ length: steps }, (_, step) => {
    const value = must(sorted[Math.ceil(((step + 1) * sorted.length) / steps) - 1], 'a sample');
    return [
      [value, (step * 100) / steps],
      [value, ((step + 1) * 100) / steps],
    ] as const;
  }).flat();
}
