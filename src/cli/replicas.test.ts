/** The command line and an orchestrator of several replicas, which come and go. */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpProxy } from '../../test/rig/tcp-proxy.ts';
import { until } from '../../test/rig/until.ts';
import { LogFile } from '../adapters/native/log-file.ts';
import { must } from '../core/base/assert.ts';
import { loadConfig, saveServers } from './context/config-file.ts';
import type { ApiReplica } from './testing/api-replica.ts';
import { CliRig, type Run, type RunOptions } from './testing/cli-rig.ts';
import { StagedBackend } from './testing/staged-backend.ts';
import { eventView, instanceView, serviceView } from './testing/views.ts';

const BOUND_MS = 15_000;

let rig: CliRig;
let first: ApiReplica;
let second: ApiReplica;
beforeEach(async () => {
  rig = await CliRig.open();
  first = must(rig.replicas[0], 'the first replica');
  second = await rig.addReplica();
  rig.backend.putService(serviceView());
});
afterEach(() => rig.close());

const servers = async () => (await loadConfig(rig.place)).contexts[0]?.servers;
const learn = async () => expect(await rig.run('get services -o name')).toEqual({ code: 0, stdout: 'service/web\n', stderr: '' });
const pathsAt = ({ asked }: ApiReplica) => asked.map(({ path }) => path);

/** A command that goes on until it is interrupted. */
function start(words: string, options: RunOptions = {}) {
  const interrupt = new AbortController();
  let printed = '';
  const run = rig.run(words, { ...options, interrupted: interrupt.signal, onStdout: (soFar) => (printed = soFar) });
  return {
    printed: () => printed,
    shows: (text: string) =>
      until(
        `it shows ${text}`,
        () => printed.includes(text),
        BOUND_MS,
        () => printed,
      ),
    end(): Promise<Run> {
      interrupt.abort();
      return run;
    },
  };
}

const WARNING = 'warning: the connection broke off; trying again\n';

describe('where the replicas are', () => {
  it('is learnt from any answer, and kept; a file that knows of one server is as good as ever', async () => {
    expect(await servers()).toBeUndefined();
    await learn();
    expect(await servers()).toEqual([first.url, second.url]);
    const { stdout } = await rig.run('context list');
    expect(stdout).toContain(`home   ${first.url}, ${second.url}\n`);
  });

  it('is asked at the one that answered last, and nothing is written as long as it does', async () => {
    await learn();
    await first.die();
    await learn();
    expect(await servers()).toEqual([second.url, first.url]);
    await first.start();
    first.asked.length = 0;
    await learn();
    expect(first.asked).toEqual([]);
    expect(await servers()).toEqual([second.url, first.url]);
  });

  it('is kept for the context, not for a server that is named by a flag', async () => {
    const ca = join(rig.directory, 'ca.pem');
    await writeFile(ca, rig.authority.caPem);
    const { code } = await rig.run(`--server ${first.url} --ca ${ca} get services`);
    expect(code).toBe(0);
    expect(await servers()).toBeUndefined();
  });
});

describe('a request', () => {
  it('that was applied before its replica died is applied once, and answered by another', async () => {
    await learn();
    const dead = new Promise<void>((resolve) => {
      rig.backend.applied = () => {
        rig.backend.applied = () => {};
        resolve(first.die());
      };
    });
    const run = await rig.run('apply -f -', { stdin: MANIFEST });
    expect(run).toEqual({ code: 0, stdout: 'service/api created\n', stderr: '' });
    await dead;
    const writes = [...first.asked, ...second.asked].filter(({ method }) => method === 'POST');
    expect(writes).toHaveLength(2);
    expect(writes[0]?.key).toBeDefined();
    expect(writes[1]?.key).toBe(writes[0]?.key);
    expect(rig.backend.submitted).toHaveLength(1);
  });

  it('goes from a replica that does not lead to the one that it names', async () => {
    const third = await rig.addReplica();
    await learn();
    for (const replica of [first, second]) replica.refuses = { code: 'not_leading', leader: third.url };
    for (const replica of rig.replicas) replica.asked.length = 0;
    await learn();
    expect([first, second, third].map(({ asked }) => asked.length)).toEqual([1, 0, 1]);
  });

  it('waits for a leader, and says so once', async () => {
    await learn();
    for (const replica of rig.replicas) replica.refuses = { code: 'no_quorum' };
    let said = '';
    const run = rig.run('get services -o name', { onStderr: (soFar) => (said = soFar) });
    await until('it says so', () => said !== '', BOUND_MS);
    for (const replica of rig.replicas) replica.refuses = null;
    const { code, stdout, stderr } = await run;
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'service/web\n' });
    expect(stderr).toMatch(
      /^waiting: No quorum of the voters can be reached: nothing can be decided; trying for another \d+ s\n$/,
    );
  });

  it('does not wait for ever', async () => {
    await learn();
    for (const replica of rig.replicas) replica.refuses = { code: 'no_quorum' };
    const { code, stderr } = await rig.run('--request-timeout 2s scale web 3');
    expect(code).toBe(5);
    expect(stderr).toMatch(/^waiting: .*\nerror: No quorum of the voters can be reached: .*\n {2}hint: .*tendril recover\.\n$/);
    expect(new Set(first.asked.filter(({ method }) => method === 'POST').map(({ key }) => key)).size).toBe(1);
  });

  it('says at once that nobody is there, and where it looked', async () => {
    await learn();
    await Promise.all([first.die(), second.die()]);
    const { code, stderr } = await rig.run('status');
    expect(code).toBe(5);
    for (const { url } of [first, second]) expect(stderr).toContain(`${url} (context home): nothing listens there`);
    expect(stderr).not.toContain('waiting');
  });

  it('is not sent to others when it is refused for good', async () => {
    await learn();
    second.asked.length = 0;
    expect((await rig.run('get service nope')).code).toBe(3);
    expect(second.asked).toEqual([]);
  });
});

describe('what goes on', () => {
  it('a watch: told are the changes, the missed ones too, and nothing twice', async () => {
    await learn();
    rig.backend.putService(serviceView({ name: 'gone' }));
    const watch = start('get services -w -o json');
    await watch.shows('"gone"');
    await first.die();
    rig.backend.putService(serviceView({ running: 1 }));
    rig.backend.dropService('gone');
    await watch.shows('"running":1');
    rig.backend.putService(serviceView({ name: 'new' }));
    await watch.shows('"new"');
    const { code, stdout, stderr } = await watch.end();
    const told = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; running: number })
      .map(({ name, running }) => `${name} ${running}`);
    expect({ code, told, stderr }).toEqual({ code: 130, told: ['web 2', 'gone 2', 'web 1', 'new 2'], stderr: WARNING });
    expect(pathsAt(second)).toContain('/v1/watch?kind=service');
  });

  it('a watch that nobody can go on with yet waits, also when nobody is there for a while', async () => {
    await learn();
    const watch = start('get services -w -o name');
    await watch.shows('web');
    second.refuses = { code: 'no_quorum' };
    await first.die();
    await until('the other one is asked', () => second.asked.length > 1, BOUND_MS);
    await second.die();
    rig.backend.putService(serviceView({ name: 'new' }));
    await first.start();
    await watch.shows('new');
    expect((await watch.end()).stdout).toBe('service/web\nservice/new\n');
  });

  it('a watch at a replica that has died without a word', async () => {
    const wire = await TcpProxy.open(() => Number(new URL(first.url).port));
    await saveServers('home', [`https://127.0.0.1:${wire.port}`, second.url], rig.place);
    const watch = start('get services -w -o name');
    await watch.shows('web');
    wire.stall();
    rig.backend.putService(serviceView({ name: 'new' }));
    await watch.shows('new');
    expect((await watch.end()).stdout).toBe('service/web\nservice/new\n');
    await wire.close();
  });

  it('events: known again by what they say, since each replica numbers its own', async () => {
    const backend = new StagedBackend();
    backend.putService(serviceView());
    await second.stop();
    rig.replicas.pop();
    await rig.addReplica(backend);
    const at = eventView().atMs;
    rig.backend.stageEvent(eventView({ sequence: 1, message: 'scaled to 2' }));
    rig.backend.stageEvent(eventView({ sequence: 2, atMs: at + 10, message: 'restarted' }));
    rig.backend.stageEvent(eventView({ sequence: 3, atMs: at + 9_000, message: 'restarted' }));
    await learn();
    const watch = start('events -f -o json');
    await watch.shows('"sequence":3');
    // It was away, and learnt of it late.
    backend.stageEvent(eventView({ sequence: 1, atMs: at + 5_000, message: 'scaled to 2' }));
    backend.stageEvent(eventView({ sequence: 2, atMs: at + 200, message: 'restarted' }));
    backend.stageEvent(eventView({ sequence: 3, atMs: at + 9_100, message: 'restarted' }));
    backend.stageEvent(eventView({ sequence: 4, atMs: at + 9_200, message: 'restarted' }));
    backend.stageEvent(eventView({ sequence: 5, atMs: at + 20_000, message: 'scaled to 2' }));
    await first.die();
    await watch.shows('"sequence":5');
    const { stdout, stderr } = await watch.end();
    const lines = stdout.trim().split('\n');
    const told = lines.map((line) => JSON.parse(line) as { sequence: number; atMs: number });
    expect(told.map(({ sequence, atMs }) => [sequence, atMs - at])).toEqual([
      [1, 0],
      [2, 10],
      [3, 9_000],
      [4, 9_200],
      [5, 20_000],
    ]);
    expect(stderr).toBe(WARNING);
  });

  it('apply --wait: what is waited for may come about at another replica', async () => {
    await learn();
    rig.backend.applied = () => rig.backend.putService(serviceView({ name: 'api', phase: 'REQUESTED', running: 0 }));
    const applied = start('apply -f - --wait', { stdin: MANIFEST });
    await until('it watches', () => pathsAt(first).some((path) => path.startsWith('/v1/watch')), BOUND_MS);
    await first.die();
    for (const id of ['api-1', 'api-2']) rig.backend.stageInstance(instanceView({ id, service: 'api' }));
    rig.backend.putService(serviceView({ name: 'api' }));
    await applied.shows('service/api is as declared');
    expect((await applied.end()).code).toBe(0);
  });
});

describe('output that is followed', () => {
  let file: string;
  const write = (text: string) => appendFile(file, text);
  const logs = async (bytes = 1024 * 1024): Promise<LogFile> => {
    const directory = join(rig.directory, 'web-1');
    await mkdir(directory);
    file = join(directory, 'output.log');
    const log = new LogFile(directory, bytes);
    rig.backend.stageInstance(instanceView());
    rig.backend.logs.set('web-1', (query) => Readable.from(log.read(query)));
    return log;
  };
  const WEB_WARNING = 'warning: web-1: the connection broke off; trying again\n';
  const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => `line ${from + at}\n`).join('');

  it.each(['logs web-1 -f', 'logs web-1 -f --tail 3'])('%s goes on where it was, in the middle of a line too', async (words) => {
    const log = await logs();
    await write(`${lines(1, 5)}hal`);
    await learn();
    const followed = start(words);
    await followed.shows('hal');
    await first.die();
    await write(`f a line\n${lines(6, 7)}`);
    await followed.shows('line 7\n');
    await write(lines(8, 9));
    await followed.shows('line 9\n');
    const { stdout, stderr } = await followed.end();
    log.close();
    const from = words.includes('tail') ? 4 : 1;
    expect(stdout).toBe(`${lines(from, 5)}half a line\n${lines(6, 9)}`);
    expect(stderr).toBe(WEB_WARNING);
  });

  it('also when a great deal was written meanwhile', async () => {
    const log = await logs();
    await write(lines(1, 10_000));
    await learn();
    const followed = start('logs web-1 -f --tail 20');
    await followed.shows('line 10000\n');
    await first.die();
    await write(lines(10_001, 14_000));
    await followed.shows('line 14000\n');
    await write('end\n');
    await followed.shows('end\n');
    const { stdout, stderr } = await followed.end();
    log.close();
    expect(stdout).toBe(`${lines(9_981, 14_000)}end\n`);
    expect(stderr).toBe(WEB_WARNING);
  });

  it('and says when more was written than is kept', async () => {
    const log = await logs(10_000);
    await write(lines(1, 5));
    await learn();
    const followed = start('logs web-1 -f');
    await followed.shows('line 5\n');
    second.refuses = { code: 'no_quorum' };
    await first.die();
    for (let at = 0; at < 4; at++) {
      await write(lines(1_000 * at + 6, 1_000 * at + 1_005));
      await log.check();
    }
    second.refuses = null;
    await followed.shows('line 4005\n');
    const { stdout, stderr } = await followed.end();
    log.close();
    expect(stdout).toMatch(/^line 1\n.*line 5\nline \d{4}\n/s);
    expect(stderr).toBe(`${WEB_WARNING}warning: web-1: some output is missing here: it is not kept any more\n`);
  });

  it('of all instances of a service, each by itself', async () => {
    const log = await logs();
    rig.backend.stageInstance(instanceView({ id: 'web-2' }));
    rig.backend.logs.set('web-2', () => Readable.from(['only this\n']));
    await write(lines(1, 2));
    await learn();
    const followed = start('logs web -f');
    await followed.shows('line 2\n');
    await followed.shows('only this\n');
    await first.die();
    await write(lines(3, 3));
    await followed.shows('line 3\n');
    const { stdout } = await followed.end();
    log.close();
    expect(stdout.split('\n').sort()).toEqual(['', 'web-1 | line 1', 'web-1 | line 2', 'web-1 | line 3', 'web-2 | only this']);
  });
});

const MANIFEST = `apiVersion: tendril/v1
kind: Service
metadata: {name: api}
spec:
  runtime: process
  command: [serve]
`;
