import { type Endpoint, formatEndpoint } from '../../src/addr/endpoint.js';
import type { Dependence } from '../../src/mesh/nat-class.js';
import type { Random } from '../../src/random.js';

/** A home router's NAT in the terms of RFC 4787, or none. */
export interface NatKind {
  readonly mapping: Dependence;
  readonly filtering: Dependence;
  /** The outer port is the inner one where it is free. */
  readonly preserves: boolean;
}

interface Binding {
  readonly inner: Endpoint;
  readonly port: number;
  /** Whom the inside has sent to through this binding. */
  readonly spokenTo: Set<string>;
}

/** What one router does to datagrams; no timeouts. Counts what leaves it. */
export class NatModel {
  readonly address: string;
  sent = 0;
  readonly #kind: NatKind;
  readonly #random: Random;
  readonly #bindings = new Map<string, Binding>();
  readonly #byPort = new Map<number, Binding>();
  readonly #forwardings = new Map<number, Endpoint>();

  constructor(address: string, kind: NatKind, random: Random) {
    this.address = address;
    this.#kind = kind;
    this.#random = random;
  }

  /** As by UPnP. */
  forward(port: number, inner: Endpoint): void {
    this.#forwardings.set(port, inner);
  }

  /** Forgets all bindings, as a reboot does. */
  reboot(): void {
    this.#bindings.clear();
    this.#byPort.clear();
    this.#forwardings.clear();
  }

  /** A datagram leaves; the endpoint the outside sees it come from. */
  outward(inner: Endpoint, to: Endpoint): Endpoint {
    this.sent++;
    const key = `${formatEndpoint(inner)} ${this.#part(this.#kind.mapping, to)}`;
    const binding = this.#bindings.get(key) ?? this.#bind(key, inner);
    binding.spokenTo.add(to.address).add(formatEndpoint(to));
    return { address: this.address, port: binding.port };
  }

  /** A datagram arrives at an outer port; whom it is for, or undefined. */
  inward(from: Endpoint, port: number): Endpoint | undefined {
    const forwarded = this.#forwardings.get(port);
    if (forwarded) return forwarded;
    const binding = this.#byPort.get(port);
    const { filtering } = this.#kind;
    if (!binding) return undefined;
    return filtering === 'endpoint-independent' || binding.spokenTo.has(this.#part(filtering, from))
      ? binding.inner
      : undefined;
  }

  #part(dependence: Dependence, other: Endpoint): string {
    if (dependence === 'endpoint-independent') return '';
    return dependence === 'address-dependent' ? other.address : formatEndpoint(other);
  }

  #bind(key: string, inner: Endpoint): Binding {
    let { port } = inner;
    while (!this.#kind.preserves || this.#byPort.has(port)) {
      port = 1024 + this.#random.below(64_512);
      if (!this.#byPort.has(port)) break;
    }
    const binding = { inner, port, spokenTo: new Set<string>() };
    this.#bindings.set(key, binding);
    this.#byPort.set(port, binding);
    return binding;
  }
}

const independent = 'endpoint-independent';
const strict = 'address-and-port-dependent';

/** The kinds of the NAT matrix. */
export const natKinds = {
  'endpoint-independent': { mapping: independent, filtering: independent, preserves: true },
  'address-restricted': { mapping: independent, filtering: 'address-dependent', preserves: true },
  'port-restricted': { mapping: independent, filtering: strict, preserves: true },
  symmetric: { mapping: strict, filtering: strict, preserves: false },
} as const satisfies Record<string, NatKind>;
