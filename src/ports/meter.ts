/** Measures the machine. */
export interface MachineInventory {
  /** As Docker names it: amd64, arm64, arm, riscv64 ... */
  readonly architecture: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly hostname: string;
}

export interface Meter {
  inventory(): Promise<MachineInventory>;
  /** CPU in use since the last call, 0 to 1 over all cores. Cheap: called at every report. */
  load(): number;
}
