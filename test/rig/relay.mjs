/** A way into a network namespace: `relay.mjs SOCKET HOST PORT` takes connections on a Unix socket, from outside, and dials inside. */
import { connect, createServer } from 'node:net';

const [path, host, port] = process.argv.slice(2);
createServer((outside) => {
  const inside = connect(Number(port), host);
  for (const [from, to] of [
    [outside, inside],
    [inside, outside],
  ]) {
    from.pipe(to);
    from.on('error', () => undefined);
    from.on('close', () => to.destroy());
  }
}).listen(path, () => process.stdout.write('listening\n'));
