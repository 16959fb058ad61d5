/** Tables in kubectl's manner: no borders, three blanks between columns, upper-case heads. */
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import type { Grid } from './columns.ts';

const NO_BORDER = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '   ',
};

/** Ends with a line break. An empty cell shows as `-`, so that scripts that cut columns can count on them. */
export function formatTable(grid: Grid, widths: readonly number[] = []): string {
  const head = widths.length > 0 ? [] : [...grid.head];
  const table = new Table({
    head,
    chars: NO_BORDER,
    // cli-table3 colours heads and borders of its own, even into a pipe: colours are the cells' business here.
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  });
  for (const row of grid.rows) table.push(row.map((cell, index) => padded(cell === '' ? '-' : cell, widths[index] ?? 0)));
  const lines = table.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** How wide each column of the table is; later rows, printed one by one, keep to it. */
export function widthsOf(grid: Grid): number[] {
  return grid.head.map((head, index) => Math.max(head.length, ...grid.rows.map((row) => visibleLength(row[index] ?? ''))));
}

function padded(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(0, width - visibleLength(cell)));
}

function visibleLength(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
