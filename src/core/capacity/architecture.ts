/** One name for each CPU architecture: Docker's (GOARCH), whichever of `uname -m`, Docker or Node.js named it. */
const CANONICAL: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'amd64'],
  ['x86-64', 'amd64'],
  ['x64', 'amd64'],
  ['aarch64', 'arm64'],
  ['arm64/v8', 'arm64'],
  ['armhf', 'arm'],
  ['armv6l', 'arm'],
  ['armv7l', 'arm'],
  ['arm/v6', 'arm'],
  ['arm/v7', 'arm'],
  ['i386', '386'],
  ['i686', '386'],
  ['ia32', '386'],
]);

export function canonicalArchitecture(name: string): string {
  const lower = name.toLowerCase();
  return CANONICAL.get(lower) ?? lower;
}
