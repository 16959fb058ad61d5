/** How fast work comes up and comes back: `deploy`. */
import type { Bench } from './bench.ts';
import { measureContainers } from './deploy-containers.ts';
import { measureProcesses } from './deploy-processes.ts';

export const deploy: Bench = {
  run: async (context) => [...(await measureProcesses(context)), ...(await measureContainers(context))],
};
