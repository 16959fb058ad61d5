/**
 * A WebSocket as a byte stream. The MQTT codec writes a packet in half a dozen pieces; each would be a frame and
 * a TLS record of its own, and a heartbeat of 85 bytes 356 on the wire. With what waits sent as one it is 168.
 */
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocket } from 'ws';

export function streamOf(webSocket: WebSocket): Duplex {
  const send = (bytes: Buffer, done: (error?: Error) => void): void => {
    if (webSocket.readyState === WebSocket.CONNECTING) webSocket.once('open', () => send(bytes, done));
    else webSocket.send(bytes, done);
  };
  return createWebSocketStream(webSocket, {
    decodeStrings: true,
    writev: (pieces, done) => send(Buffer.concat(pieces.map(({ chunk }: { chunk: Buffer }) => chunk)), done),
  });
}
