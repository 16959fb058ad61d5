/** A deployment's certificates as the product itself makes them, and what a broker of the operator's own needs. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority, makeAuthority, type ServerIdentity } from '../../src/adapters/tls/authority.ts';
import { makeCertificateRequest, makeKey } from '../../src/adapters/tls/certificate-request.ts';
import { type ChildIdentity, type DialOptions, dialOptions } from '../../src/adapters/tls/dial.ts';
import type { ChildKind } from '../../src/core/model/membership.ts';

export class Certificates {
  readonly caPem: string;
  readonly #caKeyPem: string;
  readonly #authority: Authority;

  private constructor(caPem: string, caKeyPem: string) {
    this.caPem = caPem;
    this.#caKeyPem = caKeyPem;
    this.#authority = new Authority({ caPem, caKeyPem });
  }

  static async make(): Promise<Certificates> {
    const { caPem, caKeyPem } = await makeAuthority(Date.now());
    return new Certificates(caPem, caKeyPem);
  }

  /** Those of an authority that is there already: an orchestrator's own. */
  static of(documents: { readonly caPem: string; readonly caKeyPem: string }): Certificates {
    return new Certificates(documents.caPem, documents.caKeyPem);
  }

  async childIdentity(name: string, kind: ChildKind = 'node'): Promise<ChildIdentity> {
    const keyPem = await makeKey();
    const csrPem = makeCertificateRequest(keyPem, name);
    const certificatePem = await this.#authority.signChild({ csrPem, name, kind, nowMs: Date.now() });
    return { caPem: this.caPem, certificatePem, keyPem };
  }

  async replicaIdentity(name: string, id: string): Promise<ChildIdentity> {
    const keyPem = await makeKey();
    const csrPem = makeCertificateRequest(keyPem, name);
    const serverNames = ['localhost', '127.0.0.1'];
    const certificatePem = await this.#authority.signReplica({ csrPem, name, id, serverNames, nowMs: Date.now() });
    return { caPem: this.caPem, certificatePem, keyPem };
  }

  async child(name: string, kind: ChildKind = 'node'): Promise<DialOptions> {
    return dialOptions(await this.childIdentity(name, kind));
  }

  serverIdentity(): Promise<ServerIdentity> {
    return this.#authority.makeServerIdentity(['localhost', '127.0.0.1'], Date.now());
  }

  /** How the orchestrator dials an external broker. */
  async orchestrator(): Promise<DialOptions> {
    return dialOptions(await this.serverIdentity());
  }

  /** Key and certificate for a broker on this machine, made as docs/external-broker.md says. */
  broker(): { readonly certificatePem: string; readonly keyPem: string } {
    const directory = mkdtempSync(join(tmpdir(), 'tendril-broker-'));
    try {
      writeFileSync(join(directory, 'ca.pem'), this.caPem);
      writeFileSync(join(directory, 'ca-key.pem'), this.#caKeyPem);
      writeFileSync(join(directory, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1');
      const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
      openssl('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', 'broker-key.pem');
      openssl('req', '-new', '-key', 'broker-key.pem', '-subj', '/CN=localhost', '-out', 'broker.csr');
      const signing = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-extfile', 'names', '-days', '30'];
      openssl('x509', '-req', '-in', 'broker.csr', ...signing, '-out', 'broker.pem');
      const read = (name: string): string => readFileSync(join(directory, name), 'utf8');
      return { certificatePem: read('broker.pem'), keyPem: read('broker-key.pem') };
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
}
