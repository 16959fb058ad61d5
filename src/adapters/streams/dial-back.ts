/**
 * Streams as WebSockets: to the parent, dialled because it asked for one, at `/v1/streams/<id>`; and to a child that
 * another replica has the link with, at that replica's `/v1/replicas/streams/<child>`.
 */
import { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { createWebSocketStream, WebSocket } from 'ws';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';

/** A TLS handshake over a slow link, and short enough to turn to another replica before the parent gives up. */
const DIAL_TIMEOUT_MS = 7_000;

export const STREAMS_PATH = '/v1/streams/';
export const REPLICA_STREAMS_PATH = '/v1/replicas/streams/';

/** `parentUrl`: `https://host:7443`. Rejects with `unreachable` when it is not taken there. */
export function dialBack(parentUrl: string, id: string, tls: ConnectionOptions): Promise<Duplex> {
  return dial(new URL(STREAMS_PATH + id, parentUrl), tls);
}

/** As above, of a replica. */
export function dialThrough(replicaUrl: string, child: string, tls: ConnectionOptions): Promise<Duplex> {
  return dial(new URL(REPLICA_STREAMS_PATH + child, replicaUrl), tls);
}

function dial(url: URL, tls: ConnectionOptions): Promise<Duplex> {
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
