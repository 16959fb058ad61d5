/**
 * A registry of one image on loopback, for tests of pulling: just enough of the distribution API (OCI
 * Distribution Specification 1.1, "Pulling manifests", "Pulling blobs") for an engine to fetch by tag and by digest.
 * Engines take registries on 127.0.0.0/8 without TLS.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeBusyboxTar } from './docker.ts';

const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const CONFIG = 'application/vnd.docker.container.image.v1+json';
const LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

export interface RegistryRig {
  /** `127.0.0.1:PORT/busybox`, without a tag; its only tag is `1`. */
  readonly repository: string;
  /** Of the manifest: `sha256:...` */
  readonly digest: string;
  /** Requests for the layer: how often the image was really fetched. */
  layerRequests(): number;
  /** From now on layers are not answered before this is called again with false. */
  holdLayers(hold: boolean): void;
  stop(): Promise<void>;
}

export async function startRegistryRig(): Promise<RegistryRig> {
  const blobs = new Map<string, { readonly type: string; readonly content: Buffer }>();
  const add = (type: string, content: Buffer): string => {
    const digest = sha256(content);
    blobs.set(digest, { type, content });
    return digest;
  };
  const tar = await busyboxTar();
  const layer = gzipSync(tar);
  const config = Buffer.from(
    JSON.stringify({
      architecture: { x64: 'amd64', arm64: 'arm64', arm: 'arm' }[process.arch as string] ?? process.arch,
      os: 'linux',
      config: { Cmd: ['sh'] },
      rootfs: { type: 'layers', diff_ids: [sha256(tar)] },
      history: [{ created_by: 'test' }],
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, size: config.length, digest: add(CONFIG, config) },
      layers: [{ mediaType: LAYER, size: layer.length, digest: add(LAYER, layer) }],
    }),
  );
  const digest = add(MANIFEST, manifest);

  let layerRequests = 0;
  let held: (() => void)[] | null = null;
  const server = createServer((request, response) => {
    const [, kind, reference = ''] = /^\/v2\/busybox\/(manifests|blobs)\/(.+)$/.exec(request.url ?? '') ?? [];
    const blob = blobs.get(kind === 'manifests' && reference === '1' ? digest : reference);
    if (request.url === '/v2/') return void response.end('{}');
    if (blob === undefined)
      return void response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
    const answer = () => {
      response.writeHead(200, {
        'content-type': blob.type,
        'content-length': blob.content.length,
        'docker-content-digest': sha256(blob.content),
      });
      response.end(request.method === 'HEAD' ? undefined : blob.content);
    };
    if (blob.type !== LAYER) return answer();
    layerRequests++;
    if (held === null) answer();
    else held.push(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  return {
    repository: `127.0.0.1:${address.port}/busybox`,
    digest,
    layerRequests: () => layerRequests,
    holdLayers(hold) {
      const waiting = held ?? [];
      held = hold ? waiting : null;
      if (!hold) for (const answer of waiting) answer();
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function busyboxTar(): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-registry-'));
  try {
    const tarPath = join(directory, 'layer.tar');
    await writeBusyboxTar(directory, tarPath, 'from the registry');
    return await readFile(tarPath);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
