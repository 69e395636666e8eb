import { inspect } from 'node:util';
import { toBase32 } from '../../src/base32.js';

/** A secret, and what to call it when it is found. */
export interface Secret {
  readonly name: string;
  readonly octets: Uint8Array;
}

/** Shorter ones would be found by chance. */
const leastOctets = 12;

/**
 * Each form in which octets end up in text: as codecs write them, as JSON writes an array, an object or a Buffer, and
 * as Node shows them in an error or a console. Without brackets and line ends, which `plain` takes out of the text too.
 */
function formsOf(octets: Uint8Array): readonly string[] {
  const buffer = Buffer.from(octets);
  const hex = buffer.toString('hex');
  return [
    hex,
    hex.replace(/..(?!$)/g, '$& '), // <Buffer 0a 1b …>
    hex.replace(/..(?!$)/g, '$&:'),
    buffer.toString('base64').replace(/=+$/, ''),
    buffer.toString('base64url'),
    buffer.toString('latin1'),
    toBase32(octets),
    octets.join(','),
    plain(inspect(octets, { maxArrayLength: null, breakLength: Number.POSITIVE_INFINITY }).replace(/^.*?\[/, '')),
    JSON.stringify({ ...octets }).slice(1, -1),
  ].map((form) => form.toLowerCase());
}

function plain(text: string): string {
  return text
    .replace(/[\s[\]{}]+/g, ' ')
    .replace(/, /g, ',')
    .trim();
}

/** Names of the secrets that stand in the text, in any of those forms, in any case of letters. */
export function secretsIn(text: string, secrets: readonly Secret[]): string[] {
  const texts = [text.toLowerCase(), plain(text).toLowerCase()];
  return secrets
    .filter(({ name, octets }) => {
      if (octets.length < leastOctets) throw new Error(`${name} has only ${octets.length} octets`);
      return formsOf(octets).some((form) => texts.some((each) => each.includes(form)));
    })
    .map(({ name }) => name);
}
