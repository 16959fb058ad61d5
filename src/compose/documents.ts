/** What a node keeps in its data directory besides its log and its settings, in files that only it can read. */
import * as z from 'zod/mini';
import { ADDRESS_PATTERN } from '../core/base/addresses.ts';
import { limits } from '../core/base/limits.ts';
import type { Store } from '../ports/store.ts';

/** Apart from the settings, for it comes from the parent, at any time. */
const PARENT_URLS = 'parent-urls.json';
const parentUrlsSchema = z.array(z.string().check(z.maxLength(limits.addressLength), z.regex(ADDRESS_PATTERN)));

/** Where the parent's replicas were last; none is known where nothing sensible is written: the parent tells anew. */
export async function readParentUrls(store: Store): Promise<readonly string[]> {
  const text = await readText(store, PARENT_URLS);
  try {
    return parentUrlsSchema.parse(JSON.parse(text ?? '[]'));
  } catch {
    return [];
  }
}

export function writeParentUrls(store: Store, urls: readonly string[]): Promise<void> {
  return writeText(store, PARENT_URLS, `${JSON.stringify(urls, null, 2)}\n`);
}

export async function readText(store: Store, name: string): Promise<string | null> {
  const bytes = await store.read(name);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

export function writeText(store: Store, name: string, text: string): Promise<void> {
  return store.write(name, new TextEncoder().encode(text));
}
