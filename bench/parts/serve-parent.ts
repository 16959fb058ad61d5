/** The other end of a part: answers the bench that started it, and ends when that one does. */
import { must } from '../../src/core/base/assert.ts';
import type { Question, Reply } from './part.ts';

/** What is asked, and who answers it. Values come from this same program, so they are what was sent. */
export type Answers = Readonly<Record<string, (value: never) => unknown>>;

export function serveParent(answers: Answers): void {
  process.once('disconnect', () => process.exit());
  process.on('message', ({ number, about, value }: Question) => {
    const reply = (body: { readonly value: unknown } | { readonly error: string }): void => {
      process.send?.({ number, ...body } satisfies Reply);
    };
    Promise.resolve()
      .then(() => must(answers[about], `an answer about ${about}`)(value as never))
      .then(
        (answer) => reply({ value: answer ?? null }),
        (error: unknown) => reply({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      );
  });
}
