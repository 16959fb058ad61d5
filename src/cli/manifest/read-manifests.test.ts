import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CodedError } from '../../core/model/errors.ts';
import { formatDetail } from '../report-error.ts';
import { readManifests } from './read-manifests.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tendril-manifest-'));
});
afterEach(() => rm(directory, { recursive: true }));

const shellWith = (stdin = '') => ({ cwd: directory, stdin: Readable.from([Buffer.from(stdin)]) });

async function read(text: string) {
  await writeFile(join(directory, 'web.yaml'), text);
  return readManifests(shellWith(), ['web.yaml']);
}

async function findings(reading: Promise<unknown>): Promise<string[]> {
  const error = await reading.then(
    () => expect.fail('it was accepted'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(CodedError);
  return error instanceof CodedError ? error.details.map(formatDetail) : [];
}

const good = `apiVersion: tendril/v1
kind: Service
metadata:
  name: web
spec:
  runtime: process
  command: [sleep, "1"]
`;

describe('manifests that are good', () => {
  it('reads several documents, with the line where each begins, and turns units into numbers', async () => {
    const manifests = await read(
      `# two\n---\n${good}  resources: {memory: 64Mi}\n---\n---\n${good.replace('name: web', 'name: api')}`,
    );
    expect(manifests.map(({ resource, file, line }) => [resource.metadata.name, file, line])).toEqual([
      ['web', 'web.yaml', 3],
      ['api', 'web.yaml', 13],
    ]);
    expect(manifests[0]?.resource.spec.resources.memory).toBe(64 * 2 ** 20);
  });

  it('reads a directory in the order of names, leaving out what is no manifest, and standard input, and JSON', async () => {
    await mkdir(join(directory, 'all'));
    const json = {
      apiVersion: 'tendril/v1',
      kind: 'Service',
      metadata: { name: 'j' },
      spec: { runtime: 'process', command: ['x'] },
    };
    await writeFile(join(directory, 'all/b.json'), JSON.stringify(json));
    await writeFile(join(directory, 'all/a.yml'), good);
    await writeFile(join(directory, 'all/README.md'), 'not: [yaml');
    const manifests = await readManifests(shellWith(good.replace('name: web', 'name: in')), ['all', '-']);
    expect(manifests.map(({ resource, file }) => [resource.metadata.name, file])).toEqual([
      ['web', 'all/a.yml'],
      ['j', 'all/b.json'],
      ['in', 'stdin'],
    ]);
  });

  it('reads in a script from beside the manifest', async () => {
    await writeFile(join(directory, 'x.py'), 'print("é")\n');
    await mkdir(join(directory, 'sub'));
    await writeFile(
      join(directory, 'sub/py.yaml'),
      'apiVersion: tendril/v1\nkind: Service\nmetadata: {name: py}\nspec: {runtime: python, scriptFile: ../x.py}\n',
    );
    const [manifest] = await readManifests(shellWith(), ['sub/py.yaml']);
    expect(manifest?.resource.spec).toMatchObject({ runtime: 'python', script: 'print("é")\n' });
  });

  it("reads edgeIO's listing 3.1 unchanged", async () => {
    const [manifest] = await read(`api_version: v0.1
job_name: image_detection
image: quay.io/codait/max-object-detector
image_runtime: docker
requirements:
    cpu: 2 # cores
    memory: 1000 # in MB
cluster_location: Garching
worker_node: e580
`);
    expect(manifest?.resource.metadata.name).toBe('image-detection');
    expect(manifest?.resource.spec.placement).toMatchObject({ location: 'Garching', node: 'e580' });
  });

  it('reuses blocks by anchor and merge key', async () => {
    const [manifest] = await read(`${good}  resources: &r {cpu: 250m}\n  env: {A: &a x, B: *a}\n`);
    expect(manifest?.resource.spec.env).toEqual({ A: 'x', B: 'x' });
  });
});

describe('manifests that are not', () => {
  it.each<[string, string, string[]]>([
    ['is empty', '# nothing\n', ['web.yaml: is empty']],
    ['is no resource', '- a\n', ['web.yaml:1:1: expected a resource: apiVersion, kind, metadata and spec']],
    ['has an unknown field', `${good}  imgae: x\n`, ['web.yaml:8:3: spec.imgae: unknown field; known here: ']],
    ['has a misspelt field', `${good}  replcas: 2\n`, ['web.yaml:8:3: spec.replcas: unknown field; did you mean replicas?']],
    [
      'has a wrong unit',
      `${good}  resources:\n    memory: 64 parsecs\n`,
      ['web.yaml:9:13: spec.resources.memory: "64 parsecs" is not an amount of memory such as 64Mi or 1G'],
    ],
    [
      'has a number of the wrong size',
      `${good}  replicas: -1\n  stopGrace: soon\n`,
      [
        'web.yaml:8:13: spec.replicas: at least 0',
        'web.yaml:9:14: spec.stopGrace: "soon" is not a duration such as 500ms, 10s, 5m or 1h',
      ],
    ],
    ['lacks a field', good.replace('  command: [sleep, "1"]\n', ''), ['web.yaml:5:1: spec.command: is missing; expected a list']],
    [
      'has an unknown runtime',
      good.replace('process', 'vax'),
      ['web.yaml:6:12: spec.runtime: runtime is one of process, python, container'],
    ],
    ['has a bad name', good.replace('name: web', 'name: Web_1'), ['web.yaml:4:9: metadata.name: a name has lower-case letters']],
    [
      'is for another system',
      'apiVersion: apps/v1\nkind: Deployment\n',
      [
        'web.yaml:1:13: apiVersion: expected tendril/v1, got "apps/v1"',
        'web.yaml:2:7: kind: unknown kind "Deployment"; known kinds: Service',
      ],
    ],
    ['says no version', 'kind: Service\n', ['web.yaml:1:1: apiVersion: is missing; expected tendril/v1']],
    [
      'gives a key twice',
      `${good}  replicas: 1\n  replicas: 2\n`,
      ['web.yaml:9:3: the key "replicas" is given twice, first in line 8'],
    ],
    [
      'gives a service twice',
      `${good}---\n${good}`,
      ['web.yaml:12:9: metadata.name: Service web was given before, in web.yaml:1'],
    ],
    ['is indented wrongly', 'a: 1\n  b: 2\n', ['web.yaml:1:4: Nested mappings are not allowed in compact mappings']],
    ['is JSON with a fault', '{"apiVersion": "tendril/v1",\n "kind" }', ['web.yaml:2:2: kind: unknown kind null']],
    ['leaves a list open', `${good}  env: [a\n`, ['web.yaml:9:1: Flow sequence in block collection must be']],
    [
      'has a fault in an edgeIO file',
      'api_version: v0.1\njob_name: a\nimage: x\nimage_runtime: docker\nrequirements:\n  cpu: many\n',
      ['web.yaml:6:8: requirements.cpu: expected a number of cores'],
    ],
    [
      'names a script that is not there',
      'apiVersion: tendril/v1\nkind: Service\nmetadata: {name: a}\nspec: {runtime: python, scriptFile: no.py}\n',
      ['web.yaml:4:37: spec.scriptFile: no.py there is no such file'],
    ],
  ])('%s', async (_, text, expected) => {
    const found = await findings(read(text));
    expect(found).toHaveLength(expected.length);
    for (const [index, message] of expected.entries()) expect(found[index]).toContain(message);
  });

  it('tells all findings of all files at once', async () => {
    await writeFile(join(directory, 'a.yaml'), `${good}  x: 1\n`);
    await writeFile(join(directory, 'b.yaml'), 'a: [\n');
    const found = await findings(readManifests(shellWith(), ['a.yaml', 'b.yaml']));
    expect(found.map((line) => line.split(':')[0])).toEqual(['a.yaml', 'b.yaml']);
  });

  it('names a file that is not there', async () => {
    expect(await findings(readManifests(shellWith(), ['nope.yaml']))).toEqual(['nope.yaml: there is no such file']);
  });

  it('names a directory without manifests', async () => {
    expect(await findings(readManifests(shellWith(), ['.']))).toEqual(['.: the directory has no .yaml, .yml or .json file']);
  });

  it('is no text', async () => {
    await writeFile(join(directory, 'web.yaml'), Buffer.from([0x61, 0xff, 0xfe]));
    expect(await findings(readManifests(shellWith(), ['web.yaml']))).toEqual(['web.yaml: is not UTF-8 text']);
  });
});

describe('manifests that would cost too much', () => {
  it('refuses 50 MB by the size alone, and endless input when it goes on', async () => {
    await writeFile(join(directory, 'big.yaml'), '');
    await truncate(join(directory, 'big.yaml'), 50 * 2 ** 20);
    await expect(readManifests(shellWith(), ['big.yaml'])).rejects.toMatchObject({
      code: 'too_large',
      details: [{ file: 'big.yaml', message: 'has 50.0Mi, at most 1Mi' }],
    });
    const endless = Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(65_536, 0x20);
      })(),
    );
    await expect(readManifests({ cwd: directory, stdin: endless }, ['-'])).rejects.toMatchObject({ code: 'too_large' });
  });

  it('refuses a thousand laughs', async () => {
    let text = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n';
    for (let i = 1; i < 9; i++)
      text += `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(', ')}]\n`;
    expect(await findings(read(text))).toEqual(['web.yaml: refers to its anchors too often, at most 100 times']);
  });

  it('refuses more documents than it takes, before it parses them', async () => {
    expect(await findings(read('---\na: 1\n'.repeat(501)))).toEqual(['web.yaml: has 501 documents, at most 500']);
  });

  it('refuses bottomless nesting', async () => {
    expect(await findings(read('['.repeat(500_000)))).toEqual(['web.yaml: is nested too deeply']);
  });

  it('reads a map of very many keys in linear time', async () => {
    const keys = Array.from({ length: 50_000 }, (_, i) => `k${i}: 1`).join('\n');
    expect(await findings(read(keys))).toEqual([
      'web.yaml:1:1: apiVersion: is missing; expected tendril/v1',
      'web.yaml:1:1: kind: is missing; known kinds: Service',
    ]);
  });
});
