/** A backend whose views a test sets as it likes; writes are taken down and answered as MemoryBackend does. */
import { MemoryBackend } from '../../api/testing/memory-backend.ts';
import type { ClientRequest } from '../../core/model/requests.ts';
import type { Change, ChildView, EventView, InstanceView, ServiceView, TokenView } from '../../core/model/views.ts';

export class StagedBackend extends MemoryBackend {
  readonly stagedServices = new Map<string, ServiceView>();
  readonly stagedInstances = new Map<string, InstanceView>();
  readonly stagedChildren = new Map<string, ChildView>();
  readonly stagedTokens: TokenView[] = [];
  readonly stagedEvents: EventView[] = [];
  /** Called when a request has been applied and nobody has been answered yet. */
  applied: () => void = () => {};
  readonly #stagedListeners = new Set<(change: Change) => void>();

  override services = () => [...this.stagedServices.values()];
  override service = (name: string) => this.stagedServices.get(name) ?? null;
  override instances = () => [...this.stagedInstances.values()];
  override instance = (id: string) => this.stagedInstances.get(id) ?? null;
  override children = () => [...this.stagedChildren.values()];
  override child = (name: string) => this.stagedChildren.get(name) ?? null;
  override tokens = () => this.stagedTokens;
  override events = (after: number) => this.stagedEvents.filter((event) => event.sequence > after);

  override get listeners(): number {
    return this.#stagedListeners.size;
  }

  override subscribe(listener: (change: Change) => void): () => void {
    this.#stagedListeners.add(listener);
    return () => this.#stagedListeners.delete(listener);
  }

  override submit(request: ClientRequest, idempotencyKey?: string): ReturnType<MemoryBackend['submit']> {
    const outcome = super.submit(request, idempotencyKey);
    this.applied();
    return outcome;
  }

  putService(view: ServiceView): void {
    this.stagedServices.set(view.name, view);
    this.#say({ kind: 'service', name: view.name, view });
  }

  dropService(name: string): void {
    this.stagedServices.delete(name);
    this.#say({ kind: 'service', name, view: null });
  }

  stageInstance(view: InstanceView): void {
    this.stagedInstances.set(view.id, view);
    this.#say({ kind: 'instance', name: view.id, view });
  }

  stageChild(view: ChildView): void {
    this.stagedChildren.set(view.name, view);
    this.#say({ kind: 'child', name: view.name, view });
  }

  stageEvent(view: EventView): void {
    this.stagedEvents.push(view);
    this.#say({ kind: 'event', name: String(view.sequence), view });
  }

  #say(change: Change): void {
    for (const listener of this.#stagedListeners) listener(change);
  }
}
