/** Numbers and bytes into a frame whose greatest size is known beforehand, so that nothing is ever moved. */
import { assert } from '../../core/base/assert.ts';

/** Bytes of the greatest whole number. */
export const INTEGER_BYTES_MAX = 8;

export class ByteWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytesMax: number) {
    this.#bytes = Buffer.allocUnsafe(bytesMax);
  }

  byte(value: number): void {
    this.#at = this.#bytes.writeUInt8(value, this.#at);
  }

  integer(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, `${value} is a whole number`);
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte(0x80 | (rest % 0x80));
    this.byte(rest);
  }

  milliseconds(value: number): void {
    this.#at = this.#bytes.writeDoubleBE(value, this.#at);
  }

  bytes(value: Uint8Array): void {
    this.integer(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** What has been written. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }
}
