import { callMethods, type Request, streamMethods } from './api.js';

const known: ReadonlySet<string> = new Set([...callMethods, ...streamMethods]);

/** One line of the admin protocol (daemon/api.ts); undefined when it is no request that this daemon knows. */
export function parseRequest(line: string): Request | undefined {
  try {
    const value = JSON.parse(line) as Partial<Request> | null;
    if (typeof value !== 'object' || value === null || !known.has(value.method ?? '')) return undefined;
    const options = value.options ?? {};
    if (typeof options !== 'object' || Array.isArray(options)) return undefined;
    return { method: value.method!, options };
  } catch {
    return undefined; // not JSON: refused in words
  }
}
