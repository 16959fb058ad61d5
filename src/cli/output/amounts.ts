/** Amounts for reading, rounded to what the eye takes in; `quantity.ts` has the exact forms. */

/** Thousandths of a core: `250m`, `1.5`, `24`. */
export function readableCpu(milli: number): string {
  if (milli < 1000) return `${Math.round(milli)}m`;
  const cores = milli / 1000;
  return cores < 10 ? String(Number(cores.toFixed(1))) : String(Math.round(cores));
}

/** `512Mi`, `7.6Gi`. */
export function readableBytes(bytes: number): string {
  for (const [unit, size] of [
    ['Ti', 2 ** 40],
    ['Gi', 2 ** 30],
    ['Mi', 2 ** 20],
    ['Ki', 2 ** 10],
  ] as const)
    if (bytes >= size) {
      const amount = bytes / size;
      return `${amount < 10 ? Number(amount.toFixed(1)) : Math.round(amount)}${unit}`;
    }
  return String(Math.round(bytes));
}

export function readablePercent(ratio: number): string {
  return `${Math.round(ratio * 100)}%`;
}
