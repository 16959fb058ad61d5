/** What of a bench runs in processes of their own. Each is loaded in its own process only. */
export const parts: Readonly<Record<string, () => Promise<() => void>>> = {
  wires: async () => (await import('../group/wires.ts')).wires,
  'store-replica': async () => (await import('../group/store-replica.ts')).storeReplica,
  'gateway-replica': async () => (await import('../group/gateway-replica.ts')).gatewayReplica,
  'core-replica': async () => (await import('../group/core-replica.ts')).coreReplica,
  'log-replica': async () => (await import('../group/core-replica.ts')).logReplica,
  'request-load': async () => (await import('../load/request-load.ts')).requestLoad,
  'sync-beat': async () => (await import('./sync-beat.ts')).syncBeat,
  'put-load': async () => (await import('../load/put-load.ts')).putLoad,
  'put-probe': async () => (await import('../load/put-probe.ts')).putProbe,
};
