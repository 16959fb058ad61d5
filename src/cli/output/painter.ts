/** Few colours with a meaning each; without colour every function returns its text. */
import pc from 'picocolors';

export interface Painter {
  good(text: string): string;
  warn(text: string): string;
  bad(text: string): string;
  dim(text: string): string;
  strong(text: string): string;
  added(text: string): string;
  removed(text: string): string;
  place(text: string): string;
}

export function painter(enabled: boolean): Painter {
  const colours = pc.createColors(enabled);
  return {
    good: colours.green,
    warn: colours.yellow,
    bad: colours.red,
    dim: colours.dim,
    strong: colours.bold,
    added: colours.green,
    removed: colours.red,
    place: colours.cyan,
  };
}

export type Tone = keyof Painter;

const STATE_TONES: Readonly<Record<string, Tone>> = {
  RUNNING: 'good',
  ready: 'good',
  FAILED: 'bad',
  LOST: 'bad',
  lost: 'bad',
  silent: 'bad',
  TERMINATED: 'dim',
  STOPPING: 'dim',
};

/** By urgency; what is on its way somewhere is yellow. */
export function toneOf(state: string): Tone {
  return STATE_TONES[state] ?? 'warn';
}
