import { basename, dirname } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { runtimeConformance } from '../../../test/conformance/runtime.ts';
import { type DockerRig, startDockerRig } from '../../../test/rig/docker.ts';
import { systemClock } from '../system-clock/clock.ts';
import { NODE_LABEL } from './container-config.ts';
import { ContainerRuntime } from './container-runtime.ts';

const IMAGE = 'tendril-conformance:1';
let rig: DockerRig;

beforeAll(async () => {
  rig = await startDockerRig();
  await rig.makeBusyboxImage(IMAGE);
});
afterAll(() => rig?.stop());

const sh = (script: string) => ({ runtime: 'container' as const, image: IMAGE, command: ['sh', '-c', script] });
const idle = 'while :; do sleep 0.1; done';

runtimeConformance('container', () => ({
  programs: {
    serve: () => ({
      runtime: 'container',
      image: IMAGE,
      command: ['sh', '-c', 'mkdir /www; echo hello >/www/index.html; exec httpd -f -p 8080 -h /www'],
      ports: [{ containerPort: 8080 }],
    }),
    tick: () => sh('i=1; while :; do echo "tick $i"; i=$((i+1)); sleep 0.05; done'),
    exit: (code) => sh(`echo bye; exit ${code}`),
    exitWhen: (file, code) => ({
      ...sh(`while [ ! -e /seen/${basename(file)} ]; do sleep 0.05; done; exit ${code}`),
      mounts: [{ source: dirname(file), target: '/seen', readOnly: true }],
    }),
    polite: () => sh(`trap 'echo asked; exit 0' TERM; echo ready; ${idle}`),
    stubborn: () => sh(`trap '' TERM; echo ready; ${idle}`),
    print: (count) =>
      sh(`i=1; while [ $i -le ${count} ]; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); done; echo end; ${idle}`),
    flood: (bytes) => sh(`yes 0123456789012345678901234567890123456789 | head -c ${bytes}; echo; echo end; ${idle}`),
    environment: (env) => ({ ...sh(`env; echo end; ${idle}`), env, ports: [{ name: 'http' }, { name: 'second-one' }] }),
    missing: () => ({ runtime: 'container', image: IMAGE, command: ['no-such-program'] }),
  },
  create: (_directory, node) => new ContainerRuntime({ clock: systemClock }, { node, dockerHost: rig.dockerHost }),
  leftovers: async (_directory, node, id) => {
    const names = await rig.docker('ps', '-a', '--filter', `label=${NODE_LABEL}=${node}`, '--format', '{{.Names}}');
    return names.split('\n').filter((name) => name.endsWith(id));
  },
}));
