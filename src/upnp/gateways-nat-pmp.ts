import { createSocket } from 'node:dgram';
import type { Millis } from '../time.js';
import type {
  CheckAnswer,
  CheckDepth,
  Gateway,
  GatewayDescription,
  MapAnswer,
  MappingRequest,
  RefusalCode,
  Transport,
} from './contract.js';
import { noAddress, worthOfExternalAddress } from './external-address.js';
import type { DefaultGateway } from './gateways-routes.js';
import {
  decodeNatPmp,
  encodeAddressRequest,
  encodeMapRequest,
  type NatPmpAnswer,
  natPmpPort,
  opcodeAddress,
  opcodeMap,
} from './nat-pmp.js';

/** When a request is sent again, after the one before: doubling from 250 ms (RFC 6886 §3.1), given up after about 2 s. */
const waits: readonly Millis[] = [250, 500, 1000];

/** NAT-PMP result codes (RFC 6886 §3.5). */
const failures: Readonly<Record<number, { code: RefusalCode; detail: string }>> = {
  1: { code: 'failed', detail: 'result 1, unsupported version' },
  2: { code: 'not-authorised', detail: 'result 2, not authorised' },
  3: { code: 'not-connected', detail: 'result 3, network failure' },
  4: { code: 'no-resources', detail: 'result 4, out of resources' },
};

/** The router spoken to by NAT-PMP, or undefined when it does not answer. */
export async function findNatPmpGateway(gateway: DefaultGateway): Promise<NatPmpGateway | undefined> {
  const answer = await ask(gateway, encodeAddressRequest(), opcodeAddress);
  return answer && new NatPmpGateway(gateway);
}

export class NatPmpGateway implements Gateway {
  readonly description: GatewayDescription;
  readonly #gateway: DefaultGateway;

  constructor(gateway: DefaultGateway) {
    this.#gateway = gateway;
    this.description = {
      id: `nat-pmp ${gateway.address} ${gateway.localAddress}`,
      protocol: 'nat-pmp',
      address: gateway.address,
      name: '',
      localAddress: gateway.localAddress,
    };
  }

  async map(transport: Transport, request: MappingRequest): Promise<MapAnswer> {
    const [address, mapping] = await Promise.all([
      ask(this.#gateway, encodeAddressRequest(), opcodeAddress),
      this.#askMapping(transport, request),
    ]);
    for (const answer of [address, mapping]) {
      if (answer === undefined) return refused('silent', 'no answer over NAT-PMP');
      if (answer.kind === 'failure') {
        const failure = failures[answer.result];
        // miniupnpd says "network failure" for whatever its packet filter refuses: that it has no address is told by the other.
        const code = failure?.code === 'not-connected' && hasAddress(address) ? 'failed' : failure?.code;
        return refused(code ?? 'failed', failure?.detail ?? `result ${answer.result}`);
      }
    }
    if (mapping?.kind !== 'mapping' || address?.kind !== 'address' || mapping.leaseSeconds === 0) {
      return refused('malformed', 'a lease of no time');
    }
    const grant = {
      externalAddress: address.address,
      externalPort: mapping.externalPort,
      leaseSeconds: mapping.leaseSeconds,
    };
    return { kind: 'granted', grant };
  }

  async unmap(transport: Transport, internalPort: number): Promise<void> {
    await this.#askMapping(transport, { internalPort, externalPort: 0, leaseSeconds: 0 });
  }

  /** The epoch tells a reset table of most routers. Some count it from the boot of the machine: only asking again tells. */
  async check(depth: CheckDepth, mapping: MappingRequest): Promise<CheckAnswer> {
    const answer = await ask(this.#gateway, encodeAddressRequest(), opcodeAddress);
    if (answer === undefined) return { answered: false };
    if (answer.kind !== 'address') {
      const hasNone = answer.kind === 'failure' && failures[answer.result]?.code === 'not-connected';
      return hasNone ? { answered: true, externalAddress: noAddress } : { answered: true };
    }
    const seen: CheckAnswer = { answered: true, externalAddress: answer.address, epochSeconds: answer.epochSeconds };
    if (depth === 'pulse') return seen;
    const again = await this.map('udp', mapping);
    return again.kind === 'granted' ? { ...seen, held: again.grant.externalPort === mapping.externalPort } : seen;
  }

  /** Only asking again tells. */
  async holdsTcp(mapping: MappingRequest): Promise<boolean | undefined> {
    const again = await this.#askMapping('tcp', mapping);
    return again?.kind === 'mapping' ? again.externalPort === mapping.externalPort : undefined;
  }

  #askMapping(transport: Transport, request: MappingRequest): Promise<NatPmpAnswer | undefined> {
    const { internalPort, externalPort, leaseSeconds } = request;
    const bytes = encodeMapRequest(transport, internalPort, externalPort, leaseSeconds);
    return ask(this.#gateway, bytes, opcodeMap[transport], internalPort);
  }
}

function hasAddress(answer: NatPmpAnswer | undefined): boolean {
  return answer?.kind === 'address' && worthOfExternalAddress(answer.address) !== 'unusable';
}

function refused(code: RefusalCode, detail: string): MapAnswer {
  return { kind: 'refused', refusal: { code, detail } };
}

/** Of the request that it answers. */
function opcodeOf(answer: NatPmpAnswer): number {
  if (answer.kind === 'failure') return answer.opcode;
  return answer.kind === 'address' ? opcodeAddress : opcodeMap[answer.transport];
}

/**
 * One question and its answer. The socket is connected, so the kernel lets through only what comes from the router's own
 * address and port: an answer of any other machine is never seen (RFC 6886 §3.1).
 */
function ask(
  gateway: DefaultGateway,
  request: Uint8Array,
  opcode: number,
  internalPort?: number,
): Promise<NatPmpAnswer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    let timer: NodeJS.Timeout | undefined;
    const end = (answer: NatPmpAnswer | undefined) => {
      clearTimeout(timer);
      socket.removeAllListeners().on('error', () => {}); // whatever it still reports no longer matters
      resolve(answer);
      socket.close();
    };
    let sent = 0;
    const send = () => {
      if (sent > waits.length) return end(undefined);
      socket.send(request);
      timer = setTimeout(send, waits[sent++] ?? 250);
    };
    socket.on('message', (bytes) => {
      const answer = decodeNatPmp(bytes);
      if (!answer) return;
      if (opcodeOf(answer) !== opcode || (answer.kind === 'mapping' && answer.internalPort !== internalPort)) return;
      end(answer);
    });
    // Refused (ICMP port unreachable): the next attempt may find the router's service started.
    socket.on('error', (error: NodeJS.ErrnoException) => error.code !== 'ECONNREFUSED' && end(undefined));
    socket.on('connect', send);
    socket.bind(0, gateway.localAddress, () => socket.connect(natPmpPort, gateway.address));
  });
}
