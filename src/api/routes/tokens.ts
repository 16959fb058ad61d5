/** Tokens: how users call and children join. */
import { CodedError } from '../../core/model/errors.ts';
import { type Api, type RouteContext, submit } from '../context.ts';
import { createdTokenSchema, createTokenBodySchema, outcomeSchema, tokenListSchema, tokenParamsSchema } from '../schemas.ts';

const tags = ['tokens'];

export function tokenRoutes(api: Api, context: RouteContext): void {
  api.get(
    '/v1/tokens',
    {
      schema: {
        operationId: 'listTokens',
        summary: 'All tokens, without their secrets',
        tags,
        response: { 200: tokenListSchema },
      },
    },
    () => ({ items: [...context.backend.tokens()] }),
  );

  api.post(
    '/v1/tokens',
    {
      schema: {
        operationId: 'createToken',
        summary: 'Makes a token; its text is said now and never again',
        tags,
        body: createTokenBodySchema,
        response: { 200: createdTokenSchema },
      },
      config: { access: 'admin', errors: ['conflict', 'limit_reached'] },
    },
    async (request) => {
      const { role, ttl, uses } = request.body;
      const { id, secretHash, text } = await context.mintToken();
      const expiresAtMs = ttl === undefined ? null : context.clock.nowMs() + ttl;
      const outcome = await submit(context, request, {
        type: 'createToken',
        id,
        secretHash,
        role,
        expiresAtMs,
        uses: uses ?? null,
      });
      // A retry whose first answer was lost: that token exists, but its secret is nowhere any more.
      if (outcome.name !== id)
        throw new CodedError('conflict', `token ${outcome.name} was made by the first such request; revoke it and make another`);
      return { id, token: text };
    },
  );

  api.delete(
    '/v1/tokens/:id',
    {
      schema: {
        operationId: 'revokeToken',
        summary: 'Makes a token worth nothing; who joined with it stays',
        tags,
        params: tokenParamsSchema,
        response: { 200: outcomeSchema },
      },
      config: { access: 'admin', errors: ['not_found'] },
    },
    (request) => submit(context, request, { type: 'revokeToken', id: request.params.id }),
  );
}
