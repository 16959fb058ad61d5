/** Branded names: a string that was checked to be one kind of name does not pass for another. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A service's name, unique in its orchestrator. */
export type ServiceName = Branded<'ServiceName'>;
/** A running copy: `<service>-<number>`; each orchestrator further down appends `.<number>` for its own copies. */
export type InstanceId = Branded<'InstanceId'>;
/** A node or cluster, as its parent knows it: the common name of its certificate. */
export type ChildName = Branded<'ChildName'>;
/** The public half of a token. */
export type TokenId = Branded<'TokenId'>;

/** RFC 1123 label: what DNS, file names, container names and MQTT topics all accept. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const NAME_HINT = 'lower-case letters, digits and "-", at most 63, starting and ending with a letter or digit';

export function isName(text: string): boolean {
  return NAME_PATTERN.test(text);
}
