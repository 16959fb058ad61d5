/** Answers that are waited for, by number. */
export class Awaited<T> {
  readonly #waiting = new Map<number, (answer: T) => void>();

  answerTo(number: number): Promise<T> {
    return new Promise((resolve) => {
      this.#waiting.set(number, resolve);
    });
  }

  answer(number: number, answer: T): void {
    this.#waiting.get(number)?.(answer);
    this.#waiting.delete(number);
  }

  answerAll(answer: T): void {
    for (const number of [...this.#waiting.keys()]) this.answer(number, answer);
  }
}
