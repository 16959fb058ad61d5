/**
 * Numbers and bytes out of a frame that somebody else has written. Nothing here throws and nothing reads past the end:
 * what is missing or out of range marks the whole frame as bad, and reads as zero from there on.
 */

const DECODER = new TextDecoder('utf-8', { fatal: true });

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #isBad = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isBad(): boolean {
    return this.#isBad;
  }

  /** All of it was read, and all of it was good. */
  get isDone(): boolean {
    return !this.#isBad && this.#at === this.#bytes.length;
  }

  /** For what is well formed, and still cannot be. */
  fail(): void {
    this.#isBad = true;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (this.#isBad || value === undefined) {
      this.#isBad = true;
      return 0;
    }
    this.#at += 1;
    return value;
  }

  /** Seven bits a byte, the lowest first; up to `max`, and in the shortest form only: a message has one encoding. */
  integer(max = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (value > max || (byte === 0 && scale > 1)) this.#isBad = true;
      if (this.#isBad) return 0;
      if (byte < 0x80) return value;
    }
  }

  /** Of a clock or a duration: finite and not below zero. */
  milliseconds(): number {
    if (this.#isBad || this.#at + 8 > this.#bytes.length) {
      this.#isBad = true;
      return 0;
    }
    const value = this.#view.getFloat64(this.#at);
    this.#at += 8;
    if (Number.isFinite(value) && value >= 0) return value;
    this.#isBad = true;
    return 0;
  }

  /** A part of the frame itself: whoever keeps it keeps the frame. */
  bytes(max: number): Uint8Array {
    const length = this.integer(max);
    if (this.#isBad || this.#at + length > this.#bytes.length) {
      this.#isBad = true;
      return this.#bytes.subarray(0, 0);
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  text(max: number): string {
    const bytes = this.bytes(max);
    try {
      return DECODER.decode(bytes);
    } catch {
      this.#isBad = true;
      return '';
    }
  }
}
