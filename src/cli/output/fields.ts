/** `Name:    value` lines with the values below each other; a value of several lines hangs below its first. */
export type Field = readonly [name: string, value: string];

export function formatFields(fields: readonly Field[]): string {
  const width = Math.max(...fields.map(([name]) => name.length)) + 3;
  return fields
    .map(([name, value]) => `${`${name}:`.padEnd(width)}${value.replace(/\n/g, `\n${' '.repeat(width)}`)}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('');
}

export function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}
