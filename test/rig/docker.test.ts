import { createServer } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { type DockerRig, startDockerRig } from './docker.ts';
import { until } from './until.ts';

const rigs: DockerRig[] = [];
afterAll(() => Promise.all(rigs.map((rig) => rig.stop())));

test('two private engines at once, each with a busybox that serves a published port on loopback', async () => {
  rigs.push(...(await Promise.all([startDockerRig({ own: true }), startDockerRig({ own: true })])));
  for (const rig of rigs) {
    const image = await rig.makeBusyboxImage('web:1');
    expect(image).toMatch(/^sha256:/);
    const port = await freePort();
    await rig.docker('run', '-d', '-p', `127.0.0.1:${port}:80`, 'web:1', 'httpd', '-f', '-p', '80', '-h', '/etc');
    // The engine publishes the port before the program in the container listens.
    const ask = () =>
      fetch(`http://127.0.0.1:${port}/passwd`).then(
        (answer) => answer.text(),
        () => null,
      );
    expect(await until('httpd answers', ask, 10_000)).toContain('root:x:0:0');
    expect((await rig.docker('ps', '-q')).split('\n')).toHaveLength(1);
  }
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
