/** One thing that `tendril doctor` looked at. */
export interface Check {
  readonly name: string;
  readonly result: 'ok' | 'warn' | 'fail';
  readonly finding: string;
  readonly advice?: string | undefined;
}
