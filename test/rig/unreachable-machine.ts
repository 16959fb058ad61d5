/**
 * A port on loopback that is as one of a machine that was switched off: connections are neither taken nor refused. Its
 * queue is full, and the program that has it takes nothing out.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

const OWNER = `import socket, sys
listening = socket.create_server(("127.0.0.1", 0), backlog=0)
print(listening.getsockname()[1], flush=True)
sys.stdin.read()`;

export interface UnreachableMachine {
  readonly port: number;
  readonly stop: () => Promise<void>;
}

export async function unreachableMachine(): Promise<UnreachableMachine> {
  const owner = spawn('python3', ['-c', OWNER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [said] = (await once(owner.stdout, 'data')) as [Buffer];
  const port = Number(String(said));
  // A queue of length 0 has room for one; whoever comes after waits for ever.
  const queued = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(queued, 'connect');
  return {
    port,
    async stop() {
      queued.destroy();
      const ended = once(owner, 'exit');
      owner.kill();
      await ended;
    },
  };
}
