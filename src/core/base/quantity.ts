const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** `64Mi`, `1G`, `1500` as bytes; null when it is not an amount of memory. */
export function parseBytes(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(k|K|M|G|T|Ki|Mi|Gi|Ti)?B?$/.exec(text);
  return match ? Math.round(Number(match[1]) * (BYTES[match[2] ?? ''] as number)) : null;
}

/** Bytes in the largest binary unit that says them exactly, else in plain bytes. */
export function formatBytes(bytes: number): string {
  for (const unit of ['Ti', 'Gi', 'Mi', 'Ki'] as const) {
    const size = BYTES[unit] as number;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}

/** `250m` (thousandths of a core) or `0.25` as cores; null when it is not an amount of CPU. */
export function parseCores(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(m)?$/.exec(text);
  if (!match) return null;
  return match[2] ? Number(match[1]) / 1000 : Number(match[1]);
}

export function formatCores(cores: number): string {
  return Number.isInteger(cores) ? String(cores) : `${Math.round(cores * 1000)}m`;
}
