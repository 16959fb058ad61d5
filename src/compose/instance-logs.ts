/** What an instance wrote, from the child that has it. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { callChild } from '../api/child-api.ts';
import { CodedError } from '../core/model/errors.ts';
import type { LogQuery } from '../ports/runtime.ts';

/** Over a connection that the child has dialled. Throws `not_found`, `unavailable`. */
export async function readInstanceLogs(connection: Duplex, instance: string, options: LogQuery): Promise<IncomingMessage> {
  const query = new URLSearchParams({
    follow: String(options.follow),
    ...(options.tailLines === undefined ? {} : { tail: String(options.tailLines) }),
  });
  const path = `/v1/instances/${instance}/logs?${query}`;
  const answer = await callChild(() => Promise.resolve(connection), {
    child: 'its node',
    method: 'GET',
    path,
    signal: options.signal,
  });
  if (answer.statusCode === 200) return answer;
  connection.destroy();
  throw new CodedError(answer.statusCode === 404 ? 'not_found' : 'unavailable', `the output of ${instance}`);
}
