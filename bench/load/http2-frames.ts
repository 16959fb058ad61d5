/**
 * As little of HTTP/2 (RFC 9113) as one gRPC call takes, for clients and servers of a bench that shares its processors
 * with what it measures: Node's own costs ten times as much a call. Headers are written without a dynamic table and are
 * never read: on which stream there is a message says all.
 */
export const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
export const END_STREAM = 0x1;
export const ACK = 0x1;
const END_HEADERS = 0x4;
const HEAD_BYTES = 9;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** Sections 6.5.2 and 6.9.2: no table to keep in step, and room for more answers than there will be. */
const HEADER_TABLE_SIZE = 1;
const INITIAL_WINDOW_SIZE = 4;
const WINDOW_BYTES = 2 ** 31 - 1;
const FIRST_WINDOW_BYTES = 65_535;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  /** Shares the memory of what was read. */
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, HEAD_BYTES);
  return bytes;
}

export function headersFrame(stream: number, block: Uint8Array, flags = 0): Buffer {
  return frame(FRAME.headers, END_HEADERS | flags, stream, block);
}

/** What each side says first, besides the preface. */
export const OPENING = Buffer.concat([
  frame(FRAME.settings, 0, 0, settings([HEADER_TABLE_SIZE, 0], [INITIAL_WINDOW_SIZE, WINDOW_BYTES])),
  frame(FRAME.windowUpdate, 0, 0, uint32(WINDOW_BYTES - FIRST_WINDOW_BYTES)),
]);

/** A header field whose name stands in HPACK's static table (RFC 7541, appendix A): never indexed, no Huffman code. */
export function indexedName(name: number, value: string): Buffer {
  const head = name < 15 ? [name] : [15, name - 15];
  return Buffer.concat([Buffer.from(head), text(value)]);
}

export function namedField(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}

function settings(...values: readonly (readonly [number, number])[]): Buffer {
  return Buffer.concat(
    values.map(([name, value]) => {
      const setting = Buffer.alloc(6);
      setting.writeUInt16BE(name, 0);
      setting.writeUInt32BE(value, 2);
      return setting;
    }),
  );
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Cuts what comes in into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  *read(chunk: Buffer): Generator<Frame> {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const length = bytes.length < HEAD_BYTES ? Number.POSITIVE_INFINITY : HEAD_BYTES + bytes.readUIntBE(0, 3);
      if (bytes.length < length) break;
      yield {
        type: bytes[3] ?? 0,
        flags: bytes[4] ?? 0,
        stream: bytes.readUInt32BE(5) & 0x7fffffff,
        payload: bytes.subarray(HEAD_BYTES, length),
      };
      bytes = bytes.subarray(length);
    }
    this.#rest = bytes;
  }
}

/** What a connection needs besides its calls: an answer to every ping and to every change of settings. */
export function upkeep({ type, flags, payload }: Frame): Buffer | null {
  if ((flags & ACK) !== 0) return null;
  if (type === FRAME.settings) return frame(FRAME.settings, ACK, 0, Buffer.alloc(0));
  if (type === FRAME.ping) return frame(FRAME.ping, ACK, 0, payload);
  return null;
}
