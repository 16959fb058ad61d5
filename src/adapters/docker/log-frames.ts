/**
 * The engine sends stdout and stderr of a container without a terminal as frames: one byte that names the
 * stream, three zero bytes, the payload's length as four bytes (big endian), the payload (Docker Engine API,
 * "Attach to a container", stream format). Tendril keeps both streams as one, in the order of arrival.
 */
const HEADER_BYTES = 8;

/** Only a header is ever held back, so a frame may be of any length. */
export class LogFrames {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #payloadLeft = 0;

  /** The payload in `chunk`, which may begin and end anywhere in a frame. */
  *payload(chunk: Buffer): Generator<Uint8Array> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadLeft > 0) {
        const part = chunk.subarray(at, at + this.#payloadLeft);
        this.#payloadLeft -= part.length;
        at += part.length;
        yield part;
        continue;
      }
      const copied = chunk.copy(this.#header, this.#headerBytes, at, at + HEADER_BYTES - this.#headerBytes);
      this.#headerBytes += copied;
      at += copied;
      if (this.#headerBytes === HEADER_BYTES) {
        this.#payloadLeft = this.#header.readUInt32BE(4);
        this.#headerBytes = 0;
      }
    }
  }
}
