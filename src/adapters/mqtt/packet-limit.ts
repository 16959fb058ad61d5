/**
 * Watches a stream of MQTT packets go by and finds one that is too long before it is collected in memory:
 * the parser would wait for up to 256 MB (MQTT 3.1.1, section 2.2.3).
 */
export class PacketLimit {
  readonly #maxBytes: number;
  #state: 'type' | 'length' | 'body' = 'type';
  #length = 0;
  #scale = 1;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** false: a packet announces more than the limit, or its length is malformed. */
  passes(chunk: Uint8Array): boolean {
    for (let at = 0; at < chunk.length; ) {
      if (this.#state === 'body') {
        const taken = Math.min(this.#length, chunk.length - at);
        this.#length -= taken;
        at += taken;
        if (this.#length === 0) this.#state = 'type';
        continue;
      }
      const byte = chunk[at] ?? 0;
      at += 1;
      if (this.#state === 'type') {
        this.#state = 'length';
        this.#length = 0;
        this.#scale = 1;
        continue;
      }
      this.#length += (byte & 0x7f) * this.#scale;
      this.#scale *= 0x80;
      const continues = (byte & 0x80) !== 0;
      if (this.#length > this.#maxBytes || (continues && this.#scale > 0x80 ** 3)) return false;
      if (!continues) this.#state = this.#length === 0 ? 'type' : 'body';
    }
    return true;
  }
}
