/** The round trip through a wire, by one byte that comes back: what TCP and the processes in between leave of its delay. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { machineMs } from '../parts/machine-clock.ts';

export async function roundTripsMs(port: number, count: number): Promise<number[]> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const trips: number[] = [];
  while (trips.length < count) {
    const startMs = machineMs();
    socket.write('x');
    await once(socket, 'data');
    trips.push(machineMs() - startMs);
  }
  socket.destroy();
  return trips;
}
