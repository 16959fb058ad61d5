/** What services ask of a place, made ready once for all of their instances. */
import type { PlacementPolicyName, ServiceSpec } from '../model/service.ts';
import { type Demand, demandOf, type Requirement } from '../placement/requirement.ts';
import type { OrchestratorState, Target } from './state.ts';

export interface Demanded {
  readonly policy: PlacementPolicyName;
  /** The same for all who ask for the same; ties are settled by it (B2). */
  readonly text: string;
  readonly demand: Demand;
}

export class Demands {
  readonly #state: OrchestratorState;
  readonly #defaultPolicy: PlacementPolicyName;
  readonly #known = new WeakMap<ServiceSpec, Demanded>();

  /** `policy`: where a service names none. */
  constructor(state: OrchestratorState, policy: PlacementPolicyName) {
    this.#state = state;
    this.#defaultPolicy = policy;
  }

  /** The same object for the same spec, as long as there is no target. */
  of(spec: ServiceSpec, target: Target | null = null): Demanded {
    const known = target === null ? this.#known.get(spec) : undefined;
    if (known) return known;
    const policy = spec.placement.policy ?? this.#defaultPolicy;
    const demand = demandOf(this.requirementOf(spec, target));
    const text = `${policy} ${JSON.stringify({ ...demand, exclude: undefined })}`;
    const demanded = { policy, text, demand: { ...demand, tieBreaker: text } };
    if (target === null) this.#known.set(spec, demanded);
    return demanded;
  }

  requirementOf(spec: ServiceSpec, target: Target | null): Requirement {
    const placement = target
      ? {
          ...spec.placement,
          ...(target.cluster === null ? {} : { cluster: target.cluster }),
          ...(target.node === null ? {} : { node: target.node }),
        }
      : spec.placement;
    return { spec: { ...spec, placement }, tieBreaker: '', inside: [this.#state.name] };
  }
}
