/** Waits until a group that leads on demand has paused. */
import type { Deployment } from './deployment.ts';

/** Nobody leads, and those of `names` that run all know of so many voters. */
export function allPaused(site: Deployment, names: readonly string[], voters: number): Promise<boolean> {
  return site.until(
    'the group has paused',
    async () => {
      const running = names.filter((name) => site.node(name).isRunning);
      const views = await Promise.all(running.map((name) => site.api(name).group()));
      return views.every(({ paused, replicas }) => paused && replicas.filter(({ role }) => role === 'voter').length === voters);
    },
    20_000,
  );
}
