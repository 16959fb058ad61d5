/**
 * From what a user wrote to resources as the API takes them. All files are read and checked before anything
 * is sent, and every finding says `file:line:column: field: message`.
 */
import { isAbsolute, join } from 'node:path';
import { limits } from '../../core/base/limits.ts';
import { ok, type Result, refused } from '../../core/base/result.ts';
import { edgeIoFileSchema, isEdgeIoFile, serviceFromEdgeIo } from '../../core/model/edgeio.ts';
import { CodedError, type ErrorDetail } from '../../core/model/errors.ts';
import { API_VERSION, type ServiceResource, serviceSchema } from '../../core/model/service.ts';
import { type Finding, validate } from '../../core/model/validation.ts';
import type { Shell } from '../shell.ts';
import { decode, type ManifestSource, readFileBounded, readSources } from './sources.ts';
import { type Path, parseYamlDocuments, type YamlDocument } from './yaml-documents.ts';

export interface Manifest {
  readonly resource: ServiceResource;
  readonly file: string;
  readonly line: number;
}

const KINDS = ['Service'];

/** Throws `invalid_manifest` with all findings of all files, or `too_large`. */
export async function readManifests(shell: Pick<Shell, 'stdin' | 'cwd'>, paths: readonly string[]): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  const problems: ErrorDetail[] = [];
  const seen = new Map<string, Manifest>();
  for (const source of await readSources(shell, paths)) {
    const documents = parseYamlDocuments(source.name, source.text);
    if (!documents.ok) {
      problems.push(...documents.error);
      continue;
    }
    if (documents.value.length === 0) problems.push({ file: source.name, field: '', message: 'is empty' });
    for (const document of documents.value) {
      const outcome = await readDocument(source, document);
      if (!outcome.ok) {
        problems.push(...outcome.error);
        continue;
      }
      const manifest = { resource: outcome.value, file: source.name, line: document.start.line };
      const { name } = manifest.resource.metadata;
      const first = seen.get(name);
      if (first)
        problems.push(
          at(source, document, ['metadata', 'name'], `Service ${name} was given before, in ${first.file}:${first.line}`),
        );
      else seen.set(name, manifest);
      manifests.push(manifest);
    }
  }
  if (problems.length > 0) throw new CodedError('invalid_manifest', '', problems);
  if (manifests.length > limits.manifestDocuments)
    throw new CodedError('too_large', `${manifests.length} resources at once, at most ${limits.manifestDocuments}`);
  return manifests;
}

type Read = Result<ServiceResource, readonly ErrorDetail[]>;

async function readDocument(source: ManifestSource, document: YamlDocument): Promise<Read> {
  if (!isObject(document.value))
    return refused([at(source, document, [], 'expected a resource: apiVersion, kind, metadata and spec')]);
  if (isEdgeIoFile(document.value)) {
    const file = validate(edgeIoFileSchema, document.value);
    if (!file.ok) return refused(file.error.map((finding) => placed(source, document, finding)));
    return checked(source, document, serviceFromEdgeIo(file.value));
  }
  const header = checkHeader(source, document, document.value);
  if (header.length > 0) return refused(header);
  const script = await withScript(source, document, document.value);
  return script.ok ? checked(source, document, script.value) : script;
}

function checked(source: ManifestSource, document: YamlDocument, value: unknown): Read {
  const outcome = validate(serviceSchema, value);
  return outcome.ok ? ok(outcome.value) : refused(outcome.error.map((finding) => placed(source, document, finding)));
}

/** A file for another system gets one clear sentence, not the list of all that a Service lacks. */
function checkHeader(source: ManifestSource, document: YamlDocument, value: Record<string, unknown>): ErrorDetail[] {
  const problems: ErrorDetail[] = [];
  const { apiVersion, kind } = value;
  if (apiVersion === undefined) problems.push(at(source, document, ['apiVersion'], `is missing; expected ${API_VERSION}`));
  else if (apiVersion !== API_VERSION)
    problems.push(at(source, document, ['apiVersion'], `expected ${API_VERSION}, got ${show(apiVersion)}`));
  if (kind === undefined) problems.push(at(source, document, ['kind'], `is missing; known kinds: ${KINDS.join(', ')}`));
  else if (typeof kind !== 'string' || !KINDS.includes(kind))
    problems.push(at(source, document, ['kind'], `unknown kind ${show(kind)}; known kinds: ${KINDS.join(', ')}`));
  return problems;
}

/** `scriptFile` is a convenience of manifests alone: the API knows `script`. */
async function withScript(
  source: ManifestSource,
  document: YamlDocument,
  value: Record<string, unknown>,
): Promise<Result<Record<string, unknown>, readonly ErrorDetail[]>> {
  const { spec } = value;
  if (!isObject(spec) || spec.runtime !== 'python' || spec.scriptFile === undefined) return ok(value);
  const problem = (message: string) => refused([at(source, document, ['spec', 'scriptFile'], message)]);
  const { scriptFile, ...rest } = spec;
  if (rest.script !== undefined) return problem('give script or scriptFile, not both');
  if (typeof scriptFile !== 'string' || scriptFile === '') return problem('expected the path of a file');
  const path = isAbsolute(scriptFile) ? scriptFile : join(source.directory, scriptFile);
  try {
    const script = decode(scriptFile, await readFileBounded(path, scriptFile, limits.scriptBytes));
    return ok({ ...value, spec: { ...rest, script } });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return problem(`${scriptFile} ${error.details[0]?.message ?? error.message}`);
  }
}

function placed(source: ManifestSource, document: YamlDocument, finding: Finding): ErrorDetail {
  const ofKey = finding.message.startsWith('unknown field');
  return { file: source.name, ...document.placeOf(finding.path, ofKey), field: finding.field, message: finding.message };
}

function at(source: ManifestSource, document: YamlDocument, path: Path, message: string): ErrorDetail {
  return { file: source.name, ...document.placeOf(path, false), field: path.join('.'), message };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 64);
}
