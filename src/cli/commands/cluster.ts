/** `tendril cluster list | cordon | uncordon | drain | remove` */
import type { Command } from 'commander';
import { registerChildCommands } from '../child-commands.ts';
import type { Shell } from '../shell.ts';

export function register(program: Command, shell: Shell): void {
  registerChildCommands(program, shell, {
    kind: 'cluster',
    description: 'Lists, cordons, drains and removes clusters below this orchestrator.',
    example: 'garching',
  });
}
