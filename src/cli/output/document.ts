/** Views as YAML: a service as the manifest that would make it. */
import { stringify } from 'yaml';

/** Multi-line text as blocks, so that scripts stay readable; nothing is folded. */
export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Several documents in one stream. */
export function formatYamlDocuments(values: readonly unknown[]): string {
  return values.map(formatYaml).join('---\n');
}
