/** Limits that a short run meets: with those of earnest use no queue would fill, and no snapshot have two pieces. */
import { limits } from '../../base/limits.ts';

export type SmallLimits = { readonly [name in keyof typeof limits]?: number };

/** Nothing else in the process may go by the limits meanwhile. */
export function withLimits<T>(small: SmallLimits, run: () => T): T {
  const before = { ...limits };
  Object.assign(limits, small);
  try {
    return run();
  } finally {
    Object.assign(limits, before);
  }
}
