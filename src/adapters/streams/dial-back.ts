/** A stream to the parent, dialled because it asked for one: a WebSocket at `/v1/streams/<id>`. */
import { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { createWebSocketStream, WebSocket } from 'ws';
import { limits } from '../../core/base/limits.ts';

/** `parentUrl`: `https://host:7443`. Errors end the stream; nobody waits for it here. */
export function dialBack(parentUrl: string, id: string, tls: ConnectionOptions): Duplex {
  const url = new URL(`/v1/streams/${id}`, parentUrl);
  url.protocol = 'wss:';
  const webSocket = new WebSocket(url, {
    agent: new Agent(tls),
    perMessageDeflate: false,
    maxPayload: limits.uplinkMessageBytes,
  });
  const stream = createWebSocketStream(webSocket);
  webSocket.once('close', () => stream.destroy());
  stream.on('error', () => stream.destroy());
  return stream;
}
