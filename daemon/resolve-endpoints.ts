import { lookup } from 'node:dns/promises';
import { type Endpoint, parseEndpoint } from '../src/addr/endpoint.js';
import { MeshError } from '../src/errors.js';

/** HOST:PORT as the operator writes it; host names become IPv4 addresses now. Throws a MeshError that names the culprit. */
export async function resolveEndpoints(texts: readonly string[], defaultPort: number): Promise<Endpoint[]> {
  return Promise.all(texts.map((text) => resolveEndpoint(text, defaultPort)));
}

async function resolveEndpoint(text: string, defaultPort: number): Promise<Endpoint> {
  const literal = parseEndpoint(text, defaultPort);
  if (literal) return literal;
  const match = /^([A-Za-z0-9.-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (!match?.[1] || port < 1 || port > 65535) {
    throw new MeshError('bad-endpoint', `"${text}" is no endpoint`, 'write HOST:PORT, such as 192.0.2.1:16696');
  }
  try {
    return { address: (await lookup(match[1], 4)).address, port };
  } catch (cause) {
    throw new MeshError(
      'unknown-host',
      `the host ${match[1]} is not known`,
      'check the name, or write its IPv4 address',
      {
        cause,
      },
    );
  }
}
