import { setFlagsFromString } from 'node:v8';

/**
 * `bin/tendril` starts every node without V8's optimising compiler: a worker does little and seldom, so it never pays
 * there, and costs 4 MB of memory once it has run (docs/adr/0009-small-boxes.md). Code that runs often still
 * becomes machine code, by the baseline compiler. An orchestrator, which has to be fast, takes it back.
 */
export function allowOptimiser(): void {
  setFlagsFromString('--opt');
}
