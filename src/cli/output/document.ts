/** Views as JSON and YAML. JSON is what the API answers; a service as YAML is the manifest that would make it. */
import { stringify } from 'yaml';

export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Multi-line text as blocks, so that scripts stay readable; nothing is folded. */
export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Several documents in one stream. */
export function formatYamlDocuments(values: readonly unknown[]): string {
  return values.map(formatYaml).join('---\n');
}
