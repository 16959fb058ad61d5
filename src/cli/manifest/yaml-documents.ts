/**
 * YAML (and JSON, its subset) as plain values of which every field's place in the file is known.
 *
 * What a hostile or broken file could make expensive is bounded before or while parsing: documents, aliases
 * (a "billion laughs" file expands them), nesting. The library compares each key of a map with all others;
 * duplicates are looked for here, in one pass.
 */
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, visit } from 'yaml';
import { limits } from '../../core/base/limits.ts';
import { ok, type Result, refused } from '../../core/base/result.ts';
import type { ErrorDetail } from '../../core/model/errors.ts';

export type Path = readonly (string | number)[];

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface YamlDocument {
  readonly value: unknown;
  readonly start: Place;
  /** Where the field's value stands (its key, when `ofKey`); of a missing field, the nearest parent that is there. */
  placeOf(path: Path, ofKey: boolean): Place;
}

/** Expansions of aliases in one document; people reuse a block or two. */
const ALIASES_MAX = 100;

/** The documents that are not empty, or what is wrong with the text. */
export function parseYamlDocuments(file: string, text: string): Result<YamlDocument[], readonly ErrorDetail[]> {
  const whole = (message: string) => refused([{ file, field: '', message }]);
  // `---` at the start of a line separates documents wherever it stands (YAML 1.2, section 9.1.2).
  const separators = text.match(/^---(?=\s|$)/gm)?.length ?? 0;
  if (separators > limits.manifestDocuments) return whole(`has ${separators} documents, at most ${limits.manifestDocuments}`);

  const lineCounter = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lineCounter.linePos(offset);
    return { line, column: col };
  };
  const problem = (offset: number, message: string): ErrorDetail => ({ file, ...placeAt(offset), field: '', message });
  try {
    const parsed = parseAllDocuments(text, { lineCounter, prettyErrors: false, uniqueKeys: false, merge: true });
    const documents = 'empty' in parsed ? [] : parsed;
    const [error] = documents.flatMap((document) => document.errors);
    if (error?.message.startsWith('Maximum call stack')) return whole('is nested too deeply');
    // Only the first: what a parser finds after it is mostly its echo.
    if (error) return refused([problem(error.pos[0], error.message)]);
    const problems = documents.flatMap((document) =>
      duplicateKeys(document).map(({ key, offset, first }) =>
        problem(offset, `the key "${key}" is given twice, first in line ${placeAt(first).line}`),
      ),
    );
    if (problems.length > 0) return refused(problems.slice(0, limits.errorDetails));
    return ok(documents.filter((document) => !isEmptyScalar(document.contents)).map((document) => readable(document, placeAt)));
  } catch (error) {
    if (error instanceof RangeError) return whole('is nested too deeply');
    if (error instanceof ReferenceError) return whole(`refers to its anchors too often, at most ${ALIASES_MAX} times`);
    throw error;
  }
}

function readable(document: Document.Parsed, placeAt: (offset: number) => Place): YamlDocument {
  const startOf = (node: unknown, otherwise: number) => (isNode(node) && node.range ? node.range[0] : otherwise);
  const start = startOf(document.contents, document.range[0]);
  return {
    value: document.toJS({ maxAliasCount: ALIASES_MAX }) as unknown,
    start: placeAt(start),
    placeOf(path, ofKey) {
      let offset = start;
      let node: unknown = document.contents;
      for (const [index, part] of path.entries()) {
        const container = isAlias(node) ? node.resolve(document) : node;
        if (isMap(container)) {
          const pair = container.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
          if (!pair) break;
          const keyOffset = startOf(pair.key, offset);
          const wantsKey = ofKey || index < path.length - 1;
          offset = wantsKey || isEmptyScalar(pair.value) ? keyOffset : startOf(pair.value, keyOffset);
          node = pair.value;
        } else if (isSeq(container)) {
          node = container.items[Number(part)];
          if (node === undefined) break;
          offset = startOf(node, offset);
        } else break;
      }
      return placeAt(offset);
    },
  };
}

function isEmptyScalar(node: unknown): boolean {
  return node === null || (isScalar(node) && node.value === null && (node.source ?? '') === '');
}

function duplicateKeys(document: Document.Parsed): { key: string; offset: number; first: number }[] {
  const found: { key: string; offset: number; first: number }[] = [];
  visit(document, {
    Map(_, map) {
      const seen = new Map<string, number>();
      for (const { key } of map.items as { key: Node | null }[]) {
        if (!isScalar(key) || !key.range || key.value === '<<') continue;
        const name = String(key.value);
        const first = seen.get(name);
        if (first === undefined) seen.set(name, key.range[0]);
        else found.push({ key: name, offset: key.range[0], first });
      }
    },
  });
  return found;
}
