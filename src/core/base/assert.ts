/**
 * Broken invariants crash. An assertion says that the program itself is wrong, never that its input is:
 * input from outside is refused with a `Result` or a coded error before it reaches the core.
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The value, which the caller knows to be there; `what` names it in the crash otherwise. */
export function must<T>(value: T | undefined | null, what: string): T {
  assert(value !== undefined && value !== null, `missing: ${what}`);
  return value;
}

/** Closes a `switch` over a union: a new member that nobody handles is a compile error. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
