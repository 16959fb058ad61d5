/** The port of a replica where clients put values, by the same call that etcd takes. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import {
  END_STREAM,
  FRAME,
  type Frame,
  FrameReader,
  frame,
  headersFrame,
  indexedName,
  namedField,
  OPENING,
  PREFACE,
  upkeep,
} from '../load/http2-frames.ts';
import { decodePut, EMPTY_ANSWER, GRPC_OK, GRPC_UNAVAILABLE, type Put } from '../load/put.ts';

/** Says whether it is done. */
export type PutHandler = (put: Put, answer: (isDone: boolean) => void) => void;

/** RFC 7541, appendix A: entry 8 whole (:status 200), 31 by name. */
const HEADERS = Buffer.concat([Buffer.from([0x88]), indexedName(31, 'application/grpc')]);
const DONE = namedField('grpc-status', GRPC_OK);
const REFUSED = Buffer.concat([HEADERS, namedField('grpc-status', GRPC_UNAVAILABLE)]);

export class PutServer {
  readonly #server: Server;

  constructor(handler: PutHandler) {
    this.#server = createServer({ noDelay: true }, (socket) => serve(socket, handler));
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }
}

function serve(socket: Socket, handler: PutHandler): void {
  const reader = new FrameReader();
  let missing = PREFACE.length;
  socket.on('error', () => undefined);
  socket.write(OPENING);
  socket.on('data', (chunk) => {
    const skipped = Math.min(missing, chunk.length);
    missing -= skipped;
    for (const each of reader.read(chunk.subarray(skipped))) receive(socket, each, handler);
  });
}

function receive(socket: Socket, received: Frame, handler: PutHandler): void {
  const { type, flags, stream, payload } = received;
  const answer = upkeep(received);
  if (answer) socket.write(answer);
  if (type !== FRAME.data || (flags & END_STREAM) === 0) return;
  const put = decodePut(payload);
  if (put === null) socket.destroy();
  else
    handler(put, (isDone) => {
      if (socket.destroyed) return;
      socket.write(
        isDone
          ? Buffer.concat([
              headersFrame(stream, HEADERS),
              frame(FRAME.data, 0, stream, EMPTY_ANSWER),
              headersFrame(stream, DONE, END_STREAM),
            ])
          : headersFrame(stream, REFUSED, END_STREAM),
      );
    });
}
