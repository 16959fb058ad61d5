import { type RuntimeFixture, runtimeConformance } from '../../../test/conformance/runtime.ts';
import { Cgroups } from './cgroup.ts';
import { createProcessRuntime } from './process.ts';
import { clock, leftovers } from './testing.ts';

const node = (script: string) => ({ runtime: 'process' as const, command: [process.execPath, '-e', script] });
const shell = (script: string) => ({ runtime: 'process' as const, command: ['sh', '-c', script] });

const fixture = (cgroups?: Cgroups): RuntimeFixture => ({
  programs: {
    serve: () => ({
      ...node('require("http").createServer((_, r) => r.end("hello")).listen(process.env.PORT, "127.0.0.1")'),
      ports: [{}],
    }),
    tick: () => shell('n=0; while :; do n=$((n+1)); echo "tick $n"; sleep 0.05; done'),
    exit: (code) => shell(`echo bye; exit ${code}`),
    exitWhen: (file, code) => shell(`while [ ! -e "${file}" ]; do sleep 0.05; done; exit ${code}`),
    polite: () =>
      node(
        'process.on("SIGTERM", () => { console.log("asked"); process.exit(0) }); setInterval(() => {}, 1e6); console.log("ready")',
      ),
    stubborn: () => shell('trap "" TERM; echo ready; while :; do sleep 0.05; done'),
    print: (count) =>
      shell(`n=0; while [ $n -lt ${count} ]; do n=$((n+1)); echo "out $n"; echo "err $n" >&2; done; echo end; exec sleep 1000`),
    flood: (bytes) => shell(`yes "a line of a flood that does not end" | head -c ${bytes}; echo; echo end; exec sleep 1000`),
    environment: (env) => ({ ...shell('env; echo end; exec sleep 1000'), env, ports: [{}, { name: 'second-one' }] }),
    missing: () => ({ runtime: 'process', command: ['no-such-program-anywhere'] }),
  },
  create: (directory, nodeUid) => createProcessRuntime({ clock, cgroups }, { directory, nodeUid }),
  leftovers: (directory, nodeUid, id) => leftovers('process', directory, nodeUid, id),
});

runtimeConformance('process', () => fixture());
runtimeConformance('process, on a system without control groups', () => fixture(Cgroups.none()));
