/** Records of placements: what each was decided on, and whether the chain of them is whole. */
import { CodedError } from '../../core/model/errors.ts';
import type { Api, RouteContext } from '../context.ts';
import {
  chainVerdictSchema,
  decisionListSchema,
  decisionParamsSchema,
  decisionRecordSchema,
  decisionsQuerySchema,
} from '../schemas.ts';

const tags = ['decisions'];

/** A screenful and some. */
const LISTED = 50;

export function decisionRoutes(api: Api, context: RouteContext): void {
  const { backend } = context;

  api.get(
    '/v1/decisions',
    {
      schema: {
        operationId: 'listDecisions',
        summary: 'The newest records of placements, or those after a number; oldest first, as far as they are kept',
        tags,
        querystring: decisionsQuerySchema,
        response: { 200: decisionListSchema },
      },
    },
    ({ query: { limit = LISTED, after } }) => ({ items: [...backend.decisions(limit, after)] }),
  );

  api.get(
    '/v1/decisions/verify',
    {
      schema: {
        operationId: 'verifyDecisions',
        summary: 'Recomputes the hashes of all records that are kept',
        tags,
        response: { 200: chainVerdictSchema },
      },
    },
    () => backend.verifyDecisions(),
  );

  api.get(
    '/v1/decisions/:number',
    {
      schema: {
        operationId: 'getDecision',
        summary: 'One record, with the candidates that were seen',
        tags,
        params: decisionParamsSchema,
        response: { 200: decisionRecordSchema },
      },
      config: { errors: ['not_found'] },
    },
    ({ params: { number } }) => {
      const record = backend.decision(number);
      if (record === null) throw new CodedError('not_found', `decision ${number}`);
      return record;
    },
  );
}
