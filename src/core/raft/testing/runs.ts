/** Every kind of run there is, by name: each is a function of its seed, and throws what is wrong. */
import type { Cluster } from './cluster.ts';
import { churn, compaction, misfortunes } from './misfortunes.ts';
import {
  comesBack,
  fallsSilent,
  farApart,
  gatewaysDuel,
  growsAndShrinks,
  handsOver,
  isAlone,
  isSlow,
  leadersCutShort,
  leadersStop,
  losesMuch,
} from './stories.ts';

export type Run = (seed: number, print?: ((line: string) => void) | null) => Cluster;

export const runs = {
  misfortunes,
  churn,
  compaction,
  comesBack,
  isAlone,
  handsOver,
  farApart,
  growsAndShrinks,
  gatewaysDuel,
  fallsSilent,
  losesMuch,
  leadersCutShort,
  leadersStop,
  isSlow,
} as const satisfies Readonly<Record<string, Run>>;

export type RunName = keyof typeof runs;
