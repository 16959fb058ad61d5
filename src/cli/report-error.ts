/** An error as a person reads it: one block of what, where (a line a finding), and what to do. */
import { CodedError, type ErrorDetail } from '../core/model/errors.ts';
import { painter } from './output/painter.ts';
import { printable, type Shell, wantsColour } from './shell.ts';

export function reportError(shell: Shell, error: unknown): void {
  const paint = painter(wantsColour(shell, shell.stderr));
  shell.stderr.write(formatError(error, { label: paint.bad('error:'), hintLabel: paint.dim('hint:') }));
}

/** Findings shown; a file with a thousand errors has one cause or two. */
const DETAILS_SHOWN = 20;

export function formatError(error: unknown, labels = { label: 'error:', hintLabel: 'hint:' }): string {
  if (!(error instanceof CodedError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `${labels.label} ${printable(text)}\n  ${labels.hintLabel} This is a defect of tendril itself; please report it with these lines.\n`;
  }
  const lines = [`${labels.label} ${printable(error.message)}`];
  for (const detail of error.details.slice(0, DETAILS_SHOWN)) lines.push(`  ${printable(formatDetail(detail))}`);
  if (error.details.length > DETAILS_SHOWN) lines.push(`  ... and ${error.details.length - DETAILS_SHOWN} more`);
  // The details of a file are the hint: the table's own only points to them.
  if (error.hint && !pointsToDetails(error)) lines.push(`  ${labels.hintLabel} ${error.hint}`);
  return `${lines.join('\n')}\n`;
}

function pointsToDetails(error: CodedError): boolean {
  return error.details.length > 0 && (error.hint.startsWith('See the details') || error.code === 'impossible');
}

/** `web.yaml:7:5: spec.resources.cpu: ...`, as compilers and editors have it. */
export function formatDetail(detail: ErrorDetail): string {
  const place =
    detail.file === undefined
      ? ''
      : `${[detail.file, detail.line, detail.column].filter((part) => part !== undefined).join(':')}: `;
  return `${place}${detail.field === '' ? '' : `${detail.field}: `}${detail.message}`;
}
