/**
 * Reads input from outside with a schema and says what is wrong in words that its writer can act on: which
 * field, and what it expects. The API and the readers of manifests share it, so both speak alike.
 *
 * The wording is ours and goes to zod as an error map of the single parse; a message that the schema itself
 * states wins over it. Nothing depends on zod's global configuration.
 */
import * as z from 'zod/mini';
import { limits } from '../base/limits.ts';
import { ok, type Result, refused } from '../base/result.ts';
import type { ErrorDetail } from './errors.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly (string | number)[];

/** A detail and the path behind its `field`, for those who look the place up in a file. */
export interface Finding extends ErrorDetail {
  readonly path: Path;
}

/** The parsed value, or at most `limits.errorDetails` findings, in the order in which the schema looks. */
export function validate<S extends z.core.$ZodType>(schema: S, value: unknown): Result<z.output<S>, readonly Finding[]> {
  const wording = new Wording();
  const parsed = z.safeParse(schema, value, { error: wording.message });
  if (parsed.success) return ok(parsed.data);
  const findings = parsed.error.issues.flatMap((issue) => flatten(issue, [], wording));
  return refused(findings.slice(0, limits.errorDetails));
}

/** `spec.ports[0].name`; a key that is no plain word is quoted: `metadata.labels["a.b"]`. Empty for the whole. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[A-Za-z_][\w-]*$/.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

const NO_BRANCH = 'has none of the forms that are expected here';

class Wording {
  /** The fields that an object knows, kept beside the issue that names those it does not know. */
  readonly #known = new WeakMap<readonly string[], readonly string[]>();

  readonly message = (issue: z.core.$ZodRawIssue): string => {
    switch (issue.code) {
      case 'invalid_type':
        return issue.input === undefined
          ? `is missing; expected ${expectation(issue)}`
          : `expected ${expectation(issue)}, got ${nameOfType(issue.input)}`;
      case 'invalid_value':
        return issue.values.length === 1 ? `expected ${quoted(issue.values)}` : `expected one of ${quoted(issue.values)}`;
      case 'too_small':
        return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}`;
      case 'too_big':
        return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unitOf(issue.origin)}`;
      case 'invalid_format':
        return issue.format === 'starts_with' ? `must start with "${issue.prefix}"` : 'has the wrong form';
      case 'not_multiple_of':
        return `expected a multiple of ${issue.divisor}`;
      case 'unrecognized_keys':
        this.#known.set(issue.keys, shapeOf(issue.inst));
        return 'unknown field';
      case 'invalid_union':
        return NO_BRANCH;
      default:
        return 'is not valid';
    }
  };

  unknownField(keys: readonly string[], key: string): string {
    const known = this.#known.get(keys) ?? [];
    // In a short word a changed letter makes another word: gpu is no slip for cpu.
    const slipMax = key.length <= 4 ? 0 : key.length <= 6 ? 1 : 2;
    const near = known.find((candidate) => distance(candidate.toLowerCase(), key.toLowerCase()) <= slipMax);
    if (near !== undefined) return `unknown field; did you mean ${near}?`;
    return known.length > 0 ? `unknown field; known here: ${known.join(', ')}` : 'unknown field';
  }
}

function flatten(issue: Issue, prefix: Path, wording: Wording): Finding[] {
  const path = [...prefix, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => finding([...path, key], wording.unknownField(issue.keys, key)));
    case 'invalid_key':
    case 'invalid_element':
      return issue.issues.flatMap((inner) => flatten(inner, path, wording));
    case 'invalid_union':
      return flattenUnion(issue, path, wording);
    default:
      return [finding(path, issue.message)];
  }
}

/**
 * Of a union only one branch was meant: the one that understood the input as far as to object in its own
 * words; else the union's own message; else the branch with the least to object to.
 */
function flattenUnion(issue: Extract<Issue, { code: 'invalid_union' }>, path: Path, wording: Wording): Finding[] {
  const meant = issue.errors.find((branch) => branch.some((inner) => inner.code === 'custom'));
  if (meant) return meant.flatMap((inner) => flatten(inner, path, wording));
  if (issue.message !== NO_BRANCH) return [finding(path, issue.message)];
  const branches = issue.errors.map((branch) => branch.flatMap((inner) => flatten(inner, path, wording)));
  branches.sort((a, b) => a.length - b.length);
  return branches[0] ?? [finding(path, issue.message)];
}

function finding(path: Path, message: string): Finding {
  const short = message.length > 400 ? `${message.slice(0, 400)}...` : message;
  return { field: formatPath(path), message: short, path };
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
};

/** zod asks a whole number to be a number first, and says so. */
function expectation(issue: { readonly expected: string; readonly inst?: unknown }): string {
  const expected = issue.inst instanceof z.ZodMiniNumberFormat ? 'int' : issue.expected;
  return TYPE_NAMES[expected] ?? expected;
}

function nameOfType(input: unknown): string {
  if (input === null) return 'null';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'number') return Number.isFinite(input) ? String(input) : 'no finite number';
  return TYPE_NAMES[typeof input] ?? typeof input;
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' || origin === 'set' ? ' entries' : '';
}

function quoted(values: readonly unknown[]): string {
  return values.map(String).join(', ');
}

function shapeOf(schema: unknown): readonly string[] {
  return schema instanceof z.ZodMiniObject ? Object.keys(schema.shape) : [];
}

/** Levenshtein's edit distance; both words are short: one is a schema's, the other is cut. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
