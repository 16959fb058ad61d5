/** Limits that a short run meets: with those of earnest use no queue would fill, and no snapshot have two pieces. */
import { limits } from '../../base/limits.ts';

export type SmallLimits = { readonly [name in keyof typeof limits]?: number };

/** Returns what puts them back. Nothing else in the process may go by the limits meanwhile. */
export function setLimits(small: SmallLimits): () => void {
  const before = { ...limits };
  Object.assign(limits, small);
  return () => {
    Object.assign(limits, before);
  };
}

export function withLimits<T>(small: SmallLimits, run: () => T): T {
  const putBack = setLimits(small);
  try {
    return run();
  } finally {
    putBack();
  }
}
