/** The whole API of a cluster below, under its name here: requests are passed on, streams too. */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { CodedError } from '../../core/model/errors.ts';
import { callChild } from '../child-api.ts';
import { type Api, callSignal, type RouteContext } from '../context.ts';
import { sendStream } from '../streams.ts';

/** Of a client's headers only what has a meaning behind: never its token, nor what concerns the one connection (RFC 9110, 7.6.1). */
const PASSED_ON = ['accept', 'content-type', 'content-length', 'idempotency-key', 'last-event-id'] as const;
const PASSED_BACK = ['content-type', 'content-length', 'cache-control', 'x-accel-buffering'] as const;

/** A route of its own scope: here bodies are passed on as they come. */
export function clusterApiRoutes(api: Api, context: RouteContext): void {
  api.removeAllContentTypeParsers();
  api.addContentTypeParser('*', (_request, payload, done) => done(null, payload));

  for (const method of ['GET', 'POST', 'PUT', 'DELETE'] as const)
    api.route({
      method,
      url: '/v1/clusters/:name/api/*',
      schema: {
        operationId: `clusterApi${method[0]}${method.slice(1).toLowerCase()}`,
        summary: 'The API of a cluster below: /v1/clusters/NAME/api/services is its /v1/services',
        tags: ['clusters'],
      },
      config: { access: method === 'GET' ? 'viewer' : 'admin', errors: ['not_found', 'unreachable'] },
      handler: async (request, reply) => {
        const { name, '*': rest } = request.params as { readonly name: string; readonly '*': string };
        if (context.backend.child(name)?.kind !== 'cluster') throw new CodedError('not_found', `cluster ${name}`);
        if (rest.startsWith('..')) throw new CodedError('not_found', rest);
        const streaming = context.streams.enter(reply);
        const { signal, settle } = callSignal(reply, context.clock, context.limits.childAnswerMs);
        const answer = await callChild((child) => context.backend.dialChild(child), {
          child: name,
          method,
          path: `/v1/${pathBelow(request.raw.url ?? '')}`,
          headers: pick(request.headers, PASSED_ON),
          body: request.body as Readable | undefined,
          signal,
        });
        settle();
        await sendStream(reply, answer.statusCode ?? 502, pick(answer.headers, PASSED_BACK), answer, streaming);
      },
    });
}

/** Still encoded, and with its query. */
function pathBelow(url: string): string {
  return /^\/v1\/clusters\/[^/]+\/api\/(.*)$/s.exec(url)?.[1] ?? '';
}

function pick(headers: IncomingMessage['headers'], names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (typeof value === 'string') picked[name] = value;
  }
  return picked;
}
