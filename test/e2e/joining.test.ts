/** Who gets in, who does not, and what either side is told; with real processes. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificateRequest, makeKey } from '../../src/adapters/tls/certificate-request.ts';
import { type Context, loadConfig } from '../../src/cli/context/config-file.ts';
import type { TokenRole } from '../../src/core/model/token.ts';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { codeOf, rawRequest } from '../rig/raw-request.ts';
import { TendrilProcess } from '../rig/tendril-process.ts';

let site: Deployment;
let url: string;
const secrets: string[] = [];

beforeAll(async () => {
  site = await startDeployment({ nodes: 1, flags: () => ['--log-level', 'debug'] });
  url = `https://127.0.0.1:${site.root.port}`;
});

afterAll(async () => {
  await site?.close();
});

async function token(role: TokenRole, limits: { ttl?: string; uses?: number } = {}): Promise<string> {
  const { token: text } = await site.api('root').createToken({ role, ...limits });
  secrets.push(text.slice(text.lastIndexOf('.') + 1));
  return text;
}

async function contextOf(name: string): Promise<Context> {
  const { contexts } = await loadConfig({ env: site.env, home: site.directory });
  const found = contexts.find((context) => context.name === name);
  if (!found) throw new Error(`no context ${name}`);
  return found;
}

/** `tendril up` that is refused and ends by itself. */
function refusedUp(directory: string, name: string, text: string, flag: '--join' | '--parent' = '--join') {
  return site.cli('up', '--data-dir', join(site.directory, directory), '--name', name, flag, url, '--token', text);
}

function usesLeft(text: string): Promise<number | null | undefined> {
  const id = text.split('.')[2];
  return site
    .api('root')
    .tokens()
    .then((tokens) => tokens.find((one) => one.id === id)?.usesLeft);
}

const turnedAway = (code: string, who: string) =>
  site.root.log.some(
    (line) =>
      line.msg === 'turned away' && line.level === 'warn' && line.who === who && String(line.reason).includes(`(${code})`),
  );

async function members(): Promise<string[]> {
  const { items } = await site.api('root').nodes();
  return [...items, ...(await site.api('root').clusters())].map(({ name }) => name).sort();
}

async function askToJoin(name: string, text: string, change: Record<string, unknown> = {}) {
  const { caPem } = await contextOf('root');
  const csrPem = makeCertificateRequest(await makeKey(), name);
  const body = JSON.stringify({ token: text, name, kind: 'node', csrPem, nowMs: Date.now(), ...change });
  return rawRequest(`${url}/v1/join`, { method: 'POST', caPem, body });
}

describe('a token that is no good', () => {
  test('is refused with the reason on both sides, and the data directory is as good as before', async () => {
    const good = await token('worker', { uses: 1 });
    const forged = `${good.slice(0, -5)}AAAAA`;
    const expired = await token('worker', { ttl: '1ms' });
    const used = await token('worker', { uses: 1 });
    await site.addNode('early', 'root', ['--token', used]);
    expect(await usesLeft(used)).toBe(0);
    const others = await startDeployment();
    const foreign = await others.token('root', 'worker');
    await others.close();

    const refusals = [
      { text: 'nonsense', exit: 2, says: 'That is not a token', code: '' },
      { text: forged, exit: 4, says: 'The token is not known here', code: 'token_unknown' },
      { text: await token('cluster'), exit: 4, says: 'The token is for another role', code: 'wrong_role' },
      { text: await token('admin'), exit: 4, says: 'The token is for another role', code: 'wrong_role' },
      { text: expired, exit: 4, says: 'The token has expired', code: 'token_expired' },
      { text: used, exit: 4, says: 'The token has been used as often as it may be', code: 'token_used_up' },
      // The child notices before it says a word of the token, so there is nothing for the other side to tell.
      { text: foreign, exit: 4, says: 'The orchestrator is not the one that made this token', code: '' },
    ];
    const before = await members();
    for (const [index, { text, exit, says, code }] of refusals.entries()) {
      const name = `late${index}`;
      const run = await refusedUp('late', name, text);
      expect({ exitCode: run.exitCode, stdout: run.stdout }).toEqual({ exitCode: exit, stdout: '' });
      expect(run.stderr).toContain(`error: ${says}`);
      expect(run.stderr).toContain('hint: ');
      if (code) await site.until(`the root's log names ${code} for ${name}`, () => turnedAway(code, name), 5_000);
      expect(await members()).toEqual(before);
    }
    expect(await usesLeft(good)).toBe(1);
    expect(await usesLeft(used)).toBe(0);

    await site.addNode('late', 'root', ['--token', good]);
    await site.until('late is ready', async () => (await site.api('root').child('node', 'late')).state === 'ready', 10_000);
    expect(await usesLeft(good)).toBe(0);
  });

  test('that is missing is asked for', async () => {
    const run = await site.cli('up', '--data-dir', join(site.directory, 'none'), '--name', 'none', '--join', url);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain('tendril token create --role worker');
  });
});

test('a name belongs to one key: a second machine of that name is refused, and the first notices nothing', async () => {
  const text = await token('worker', { uses: 1 });
  const log = site.node('root-1').log.length;
  const stolen = await refusedUp('thief', 'root-1', text);
  expect(stolen.exitCode).toBe(4);
  expect(stolen.stderr).toContain('error: The name is taken: root-1');
  await site.until('the root tells of it', () => turnedAway('name_taken', 'root-1'), 5_000);
  const asCluster = await askToJoin('root-1', await token('cluster'), { kind: 'cluster' });
  expect([asCluster.status, codeOf(asCluster)]).toEqual([409, 'name_taken']);
  expect(await usesLeft(text)).toBe(1);
  expect((await site.api('root').child('node', 'root-1')).state).toBe('ready');
  expect(site.node('root-1').log.slice(log)).toEqual([]);
});

test('a clock that is far off is refused before anything is signed or used up', async () => {
  const text = await token('worker', { uses: 1 });
  for (const skewMs of [-10 * 60_000, 10 * 60_000]) {
    const answer = await askToJoin('skewed', text, { nowMs: Date.now() + skewMs });
    expect([answer.status, codeOf(answer)]).toEqual([400, 'clock_skew']);
    expect(answer.text).toContain('skewed has 20');
  }
  expect(turnedAway('clock_skew', 'skewed')).toBe(true);
  expect(await usesLeft(text)).toBe(1);
  expect(await members()).not.toContain('skewed');
  expect((await askToJoin('skewed', text)).status).toBe(200);
  expect(await usesLeft(text)).toBe(0);
  await site.api('root').removeChild('node', 'skewed');
});

test('a start script may repeat its flags: who has joined needs the token no more', async () => {
  const text = await token('worker', { uses: 1 });
  const node = new TendrilProcess({
    name: 'scripted',
    directory: join(site.directory, 'scripted'),
    port: null,
    link: null,
    firstFlags: [],
    flags: ['--name', 'scripted', '--join', url, '--token', text],
    env: site.env,
  });
  site.processes.set('scripted', node);
  await node.start();
  expect(await usesLeft(text)).toBe(0);
  expect(await node.stop()).toBe(0);
  await node.start();
  await site.until('scripted is back', async () => (await site.api('root').child('node', 'scripted')).state === 'ready', 10_000);
});

test('a node that is removed is told so, and its instances are placed elsewhere', async () => {
  await site.addNode('leaver', 'root', ['--token', await token('worker')]);
  await site.until('leaver is ready', async () => (await site.api('root').child('node', 'leaver')).state === 'ready', 10_000);
  await site.apply('root', 'settled', { replicas: 5 });
  const placed = await site.running('root', 'settled', 5);
  expect(placed.map(({ node }) => node)).toContain('leaver');
  const { exitCode, stdout } = await site.cli('--context', 'root', 'node', 'remove', 'leaver');
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'node/leaver removed\n' });
  const told = await site.until(
    'leaver is told',
    () => site.node('leaver').log.find(({ problem }) => String(problem).includes('(not_a_member)')),
    10_000,
  );
  expect(told.problem).toContain('To join again, give it a new token');
  await site.until(
    'all five run elsewhere',
    async () => {
      const found = await site.api('root').instances('settled');
      return found.filter(({ state, node }) => state === 'RUNNING' && node !== 'leaver').length === 5;
    },
    10_000,
  );
  expect(await members()).not.toContain('leaver');
  expect(site.root.log.some(({ msg, who }) => msg === 'turned away' && who === 'leaver')).toBe(true);

  await site.until('nothing runs there any more', () => site.node('leaver').instances().length === 0, 15_000);

  // Started once more it is still none; with a new token it joins again, under its name and with the same key.
  await site.node('leaver').stop();
  const again = new TendrilProcess({
    name: 'leaver',
    directory: join(site.directory, 'leaver'),
    port: null,
    link: null,
    firstFlags: [],
    flags: ['--join', url, '--token', await token('worker', { uses: 1 })],
    env: site.env,
  });
  site.processes.set('leaver', again);
  const ready = async () => (await site.api('root').child('node', 'leaver')).state === 'ready';
  await again.start();
  await site.until('leaver is ready again', ready, 10_000);
  await again.stop();
  await again.start();
  await site.until('leaver is ready after a restart, too', ready, 10_000);
  await site.api('root').scale('settled', 8);
  const spread = await site.running('root', 'settled', 8);
  expect(spread.map(({ node }) => node)).toContain('leaver');
  await site.remove('root', 'settled');
});

test('what is secret is readable by its owner only, and in no log', async () => {
  const { token: admin } = await contextOf('root');
  secrets.push(admin.slice(admin.lastIndexOf('.') + 1));
  const modeOf = async (...path: string[]) => (await stat(join(site.directory, ...path))).mode & 0o777;
  expect(await modeOf('config.yaml')).toBe(0o600);
  expect(await modeOf('root')).toBe(0o700);
  for (const file of ['authority.sealed', 'replica-key.pem', 'admin-token'])
    expect(await modeOf('root', 'documents', file)).toBe(0o600);
  expect(await modeOf('late', 'documents', 'member-key.pem')).toBe(0o600);

  for (const [node, file] of [
    ['root', 'replica-key.pem'],
    ['late', 'member-key.pem'],
  ] as const) {
    const lines = (await readFile(join(site.directory, node, 'documents', file), 'utf8')).split('\n');
    secrets.push(...lines.filter((line) => line !== '' && !line.startsWith('-----')));
  }
  const logs = [...site.processes.values()].map(({ log }) => JSON.stringify(log)).join('\n');
  expect(logs.length).toBeGreaterThan(1_000);
  for (const secret of secrets) expect(logs.includes(secret)).toBe(false);
  expect(logs).not.toContain('PRIVATE KEY');
});
