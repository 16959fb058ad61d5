/**
 * What this orchestrator answers for the clusters below it: their nodes, and requests that name one of them.
 * Names grow by a prefix at each level: node n2 of cluster garching is `garching/n2` here.
 */
import { CodedError, ERRORS, type ErrorCode, type ErrorDetail } from '../core/model/errors.ts';
import { validate } from '../core/model/validation.ts';
import type { ChildView } from '../core/model/views.ts';
import { callChild, readAnswer } from './child-api.ts';
import type { RouteContext } from './context.ts';
import { errorBodySchema, type NodeList, nodeListSchema } from './schemas.ts';

/** A part of the time is kept for the way back, so that one silent grandchild does not silence its cluster. */
const SHARE_BELOW = 0.8;

export async function nodesBelow(context: RouteContext, withinMs: number, signal: AbortSignal): Promise<NodeList> {
  const clusters = context.backend.children().filter((child) => child.kind === 'cluster');
  const lists = await Promise.all(clusters.map((cluster) => nodesOf(context, cluster, withinMs, signal)));
  return { items: lists.flatMap((list) => list.items), unanswered: lists.flatMap((list) => list.unanswered) };
}

async function nodesOf(context: RouteContext, cluster: ChildView, withinMs: number, signal: AbortSignal): Promise<NodeList> {
  const unanswered = (reason: string): NodeList => ({ items: [], unanswered: [{ cluster: cluster.name, reason }] });
  if (cluster.state === 'silent' || cluster.state === 'lost' || cluster.state === 'expected')
    return unanswered(`it is ${cluster.state}`);
  try {
    const path = `/v1/nodes?recursive=true&withinMs=${Math.floor(withinMs * SHARE_BELOW)}`;
    const { status, body } = await askChild(context, { child: cluster.name, method: 'GET', path, withinMs, signal });
    if (status >= 400) return unanswered(refusalOf(body)?.message ?? `it answered with status ${status}`);
    const list = validate(nodeListSchema, body);
    if (!list.ok) return unanswered('its answer is not understood: another version?');
    return {
      items: list.value.items.map((node) => ({ ...node, name: `${cluster.name}/${node.name}` })),
      unanswered: list.value.unanswered.map((other) => ({ ...other, cluster: `${cluster.name}/${other.cluster}` })),
    };
  } catch (error) {
    if (error instanceof CodedError) return unanswered(error.message);
    throw error;
  }
}

interface Question {
  readonly child: string;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly withinMs: number;
  readonly signal: AbortSignal;
}

/** Asks and reads the whole answer, within a time that covers dialling too. Rejects with a CodedError. */
async function askChild(context: RouteContext, question: Question): Promise<{ status: number; body: unknown }> {
  const { child, method, path, body, withinMs } = question;
  const controller = new AbortController();
  const abort = () => controller.abort();
  question.signal.addEventListener('abort', abort, { once: true });
  let cancelTimer = () => {};
  // Dialling knows no signal: a child that never dials back must not hold the question.
  const late = new Promise<never>((_, reject) => {
    cancelTimer = context.clock.startTimer(withinMs, () => {
      abort();
      reject(new CodedError('unreachable', `cluster ${child} did not answer within ${withinMs} ms`));
    });
  });
  const headers = { ...question.headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  const ask = async () => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const dial = (name: string) => context.backend.dialChild(name);
    const answer = await callChild(dial, { child, method, path, headers, body: text, signal: controller.signal });
    return { status: answer.statusCode ?? 502, body: await readAnswer(answer, child) };
  };
  try {
    return await Promise.race([ask(), late]);
  } finally {
    cancelTimer();
    question.signal.removeEventListener('abort', abort);
  }
}

/** `garching/n2` as cluster and the rest; null when it is one of this orchestrator's own. */
export function splitBelow(name: string): { readonly child: string; readonly rest: string } | null {
  const slash = name.indexOf('/');
  return slash === -1 ? null : { child: name.slice(0, slash), rest: name.slice(slash + 1) };
}

/**
 * The same request to the cluster that `name` begins with; `path` of what is left of the name. The answer's own
 * `name` gets the prefix back. Rejects with the child's refusal.
 */
export async function forwardBelow(
  context: RouteContext,
  question: Omit<Question, 'child' | 'withinMs'>,
  child: string,
): Promise<Record<string, unknown>> {
  const { status, body } = await askChild(context, { ...question, child, withinMs: context.limits.childAnswerMs });
  if (status >= 400) throw refusalOf(body) ?? new CodedError('unreachable', `cluster ${child} answered with status ${status}`);
  if (typeof body !== 'object' || body === null || !('name' in body))
    throw new CodedError('unreachable', `the answer of cluster ${child} is not understood: another version?`);
  return { ...body, name: `${child}/${String(body.name)}` };
}

/** A refusal by a child as our own. */
function refusalOf(body: unknown): CodedError | null {
  const parsed = validate(errorBodySchema, body);
  if (!parsed.ok) return null;
  const { code, message, details } = parsed.value.error;
  return new CodedError(code, withoutTitle(code, message), details as readonly ErrorDetail[]);
}

/** A CodedError's message begins with its code's; once is enough. */
function withoutTitle(code: ErrorCode, message: string): string {
  const title = ERRORS[code].message;
  return message.startsWith(title) ? message.slice(title.length).replace(/^: /, '') : message;
}
