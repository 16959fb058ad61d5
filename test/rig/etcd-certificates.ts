/** Keys and certificates for an etcd on this machine and for who calls it, made with openssl as an operator would. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface EtcdCertificates {
  readonly caFile: string;
  readonly serverFile: string;
  readonly serverKeyFile: string;
  readonly clientFile: string;
  readonly clientKeyFile: string;
}

/** All in `directory`, which is made: an authority, a certificate for 127.0.0.1 and localhost, and one for a client. */
export function makeEtcdCertificates(directory: string): EtcdCertificates {
  mkdirSync(directory, { recursive: true });
  const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  const makeKey = (file: string) => openssl('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', file);
  makeKey('ca-key.pem');
  openssl('req', '-x509', '-new', '-key', 'ca-key.pem', '-subj', '/CN=etcd of a test', '-days', '30', '-out', 'ca.pem');
  // etcd's JSON gateway is a client of its own server, with the server's certificate: both usages, or none.
  writeFileSync(join(directory, 'server.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  writeFileSync(join(directory, 'client.ext'), 'extendedKeyUsage=clientAuth');
  for (const [name, subject] of [
    ['server', '/O=etcd'],
    ['client', '/O=tendril'],
  ] as const) {
    makeKey(`${name}-key.pem`);
    openssl('req', '-new', '-key', `${name}-key.pem`, '-subj', subject, '-out', `${name}.csr`);
    const signing = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-extfile', `${name}.ext`, '-days', '30'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-out', `${name}.pem`);
  }
  const file = (name: string): string => join(directory, name);
  return {
    caFile: file('ca.pem'),
    serverFile: file('server.pem'),
    serverKeyFile: file('server-key.pem'),
    clientFile: file('client.pem'),
    clientKeyFile: file('client-key.pem'),
  };
}
