/** A stream to the parent, dialled because it asked for one: a WebSocket at `/v1/streams/<id>`. */
import { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { createWebSocketStream, WebSocket } from 'ws';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';

/** A TLS handshake over a slow link, and short enough to turn to another replica before the parent gives up. */
const DIAL_TIMEOUT_MS = 7_000;

/** `parentUrl`: `https://host:7443`. Rejects with `unreachable` when it is not taken there. */
export function dialBack(parentUrl: string, id: string, tls: ConnectionOptions): Promise<Duplex> {
  const url = new URL(`/v1/streams/${id}`, parentUrl);
  url.protocol = 'wss:';
  const webSocket = new WebSocket(url, {
    agent: new Agent(tls),
    perMessageDeflate: false,
    maxPayload: limits.uplinkMessageBytes,
    handshakeTimeout: DIAL_TIMEOUT_MS,
  });
  const stream = createWebSocketStream(webSocket);
  webSocket.once('close', () => stream.destroy());
  return new Promise((resolve, reject) => {
    // Once there is a stream, its errors end it; nobody waits for it here.
    stream.on('error', (error) => {
      stream.destroy();
      reject(new CodedError('unreachable', `${url.host} (${error.message})`, [], error));
    });
    webSocket.once('open', () => resolve(stream));
  });
}
