/** Shows work step by step: what goes on and for how long, then how long it took. Lines, so that a log reads the same. */
import type { Painter } from '../cli/output/painter.ts';
import type { Output } from '../cli/shell.ts';

const TICK_MS = 100;
/** Where there is no terminal, only what takes longer than this is announced. */
const QUIET_MS = 1_000;
const LABEL_WIDTH = 58;

export class Steps {
  readonly #output: Output;
  readonly #paint: Painter;

  constructor(output: Output, paint: Painter) {
    this.#output = output;
    this.#paint = paint;
  }

  /** Runs `work`, which may tell how it stands; the line that stays is what it resolves to. */
  async step(doing: string, work: (told: (state: string) => void) => Promise<string>): Promise<void> {
    await this.result(doing, async (told) => [await work(told), null]);
  }

  /** The same for work with a result besides its line. */
  async result<T>(
    doing: string,
    work: (told: (state: string) => void) => Promise<readonly [line: string, result: T]>,
  ): Promise<T> {
    const startedMs = performance.now();
    const elapsed = () => `${((performance.now() - startedMs) / 1000).toFixed(2)} s`;
    let state = '';
    let announced = '';
    const show = () => {
      const line = state === '' ? doing : `${doing}: ${state}`;
      if (this.#output.isTTY) this.#output.write(`\r  ${this.#line(this.#paint.warn('…'), line, elapsed())}\u001b[K`);
      else if (announced !== line && performance.now() - startedMs > QUIET_MS) {
        announced = line;
        this.#output.write(`  … ${line}\n`);
      }
    };
    const ticker = setInterval(show, TICK_MS);
    if (this.#output.isTTY) show();
    try {
      const [line, result] = await work((now) => {
        state = now;
      });
      this.#end(`  ${this.#line(this.#paint.good('✓'), line, elapsed())}`);
      return result;
    } catch (error) {
      this.#end(`  ${this.#line(this.#paint.bad('✗'), doing, elapsed())}`);
      throw error;
    } finally {
      clearInterval(ticker);
    }
  }

  #end(line: string): void {
    this.#output.write(this.#output.isTTY ? `\r${line}\u001b[K\n` : `${line}\n`);
  }

  #line(sign: string, text: string, took: string): string {
    const room = Math.min(LABEL_WIDTH, (this.#output.columns ?? 80) - 14);
    const shown = text.length > room ? `${text.slice(0, room - 1)}…` : text;
    return `${sign} ${shown.padEnd(room)} ${this.#paint.dim(took.padStart(8))}`;
  }
}
