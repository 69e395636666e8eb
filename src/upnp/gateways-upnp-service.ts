import type { Millis } from '../time.js';
import type { MappingRequest, Refusal, Transport } from './contract.js';
import type { ConnectionService } from './device-description.js';
import { exchange } from './gateways-http.js';
import { actionFailed, encodeCall, errorNumberOf, noSuchEntry, refusalOfFault } from './soap.js';
import { textOf } from './xml.js';

/** Lines of a table that are read, and for how long no further one is begun: a slow router takes a third of a second each. */
const mostLines = 32;
const readingLimit: Millis = 2500;

/** An answer of a service: its XML, or why there is none. `number` is the UPnP error, where the fault had one. */
type Reply =
  | { readonly kind: 'reply'; readonly body: string }
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly number: number | undefined };

type Arguments = readonly (readonly [string, string])[];

/** A line of the router's table, as it shows it. */
export interface TableLine {
  readonly externalPort: number;
  readonly client: string;
  readonly internalPort: number;
  readonly leaseSeconds: number | undefined;
}

/** A connection service of a UPnP router: its address outside, and its table of what is forwarded to this machine. */
export class UpnpService {
  readonly #service: ConnectionService;
  /** Ours, on the router's side. */
  readonly #localAddress: string;

  constructor(service: ConnectionService, localAddress: string) {
    this.#service = service;
    this.#localAddress = localAddress;
  }

  /** As it says, which may be no address at all; or why it says none. */
  async externalAddress(): Promise<string | Refusal> {
    const reply = await this.#call('GetExternalIPAddress', []);
    if (reply.kind === 'refused') {
      return reply.number === actionFailed ? { ...reply.refusal, code: 'not-connected' } : reply.refusal;
    }
    const address = textOf(reply.body, 'NewExternalIPAddress')?.slice(0, 64);
    return address ?? { code: 'malformed', detail: 'no external address' };
  }

  /** What the table has at this port; undefined: nothing; `unknown`: the router does not say. */
  async lineAt(transport: Transport, externalPort: number): Promise<TableLine | 'unknown' | undefined> {
    const reply = await this.#call('GetSpecificPortMappingEntry', keyOf(transport, externalPort));
    if (reply.kind === 'refused') return reply.number === noSuchEntry ? undefined : 'unknown';
    return lineIn(reply.body, externalPort) ?? 'unknown';
  }

  /** The lines of the whole table, as far as it is read, that forward to our port; none after the one at the port asked for, if one is named. */
  async findOurs(transport: Transport, internalPort: number, asked?: number): Promise<TableLine[]> {
    const end = performance.now() + readingLimit;
    const ours: TableLine[] = [];
    for (let index = 0; index < mostLines && performance.now() < end; index++) {
      const reply = await this.#call('GetGenericPortMappingEntry', [['NewPortMappingIndex', `${index}`]]);
      if (reply.kind === 'refused') break;
      const line = lineIn(reply.body, Number(textOf(reply.body, 'NewExternalPort')));
      const isOfTransport = textOf(reply.body, 'NewProtocol') === protocolName(transport);
      if (!line || !isOfTransport || !isPort(line.externalPort) || !this.isOurs(line, internalPort)) continue;
      ours.push(line);
      if (line.externalPort === asked) break;
    }
    return ours;
  }

  isOurs(line: TableLine, internalPort: number): boolean {
    return line.client === this.#localAddress && line.internalPort === internalPort;
  }

  /** Undefined: it says yes. */
  async add(transport: Transport, request: MappingRequest): Promise<Refusal | undefined> {
    const reply = await this.#call('AddPortMapping', [
      ...keyOf(transport, request.externalPort),
      ['NewInternalPort', `${request.internalPort}`],
      ['NewInternalClient', this.#localAddress],
      ['NewEnabled', '1'],
      ['NewPortMappingDescription', 'weft'],
      ['NewLeaseDuration', `${request.leaseSeconds}`],
    ]);
    return reply.kind === 'refused' ? reply.refusal : undefined;
  }

  async remove(transport: Transport, externalPort: number): Promise<void> {
    await this.#call('DeletePortMapping', keyOf(transport, externalPort));
  }

  async #call(action: string, args: Arguments): Promise<Reply> {
    const { type, controlUrl } = this.#service;
    const answer = await exchange({
      url: controlUrl,
      localAddress: this.#localAddress,
      soap: { action: `${type}#${action}`, body: encodeCall(type, action, args) },
    });
    if (answer.kind === 'unusable') return refused({ code: answer.code, detail: answer.detail });
    if (answer.status !== 200) {
      return refused(refusalOfFault(answer.body, answer.status), errorNumberOf(answer.body));
    }
    if (!answer.body.includes(`${action}Response`)) {
      return refused({ code: 'malformed', detail: 'its answer makes no sense' });
    }
    return { kind: 'reply', body: answer.body };
  }
}

function refused(refusal: Refusal, number?: number): Reply {
  return { kind: 'refused', refusal, number };
}

function lineIn(body: string, externalPort: number): TableLine | undefined {
  const client = textOf(body, 'NewInternalClient');
  const lease = textOf(body, 'NewLeaseDuration') ?? '';
  if (client === undefined) return undefined;
  return {
    externalPort,
    client: client.slice(0, 64),
    internalPort: Number(textOf(body, 'NewInternalPort')),
    leaseSeconds: /^\d{1,9}$/.test(lease) ? Number(lease) : undefined,
  };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

function protocolName(transport: Transport): string {
  return transport.toUpperCase();
}

function keyOf(transport: Transport, externalPort: number): Arguments {
  return [
    ['NewRemoteHost', ''],
    ['NewExternalPort', `${externalPort}`],
    ['NewProtocol', protocolName(transport)],
  ];
}
