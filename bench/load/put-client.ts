/** A client of one server that puts values by gRPC, over one connection that it opens anew when it was lost. */
import { connect, type Socket } from 'node:net';
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
} from './http2-frames.ts';
import { encodePut, PUT_PATH, type Put } from './put.ts';

/** RFC 7541, appendix A: entries 3 and 6 whole, 4, 1 and 31 by name. */
const HEADERS = Buffer.concat([
  Buffer.from([0x83, 0x86]), // :method POST, :scheme http
  indexedName(4, PUT_PATH),
  indexedName(1, 'localhost'),
  indexedName(31, 'application/grpc'),
  namedField('te', 'trailers'),
]);

interface Call {
  readonly resolve: (isDone: boolean) => void;
  /** A server that refuses sends headers alone. */
  hasMessage: boolean;
}

export class PutClient {
  readonly #port: number;
  #socket: Socket | null = null;
  readonly #calls = new Map<number, Call>();
  #nextStream = 1;

  constructor(port: number) {
    this.#port = port;
  }

  /** Resolves with whether it is done; a server that says nothing is waited for. */
  put(put: Put): Promise<boolean> {
    const socket = this.#socket ?? this.#open();
    const stream = this.#nextStream;
    this.#nextStream += 2;
    return new Promise((resolve) => {
      this.#calls.set(stream, { resolve, hasMessage: false });
      socket.write(Buffer.concat([headersFrame(stream, HEADERS), frame(FRAME.data, END_STREAM, stream, encodePut(put))]));
    });
  }

  /** Gives up what is under way. */
  close(): void {
    this.#socket?.destroy();
    this.#ended();
  }

  #open(): Socket {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    const reader = new FrameReader();
    this.#socket = socket;
    this.#nextStream = 1;
    socket.write(Buffer.concat([PREFACE, OPENING]));
    socket.on('data', (chunk) => {
      for (const each of reader.read(chunk)) this.#received(socket, each);
    });
    socket.on('error', () => undefined); // its close tells
    socket.on('close', () => {
      if (this.#socket === socket) this.#ended();
    });
    return socket;
  }

  #received(socket: Socket, received: Frame): void {
    const { type, flags, stream, payload } = received;
    const answer = upkeep(received);
    if (answer) socket.write(answer);
    if (type === FRAME.goAway) socket.destroy();
    const call = this.#calls.get(stream);
    if (!call) return;
    if (type === FRAME.data && payload.length > 0) call.hasMessage = true;
    const hasEnded = type === FRAME.reset || ((flags & END_STREAM) !== 0 && (type === FRAME.data || type === FRAME.headers));
    if (!hasEnded) return;
    this.#calls.delete(stream);
    call.resolve(call.hasMessage && type !== FRAME.reset);
  }

  #ended(): void {
    this.#socket = null;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { resolve } of calls) resolve(false);
  }
}
