/**
 * Brings messages to those who subscribe, in place of the emitter that aedes uses otherwise, for two reasons.
 * That one lets a publisher wait until every subscriber has taken the message, so a watcher that does not read
 * would hold up the node it watches. And it spreads aedes's own `$SYS` messages, which nobody here may see.
 *
 * Subscriptions all lie below one child's name (topics.ts), so they are kept by child.
 */
import type { AedesPublishPacket } from 'aedes';

type Deliver = (packet: AedesPublishPacket, done: () => void) => void;
type Callback = (error?: Error) => void;

const nothing = (): void => undefined;

export class FanOut {
  readonly #byChild = new Map<string, Map<Deliver, string>>();

  on(filter: string, deliver: Deliver, done: Callback = nothing): this {
    const child = childLevel(filter);
    const subscribers = this.#byChild.get(child) ?? new Map<Deliver, string>();
    subscribers.set(deliver, filter);
    this.#byChild.set(child, subscribers);
    setImmediate(done);
    return this;
  }

  removeListener(filter: string, deliver: Deliver, done: Callback = nothing): this {
    const child = childLevel(filter);
    const subscribers = this.#byChild.get(child);
    subscribers?.delete(deliver);
    if (subscribers?.size === 0) this.#byChild.delete(child);
    setImmediate(done);
    return this;
  }

  emit(packet: AedesPublishPacket, done: Callback = nothing): this {
    const subscribers = this.#byChild.get(childLevel(packet.topic));
    if (subscribers) for (const [deliver, filter] of subscribers) if (covers(filter, packet.topic)) deliver(packet, nothing);
    done();
    return this;
  }

  close(done: Callback = nothing): void {
    this.#byChild.clear();
    setImmediate(done);
  }
}

function childLevel(topic: string): string {
  return topic.split('/', 3)[2] ?? '';
}

/** MQTT 3.1.1, section 4.7: `+` stands for one level, `#` at the end for all that follow, the parent level included. */
export function covers(filter: string, topic: string): boolean {
  const wanted = filter.split('/');
  const levels = topic.split('/');
  for (const [at, level] of wanted.entries()) {
    if (level === '#') return true;
    if (at >= levels.length || (level !== '+' && level !== levels[at])) return false;
  }
  return wanted.length === levels.length || wanted[levels.length] === '#';
}
