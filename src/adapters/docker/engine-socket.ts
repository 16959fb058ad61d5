import { ok, type Result, refused } from '../../core/base/result.ts';

const DEFAULT_SOCKET = '/var/run/docker.sock';

/** The path that `DOCKER_HOST` names; refused, with words for a person, when it names anything but a local socket. */
export function engineSocketPath(dockerHost: string | undefined): Result<string, string> {
  if (dockerHost === undefined || dockerHost === '') return ok(DEFAULT_SOCKET);
  const path = /^unix:\/\/(\/.+)$/.exec(dockerHost)?.[1];
  if (path !== undefined) return ok(path);
  // The value is not repeated: it may hold a password.
  const scheme = /^([a-z]+):/.exec(dockerHost)?.[1];
  return refused(`DOCKER_HOST is ${scheme ? `of kind ${scheme}://` : 'no address'}; only unix:///path is supported`);
}
