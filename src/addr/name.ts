import { MeshError } from '../errors.js';

/** A DNS label in lower case (RFC 1123 §2.1): 1 to 63 letters, digits and inner hyphens. Nodes and apps are named so. */
export const namePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export function isName(text: string): boolean {
  return namePattern.test(text);
}

/** The operator's name in lower case; throws a MeshError when it is none. */
export function requireName(text: string): string {
  const name = text.toLowerCase();
  if (isName(name)) return name;
  throw new MeshError('bad-name', `"${text}" is no name`, 'use 1 to 63 letters, digits and inner hyphens');
}

/** The nearest name to any text, such as a host name: its first label, what does not fit becoming a hyphen. */
export function nameFrom(text: string): string {
  const label = text.toLowerCase().split('.')[0] ?? '';
  const name = label
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return name === '' ? 'node' : name;
}
