/** A bench's outcome: as JSON, as a table for a terminal, as a page of all that is recorded. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Figure } from './bench.ts';
import { ROOT } from './root.ts';

export interface Report {
  readonly bench: string;
  /** With `+` when files differ from it. */
  readonly commit: string;
  readonly machine: string;
  readonly date: string;
  /** Of one minute, when the bench began: what others made the machine do. */
  readonly loadBefore: number;
  readonly figures: readonly Figure[];
  /** Pictures that lie beside, by file name. */
  readonly plots?: readonly Plot[];
}

export interface Plot {
  readonly file: string;
  readonly title: string;
}

const RESULTS = join(ROOT, 'bench/results');
/** Of runs that are not recorded. */
const DRAFTS = join(ROOT, 'dist/plots');

/** Where it lies now. */
export function writePlot(file: string, svg: string, isRecorded: boolean): string {
  const folder = isRecorded ? RESULTS : DRAFTS;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, file), svg);
  return join(folder, file);
}

export function beginReport(bench: string): Omit<Report, 'figures' | 'plots'> {
  return {
    bench,
    commit: commit(),
    machine: machine(),
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

export function asTable(report: Report): string {
  const rows = [
    ['', 'value', 'goal', 'met', 'spread', 'runs', 'compare'],
    ...report.figures.map((each) => [
      each.name,
      `${each.value} ${each.unit}`,
      each.goal,
      metText(each),
      spreadText(each),
      String(each.runs),
      each.anchor,
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const head = `${report.bench} at ${report.commit}, ${report.date} UTC\n${report.machine}; load before ${report.loadBefore}\n`;
  return `${head}\n${lines.join('\n')}\n`;
}

/** Keeps the report, and makes the page of all that are kept anew. */
export function record(report: Report): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, `${report.bench}.json`), `${JSON.stringify(report, null, 2)}\n`);
  const kept = readdirSync(RESULTS)
    .filter((name) => name.endsWith('.json'))
    .sort()
    // Written by the line above, now or earlier.
    .map((name) => JSON.parse(readFileSync(join(RESULTS, name), 'utf8')) as Report);
  writeFileSync(join(RESULTS, 'README.md'), asPage(kept));
}

function asPage(reports: readonly Report[]): string {
  const sections = reports.map((report) =>
    [
      `## ${report.bench}`,
      '',
      `Commit ${report.commit}, ${report.date} UTC, load before ${report.loadBefore}. ${report.machine}.`,
      '',
      '| figure | value | goal | met | spread | runs | compare |',
      '|---|---|---|---|---|---|---|',
      ...report.figures.map(
        (each) =>
          `| ${each.name} | ${each.value} ${each.unit} | ${each.goal} | ${metText(each)} | ${spreadText(each)} | ${each.runs} | ${each.anchor} |`,
      ),
      '',
      ...(report.plots ?? []).flatMap(({ file, title }) => [`![${title}](${file})`, '']),
    ].join('\n'),
  );
  return `# Results\n\nWritten by \`npm run bench -- NAME --record\`: do not edit. What the figures mean: [benchmarks](../../docs/benchmarks.md).\n\n${sections.join('\n')}`;
}

function metText({ met }: Figure): string {
  return met === null ? '' : met ? 'yes' : 'NO';
}

function spreadText({ runs, spread, isMean }: Figure): string {
  return runs === 1 ? '' : `${spread[0]} to ${spread[1]}${isMean ? ' (95 %)' : ''}`;
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }).trim();
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'src', 'bench', 'bin', 'package-lock.json') !== '';
    return `${git('rev-parse', '--short=10', 'HEAD')}${changed ? '+' : ''}`;
  } catch {
    return 'unknown';
  }
}

function machine(): string {
  const cores = cpus();
  const model = (cores[0]?.model ?? process.arch).replace(/\s+/g, ' ').trim();
  const memoryGb = Math.round(totalmem() / 2 ** 30);
  return `${cores.length} cores ${model}, ${memoryGb} GiB, Linux ${release()}, Node ${process.version}`;
}
