/**
 * Holds a parent's adapter to U1 and U2 (ports/uplink.ts) whatever the broker does: MQTT 3.1.1 with QoS 1 may
 * deliver twice, and a broker that is full or restarted drops. Sessions begin with a hello and number their
 * reports, so duplicates and gaps show.
 */
import type { UpMessage } from '../../core/model/messages.ts';

/** `broken`: something is missing, so the session must end and a new hello come. */
export type Verdict = 'begins' | 'follows' | 'duplicate' | 'broken';

export class ChildOrder {
  readonly #sessions = new Map<string, { readonly session: string; sequence: number }>();

  judge(child: string, message: UpMessage): Verdict {
    const current = this.#sessions.get(child);
    if (message.type === 'hello') {
      if (current?.session === message.session) return 'duplicate';
      this.#sessions.set(child, { session: message.session, sequence: 0 });
      return 'begins';
    }
    if (current?.session !== message.session) return 'broken';
    if (message.sequence <= current.sequence) return 'duplicate';
    if (message.sequence > current.sequence + 1) return 'broken';
    current.sequence = message.sequence;
    return 'follows';
  }

  isOpen(child: string): boolean {
    return this.#sessions.has(child);
  }

  /** Whether there was a session to end. */
  end(child: string): boolean {
    return this.#sessions.delete(child);
  }

  /** Ends all; their names. */
  endAll(): string[] {
    const children = [...this.#sessions.keys()];
    this.#sessions.clear();
    return children;
  }
}
