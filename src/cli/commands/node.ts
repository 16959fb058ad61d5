/** `tendril node list | cordon | uncordon | drain | promote | demote | remove` */
import type { Command } from 'commander';
import { registerChildCommands } from '../child-commands.ts';
import type { Shell } from '../shell.ts';

export function register(program: Command, shell: Shell): void {
  registerChildCommands(program, shell, {
    kind: 'node',
    description:
      'Lists, cordons, drains and removes nodes, and makes replicas voters or learners. A node of a cluster is CLUSTER/NODE.',
    example: 'garching/n2',
  });
}
