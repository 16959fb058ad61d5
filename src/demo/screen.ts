/** Draws in place on a terminal: only lines that have changed are written, so that what a user marks to copy stays marked. */
import type { Output } from '../cli/shell.ts';

// xterm's control sequences: the alternate screen, so that what was there before comes back; the cursor hidden.
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[2J';
const LEAVE = '\u001b[?25h\u001b[?1049l';

export class Screen {
  readonly #output: Output;
  #lines: readonly string[] = [];

  constructor(output: Output) {
    this.#output = output;
    output.write(ENTER);
  }

  draw(lines: readonly string[]): void {
    const changes: string[] = [];
    for (let row = 0; row < Math.max(lines.length, this.#lines.length); row++)
      if (lines[row] !== this.#lines[row]) changes.push(`\u001b[${row + 1};1H${lines[row] ?? ''}\u001b[K`);
    this.#lines = lines;
    if (changes.length > 0) this.#output.write(changes.join(''));
  }

  /** After the terminal has another size. */
  clear(): void {
    this.#lines = [];
    this.#output.write('\u001b[2J');
  }

  leave(): void {
    this.#output.write(LEAVE);
  }
}
