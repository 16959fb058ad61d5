/** Services coming and going: the steps that requests, decisions and the parent's wishes share. */
import { must } from '../base/assert.ts';
import type { ServiceSpec } from '../model/service.ts';
import type { Changes } from './changes.ts';
import type { OrchestratorState, ServiceRecord } from './state.ts';

export function parentKey(assignmentId: string): string {
  return `parent:${assignmentId}`;
}

/** The parent's name for what a parent-owned service keeps running. */
export function assignmentOf(service: ServiceRecord): string {
  return service.key.slice('parent:'.length);
}

export function addService(
  state: OrchestratorState,
  init: Pick<ServiceRecord, 'key' | 'service' | 'owner' | 'labels'> & { spec: ServiceSpec; atMs: number },
): void {
  const { key, service, owner, labels, spec, atMs } = init;
  state.services.set(key, {
    key,
    service,
    owner,
    labels,
    generation: 1,
    replicas: spec.replicas,
    specs: new Map([[1, spec]]),
    createdAtMs: atMs,
    updatedAtMs: atMs,
    deleting: false,
  });
}

export function markDeleting(service: ServiceRecord, changes: Changes): void {
  service.deleting = true;
  changes.touched.add(service.key);
  changes.event(`service/${service.key}`, 'is being deleted');
}

/** A deleted service goes with its last instance. */
export function finishService(state: OrchestratorState, key: string, changes: Changes): void {
  const service = must(state.services.get(key), `service ${key}`);
  if (state.instancesOf(key).length > 0) {
    dropUnusedSpecs(state, service);
    return;
  }
  if (!service.deleting) return;
  state.removeService(key);
  changes.removedServices.push(key);
  changes.touched.delete(key);
  changes.event(`service/${key}`, 'is gone');
}

export function dropUnusedSpecs(state: OrchestratorState, service: ServiceRecord): void {
  if (service.specs.size === 1) return;
  const used = new Set(state.instancesOf(service.key).map((instance) => instance.generation));
  for (const generation of service.specs.keys()) {
    if (generation !== service.generation && !used.has(generation)) service.specs.delete(generation);
  }
}
