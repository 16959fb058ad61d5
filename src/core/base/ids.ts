/** Branded names: a string that was checked to be one kind of name does not pass for another. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** The public half of a token. */
export type TokenId = Branded<'TokenId'>;

/** RFC 1123 label: what DNS, file names, container names and MQTT topics all accept. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const NAME_HINT = 'lower-case letters, digits and "-", at most 63, starting and ending with a letter or digit';

export function isName(text: string): boolean {
  return NAME_PATTERN.test(text);
}
