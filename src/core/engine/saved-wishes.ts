/** The last wishes of the parent, as a node keeps them on disk. */
import * as z from 'zod/mini';
import { CodedError } from '../model/errors.ts';
import { type Assignment, assignmentSchema } from '../model/messages.ts';

export interface SavedWishes {
  readonly epoch: string;
  readonly version: number;
  readonly assignments: readonly Assignment[];
  /** Of those, the ones that this node has refused: its parent may have given them to another. */
  readonly refused: readonly Refused[];
  /** Not wanted any more and perhaps not gone yet: they hold their share of the node until they are. */
  readonly leaving: readonly Assignment[];
}

export interface Refused {
  readonly id: string;
  readonly reason: string;
}

const savedWishesSchema = z.object({
  epoch: z.string(),
  version: z.int().check(z.minimum(0)),
  assignments: z.array(assignmentSchema),
  refused: z._default(z.array(z.object({ id: z.string(), reason: z.string() })), []),
  leaving: z._default(z.array(assignmentSchema), []),
});

/** Rejects a damaged file with `data_dir_corrupt`: the node then has to be told everything anew. */
export function readSavedWishes(text: string): SavedWishes {
  try {
    return savedWishesSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new CodedError('data_dir_corrupt', 'wishes.json', [], cause);
  }
}
