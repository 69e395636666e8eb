import { networkInterfaces } from 'node:os';
import { formatIp, type IpBytes, isIpv4Bytes, parseIp } from '../src/addr/ip.js';
import type { Prefix } from '../src/addr/prefix.js';
import { MeshError } from '../src/errors.js';
import type { LanPolicy, SpeakerEvent } from '../src/routing/contract.js';
import type { Millis } from '../src/time.js';
import type { HealthItem } from './api.js';
import type { Config } from './config.js';
import type { LanDevice } from './lan/device.js';
import { type KernelView, networksOf, readKernelView } from './lan/kernel-view.js';
import { Lans } from './lan/lans.js';
import { lanPolicy, originated } from './lan/policy.js';
import { monotonicMicros } from './lan/sockets.js';
import type { Log } from './log.js';

/** IP and UDP header of IPv6, taken off the MTU (RFC 8966 §4). */
const headers = 48;

/** What the LANs need of the node around them. */
export interface LanSurroundings {
  readonly network: Prefix;
  readonly log: Log;
  /** The clock of what is told. */
  now(): Millis;
  /** What our certificate grants now. */
  grants(): readonly Prefix[];
  tell(event: SpeakerEvent): void;
  /** `Host.forward`. */
  forward(devices: readonly string[]): readonly string[];
  /** `forwarding-on` and the like, for the log and `weft events`. */
  said(code: string, detail: string): void;
}

/**
 * The LANs of `[[babel.interface]]`: their sockets, what may pass between them and the overlay, and the networks connected to
 * them that we originate. What the kernel is connected to and what our certificate grants may change at any time: `refresh`
 * looks again, and tells the speaker only what is different.
 */
export class LanBabel {
  readonly #interfaces: Config['babel']['interface'];
  readonly #devices: ReadonlySet<string>;
  readonly #first: number;
  readonly #around: LanSurroundings;
  readonly #lans: Lans | undefined;
  readonly #up = new Map<string, LanDevice>();
  /** What the speaker was told of each LAN. */
  readonly #told = new Map<string, string>();
  readonly #troubles = new Map<string, MeshError>();
  #originated = new Map<string, Prefix>();
  #refreshing = false;
  #refreshAgain = false;

  constructor(interfaces: Config['babel']['interface'], firstInterface: number, around: LanSurroundings) {
    this.#interfaces = interfaces;
    this.#devices = new Set(interfaces.map((lan) => lan.device!));
    this.#first = firstInterface;
    this.#around = around;
    if (interfaces.length === 0) return;
    this.#lans = new Lans(
      interfaces.map((lan) => lan.device!),
      {
        up: (device) => {
          this.#up.set(device.name, device);
          this.#troubles.delete(device.name);
          this.refresh();
        },
        down: (name) => {
          this.#up.delete(name);
          this.#told.delete(name);
          around.tell({ kind: 'interfaceDown', interface: this.#numberOf(name) });
          this.refresh();
        },
        received: (name, packet) =>
          around.tell({
            kind: 'packetReceived',
            interface: this.#numberOf(name),
            from: packet.source,
            bytes: packet.bytes,
            receivedAt: around.now() - (monotonicMicros() - packet.receivedAt) / 1000,
          }),
        trouble: (name, error) => {
          this.#troubles.set(name, error);
          around.log.warn(error.message, { device: name, code: error.code, cure: error.cure });
        },
      },
    );
  }

  send(interfaceNumber: number, bytes: Uint8Array, to: IpBytes | 'multicast'): void {
    this.#lans?.send(this.deviceOf(interfaceNumber), bytes, to === 'multicast' ? undefined : to);
  }

  deviceOf(interfaceNumber: number): string {
    return this.#interfaces[interfaceNumber - this.#first]?.device ?? '';
  }

  /** Our IPv4 address that others accept packets from: in a network we originate. */
  ipv4Source(): string | undefined {
    const own = ownAddresses().filter(isIpv4Bytes);
    const source = own.find((address) => [...this.#originated.values()].some((prefix) => prefix.contains(address)));
    return source && formatIp(source);
  }

  /** What an operator should know: a LAN that does not work, and why. */
  health(): HealthItem[] {
    const items = [...this.#troubles.values()].map(
      (error): HealthItem => ({ code: error.code, severity: 'warning', message: error.message, fix: error.cure }),
    );
    for (const { device } of this.#interfaces) {
      if (this.#up.has(device!) || this.#troubles.has(device!)) continue;
      items.push({
        code: 'babel-interface-down',
        severity: 'warning',
        message: `${device} of [[babel.interface]] is not there, is down, or has no usable IPv6 link-local address`,
        fix: `look at "ip addr show dev ${device}"`,
      });
    }
    return items;
  }

  /** Call when addresses, routes or our certificate may have changed. */
  refresh(): void {
    if (this.#refreshing) {
      this.#refreshAgain = true;
      return;
    }
    this.#refreshing = true;
    const view = this.#lans ? readKernelView(this.#devices) : Promise.resolve(unseen);
    void view
      .then((view) => this.#apply(view))
      .catch((cause) => this.#around.log.warn('the network cannot be watched', { reason: String(cause) }))
      .finally(() => {
        this.#refreshing = false;
        if (!this.#refreshAgain) return;
        this.#refreshAgain = false;
        this.refresh();
      });
  }

  #apply(view: KernelView): void {
    const grants = this.#around.grants();
    if (this.#up.size > 0) this.#forward();
    for (const device of this.#up.values()) this.#tellOf(device, grants, view);
    const wanted = originated(networksOf(view, this.#devices), ownAddresses(), grants, this.#around.network);
    const before = this.#originated;
    this.#originated = new Map(wanted.map((prefix) => [prefix.key, prefix]));
    for (const prefix of wanted) {
      if (!before.has(prefix.key)) this.#around.tell({ kind: 'originate', prefix, metric: 0 });
    }
    for (const [key, prefix] of before) {
      if (!this.#originated.has(key)) this.#around.tell({ kind: 'withdraw', prefix });
    }
  }

  #tellOf(device: LanDevice, grants: readonly Prefix[], view: KernelView): void {
    const lan = this.#interfaces.find((one) => one.device === device.name)!;
    const rules = { device: device.name, import: lan.import, export: lan.export };
    const policy = lanPolicy(rules, grants, view, ownAddresses(device.name));
    const text = policyText(policy);
    const before = this.#told.get(device.name);
    if (before === text) return;
    this.#told.set(device.name, text);
    const number = this.#numberOf(device.name);
    if (before !== undefined) {
      this.#around.tell({ kind: 'lanPolicyChanged', interface: number, policy });
      return;
    }
    this.#around.tell({
      kind: 'lanUp',
      interface: number,
      ownAddress: device.linkLocal,
      mtu: device.mtu - headers,
      options: {
        ...policy,
        type: lan.type,
        helloInterval: lan.helloInterval,
        updateInterval: lan.updateInterval,
        ...(device.ipv4 ? { ownIpv4: device.ipv4 } : {}),
      },
    });
  }

  #forward(): void {
    const { said, forward } = this.#around;
    try {
      const changed = forward([...this.#up.keys()]);
      this.#troubles.delete(forwardingTrouble);
      if (changed.length > 0) said('forwarding-on', `for [[babel.interface]]: ${changed.join(', ')}`);
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      if (!this.#troubles.has(forwardingTrouble)) said(error.code, `${error.message}; ${error.cure}`);
      this.#troubles.set(forwardingTrouble, error);
    }
  }

  close(): void {
    this.#lans?.close();
  }

  #numberOf(device: string): number {
    return this.#first + this.#interfaces.findIndex((lan) => lan.device === device);
  }
}

/** Who has no LAN originates none of it, and imports nothing that could meet one. */
const unseen: KernelView = { connected: [], gateways: [] };

/** A key of `#troubles` that is no device's name. */
const forwardingTrouble = '';

function policyText(policy: LanPolicy): string {
  return Object.values(policy)
    .map((list: readonly Prefix[]) =>
      list
        .map((prefix) => prefix.key)
        .sort()
        .join(' '),
    )
    .join(' | ');
}

/** Of all devices; with the name of one, without the link-local ones of others, which others may have there. */
function ownAddresses(device?: string): IpBytes[] {
  return Object.entries(networkInterfaces())
    .flatMap(([name, list = []]) =>
      list.filter((entry) => device === undefined || name === device || !/^fe[89ab]/.test(entry.address)),
    )
    .map((entry) => parseIp(entry.address))
    .filter((address) => address !== undefined);
}
