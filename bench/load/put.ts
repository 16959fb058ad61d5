/**
 * One call, `put a value under a key`, as etcd's clients make it: gRPC over HTTP/2, with the two messages of it that are
 * needed written out (etcd's rpc.proto; gRPC over HTTP2, "Length-Prefixed-Message"). The replicas of these benches answer
 * the same call, so that one client measures both, byte for byte alike.
 */
export const PUT_PATH = '/etcdserverpb.KV/Put';

/** gRPC's status codes that are met here. */
export const GRPC_OK = '0';
export const GRPC_UNAVAILABLE = '14';

const PREFIX_BYTES = 5;
/** Fields 1 and 2, of length-delimited type (Protocol Buffers, "Message Structure"). */
const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;

export interface Put {
  readonly key: string;
  readonly value: Uint8Array;
}

export function encodePut({ key, value }: Put): Buffer {
  const keyBytes = Buffer.from(key);
  const message = [field(KEY_TAG, keyBytes), field(VALUE_TAG, value)];
  return prefixed(Buffer.concat(message));
}

/** null for what is no such call. */
export function decodePut(frame: Buffer): Put | null {
  let at = PREFIX_BYTES;
  let key: Buffer | null = null;
  let value: Buffer | null = null;
  while (at < frame.length) {
    const tag = frame[at];
    let length = 0;
    let shift = 0;
    for (at += 1; at < frame.length; at += 1) {
      const byte = frame[at] ?? 0;
      length |= (byte & 0x7f) << shift;
      shift += 7;
      if (byte < 0x80) break;
    }
    at += 1;
    if (at + length > frame.length) return null;
    if (tag === KEY_TAG) key = frame.subarray(at, at + length);
    else if (tag === VALUE_TAG) value = frame.subarray(at, at + length);
    at += length;
  }
  return key === null ? null : { key: key.toString(), value: value ?? new Uint8Array(0) };
}

/** An answer without content: both sides' fields are all optional. */
export const EMPTY_ANSWER = prefixed(Buffer.alloc(0));

function prefixed(message: Buffer): Buffer {
  const frame = Buffer.alloc(PREFIX_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, PREFIX_BYTES);
  return frame;
}

function field(tag: number, content: Uint8Array): Buffer {
  const head = [tag];
  for (let rest = content.length; ; rest >>>= 7) {
    head.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80);
    if (rest < 0x80) break;
  }
  return Buffer.concat([Buffer.from(head), content]);
}
