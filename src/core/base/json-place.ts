/**
 * Where a text stops being JSON. JSON.parse alone says that it does, and its messages name a position only
 * sometimes; a person who wrote the text wants line and column. Looked for only after JSON.parse has failed.
 */
export interface Place {
  /** Characters from the start. */
  readonly offset: number;
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
}

/** The first character that cannot be part of JSON (RFC 8259); null when there is none. */
export function findJsonFault(text: string): Place | null {
  const offset = new Scan(text).faultOffset();
  return offset === null ? null : placeOf(text, offset);
}

function placeOf(text: string, offset: number): Place {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { offset, line: before.split('\n').length, column: offset - lineStart + 1 };
}

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or end';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** One pass with a stack of open brackets instead of recursion: depth is the writer's choice. */
class Scan {
  readonly #text: string;
  readonly #open: ('{' | '[')[] = [];
  #at = 0;
  #expected: Expected = 'value';

  constructor(text: string) {
    this.#text = text;
  }

  faultOffset(): number | null {
    for (;;) {
      while (/[ \t\n\r]/.test(this.#text[this.#at] ?? '')) this.#at++;
      const char = this.#text[this.#at];
      if (char === undefined) return this.#expected === ', or end' && this.#open.length === 0 ? null : this.#at;
      if (!this.#step(char)) return this.#at;
    }
  }

  /** False when the token at this place may not stand here; `#at` is then at the fault. */
  #step(char: string): boolean {
    switch (this.#expected) {
      case ':':
        return char === ':' && this.#pass('value');
      case 'key or }':
        return char === '}' ? this.#close('{') : char === '"' && this.#string(':');
      case 'key':
        return char === '"' && this.#string(':');
      case ', or end':
        if (char !== ',') return this.#close(char === '}' ? '{' : char === ']' ? '[' : null);
        if (this.#open.length === 0) return false;
        return this.#pass(this.#open.at(-1) === '{' ? 'key' : 'value');
      case 'value or ]':
        return char === ']' ? this.#close('[') : this.#value(char);
      case 'value':
        return this.#value(char);
    }
  }

  #value(char: string): boolean {
    if (char === '{' || char === '[') {
      this.#open.push(char);
      return this.#pass(char === '{' ? 'key or }' : 'value or ]');
    }
    if (char === '"') return this.#string(', or end');
    return this.#match(NUMBER) || this.#match(WORD);
  }

  #pass(next: Expected): true {
    this.#at++;
    this.#expected = next;
    return true;
  }

  #close(bracket: '{' | '[' | null): boolean {
    if (bracket === null || this.#open.at(-1) !== bracket) return false;
    this.#open.pop();
    return this.#pass(', or end');
  }

  #match(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return false;
    this.#at = pattern.lastIndex;
    this.#expected = ', or end';
    return true;
  }

  #string(next: Expected): boolean {
    this.#at++;
    for (;;) {
      const char = this.#text[this.#at];
      if (char === '"') return this.#pass(next);
      if (char === undefined || char < ' ') return false;
      if (char !== '\\') {
        this.#at++;
        continue;
      }
      ESCAPE.lastIndex = this.#at;
      if (!ESCAPE.test(this.#text)) return false;
      this.#at = ESCAPE.lastIndex;
    }
  }
}
