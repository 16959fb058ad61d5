/** Debian's Mosquitto with the very configuration that docs/external-broker.md gives to operators. Loopback, free port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Certificates } from './certificates.ts';
import { freePort } from './free-port.ts';
import { killed } from './killed.ts';

const DOCUMENT = join(import.meta.dirname, '../../docs/external-broker.md');
const PROGRAM = '/usr/sbin/mosquitto';

/** The block of the document whose first line is a comment with the file's name. */
function documented(file: string): string {
  const block = new RegExp(`\`\`\`\\n(# ${file}\\n[^\`]*)\`\`\``).exec(readFileSync(DOCUMENT, 'utf8'))?.[1];
  if (block === undefined) throw new Error(`${DOCUMENT} no longer gives ${file}`);
  return block;
}

export class Mosquitto {
  readonly port: number;
  /** Its log; with the reason when it refuses somebody. */
  readonly lines: string[] = [];
  readonly #directory: string;
  #process: ChildProcess | null = null;

  private constructor(port: number, directory: string) {
    this.port = port;
    this.#directory = directory;
  }

  static async start(certificates: Certificates): Promise<Mosquitto> {
    const directory = mkdtempSync(join(tmpdir(), 'tendril-mosquitto-'));
    chmodSync(directory, 0o755);
    const { certificatePem, keyPem } = certificates.broker();
    const port = await freePort();
    const configuration = documented('/etc/mosquitto/conf.d/tendril.conf')
      .replaceAll('/etc/mosquitto/tendril', directory)
      .replace('listener 8883', `listener ${port} 127.0.0.1`);
    const files = {
      'ca.pem': certificates.caPem,
      'broker.pem': certificatePem,
      'broker-key.pem': keyPem,
      acl: documented('/etc/mosquitto/tendril/acl'),
      // As root it would change to a user who may not read a test's files.
      'mosquitto.conf': `${configuration}\nlog_dest stderr\n${process.getuid?.() === 0 ? 'user root\n' : ''}`,
    };
    for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content, { mode: 0o600 });
    const mosquitto = new Mosquitto(port, directory);
    await mosquitto.run();
    return mosquitto;
  }

  /** Resolves when it listens. */
  async run(): Promise<void> {
    const child = spawn(PROGRAM, ['-c', join(this.#directory, 'mosquitto.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`mosquitto ended with ${code}:\n${this.lines.join('\n')}`)));
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.lines.push(line);
        if (/ running$/.test(line)) resolve();
      });
    });
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    await killed(child);
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true });
  }
}
