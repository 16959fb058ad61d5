/** A run found a bug: what is wrong, in words that name the instance, its record and what each side says of it. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
}
