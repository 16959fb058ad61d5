/** From a command's flags to a client, loaded only by commands that speak to an orchestrator. */
import type { Command } from 'commander';
import { ApiClient } from './api/api-client.ts';
import { Transport } from './api/transport.ts';
import { type ConnectionFlags, chooseTarget } from './context/target.ts';
import type { Shell } from './shell.ts';

/** Runs `work` with a client for the orchestrator that flags, environment and contexts name, and closes it after. */
export async function withClient<T>(shell: Shell, command: Command, work: (client: ApiClient) => Promise<T>): Promise<T> {
  const target = await chooseTarget(shell, command.optsWithGlobals<ConnectionFlags>());
  const client = new ApiClient(new Transport(target, shell.interrupted));
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
