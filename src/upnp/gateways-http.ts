import { request } from 'node:http';
import type { Millis } from '../time.js';

/** What a router's web server said, or why it is not to be used. */
export type HttpAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  | { readonly kind: 'unusable'; readonly code: 'silent' | 'malformed' | 'elsewhere'; readonly detail: string };

/** Far above the descriptions of real routers (2 to 20 KiB), far below what hurts. */
const longestBody = 128 * 1024;
/** For the whole exchange, so that a router which sends an octet a second is given up too. */
const longestWait: Millis = 2000;

export interface HttpCall {
  readonly url: URL;
  /** Bound to, so that the question leaves on the side the router is on. */
  readonly localAddress: string;
  /** A SOAP call: its action header and body. Without it, a GET. */
  readonly soap?: { readonly action: string; readonly body: string };
}

/**
 * One bounded exchange: at most 128 KiB and 2 s in all, nothing but HTTP to the address in the URL, redirects not followed
 * (a router has no business sending us to another machine), connections not kept. Never throws.
 */
export function exchange(call: HttpCall): Promise<HttpAnswer> {
  return new Promise((resolve) => {
    const outgoing = request(call.url, {
      method: call.soap ? 'POST' : 'GET',
      agent: false,
      localAddress: call.localAddress,
      signal: AbortSignal.timeout(longestWait),
      maxHeaderSize: 8192,
      headers: call.soap
        ? {
            'content-type': 'text/xml; charset="utf-8"',
            'content-length': Buffer.byteLength(call.soap.body),
            soapaction: `"${call.soap.action}"`,
            connection: 'close',
          }
        : { connection: 'close' },
    });
    const end = (answer: HttpAnswer) => {
      resolve(answer);
      outgoing.destroy();
    };
    const fail = (error: NodeJS.ErrnoException) =>
      end(
        error.code?.startsWith('HPE_')
          ? { kind: 'unusable', code: 'malformed', detail: 'its answer is not HTTP' }
          : {
              kind: 'unusable',
              code: 'silent',
              detail: error.name === 'AbortError' ? 'no answer in time' : (error.code ?? 'no answer'),
            },
      );
    outgoing.on('error', fail);
    outgoing.on('response', (incoming) => {
      const status = incoming.statusCode ?? 0;
      if (status >= 300 && status < 400) {
        return end({ kind: 'unusable', code: 'elsewhere', detail: `HTTP status ${status}, a redirect` });
      }
      const chunks: Buffer[] = [];
      let length = 0;
      incoming.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > longestBody) {
          return end({
            kind: 'unusable',
            code: 'malformed',
            detail: `its answer is longer than ${longestBody} octets`,
          });
        }
        chunks.push(chunk);
      });
      incoming.on('error', fail);
      incoming.on('end', () => end({ kind: 'answer', status, body: Buffer.concat(chunks).toString('utf8') }));
    });
    outgoing.end(call.soap?.body);
  });
}
