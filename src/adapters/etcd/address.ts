/** Where a log in etcd is: `etcd://HOST:PORT[,HOST:PORT]/NAME`, or `etcds://` for TLS. */
import { isName } from '../../core/base/ids.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';

export interface EtcdEndpoint {
  /** A name or an address, of IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface EtcdAddress {
  readonly secure: boolean;
  readonly endpoints: readonly EtcdEndpoint[];
  /** Of the log; its keys lie under it. */
  readonly name: string;
}

const DEFAULT_PORT = 2379;

export function parseEtcdAddress(text: string): EtcdAddress {
  const [, scheme, hosts, name] = /^(etcds?):\/\/([^/]+)\/([^/]*)$/.exec(text) ?? [];
  if (scheme === undefined || hosts === undefined || name === undefined)
    throw refusal(text, 'expected etcd://HOST:PORT[,HOST:PORT]/NAME, or etcds:// for TLS');
  if (hosts.includes('@')) throw refusal(text, 'give the user with --log-user and --log-password-file, not in the address');
  if (!isName(name)) throw refusal(text, `"${name}" is not a name: small letters, digits and hyphens`);
  const endpoints = hosts.split(',').map((host) => parseEndpoint(text, host));
  if (endpoints.length > limits.etcdEndpoints) throw refusal(text, `more than ${limits.etcdEndpoints} members`);
  return { secure: scheme === 'etcds', endpoints, name };
}

function parseEndpoint(text: string, part: string): EtcdEndpoint {
  const url = URL.canParse(`http://${part}`) ? new URL(`http://${part}`) : null;
  if (url === null || url.host === '' || url.pathname !== '/' || /[?#\s]/.test(part))
    throw refusal(text, `"${part}" is not HOST:PORT`);
  // A URL drops the port that is its scheme's own.
  const port = url.port === '' ? (/:80$/.test(part) ? 80 : DEFAULT_PORT) : Number(url.port);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port };
}

function refusal(text: string, why: string): CodedError {
  return new CodedError('invalid_request', `--log ${text}: ${why}`);
}
