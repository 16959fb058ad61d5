/**
 * The names under which the uplink protocol travels (docs/uplink.md). A child's topics all lie below its own
 * name, so that one rule per certificate covers them, in the embedded broker as in Mosquitto's ACL file.
 */
import { isName } from '../../core/base/ids.ts';

const ROOT = 'tendril/v1';

/** Said by the child: `gone` is its last will, also sent when it closes in good order. */
export const UP_TOPICS = ['hello', 'report', 'gone'] as const;
export type UpTopic = (typeof UP_TOPICS)[number];
/** Said by the parent; `close` asks the child to begin a new session. */
export const DOWN_TOPICS = ['desired', 'stream', 'close'] as const;
export type DownTopic = (typeof DOWN_TOPICS)[number];

/**
 * Behind an external broker only: whether the orchestrator is there. The one retained message. `_` is no
 * child's name, so it belongs to none.
 */
export const PARENT_TOPIC = `${ROOT}/_/parent`;

export function topicOf(child: string, leaf: UpTopic | DownTopic): string {
  return `${ROOT}/${child}/${leaf}`;
}

/** What every child says on `leaf`. */
export function topicOfAll(leaf: UpTopic): string {
  return `${ROOT}/+/${leaf}`;
}

/** null when it is no topic on which a child may speak. */
export function parseUpTopic(topic: string): { readonly child: string; readonly leaf: UpTopic } | null {
  const [, child, leafText] = /^tendril\/v1\/([^/]+)\/([a-z]+)$/.exec(topic) ?? [];
  const leaf = UP_TOPICS.find((known) => known === leafText);
  return child !== undefined && leaf !== undefined && isName(child) ? { child, leaf } : null;
}

const LISTEN_TO: readonly string[] = [...UP_TOPICS, ...DOWN_TOPICS, '#', '+'];

/** Whether a client with this child's certificate may listen there. Not to whatever it makes up: subscriptions take room. */
export function mayListen(child: string, filter: string): boolean {
  return filter === PARENT_TOPIC || LISTEN_TO.some((leaf) => filter === `${ROOT}/${child}/${leaf}`);
}
