/** The parts of an image's name, as POST /images/create wants them. */
export interface ImageReference {
  readonly repository: string;
  /** A tag or a digest, never empty: without one the engine would fetch every tag there is. */
  readonly version: string;
  /** `sha256:...` when the reference pins its content. */
  readonly digest: string | null;
}

/** Splits `registry:5000/group/name:tag@sha256:...`; a port is no tag, and a digest goes before a tag. */
export function parseImageReference(image: string): ImageReference {
  const at = image.indexOf('@');
  const named = at < 0 ? image : image.slice(0, at);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const repository = colon < 0 ? named : named.slice(0, colon);
  if (at >= 0) {
    const digest = image.slice(at + 1);
    return { repository, version: digest, digest };
  }
  return { repository, version: colon < 0 ? 'latest' : named.slice(colon + 1), digest: null };
}
