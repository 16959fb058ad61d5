/** Label selectors in kubectl's language: `app=web,tier!=db,gpu,!old,site in (a,b),site notin (c)`. All parts must hold. */
import { InvalidArgumentError } from 'commander';

export type Labels = Readonly<Record<string, string>>;
export type Selector = (labels: Labels) => boolean;

const SET = /^([^\s=!,()]+)\s+(in|notin)\s+\(([^()]*)\)$/;
const EQUALITY = /^([^\s=!,()]+)\s*(==?|!=)\s*([^\s=!,()]*)$/;
const PRESENCE = /^(!?)\s*([^\s=!,()]+)$/;

export function parseSelector(text: string): Selector {
  const parts = splitOutsideParentheses(text).map(parsePart);
  return (labels) => parts.every((part) => part(labels));
}

function parsePart(text: string): Selector {
  const [, setKey, operator, list] = SET.exec(text) ?? [];
  if (setKey !== undefined && list !== undefined) {
    const values = list.split(',').map((value) => value.trim());
    return (labels) => values.includes(labels[setKey] ?? '\0') === (operator === 'in');
  }
  const [, key, sign, value] = EQUALITY.exec(text) ?? [];
  if (key !== undefined) return (labels) => (labels[key] === value) === (sign !== '!=');
  const [, not, name] = PRESENCE.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError(`"${text}" is not a selector such as app=web or site in (a,b).`);
  return (labels) => Object.hasOwn(labels, name) === (not === '');
}

function splitOutsideParentheses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
