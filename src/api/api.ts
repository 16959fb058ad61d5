/**
 * The REST API of one orchestrator. It owns no port: the TLS port hands it requests, and connections that this
 * orchestrator has dialled to its parent are served too, for a cluster behind a NAT is asked over its own link.
 *
 *   onRequest   who is it, and may it (access.ts)
 *   preParsing  the body, bounded in size and time (request-body.ts)
 *   validation  zod schemas, with our own words (core/model/validation.ts)
 *   handler     one file a subject, under routes/
 *   onError     one shape, one table (errors.ts)
 */
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import swagger from '@fastify/swagger';
import fastify, { type FastifyReply, type FastifyRequest, type InjectOptions, type LightMyRequestResponse } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type * as z from 'zod/mini';
import { limits as defaultLimits } from '../core/base/limits.ts';
import { CodedError } from '../core/model/errors.ts';
import { REPLICAS_HEADER } from '../core/model/leadership.ts';
import { validate } from '../core/model/validation.ts';
import { checkAccess } from './access.ts';
import type { ApiComponents, ApiLimits, RouteContext } from './context.ts';
import { errorBody, knownError, statusOf } from './errors.ts';
import { openApiOptions, withoutUnused } from './openapi.ts';
import { hasUnreadBody, limitBody, parseJson, refuseUnread } from './request-body.ts';
import { applyRoutes } from './routes/apply.ts';
import { childRoutes } from './routes/children.ts';
import { clusterApiRoutes } from './routes/cluster-api.ts';
import { decisionRoutes } from './routes/decisions.ts';
import { instanceRoutes } from './routes/instances.ts';
import { joiningRoutes } from './routes/joining.ts';
import { replicaRoutes } from './routes/replicas.ts';
import { serviceRoutes } from './routes/services.ts';
import { systemRoutes } from './routes/system.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { watchRoutes } from './routes/watching.ts';
import { OpenStreams } from './streams.ts';

export interface ApiServer {
  /** For the TLS port. */
  readonly handler: RequestListener;
  /** Serves HTTP on a connection that was made otherwise; who is at its other end counts as admin. */
  serveConnection(connection: Duplex, options: { readonly trustedAs: 'parent' }): void;
  /** Whether it came over such a connection. */
  isTrusted(request: IncomingMessage): boolean;
  /** A request without a network, for tests. */
  inject(options: InjectOptions): Promise<LightMyRequestResponse>;
  /** Streams open now. */
  openStreams(): number;
  /** Ends all streams and the connections of `serveConnection`. */
  close(): Promise<void>;
}

export async function createApi(components: ApiComponents, overrides: Partial<ApiLimits> = {}): Promise<ApiServer> {
  const limits: ApiLimits = { ...defaultLimits, ...overrides };
  const context: RouteContext = { ...components, limits, streams: new OpenStreams(limits.openStreams) };
  const trusted = new WeakSet<object>();
  const served = new Set<Duplex>();
  let handler: RequestListener = () => {};

  const app = fastify({
    serverFactory: (listener) => {
      handler = listener;
      // Never listens: it gets its connections from serveConnection.
      return createServer({ requestTimeout: 0, headersTimeout: 0 }, context.gate ?? listener);
    },
    bodyLimit: limits.requestBodyBytes,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    // A node's name of several levels, url-encoded.
    routerOptions: { maxParamLength: 1024 },
    frameworkErrors: (error, request, reply) => answerError(context, error, request, reply),
  }).withTypeProvider<ZodTypeProvider>();

  app.setValidatorCompiler(({ schema, httpPart }) => (data) => {
    // Fastify says null for a body that is not there.
    const result = validate(schema as unknown as z.core.$ZodType, data ?? undefined);
    if (result.ok) return { value: result.value };
    const prefix = httpPart === 'querystring' ? '?' : httpPart === 'params' ? ':' : '';
    const details = result.error.map(({ field, message }) => ({ field: prefix + field, message }));
    return { error: new CodedError('invalid_request', '', details) };
  });
  // What we answer is made from typed views; checking it again would cost each answer and help nobody.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseJson(String(body)));
    } catch (error) {
      done(error as Error);
    }
  });

  app.addHook('onRequest', async (request, reply) => {
    if (trusted.has(request.raw.socket)) return;
    const { access = 'viewer' } = request.routeOptions.config;
    checkAccess(access, request.headers.authorization, (token) => context.backend.authenticate(token));
    const isUser = access === 'viewer' || access === 'admin';
    const replicas = isUser ? (context.replicaUrls?.() ?? []) : [];
    if (replicas.length > 0) reply.header(REPLICAS_HEADER, replicas.join(' '));
  });
  app.addHook('preParsing', async (request, _reply, payload) => limitBody(request, payload, limits, context.clock));
  app.setErrorHandler((error, request, reply) => answerError(context, error, request, reply));
  app.setNotFoundHandler((request) => {
    const path = request.url.split('?', 1)[0] ?? '';
    throw new CodedError('not_found', `no route ${request.method} ${path.slice(0, 200)}`, [
      { field: '', message: 'the routes and their methods are listed at /openapi.json' },
    ]);
  });

  await app.register(swagger, openApiOptions);
  await app.register((routes, _options, done) => {
    let document: unknown;
    systemRoutes(routes, context, () => {
      document ??= withoutUnused(app.swagger());
      return document;
    });
    serviceRoutes(routes, context);
    applyRoutes(routes, context);
    instanceRoutes(routes, context);
    childRoutes(routes, context);
    tokenRoutes(routes, context);
    watchRoutes(routes, context);
    decisionRoutes(routes, context);
    if (context.replicas) replicaRoutes(routes, context, context.replicas);
    if (context.admission) joiningRoutes(routes, context, context.admission);
    done();
  });
  await app.register((routes, _options, done) => {
    clusterApiRoutes(routes, context);
    done();
  });
  await app.ready();

  return {
    handler,
    serveConnection(connection) {
      trusted.add(connection);
      served.add(connection);
      connection.once('close', () => served.delete(connection));
      connection.on('error', () => connection.destroy());
      app.server.emit('connection', connection);
    },
    isTrusted: (request) => trusted.has(request.socket),
    inject: (options) => app.inject(options),
    openStreams: () => context.streams.count,
    async close() {
      context.streams.closeAll();
      for (const connection of served) connection.destroy();
      await app.close();
    },
  };
}

function answerError(context: RouteContext, error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  let known = knownError(error);
  if (known === null) {
    context.defect(error, `${request.method} ${request.routeOptions.url ?? 'unknown route'}`);
    known = new CodedError('internal');
  }
  if (reply.raw.headersSent) {
    reply.hijack();
    reply.raw.destroy();
  } else if (hasUnreadBody(request, context.limits)) {
    refuseUnread(request, reply, known, context.limits.lingerMs, context.clock);
  } else {
    void reply.code(statusOf(known)).serializer(JSON.stringify).type('application/json; charset=utf-8').send(errorBody(known));
  }
}
