/**
 * The pages that are made from the code, so that they cannot say anything else: docs/errors.md from the error
 * table, docs/limits.md from the limits and the comments beside them. test/docs.test.ts compares them with
 * what is there; `npx vitest run test/docs.test.ts -u` writes them anew.
 */
import { must } from '../src/core/base/assert.ts';
import { formatDuration } from '../src/core/base/duration.ts';
import { limits } from '../src/core/base/limits.ts';
import { formatBytes } from '../src/core/base/quantity.ts';
import { ERRORS } from '../src/core/model/errors.ts';

export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, message, hint }]) => `| \`${code}\` | ${status} | ${cell(message)} | ${cell(hint)} |`,
  );
  return `# Errors

Every error that Tendril answers or prints is one of these. The API sends the status and one shape of body; the command line prints message, details and hint, and its exit codes are grouped in \`tendril --help\`.

\`\`\`json
{
  "error": {
    "code": "invalid_request",
    "message": "The request is not valid",
    "hint": "See the details: each names a field and what it expects.",
    "details": [{ "field": "spec.resources.memory", "message": "\\"64Q\\" is not an amount of memory such as 64Mi or 1G" }]
  }
}
\`\`\`

\`message\` may go on after a colon and say what it is about. A detail's \`field\` is the path in the body (\`spec.ports[0].name\`; of several resources \`resources[2].spec.replicas\`), \`?name\` in the query, \`:name\` in the path, or the name of a header; it is empty when the whole is meant. \`file\`, \`line\` and \`column\` are there when they are known.

| code | status | message | what to do |
|---|---|---|---|
${rows.join('\n')}
`;
}

/** `source`: the text of src/core/base/limits.ts. */
export function limitsPage(source: string): string {
  const reasons = reasonsIn(source);
  const rows = Object.entries(limits).map(
    ([name, value]) =>
      `| \`${name}\` | ${withUnit(name, value)} | ${cell(must(reasons.get(name), `a comment above the limit ${name}`))} |`,
  );
  return `# Limits

Every queue, message, list and wait has a maximum. At the limit Tendril refuses with a clear error, most often \`too_large\`, \`limit_reached\` or \`unavailable\` ([errors.md](errors.md)), and loses nothing that it has accepted.

| limit | value | what it bounds |
|---|---|---|
${rows.join('\n')}
`;
}

/** The comment above each limit, its lines joined. */
function reasonsIn(source: string): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>();
  let comment: string[] = [];
  for (const line of source.slice(source.indexOf('export const limits')).split('\n')) {
    const text = /^\s*(?:\/\*\*|\*)\s?(.*?)\s*(?:\*\/)?$/.exec(line)?.[1];
    const name = /^\s*(\w+):/.exec(line)?.[1];
    if (text !== undefined) comment.push(text);
    else if (name !== undefined) {
      if (comment.length > 0) reasons.set(name, comment.join(' ').trim());
      comment = [];
    }
  }
  return reasons;
}

function withUnit(name: string, value: number): string {
  if (name.endsWith('Bytes')) return formatBytes(value);
  if (name.endsWith('Ms')) return formatDuration(value);
  return value.toLocaleString('en-US');
}

/** A bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
