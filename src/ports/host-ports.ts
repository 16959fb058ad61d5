/** Finds free ports on the node for instances that do not ask for a fixed one. */
import type { PortSpec } from '../core/model/service.ts';

export interface HostPorts {
  /** `preferred` if nothing listens on it, else one that is free and that this node has not handed out a moment ago. */
  pick(protocol: PortSpec['protocol'], preferred?: number): Promise<number>;
}
