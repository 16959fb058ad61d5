/** From a command's flags to a client, loaded only by commands that speak to an orchestrator. */
import type { Command } from 'commander';
import { CodedError } from '../core/model/errors.ts';
import { ApiClient } from './api/api-client.ts';
import { Transport } from './api/transport.ts';
import { saveServers } from './context/config-file.ts';
import { type ConnectionFlags, chooseTarget, type Target } from './context/target.ts';
import { printable, type Shell } from './shell.ts';

interface GlobalFlags extends ConnectionFlags {
  readonly requestTimeout?: number;
}

/** Runs `work` with a client for the orchestrator that flags, environment and contexts name, and closes it after. */
export async function withClient<T>(shell: Shell, command: Command, work: (client: ApiClient) => Promise<T>): Promise<T> {
  const flags = command.optsWithGlobals<GlobalFlags>();
  const target = await chooseTarget(shell, flags);
  const transport = new Transport(target, shell.interrupted, {
    patienceMs: flags.requestTimeout,
    waiting: (what) => void shell.stderr.write(`waiting: ${printable(what)}\n`),
  });
  const client = new ApiClient(transport);
  try {
    return await work(client);
  } finally {
    await client.close();
    await remember(shell, target, transport.servers);
  }
}

/** The next command asks the replica first that has answered this one. */
async function remember(shell: Shell, { context }: Target, servers: readonly string[] | null): Promise<void> {
  if (context === undefined || servers === null) return;
  try {
    await saveServers(context, servers, shell);
  } catch (error) {
    // Where the file cannot be written the command has done its work all the same.
    if (!(error instanceof CodedError) && !isIoError(error)) throw error;
  }
}

function isIoError(error: unknown): boolean {
  return error instanceof Error && 'code' in error;
}
