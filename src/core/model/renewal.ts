/** When a certificate is replaced: at two thirds of its life, so that a third is left for a parent that is away. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** `jitter` in [0, 1) spreads the children that joined together over a twelfth of the lifetime. */
export function renewAtMs(validity: Validity, jitter: number): number {
  const lifetimeMs = validity.notAfterMs - validity.notBeforeMs;
  return validity.notBeforeMs + lifetimeMs * (2 / 3 + jitter / 12);
}

/** After a failed try: once an hour, but a short-lived certificate still gets several tries in what it has left. */
export function renewRetryDelayMs(validity: Validity, nowMs: number, jitter: number): number {
  const leftMs = Math.max(0, validity.notAfterMs - nowMs);
  return Math.max(1_000, Math.min(3_600_000, leftMs / 10)) * (0.75 + jitter / 2);
}
