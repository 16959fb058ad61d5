import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VIEWER } from '../api/testing/memory-backend.ts';
import { CliRig } from './testing/cli-rig.ts';
import { childView, eventView, instanceView, NOW_MS, serviceView, tokenView, waitingInstance } from './testing/views.ts';

let rig: CliRig;
beforeEach(async () => {
  rig = await CliRig.open();
});
afterEach(() => rig.close());

const web = `apiVersion: tendril/v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  runtime: process
  command: [serve]
`;

async function ok(words: string, options = {}): Promise<string> {
  const { code, stdout, stderr } = await rig.run(words, options);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout;
}

describe('tables', () => {
  it('of services', async () => {
    rig.backend.putService(serviceView());
    rig.backend.putService(
      serviceView({ name: 'api', phase: 'REQUESTED', running: 0, labels: {}, reason: `no node has room: ${'x'.repeat(60)}` }),
    );
    expect(await ok('get services')).toBe(
      [
        'NAME   STATE       RUNNING   RUNTIME   AGE     REASON',
        'web    RUNNING     2/2       process   3h10m   -',
        `api    REQUESTED   0/2       process   3h10m   no node has room: ${'x'.repeat(41)}…`,
        '',
      ].join('\n'),
    );
    expect(await ok('get svc web -o wide')).toBe(
      [
        'NAME   STATE     RUNNING   RUNTIME   CPU    MEMORY   GENERATION   OWNER   LABELS    AGE     REASON',
        'web    RUNNING   2/2       process   250m   64Mi     3            user    app=web   3h10m   -',
        '',
      ].join('\n'),
    );
    expect(await ok('get svc -l app=web -o name')).toBe('service/web\n');
  });

  it('of instances, with the labels of their services', async () => {
    rig.backend.putService(serviceView());
    rig.backend.stageInstance(instanceView());
    rig.backend.stageInstance(waitingInstance());
    rig.backend.stageInstance(instanceView({ id: 'other-1', service: 'other', node: 'n1' }));
    expect(await ok('get inst -l app=web')).toBe(
      [
        'NAME    STATE       NODE          ADDRESS          RESTARTS   AGE     REASON',
        'web-1   RUNNING     garching/n2   10.0.0.5:31000   0          5m12s   -',
        'web-2   REQUESTED   -             -                0          42s     no node has room: 2 lack cpu, 1 lacks the label site=north',
        '',
      ].join('\n'),
    );
    expect(await ok('get instances --service other -o name')).toBe('instance/other-1\n');
  });

  it('of nodes, and says whose nodes are missing', async () => {
    rig.backend.stageChild(childView());
    rig.backend.stageChild(childView({ name: 'n2', state: 'silent', summary: null, lastHeardMs: null }));
    rig.backend.stageChild(childView({ name: 'garching', kind: 'cluster', state: 'lost' }));
    const { stdout, stderr, code } = await rig.run('node list');
    expect(stdout).toBe(
      [
        'NAME   STATE    CPU FREE   MEMORY FREE   LOAD   INSTANCES   HEARD   AGE',
        'n1     ready    3.5/4      7.5Gi/8Gi     12%    2           2s      26h',
        'n2     silent   -          -             -      2           never   26h',
        '',
      ].join('\n'),
    );
    expect(stderr).toBe('warning: the nodes of garching are missing: it is lost\n');
    expect(code).toBe(0);
    expect(await ok('get cl')).toContain('garching   lost    1       3.5/4');
  });

  it('of tokens and events', async () => {
    rig.backend.stagedTokens.push(tokenView(), tokenView({ id: 'old', role: 'admin', usesLeft: null, expiresAtMs: NOW_MS - 1 }));
    expect(await ok('token list')).toBe(
      [
        'ID     ROLE     USES LEFT   EXPIRES   AGE',
        'k3jq   worker   1           in 59m    60s',
        'old    admin    any         expired   60s',
        '',
      ].join('\n'),
    );
    rig.backend.stageEvent(eventView());
    rig.backend.stageEvent(eventView({ sequence: 2, level: 'warning', message: 'two\nlines' }));
    expect(await ok('events')).toBe(
      [
        'AGE   LEVEL     SUBJECT       MESSAGE',
        '42s   info      service/web   scaled to 2',
        '42s   warning   service/web   two lines',
        '',
      ].join('\n'),
    );
  });

  it('with colours on a terminal only, and never with escapes from elsewhere', async () => {
    rig.backend.putService(serviceView({ reason: 'evil \u001b]0;title\u0007' }));
    expect(await ok('get svc', { terminal: true })).toContain('\u001b[32mRUNNING\u001b[39m');
    expect(await ok('get svc', { terminal: true, env: { NO_COLOR: '1' } })).not.toContain('\u001b');
    expect(await ok('get svc')).toContain('evil \u{fffd}]0;title\u{fffd}');
  });

  it('that are empty say so beside the output', async () => {
    expect(await rig.run('get svc')).toEqual({ code: 0, stdout: '', stderr: 'There are no services.\n' });
    expect(await ok('get svc -o json')).toBe('{\n  "items": []\n}\n');
  });
});

describe('documents', () => {
  it('of a service as YAML can be applied: nothing changes', async () => {
    rig.backend.putService(serviceView());
    const yaml = await ok('get service web -o yaml');
    expect(yaml).toContain('    cpu: 250m\n    memory: 64Mi\n');
    expect(await ok('apply -f -', { stdin: yaml })).toBe('service/web unchanged\n');
    expect(await ok('diff -f -', { stdin: yaml })).toBe('');
  });

  it('as JSON are what the API answers', async () => {
    rig.backend.putService(serviceView());
    expect(JSON.parse(await ok('get svc web -o json'))).toEqual(serviceView());
    expect(JSON.parse(await ok('get svc -o json'))).toEqual({ items: [serviceView()] });
    expect(JSON.parse(await ok('status -o json'))).toMatchObject({ name: 'root', level: 'root' });
  });

  it('describe a service with what its waiting instances lack', async () => {
    rig.backend.putService(serviceView({ phase: 'REQUESTED', running: 1, reason: 'an instance waits' }));
    rig.backend.stageInstance(waitingInstance());
    rig.backend.stageEvent(eventView());
    rig.backend.stageEvent(eventView({ sequence: 2, subject: 'service/other' }));
    const text = await ok('describe svc/web');
    expect(text).toContain('State:       REQUESTED, 1 of 2 running\nReason:      an instance waits\n');
    expect(text).toContain('Spec:\n  runtime: process\n');
    expect(text).toContain(
      [
        'Why web-2 waits (42s):',
        '  CANDIDATE   LACKS    DETAIL',
        '  n1          cpu      needs 4 cores, 1.5 are free',
        '  garching    labels   no node has site=north',
      ].join('\n'),
    );
    expect(text).toContain('scaled to 2');
    expect(text).not.toContain('service/other');
  });

  it('describe instances, nodes and clusters', async () => {
    rig.backend.stageInstance(instanceView({ node: 'n1', child: 'n1' }));
    rig.backend.stageChild(childView());
    rig.backend.stageChild(childView({ name: 'garching', kind: 'cluster' }));
    expect(await ok('describe instance web-1')).toContain('Addresses:  http=10.0.0.5:31000\n');
    expect(await ok('describe node n1')).toContain('CPU:      3.5 free of 4, 12% in use\n');
    expect(await ok('describe node n1')).toContain('web-1   RUNNING');
    expect(await ok('describe cluster garching')).toContain('Nodes:    1\n');
  });
});

describe('changes', () => {
  it('apply creates, says what it did, and names each fault with its place', async () => {
    await writeFile(join(rig.directory, 'web.yaml'), web);
    expect(await ok('apply -f web.yaml')).toBe('service/web created\n');
    expect(rig.backend.submitted).toMatchObject([{ type: 'applyService', name: 'web', labels: { app: 'web' } }]);
    expect(await ok('apply -f web.yaml --dry-run')).toBe('service/web created (dry run)\n');

    await writeFile(join(rig.directory, 'bad.yaml'), `${web}  resources: {memory: 64 parsecs}\n  replcas: 2\n`);
    expect(await rig.run('apply -f web.yaml -f bad.yaml')).toEqual({
      code: 2,
      stdout: '',
      stderr: [
        'error: The manifest is not valid',
        '  bad.yaml:7:23: spec.resources.memory: "64 parsecs" is not an amount of memory such as 64Mi or 1G',
        '  bad.yaml:8:3: spec.replcas: unknown field; did you mean replicas?',
        '',
      ].join('\n'),
    });
    expect(rig.backend.submitted).toHaveLength(1);
  });

  it('apply says which resource was refused, and from which file', async () => {
    const submit = rig.backend.submit.bind(rig.backend);
    rig.backend.submit = (request, key) =>
      request.type === 'applyService' && request.name === 'web'
        ? Promise.resolve({
            ok: false,
            error: {
              code: 'impossible',
              what: '',
              details: [{ field: 'spec.resources.cpu', message: 'no machine has 900 cores' }],
            },
          })
        : submit(request, key);
    await writeFile(join(rig.directory, 'all.yaml'), `${web.replace('name: web', 'name: api')}---\n${web}`);
    expect(await rig.run('apply -f all.yaml')).toEqual({
      code: 4,
      stdout: 'service/api created\n',
      stderr:
        'error: No machine could ever satisfy that: service/web\n  all.yaml:8: web: spec.resources.cpu: no machine has 900 cores\n',
    });
  });

  it('apply sends more than one request takes in several', async () => {
    const script = 'x'.repeat(200_000);
    const documents = Array.from({ length: 5 }, (_, i) =>
      JSON.stringify({
        apiVersion: 'tendril/v1',
        kind: 'Service',
        metadata: { name: `s${i}` },
        spec: { runtime: 'python', script },
      }),
    );
    for (const [i, text] of documents.entries()) await writeFile(join(rig.directory, `s${i}.json`), text);
    await writeFile(join(rig.directory, 's5.json'), (documents[0] ?? '').replace('s0', 's5'));
    expect((await ok('apply -f s0.json,s1.json,s2.json,s3.json,s4.json,s5.json')).split('\n')).toHaveLength(7);
    expect(rig.backend.submitted).toHaveLength(6);
  });

  it.each([
    ['ps -a', "error: unknown command 'ps'\n  hint: tendril get instances\n"],
    ['describe web', 'If it is a name, say of what: service web.'],
    ['delete web', 'If it is a name, say of what: service web.'],
  ])('%s says what is meant here', async (words, said) => {
    expect(await rig.run(words)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(said) });
  });

  it('apply --wait returns when all runs', async () => {
    const { spec } = serviceView();
    const briefly = serviceView({ spec: { ...spec, update: { ...spec.update, provenAfter: 50 } } });
    rig.backend.putService({ ...briefly, phase: 'REQUESTED', running: 0 });
    const run = rig.run('apply -f - --wait', { stdin: web });
    await until(() => rig.backend.listeners > 0);
    rig.backend.stageInstance(instanceView());
    rig.backend.stageInstance(instanceView({ id: 'web-2', sinceMs: NOW_MS }));
    rig.backend.putService({ ...briefly, phase: 'UPDATING', running: 2 });
    rig.backend.putService(briefly);
    expect(await run).toEqual({ code: 0, stdout: 'service/web changed\nservice/web is as declared\n', stderr: '' });
  });

  it('apply --wait takes the word of what has run for long, and asks no more of it', async () => {
    rig.backend.putService(serviceView());
    rig.backend.stageInstance(instanceView());
    rig.backend.stageInstance(instanceView({ id: 'web-2' }));
    expect((await rig.run('apply -f - --wait --timeout 1h', { stdin: web })).code).toBe(0);
  });

  it('apply --wait is not content with what ends as soon as it runs', async () => {
    const one = { ...serviceView(), wanted: 1, running: 1 };
    rig.backend.putService({ ...one, phase: 'REQUESTED', running: 0 });
    const run = rig.run('apply -f - --wait --timeout 300ms', { stdin: web });
    await until(() => rig.backend.listeners > 0);
    rig.backend.stageInstance(instanceView({ sinceMs: NOW_MS }));
    rig.backend.putService(one);
    await until(() => rig.backend.listeners === 0);
    expect(await run).toMatchObject({
      code: 6,
      stdout: 'service/web changed\n',
      stderr: expect.stringContaining('web 1/1 running, RUNNING, watched for 2 s'),
    });
  });

  it('apply --wait says at the end of its patience why it does not run', async () => {
    rig.backend.putService(serviceView({ phase: 'REQUESTED', running: 1 }));
    rig.backend.stageInstance(waitingInstance());
    expect(await rig.run('apply -f - --wait --timeout 50ms', { stdin: web })).toEqual({
      code: 6,
      stdout: 'service/web changed\n',
      stderr: [
        'error: It has not come about in time: web after 0.05 s',
        '  service/web: web 1/2 running, REQUESTED',
        '  instance/web-2: REQUESTED: no node has room: 2 lack cpu, 1 lacks the label site=north',
        '  instance/web-2: n1: needs 4 cores, 1.5 are free',
        '  instance/web-2: garching: no node has site=north',
        '  hint: It may yet: look with tendril describe, or wait longer with --timeout.',
        '',
      ].join('\n'),
    });
  });

  it('diff shows lines and ends with 1', async () => {
    rig.backend.putService(
      serviceView({ spec: { ...serviceView().spec, replicas: 1, ports: [], placement: { architecture: [], labels: {} } } }),
    );
    const { code, stdout } = await rig.run('diff -f -', {
      stdin: web.replace('[serve]', "[python3, '-m', http.server]").replace('spec:', 'spec:\n  resources: {cpu: 500m}'),
    });
    expect(code).toBe(1);
    expect(stdout).toContain('--- service/web (now)\n+++ service/web (declared)\n');
    expect(stdout).toContain('-    cpu: 250m\n+    cpu: 500m\n');
    const created = await rig.run('diff -f -', { stdin: web.replace('name: web', 'name: new') });
    expect(created).toMatchObject({ code: 1, stdout: expect.stringContaining('--- /dev/null\n') });
  });

  it('delete, scale, migrate, cordon, drain, remove, revoke', async () => {
    rig.backend.putService(serviceView());
    rig.backend.stageInstance(instanceView());
    rig.backend.stageChild(childView());
    rig.backend.stageChild(childView({ name: 'garching', kind: 'cluster' }));
    await rig.run('scale svc/web 5');
    await rig.run('migrate web-1 --to n1');
    await rig.run('migrate web-1 --to garching');
    await rig.run('migrate instance/web-1 --to garching/n2');
    await rig.run('migrate web-1');
    expect(await ok('node cordon n1')).toBe('node/n1 cordoned\n');
    expect(await ok('node uncordon n1')).toBe('node/n1 uncordoned\n');
    expect(await ok('cluster drain garching')).toBe('cluster/garching draining\n');
    await rig.run('node remove n1');
    await rig.run('delete service web');
    await rig.run('token revoke k3jq');
    expect(rig.backend.submitted).toEqual([
      { type: 'scaleService', name: 'web', replicas: 5 },
      { type: 'migrateInstance', instance: 'web-1', node: 'n1' },
      { type: 'migrateInstance', instance: 'web-1', cluster: 'garching' },
      { type: 'migrateInstance', instance: 'web-1', cluster: 'garching', node: 'n2' },
      { type: 'migrateInstance', instance: 'web-1' },
      { type: 'cordonChild', child: 'n1', cordoned: true },
      { type: 'drainChild', child: 'n1', draining: false },
      { type: 'cordonChild', child: 'n1', cordoned: false },
      { type: 'drainChild', child: 'garching', draining: true },
      { type: 'removeChild', child: 'n1' },
      { type: 'deleteService', name: 'web' },
      { type: 'revokeToken', id: 'k3jq' },
    ]);
  });

  it('token create prints the token alone', async () => {
    expect(await ok('token create --role worker --ttl 1h --uses 1')).toBe('tdl1.text.tok1\n');
    expect(rig.backend.submitted).toMatchObject([{ type: 'createToken', role: 'worker', uses: 1 }]);
  });
});

describe('what goes on', () => {
  it('get -w shows what is there, then changes, until Ctrl-C', async () => {
    rig.backend.putService(serviceView());
    const interrupt = new AbortController();
    const run = rig.run('get svc -w', {
      interrupted: interrupt.signal,
      onStdout: (soFar: string) => {
        const lines = soFar.split('\n').length - 1;
        if (lines === 2) rig.backend.putService(serviceView({ phase: 'UPDATING', running: 1 }));
        if (lines === 3) rig.backend.dropService('web');
        if (lines === 4) interrupt.abort();
      },
    });
    expect(await run).toEqual({
      code: 130,
      stdout: [
        'NAME   STATE     RUNNING   RUNTIME   AGE     REASON',
        'web    RUNNING   2/2       process   3h10m   -',
        'web    UPDATING   1/2       process   3h10m   -',
        'web    GONE      1/2       process   3h10m   -',
        '',
      ].join('\n'),
      stderr: '',
    });
    await until(() => rig.backend.listeners === 0);
  });

  it('get -w outlives a restart of the orchestrator and tells only what changed meanwhile', async () => {
    rig.backend.putService(serviceView());
    rig.backend.putService(serviceView({ name: 'gone' }));
    const interrupt = new AbortController();
    let printed = '';
    const run = rig.run('get svc -w -o name', {
      interrupted: interrupt.signal,
      onStdout: (soFar: string) => {
        printed = soFar;
      },
    });
    await until(() => printed.split('\n').length === 3);
    await rig.stop();
    rig.backend.stagedServices.delete('gone');
    rig.backend.stagedServices.set('new', serviceView({ name: 'new' }));
    await rig.start();
    await until(() => printed.includes('new'));
    interrupt.abort();
    const { code, stdout, stderr } = await run;
    expect({ code, stdout }).toEqual({ code: 130, stdout: 'service/web\nservice/gone\nservice/new\n' });
    expect(stderr).toBe('warning: the connection broke off; trying again\n');
  });

  it('logs of an instance come as they are, those of a service with names', async () => {
    rig.backend.putService(serviceView());
    rig.backend.stageInstance(instanceView());
    rig.backend.stageInstance(instanceView({ id: 'web-10' }));
    rig.backend.stageInstance(waitingInstance());
    rig.backend.logs.set('web-1', () => Readable.from(['one\ntw', 'o\nno end']));
    rig.backend.logs.set('web-10', ({ tailLines }) => Readable.from([`tail ${tailLines}\n`]));
    expect(await ok('logs web-1')).toBe('one\ntwo\nno end');
    rig.backend.logs.set('web-2', () => Readable.from([]));
    expect(await rig.run('logs web-2')).toEqual({ code: 0, stdout: '', stderr: 'web-2 has written nothing yet.\n' });
    expect(await ok('logs web --tail 5')).toBe('web-1  | one\nweb-1  | two\nweb-1  | no end\nweb-10 | tail 5\n');
  });
});

describe('exit codes and errors', () => {
  it.each<[string, number, string]>([
    ['gte', 2, "error: unknown command 'gte'\n(Did you mean get?)\n  hint: tendril --help\n"],
    ['get svc --bogus', 2, "error: unknown option '--bogus'\n  hint: tendril get --help\n"],
    ['get', 2, "error: missing required argument 'kind'\n  hint: tendril get --help\n"],
    [
      'get pods',
      2,
      'error: Unknown kind "pods". Kinds are: services, svc; instances, inst; nodes, no; clusters, cl; replicas, rep; tokens; events, ev.\n  hint: tendril help\n',
    ],
    ['get svc -w -o name -l (', 2, ''],
    [
      'scale web many',
      2,
      "error: command-argument value 'many' is invalid for argument 'copies'. Expected a whole number.\n  hint: tendril scale --help\n",
    ],
    ['get svc nope', 3, 'error: There is no such thing: service nope\n  hint: List what there is: tendril get KIND.\n'],
    ['delete svc nope', 3, ''],
    ['--token guess status', 4, ''],
    [`--token ${VIEWER} scale web 3`, 4, ''],
    [
      '--server 127.0.0.1:1 status',
      5,
      'error: The other side cannot be reached: https://127.0.0.1:1 (--server): nothing listens there\n  hint: Check the address and the network, then: tendril doctor.\n',
    ],
    ['--context other status', 2, ''],
    ['apply -f nope.yaml', 2, 'error: The manifest is not valid\n  nope.yaml: there is no such file\n'],
  ])('%s', async (words, code, stderr) => {
    const run = await rig.run(words);
    expect(run).toMatchObject({ code, stdout: '' });
    if (stderr !== '') expect(run.stderr).toBe(stderr);
    expect(run.stderr).toMatch(/^error: /);
  });

  it('delete --ignore-not-found takes nothing for done', async () => {
    expect(await ok('delete svc nope --ignore-not-found')).toBe('');
  });

  it('help and version are no errors, and need no orchestrator', async () => {
    expect(await ok('')).toContain('Usage: tendril COMMAND [flags]');
    expect(await ok('--help')).toContain('  130  ended by Ctrl-C');
    expect(await ok('help get')).toContain('Examples:');
    expect(await ok('--version')).toBe('0.1.0\n');
    expect(await ok('version')).toMatch(/^tendril 0\.1\.0 \(Node /);
  });

  it('takes a command from outside, such as up', async () => {
    const up = {
      name: 'up',
      group: 'Run:' as const,
      summary: 'start a node',
      load: () =>
        Promise.resolve({ register: (program: import('commander').Command) => void program.command('up').action(() => {}) }),
    };
    expect(await ok('up', { program: { more: [up] } })).toBe('');
    expect(await ok('--help', { program: { more: [up] } })).toMatch(/Run:\n {2}up +start a node\n/);
  });
});

describe('contexts', () => {
  it('are listed, chosen and forgotten', async () => {
    expect(await ok('context list')).toBe(`CURRENT   NAME   SERVER\n*         home   ${rig.url}\n`);
    expect((await rig.run('context use nope')).code).toBe(3);
    expect(await ok('context delete home')).toBe('context home deleted\n');
    expect((await rig.run('status')).stderr).toBe(
      'error: No orchestrator is named\n  hint: Start one with `tendril up`, choose a context (tendril context list), or give --server and --token.\n',
    );
  });
});

describe('doctor', () => {
  it('goes through the connection and this machine', async () => {
    const { stdout } = await rig.run('doctor -o json');
    const results = Object.fromEntries(
      JSON.parse(stdout).items.map((check: { name: string; result: string }) => [check.name, check.result]),
    );
    expect(results).toMatchObject({
      context: 'ok',
      reach: 'ok',
      token: 'ok',
      version: 'ok',
      'node.js': 'ok',
      'data directory': 'ok',
    });
    expect(Object.keys(results)).toEqual(
      expect.arrayContaining(['containers', 'python', 'cgroups', 'disk', 'clock', 'certificate']),
    );
  });

  it('fails, with what to do, when the orchestrator is away', async () => {
    await rig.stop();
    const { code, stdout } = await rig.run('doctor');
    expect(code).toBe(1);
    expect(stdout).toMatch(
      / {2}fail {2}reach +The other side cannot be reached: .*: nothing listens there\n +-> Check the address/,
    );
  });
});

describe('completion', () => {
  it('knows commands, flags, choices and names', async () => {
    rig.backend.putService(serviceView());
    expect(await ok('__complete sc')).toBe('scale\trun more or fewer copies of a service\n');
    expect(await ok('__complete get svc --sel')).toMatch(/^--selector\t/);
    expect(await ok('__complete get svc -o js')).toBe('json\n');
    expect(await ok('__complete describe service w')).toBe('web\n');
    expect(await ok('__complete --context h')).toBe('home\n');
    for (const shell of ['bash', 'zsh', 'fish']) expect(await ok(`completion ${shell}`)).toContain('tendril __complete');
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
