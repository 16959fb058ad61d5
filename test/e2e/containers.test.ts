/** Containers through root, cluster and node, on a real Docker Engine with images made from busybox. */
import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileStore } from '../../src/adapters/file-store/store.ts';
import { readProfile } from '../../src/compose/profile.ts';
import type { InstanceView } from '../../src/core/model/views.ts';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { type DockerRig, startDockerRig } from '../rig/docker.ts';

let engine: DockerRig;
let site: Deployment;

beforeAll(async () => {
  engine = await startDockerRig();
  site = await startDeployment({ env: { DOCKER_HOST: engine.dockerHost } });
  await site.addOrchestrator('garching', 'root', false);
  await site.addNode('e580', 'garching', ['--memory', '1000M']);
});

afterAll(async () => {
  await site?.close();
  await engine?.stop();
});

/** Containers of this node, running ones only unless `all`. */
async function containers(...flags: string[]): Promise<string[]> {
  const profile = await readProfile(new FileStore(join(site.node('e580').directory, 'documents')));
  const filter = ['--filter', `label=tendril.node=${profile?.uid}`];
  const lines = await engine.docker('ps', '--no-trunc', '--format', '{{.ID}}', ...filter, ...flags);
  return lines.split('\n').filter(Boolean);
}

function running(service: string): Promise<InstanceView> {
  return site.running('root', service, 1, 30_000).then(([instance]) => {
    if (!instance) throw new Error(`no instance of ${service}`);
    return instance;
  });
}

function httpGet(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function applyFile(name: string, text: string): Promise<void> {
  await writeFile(join(site.directory, name), text);
  const run = await site.cli('--context', 'root', 'apply', '-f', name, '--wait', '--timeout', '30s');
  expect(run.exitCode, run.stderr).toBe(0);
}

test('a container has its environment, mounts, port and limits; lives through restarts of tendril; and is gone when deleted', async () => {
  await engine.makeBusyboxImage('tendril-test/web:1');
  await mkdir(join(site.directory, 'www'));
  await writeFile(join(site.directory, 'www', 'index.html'), 'from the mount\n');
  await applyFile(
    'web.yaml',
    `apiVersion: tendril/v1
kind: Service
metadata: {name: web}
spec:
  runtime: container
  image: tendril-test/web:1
  command: [sh, -c, 'echo "hello $WHO at $PORT"; exec httpd -f -v -p $PORT -h /www']
  env: {WHO: edge}
  ports: [{name: http, containerPort: 8080}]
  mounts: [{source: ${site.directory}/www, target: /www, readOnly: true}]
  resources: {cpu: 0.5, memory: 64Mi}
  stopGrace: 100ms
`,
  );
  const instance = await running('web');
  expect(instance.node).toBe('garching/e580');
  const port = instance.endpoints[0]?.port ?? 0;
  await site.until('it answers', async () => (await httpGet(port)) === 'from the mount\n', 10_000);

  const [id = ''] = await containers();
  const format = '{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{range .Mounts}}{{.Destination}} {{.RW}}{{end}}';
  expect(await engine.docker('inspect', '--format', format, id)).toBe(`500000000 ${64 * 2 ** 20} /www false`);

  expect((await site.cli('--context', 'root', 'logs', 'web')).stdout).toContain('hello edge at 8080\n');

  for (const end of ['stop', 'kill'] as const) {
    await site.node('e580')[end]();
    expect(await httpGet(port)).toBe('from the mount\n');
    await site.node('e580').start();
    await site.until('e580 is back', async () => (await site.api('garching').child('node', 'e580')).state === 'ready', 10_000);
  }
  expect(await containers()).toEqual([id]);
  expect((await running('web')).restarts).toBe(0);

  // Followed through root, cluster and node, until the instance is gone.
  const followed = site.cli('--context', 'root', 'logs', '-f', 'web');
  await engine.docker('kill', id);
  const restarted = await site.until(
    'it is restarted',
    async () => {
      const [found] = await site.api('root').instances('web');
      return found?.state === 'RUNNING' && found.restarts === 1 && found;
    },
    15_000,
  );
  expect([restarted.id, restarted.endpoints]).toEqual([instance.id, instance.endpoints]);
  await site.until('it answers again', async () => (await httpGet(port)) === 'from the mount\n', 10_000);

  await site.remove('root', 'web');
  await site.until('the container is gone', async () => (await containers('--all')).length === 0, 10_000);
  const { stdout, exitCode } = await followed;
  expect(exitCode).toBe(0);
  expect(stdout.match(/hello edge at 8080/g)).toHaveLength(2);
});

test('an image is found by its digest; one that is nowhere is named in the reason', async () => {
  const id = await engine.makeBusyboxImage('tendril-test/digest:1');
  const spec = (image: string) =>
    `{runtime: container, image: "${image}", command: [sleep, "1000000"], resources: {memory: 16Mi}, stopGrace: 100ms}`;
  const manifest = (image: string) => `apiVersion: tendril/v1\nkind: Service\nmetadata: {name: pinned}\nspec: ${spec(image)}\n`;
  await applyFile('pinned.yaml', manifest(id));
  await running('pinned');
  const [container = ''] = await containers();
  expect(await engine.docker('inspect', '--format', '{{.Image}}', container)).toBe(id);
  await site.remove('root', 'pinned');

  await writeFile(join(site.directory, 'nowhere.yaml'), manifest('127.0.0.1:1/no/such:image'));
  expect((await site.cli('--context', 'root', 'apply', '-f', 'nowhere.yaml')).exitCode).toBe(0);
  const failed = await site.until(
    'it fails',
    async () => (await site.api('root').instances('pinned')).find(({ state }) => state === 'FAILED'),
    20_000,
  );
  expect(failed.reason).toContain('127.0.0.1:1/no/such:image');
  await site.remove('root', 'pinned');
});

/** edgeIO, listing 3.1, to the letter. */
const LISTING_3_1 = `api_version: v0.1
job_name: image_detection
image: quay.io/codait/max-object-detector
image_runtime: docker
requirements:
    cpu: 2 # cores
    memory: 1000 # in MB
cluster_location: Garching
worker_node: e580
`;

test("edgeIO's listing 3.1 is taken as it is", async () => {
  const image = 'quay.io/codait/max-object-detector';
  await engine.makeBusyboxImage('tendril-test/detector:1');
  // What it runs is its own affair: here something that goes on.
  const made = await engine.docker('create', 'tendril-test/detector:1', 'true');
  await engine.docker('commit', '--change', 'CMD ["sh", "-c", "trap exit TERM; sleep 1000000 & wait"]', made, image);
  await engine.docker('rm', made);
  try {
    await applyFile('listing-3.1.yaml', LISTING_3_1);
    const instance = await running('image-detection');
    expect(instance.node).toBe('garching/e580');
    const [container = ''] = await containers();
    const format = '{{.Config.Image}} {{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}';
    expect(await engine.docker('inspect', '--format', format, container)).toBe(`${image} 2000000000 1000000000`);
    const listed = await site.cli('--context', 'root', 'get', 'services', '-l', 'edgeio/job-name=image_detection');
    expect(listed.stdout).toContain('image-detection');
    await site.remove('root', 'image-detection');
  } finally {
    await engine.docker('rmi', '--force', image);
  }
});
