/** The kinds of things that commands take by name, as kubectl spells such: `services`, `service`, `svc`, `service/web`. */
import { InvalidArgumentError } from 'commander';

export const KINDS = ['service', 'instance', 'node', 'cluster', 'replica', 'token', 'event'] as const;
export type Kind = (typeof KINDS)[number];

const SHORT: Readonly<Record<Kind, readonly string[]>> = {
  service: ['svc'],
  instance: ['inst'],
  node: ['no'],
  cluster: ['cl'],
  replica: ['rep'],
  token: [],
  event: ['ev'],
};

export function kindNames(kinds: readonly Kind[] = KINDS): string {
  return kinds.map((kind) => [`${kind}s`, ...SHORT[kind]].join(', ')).join('; ');
}

export function parseKind(text: string, kinds: readonly Kind[] = KINDS): Kind {
  const found = findKind(text, kinds);
  if (!found) throw new InvalidArgumentError(`Unknown kind "${text}". Kinds are: ${kindNames(kinds)}.`);
  return found;
}

function findKind(text: string, kinds: readonly Kind[]): Kind | undefined {
  const wanted = text.toLowerCase();
  return kinds.find((kind) => kind === wanted || `${kind}s` === wanted || SHORT[kind].includes(wanted));
}

/** Those that `tendril describe` knows. */
export const DESCRIBABLE: readonly Kind[] = ['service', 'instance', 'node', 'cluster'];

export interface Reference {
  readonly kind: Kind;
  readonly name: string;
}

/** `KIND NAME...` or `KIND/NAME...`; a node of a cluster has a slash in its name: `node/garching/n2`. */
export function parseReferences(words: readonly string[], kinds: readonly Kind[]): Reference[] {
  const [first = '', ...rest] = words;
  if (!first.includes('/')) {
    if (rest.length === 0 && kinds !== KINDS && findKind(first, KINDS) === undefined)
      throw new InvalidArgumentError(
        `"${first}" is no kind. If it is a name, say of what: service ${first}. Kinds are: ${kindNames(kinds)}.`,
      );
    const kind = parseKind(first, kinds);
    return rest.map((name) => ({ kind, name }));
  }
  return words.map((word) => {
    const slash = word.indexOf('/');
    if (slash < 0) throw new InvalidArgumentError(`Expected KIND/NAME, got "${word}".`);
    return { kind: parseKind(word.slice(0, slash), kinds), name: word.slice(slash + 1) };
  });
}

/** A bare name, or one with the kind that it must be of: `web`, `service/web`. */
export function nameOf(kind: Kind, text: string): string {
  const slash = text.indexOf('/');
  if (slash < 0) return text;
  const prefix = text.slice(0, slash);
  return prefix === kind || prefix === `${kind}s` || SHORT[kind].includes(prefix) ? text.slice(slash + 1) : text;
}
