/** What an orchestrator's first replica makes once, when it first leads: the operator's token, and its own node's membership. */
import { makeToken } from '../adapters/tls/token-secret.ts';
import { CodedError } from '../core/model/errors.ts';
import type { OrchestratorDriver } from '../node/orchestrator-driver.ts';
import type { Store } from '../ports/store.ts';
import { readText, writeText } from './documents.ts';

const ADMIN_TOKEN = 'admin-token';

/** The operator's own token: made once, kept beside the log, so that a lost context can be written again. */
export async function ensureAdminToken(store: Store, driver: OrchestratorDriver, caFingerprint: string): Promise<string> {
  const known = await readAdminToken(store);
  if (known !== null) return known;
  const { text, id, secretHash } = makeToken(caFingerprint);
  const made = await driver.submit({ type: 'createToken', id, secretHash, role: 'admin', expiresAtMs: null, uses: null });
  if (!made.ok) throw new CodedError(made.error.code, made.error.what);
  await writeText(store, ADMIN_TOKEN, `${text}\n`);
  return text;
}

/** null on a replica that has joined others. */
export async function readAdminToken(store: Store): Promise<string | null> {
  return (await readText(store, ADMIN_TOKEN))?.trim() ?? null;
}

/** The node inside this process joins as any other would: with a token, made and used up on the spot. */
export async function ensureLocalMember(
  driver: OrchestratorDriver,
  node: { readonly name: string; readonly publicKeyFingerprint: string },
  caFingerprint: string,
): Promise<void> {
  if (driver.core.state.members.has(node.name)) return;
  const { id, secretHash } = makeToken(caFingerprint);
  await driver.submit({ type: 'createToken', id, secretHash, role: 'worker', expiresAtMs: null, uses: 1 });
  const joined = await driver.submit({ type: 'registerChild', kind: 'node', ...node, tokenId: id, secretHash });
  if (!joined.ok) throw new CodedError(joined.error.code, joined.error.what);
  await driver.submit({ type: 'revokeToken', id });
}
