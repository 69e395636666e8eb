import { type Endpoint, formatEndpoint, isUsableEndpoint } from '../addr/endpoint.js';
import type { RecordedEndpoint } from '../addr/endpoint-record.js';
import { parseIp } from '../addr/ip.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { Prefix } from '../addr/prefix.js';
import type { MappingStatus } from '../upnp/mapping.js';

/** Peers whose view of us is remembered, and how many different views go into our record. */
const maxObservers = 64;
const maxObserved = 2;

/** Where this node may be reached, from the operator, the interfaces, the router and the peers, in that order. */
export class OwnEndpoints {
  readonly #port: number;
  readonly #configured: readonly Endpoint[];
  readonly #network: Prefix;
  #local: readonly Endpoint[] = [];
  #mapped: RecordedEndpoint | undefined;
  readonly #observed = new Map<NodeNumber, Endpoint>();
  readonly #proven = new Set<string>();
  #announced = '';

  constructor(port: number, configured: readonly Endpoint[], network: Prefix) {
    this.#port = port;
    this.#configured = configured;
    this.#network = network;
  }

  setLocal(addresses: readonly string[]): void {
    this.#local = addresses.map((address) => ({ address, port: this.#port }));
  }

  setMapping(status: MappingStatus): void {
    const { state, protocol, externalAddress, externalPort } = status;
    const holds = (state === 'mapped' || state === 'renewing') && protocol && externalAddress && externalPort;
    this.#mapped = holds
      ? { address: externalAddress, port: externalPort, source: protocol, proven: false }
      : undefined;
  }

  /** What a peer says it sees; true when that is news. */
  observe(by: NodeNumber, endpoint: Endpoint): boolean {
    const before = this.#observed.get(by);
    if (before && formatEndpoint(before) === formatEndpoint(endpoint)) return false;
    this.#observed.delete(by);
    if (this.#observed.size >= maxObservers) this.#observed.delete(this.#observed.keys().next().value!);
    this.#observed.set(by, endpoint);
    return true;
  }

  /** A peer reached us there by a datagram we had not asked its address for. */
  prove(endpoint: Endpoint, holds: boolean): void {
    if (holds) this.#proven.add(formatEndpoint(endpoint));
    else this.#proven.delete(formatEndpoint(endpoint));
  }

  /** Each once, by its best source. Nothing inside the overlay: no tunnel runs through itself. */
  list(): RecordedEndpoint[] {
    const found = new Map<string, RecordedEndpoint>();
    const add = (endpoint: Endpoint, source: RecordedEndpoint['source']) => {
      const key = formatEndpoint(endpoint);
      const bytes = parseIp(endpoint.address);
      if (found.has(key) || !bytes || !isUsableEndpoint(endpoint) || this.#network.contains(bytes)) return;
      found.set(key, { ...endpoint, source, proven: this.#proven.has(key) });
    };
    for (const endpoint of this.#configured) add(endpoint, 'configured');
    if (this.#mapped) add(this.#mapped, this.#mapped.source);
    for (const endpoint of this.#local) add(endpoint, 'local');
    for (const endpoint of this.#mostObserved()) add(endpoint, 'observed');
    return [...found.values()];
  }

  /** True once after each change of `list`. */
  takeChange(): boolean {
    const now = JSON.stringify(this.list());
    if (now === this.#announced) return false;
    this.#announced = now;
    return true;
  }

  #mostObserved(): Endpoint[] {
    const votes = new Map<string, { endpoint: Endpoint; count: number }>();
    for (const endpoint of this.#observed.values()) {
      const key = formatEndpoint(endpoint);
      const vote = votes.get(key) ?? { endpoint, count: 0 };
      vote.count++;
      votes.set(key, vote);
    }
    const sorted = [...votes.values()].sort((a, b) => b.count - a.count);
    return sorted.slice(0, maxObserved).map((vote) => vote.endpoint);
  }
}
