import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Context, changeConfig, configPath, loadConfig, saveContext, saveServers } from './config-file.ts';
import { type ConnectionFlags, checkServer, chooseTarget } from './target.ts';

const caPem = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n';
const context = (name: string): Context => ({ name, server: `https://${name}:7443`, token: `token-${name}`, caPem });

let home = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tendril-context-'));
});
afterEach(() => rm(home, { recursive: true }));

const place = (env: Record<string, string> = {}) => ({ env, home, cwd: home });

describe('the file of contexts', () => {
  it('stands where TENDRIL_CONFIG, XDG or the home directory say', () => {
    expect(configPath({ env: {}, home: '/h' })).toBe('/h/.config/tendril/config.yaml');
    expect(configPath({ env: { XDG_CONFIG_HOME: '/x' }, home: '/h' })).toBe('/x/tendril/config.yaml');
    expect(configPath({ env: { XDG_CONFIG_HOME: '/x', TENDRIL_CONFIG: '/t' }, home: '/h' })).toBe('/t');
  });

  it('is for its owner alone, and leaves nothing beside it', async () => {
    const path = await saveContext(context('a'), { makeCurrent: false }, place());
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(path, '..'))).mode & 0o777).toBe(0o700);
    await expect(stat(`${path}.lock`)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('keeps the current context unless told, and replaces one of the same name', async () => {
    await saveContext(context('a'), { makeCurrent: false }, place());
    await saveContext(context('b'), { makeCurrent: false }, place());
    await saveContext({ ...context('a'), token: 'new' }, { makeCurrent: false }, place());
    expect(await loadConfig(place())).toEqual({
      currentContext: 'a',
      contexts: [context('b'), { ...context('a'), token: 'new' }],
    });
    await saveContext(context('b'), { makeCurrent: true }, place());
    expect((await loadConfig(place())).currentContext).toBe('b');
  });

  it('keeps the replicas of an orchestrator that starts again, and forgets those of another authority', async () => {
    const servers = ['https://r2:7443', 'https://a:7443'];
    await saveContext(context('a'), { makeCurrent: false }, place());
    await saveContext(context('b'), { makeCurrent: false }, place());
    await saveServers('a', servers, place());
    await saveContext({ ...context('a'), token: 'new' }, { makeCurrent: false }, place());
    expect((await loadConfig(place())).contexts).toEqual([context('b'), { ...context('a'), token: 'new', servers }]);
    expect(await chooseTarget(place(), {})).toMatchObject({ context: 'a', server: 'https://a:7443', servers });
    expect(await chooseTarget(place(), { server: 'other' })).not.toHaveProperty('servers');
    await saveContext({ ...context('a'), caPem: `${caPem}\n` }, { makeCurrent: false }, place());
    expect((await loadConfig(place())).contexts[1]).not.toHaveProperty('servers');
    await saveServers('nobody', servers, place());
    expect((await loadConfig(place())).contexts).toHaveLength(2);
  });

  it('loses nothing when several write at once', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `c${i}`);
    await Promise.all(names.map((name) => saveContext(context(name), { makeCurrent: false }, place())));
    expect((await loadConfig(place())).contexts.map(({ name }) => name).sort()).toEqual(names.sort());
  });

  it('may be written by hand in YAML, and faults in it are named', async () => {
    const path = join(home, 'config.yaml');
    const written = place({ TENDRIL_CONFIG: path });
    await writeFile(
      path,
      `currentContext: a\ncontexts:\n  - name: a\n    server: https://a:1\n    token: t\n    caPem: |\n      ${caPem.replaceAll('\n', '\n      ')}\n`,
    );
    expect((await loadConfig(written)).contexts[0]?.server).toBe('https://a:1');
    await writeFile(path, 'contexts:\n  - name: a\n    server: http://a\n');
    await expect(loadConfig(written)).rejects.toMatchObject({
      code: 'invalid_config',
      details: expect.arrayContaining([{ file: path, field: 'contexts[0].server', message: 'expected https://HOST:PORT' }]),
    });
    await writeFile(path, 'contexts: [\n');
    await expect(loadConfig(written)).rejects.toMatchObject({ code: 'invalid_config', details: [{ file: path, line: 2 }] });
  });

  it('is untouched when a change fails', async () => {
    const path = await saveContext(context('a'), { makeCurrent: true }, place());
    const before = await readFile(path, 'utf8');
    const failing = changeConfig(place(), () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await readFile(path, 'utf8')).toBe(before);
    await saveContext(context('b'), { makeCurrent: false }, place());
  });
});

describe('which orchestrator is meant', () => {
  beforeEach(async () => {
    await saveContext(context('file'), { makeCurrent: true }, place());
    await saveContext(context('other'), { makeCurrent: false }, place());
  });

  it.each<[string, ConnectionFlags, Record<string, string>, { server: string; token: string; origin: string }]>([
    ['the current context', {}, {}, { server: 'https://file:7443', token: 'token-file', origin: 'context file' }],
    [
      'TENDRIL_CONTEXT before it',
      {},
      { TENDRIL_CONTEXT: 'other' },
      { server: 'https://other:7443', token: 'token-other', origin: 'context other' },
    ],
    [
      '--context before that',
      { context: 'file' },
      { TENDRIL_CONTEXT: 'other' },
      { server: 'https://file:7443', token: 'token-file', origin: 'context file' },
    ],
    [
      'single values of the environment before the file',
      {},
      { TENDRIL_SERVER: 'https://env:1', TENDRIL_TOKEN: 'e' },
      { server: 'https://env:1', token: 'e', origin: 'TENDRIL_SERVER' },
    ],
    [
      'flags before those',
      { server: 'https://flag:1', token: 'f' },
      { TENDRIL_SERVER: 'https://env:1', TENDRIL_TOKEN: 'e' },
      { server: 'https://flag:1', token: 'f', origin: '--server' },
    ],
    [
      '--context silences them',
      { context: 'other' },
      { TENDRIL_SERVER: 'https://env:1', TENDRIL_TOKEN: 'e' },
      { server: 'https://other:7443', token: 'token-other', origin: 'context other' },
    ],
    [
      'what is not said comes from the context',
      { token: 'f' },
      {},
      { server: 'https://file:7443', token: 'f', origin: 'context file' },
    ],
  ])('%s', async (_, flags, env, expected) => {
    expect(await chooseTarget(place(env), flags)).toMatchObject(expected);
  });

  it('takes the CA from a file', async () => {
    await writeFile(join(home, 'ca.pem'), caPem);
    expect(await chooseTarget(place(), { server: 'h', token: 't', ca: 'ca.pem' })).toMatchObject({
      server: 'https://h:7443',
      caPem,
    });
    expect(await chooseTarget(place(), { server: 'h', token: 't' })).toMatchObject({ caPem: null });
    await expect(chooseTarget(place(), { ca: 'nope.pem' })).rejects.toMatchObject({ code: 'invalid_config' });
  });

  it('says which contexts there are', async () => {
    await expect(chooseTarget(place(), { context: 'nope' })).rejects.toThrow(/no context "nope" in .* \(there: file, other\)/);
  });

  it.each([
    ['h', 'https://h:7443'],
    ['h:1', 'https://h:1'],
    ['https://h', 'https://h:7443'],
    ['https://h:443/', 'https://h:443'],
    ['[::1]:9', 'https://[::1]:9'],
    ['https://10.0.0.1:7443/', 'https://10.0.0.1:7443'],
  ])('reads the address %s', (text, server) => {
    expect(checkServer(text)).toBe(server);
  });

  it.each(['http://h:1', 'https://h/path', 'https://user@h', 'https://', ':::'])('refuses the address %s', (text) => {
    expect(() => checkServer(text)).toThrow('is not the address of an orchestrator');
  });
});
