import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { appAddress } from '../src/addr/app-address.js';
import { requireInvitation } from '../src/addr/invitation.js';
import { formatIp, type IpBytes } from '../src/addr/ip.js';
import { nameFrom, requireName } from '../src/addr/name.js';
import { requireNetworkPrefix } from '../src/addr/network.js';
import { nodeAddress } from '../src/addr/node-number.js';
import { type Prefix, parsePrefix } from '../src/addr/prefix.js';
import { nodeKey } from '../src/addr/public-key.js';
import { encodeSeeds } from '../src/control/seeds.js';
import { MeshError } from '../src/errors.js';
import * as commands from '../src/mesh/commands.js';
import { blobs, type MeshEffect } from '../src/mesh/effects.js';
import { foundNetwork } from '../src/mesh/found.js';
import { importIdentity } from '../src/mesh/identity-copy.js';
import { requireStranger } from '../src/mesh/join-errors.js';
import { Mesh } from '../src/mesh/mesh.js';
import type { NatClass } from '../src/mesh/nat-class.js';
import { meant } from '../src/near.js';
import { systemRandom } from '../src/random.js';
import { isAesFaster } from '../src/tunnel/plane/linux-cipher-speed.js';
import { memberStatus, membershipInfo, peerRows, routeRows, why } from './answers.js';
import {
  type AppRow,
  type DoctorCheck,
  type Emit,
  type Grant,
  type InitOptions,
  type Invitation,
  type InviteOptions,
  type IssuerRow,
  type JoinOptions,
  type LogLine,
  type Membership,
  type NetworkInfo,
  type NodeApi,
  type NodeEvent,
  type Peer,
  type PingOptions,
  type PingReply,
  type Resolved,
  type RouteRow,
  type SealedExport,
  type Status,
  schema,
  type TopFrame,
  type TraceHop,
  type Why,
} from './api.js';
import { runDoctor } from './doctor/doctor.js';
import type { LanFacts } from './doctor/facts.js';
import { sendEcho } from './echo.js';
import { joinNetwork } from './joining.js';
import { Host } from './kernel/host.js';
import { followLog } from './log.js';
import { Member } from './member.js';
import type { NodeSetting, RestingNode, RunningNode } from './node-contract.js';
import { resolveEndpoints } from './resolve-endpoints.js';
import { resolveName, resolveTarget } from './resolve-name.js';

const unixSeconds = () => Date.now() / 1000;

/** Blobs beside those of the mesh that belong to a membership and go with it. */
const otherBlobs = ['routing', 'seeds', 'apps', 'neighbours'];
const maxHops = 32;
const nothingKnown: NatClass = {
  translated: undefined,
  mapping: undefined,
  filtering: undefined,
  portPreservation: undefined,
};

/** Wires control plane, plane, kernel and state together and runs them. Without a membership in the state it only answers. */
export async function startNode(setting: NodeSetting): Promise<RunningNode> {
  const node = new Node(setting);
  await node.start();
  return { api: node, stop: () => node.stop(), failed: node.failed };
}

/** The node at rest: init, join, leave and what can be told from the state folder alone; others throw `absence`, "no-daemon". */
export async function offline(setting: NodeSetting, absence: MeshError): Promise<RestingNode> {
  const node = new Node(setting, absence);
  await node.start();
  return { api: node, stop: () => node.stop() };
}

/** All that can be asked of this machine's node, running or at rest; with a membership or without. */
class Node implements NodeApi {
  readonly failed: Promise<Error>;
  readonly #setting: NodeSetting;
  /** No daemon runs: what it takes one for is answered by this. */
  readonly #absence: MeshError | undefined;
  readonly #startedAt = performance.now();
  #mesh: Mesh | undefined;
  #member: Member | undefined;
  /** Why a daemon that belongs to a network does not run in it. */
  #blocked: MeshError | undefined;
  #fail: (error: Error) => void = () => {};
  /** One change of membership at a time. */
  #changing = false;

  constructor(setting: NodeSetting, absence?: MeshError) {
    this.#setting = setting;
    this.#absence = absence;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  /** Reads the state; a daemon then runs what it finds. Throws a MeshError when either cannot be. */
  async start(): Promise<void> {
    const { state } = this.#setting;
    const stored = {
      identity: state.read(blobs.identity),
      membership: state.read(blobs.membership),
      issuer: state.read(blobs.issuer),
      networkKey: state.read(blobs.networkKey),
      directory: state.read(blobs.directory),
    };
    this.#mesh = Mesh.restore(stored, systemRandom(), unixSeconds);
    stored.identity?.fill(0);
    stored.networkKey?.fill(0);
    if (!this.#mesh || this.#absence) return;
    this.#member = await Member.start(this.#setting, this.#mesh);
    void this.#member.failed.then((error) => this.#fail(error));
  }

  async stop(): Promise<void> {
    await this.#member?.stop();
    this.#member = undefined;
  }

  status(): Status {
    const { config, version } = this.#setting;
    const critical = config.critical.map((one) => one.node!);
    if (this.#member) return memberStatus(this.#member, version, config.tun, critical, config.tls.listen);
    return {
      schema,
      version,
      uptimeSeconds: Math.floor((performance.now() - this.#startedAt) / 1000),
      node: this.#mesh ? membershipInfo(this.#mesh).node : null,
      network: this.#mesh ? membershipInfo(this.#mesh).network : null,
      tun: null,
      cipher: isAesFaster() ? 'aes-256-gcm' : 'chacha20-poly1305',
      workers: 0,
      endpoints: [],
      portMapping: {
        state: config.portMapping.enabled ? 'absent' : 'disabled',
        protocol: null,
        gateway: null,
        externalAddress: null,
        externalPort: null,
        leaseSeconds: null,
        reason: null,
        tcp: null,
      },
      tunnels: { up: 0, total: 0, overTcp: 0, overTls: 0 },
      tls: null,
      routes: { selected: 0, total: 0 },
      health: this.#whyNotRunning().map(({ code, message, cure }) => ({ code, severity: 'error', message, fix: cure })),
      fallbacks: [],
      drops: {},
    };
  }

  peers(): Peer[] {
    return peerRows(this.#requireMember());
  }

  routes({ target }: { readonly target?: string }): RouteRow[] {
    return routeRows(this.#requireMember(), target);
  }

  why({ target }: { readonly target: string }): Why {
    return why(this.#requireMember(), target);
  }

  init(options: InitOptions): Promise<Membership> {
    return this.#change(async () => {
      this.#requireNoNetwork();
      this.#keepOldNetworkKey();
      const prefix = options.prefix === undefined ? {} : { prefix: requireNetworkPrefix(options.prefix) };
      const { effects } = foundNetwork({ name: this.#ownName(options.name), ...prefix }, systemRandom(), unixSeconds);
      this.#store(effects);
      return this.#begin();
    });
  }

  async invite(options: InviteOptions): Promise<Invitation> {
    const member = this.#requireMember();
    const endpoints = await resolveEndpoints(options.endpoints ?? [], member.plane.capabilities().port);
    const lan = (options.lan ?? []).map(requirePrefix);
    const command = {
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.expiresSeconds === undefined ? {} : { lifetime: options.expiresSeconds }),
      ...(options.as === undefined ? {} : { as: options.as }),
      endpoints,
      lan,
    };
    const isThere = (node: number) => member.control.forwarding.choices(node).length > 0;
    const { value, effects } = commands.invite(this.#requireMesh(), command, isThere);
    member.order(effects);
    return {
      token: value.token,
      name: value.name ?? null,
      issuer: value.issuer,
      expires: new Date(value.expires * 1000).toISOString(),
      warning: value.warning ?? null,
    };
  }

  join(options: JoinOptions): Promise<Membership> {
    return this.#change(async () => {
      const { state } = this.#setting;
      const invitation = requireInvitation(options.token);
      requireStranger(this.#mesh?.membership, invitation);
      if (this.#blocked) throw this.#blocked;
      // Before the membership: a crash between the two must not leave a member that knows nobody.
      state.write('seeds', encodeSeeds(invitation.members));
      await joinNetwork(state, invitation, this.#ownName(options.name));
      return this.#begin();
    });
  }

  leave(options: { readonly force?: boolean }): Promise<Membership> {
    return this.#change(async () => {
      const mesh = this.#requireMesh();
      if (mesh.networkKey && !mesh.networkKey.isExported && !options.force) {
        throw new MeshError(
          'network-key-only-here',
          'the only copy of the network key is on this machine',
          'keep one elsewhere with "weft network-key export FILE", or give it up with "weft leave --force"',
        );
      }
      const info = membershipInfo(mesh);
      const { state, config } = this.#setting;
      if (!mesh.networkKey) this.#keepOldNetworkKey();
      if (this.#member) await this.#member.stop(true);
      else await new Host(config.tun.name).remove();
      this.#member = undefined;
      this.#mesh = undefined;
      this.#blocked = undefined;
      // The membership goes first: whatever a crash leaves behind it is no member any more.
      for (const name of [blobs.membership, ...Object.values(blobs), ...otherBlobs]) state.remove(name);
      return info;
    });
  }

  issuerAdd({ name }: { readonly name: string }): IssuerRow {
    const mesh = this.#requireMesh();
    const member = this.#requireMember();
    const { value, effects } = commands.addIssuer(mesh, name, unixSeconds(), member.now());
    member.order(effects);
    return this.issuerList().find((row) => row.id === nodeKey(value.key))!;
  }

  issuerList(): IssuerRow[] {
    const mesh = this.#requireMesh();
    const own = nodeKey(mesh.membership.identity.signing.publicKey);
    const ownName = mesh.membership.chain.node.name;
    return commands.listIssuers(mesh).map((issuer) => ({
      name: issuer.name ?? (issuer.id === own ? ownName : issuer.id),
      id: issuer.id,
      prefix: issuer.prefix,
      self: issuer.id === own,
      revoked: issuer.state === 'revoked',
    }));
  }

  issuerRevoke({ name, stolen }: { readonly name: string; readonly stolen?: boolean }): IssuerRow {
    const member = this.#requireMember();
    const options = { stolen: stolen === true, wallClock: unixSeconds() };
    const { value, effects } = commands.endIssuer(this.#requireMesh(), name, options, member.now());
    member.order(effects);
    return this.issuerList().find((row) => row.id === value.id)!;
  }

  grant({ name, lan }: { readonly name: string; readonly lan: readonly string[] }): Grant {
    const { value, effects } = commands.grant(this.#requireMesh(), name, lan.map(requirePrefix));
    this.#requireMember().order(effects);
    return { name: value.name, lan: value.lan.map(String) };
  }

  revoke({ name }: { readonly name: string }): { readonly name: string; readonly id: string } {
    const member = this.#requireMember();
    const { value, effects } = commands.revoke(this.#requireMesh(), name, member.now());
    member.order(effects);
    return { name: value.name, id: nodeKey(value.key) };
  }

  networkKeyExport({ passphrase }: { readonly passphrase: string }): SealedExport {
    return { sealed: toText(commands.exportNetworkKey(this.#requireMesh(), systemRandom(), passphrase)) };
  }

  networkKeyKept({ sealed, passphrase }: SealedExport & { readonly passphrase: string }): NetworkInfo {
    const mesh = this.#requireMesh();
    this.#perform(commands.noteNetworkKeyCopy(mesh, fromText(sealed), passphrase).effects);
    return membershipInfo(mesh).network;
  }

  networkKeyRemove(): NetworkInfo {
    const mesh = this.#requireMesh();
    this.#perform(commands.removeNetworkKey(mesh).effects);
    return membershipInfo(mesh).network;
  }

  networkKeyImport({ sealed, passphrase }: SealedExport & { readonly passphrase: string }): NetworkInfo {
    const mesh = this.#requireMesh();
    if (!mesh.networkKey) this.#keepOldNetworkKey();
    this.#perform(commands.importNetworkKey(mesh, fromText(sealed), passphrase).effects);
    return membershipInfo(mesh).network;
  }

  identityExport({ passphrase }: { readonly passphrase: string }): SealedExport {
    const mesh = this.#requireMesh();
    const stored = this.#setting.state.read(blobs.membership)!;
    return { sealed: toText(commands.copyIdentity(mesh, stored, systemRandom(), passphrase)) };
  }

  identityImport({ sealed, passphrase }: SealedExport & { readonly passphrase: string }): Promise<Membership> {
    return this.#change(async () => {
      this.#requireNoNetwork();
      this.#store(importIdentity(fromText(sealed), passphrase, unixSeconds).effects);
      return this.#begin();
    });
  }

  async appAdd({ name }: { readonly name: string }): Promise<AppRow> {
    const member = this.#requireMember();
    const app = requireName(name);
    await member.addApp(app);
    return this.#appRow(app);
  }

  appList(): AppRow[] {
    return this.#requireMember().apps.map((name) => this.#appRow(name));
  }

  async appRemove({ name }: { readonly name: string }): Promise<AppRow> {
    const member = this.#requireMember();
    const app = requireName(name);
    if (!member.apps.includes(app)) {
      const cure = meant(app, member.apps, 'see them with: weft app list');
      throw new MeshError('unknown-app', `no app is called ${app} here`, cure);
    }
    await member.removeApp(app);
    return this.#appRow(app);
  }

  resolve({ target }: { readonly target: string }): Resolved {
    return { name: target, address: formatIp(resolveName(this.#requireMesh(), target)) };
  }

  /** Of a node at rest too: then only the machine has something to say. */
  doctor(): Promise<DoctorCheck[]> {
    const { config } = this.#setting;
    const member = this.#member;
    const apps = member?.apps ?? [];
    const own = this.#mesh ? [formatIp(ownAddress(this.#mesh)), ...apps.map((name) => this.#appRow(name).address)] : [];
    return runDoctor({
      ownAddresses: own,
      node: {
        status: this.status(),
        notRunning: this.#mesh && !member ? this.#whyNoMember() : undefined,
        device: config.tun.name,
        peers: member ? peerRows(member) : [],
        nat: member?.control.reachability.nat() ?? nothingKnown,
        mappingDoubt: member?.control.mapping?.doubt(),
        usesIpv6: config.underlay.ipv6,
        clockFault: this.#mesh?.clock.fault(this.#mesh.membership.newestSigned),
        port: member?.plane.capabilities().port ?? config.listen.port,
        clocksCompared: this.#mesh?.clock.compared ?? 0,
        lan: this.#lanFacts(),
      },
    });
  }

  #lanFacts(): LanFacts | undefined {
    const devices = this.#setting.config.babel.interface.map((lan) => lan.device!);
    if (devices.length === 0) return undefined;
    const granted = this.#mesh?.membership.chain.node.lan ?? [];
    return { devices, carriesIpv4: granted.some((prefix) => prefix.isIpv4) };
  }

  async trace({ target }: { readonly target: string }): Promise<TraceHop[]> {
    const member = this.#requireMember();
    const address = this.#requireWay(target);
    const rows = peerRows(member);
    const hops: TraceHop[] = [];
    for (let hop = 1; hop <= maxHops; hop++) {
      const echo = await sendEcho(address, { hopLimit: hop });
      const peer = rows.find((one) => one.address === echo.from);
      hops.push({
        hop,
        name: peer?.name ?? (echo.from === address ? target : '*'),
        address: echo.from ?? '*',
        rttMs: echo.rttMs ?? null,
        endpoint: peer?.tunnel?.endpoint ?? null,
      });
      const silent = hops.slice(-3).filter((one) => one.rttMs === null).length === 3;
      if (echo.from === address || silent) break;
    }
    return hops;
  }

  async ping(options: PingOptions, emit: Emit<PingReply>, signal: AbortSignal): Promise<void> {
    const member = this.#requireMember();
    const address = this.#requireWay(options.target);
    for (let sequence = 1; sequence <= (options.count ?? Number.POSITIVE_INFINITY) && !signal.aborted; sequence++) {
      const started = performance.now();
      const echo = await sendEcho(address, { ...(options.size === undefined ? {} : { size: options.size }), signal });
      if (signal.aborted) return;
      const via = peerRows(member).find((peer) => peer.address === address)?.via ?? null;
      const rttMs = echo.from === address ? (echo.rttMs ?? null) : null;
      emit({ sequence, address, rttMs, via });
      if (sequence === options.count) return;
      const wait = started + (options.intervalMs ?? 1000) - performance.now();
      await pause(Math.max(0, wait), undefined, { signal }).catch(() => {}); // aborted: the loop sees it
    }
  }

  async top(options: { readonly intervalMs?: number }, emit: Emit<TopFrame>, signal: AbortSignal): Promise<void> {
    this.#requireMember();
    let before = new Map<string, Peer>();
    let beforeAt = performance.now();
    while (!signal.aborted) {
      const at = performance.now();
      const seconds = Math.max(0.001, (at - beforeAt) / 1000);
      const peers = this.peers();
      const rate = (now: number | undefined, then: number | undefined) =>
        now === undefined || then === undefined ? 0 : Math.max(0, Math.round((8 * (now - then)) / seconds));
      emit({
        schema,
        at: new Date().toISOString(),
        status: this.status(),
        peers: peers.map((peer) => ({
          ...peer,
          txBitsPerSecond: rate(peer.tunnel?.txBytes, before.get(peer.id)?.tunnel?.txBytes),
          rxBitsPerSecond: rate(peer.tunnel?.rxBytes, before.get(peer.id)?.tunnel?.rxBytes),
        })),
      });
      before = new Map(peers.map((peer) => [peer.id, peer]));
      beforeAt = at;
      await pause(options.intervalMs ?? 1000, undefined, { signal }).catch(() => {}); // aborted: the loop sees it
    }
  }

  log(options: { readonly level?: string }, emit: Emit<LogLine>, signal: AbortSignal): Promise<void> {
    return followLog(this.#setting.log, options.level, emit, signal);
  }

  async events(_options: Record<never, never>, emit: Emit<NodeEvent>, signal: AbortSignal): Promise<void> {
    const member = this.#requireMember();
    for (const event of member.events()) emit(event);
    const leave = member.follow(emit);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    leave();
  }

  /** Runs what was just stored, or only shows it where no daemon runs. */
  async #begin(): Promise<Membership> {
    try {
      await this.start();
    } catch (error) {
      if (!this.#mesh) throw error;
      // What was stored stays: another "init" or "join" would write over it.
      const { code, message, cure } = asMeshError(error);
      const next = `${cure}; then restart weftd, which belongs to its network already`;
      this.#blocked = new MeshError(code, message, next, { cause: error });
      throw this.#blocked;
    }
    return membershipInfo(this.#requireMesh());
  }

  async #change<T>(work: () => Promise<T>): Promise<T> {
    if (this.#changing) throw busy();
    this.#changing = true;
    try {
      return await work();
    } finally {
      this.#changing = false;
    }
  }

  /** What a command of the operator wants done, with a daemon or without. */
  #perform(effects: readonly MeshEffect[]): void {
    if (this.#member) this.#member.order(effects);
    else this.#store(effects);
  }

  #store(effects: readonly MeshEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'persist') this.#setting.state.write(effect.name, effect.bytes);
      else if (effect.kind === 'forget') this.#setting.state.remove(effect.name);
    }
  }

  #appRow(name: string): AppRow {
    const { membership } = this.#requireMesh();
    return { name, address: formatIp(appAddress(membership.network.prefix, membership.number, name)) };
  }

  #ownName(given: string | undefined): string {
    return given === undefined ? nameFrom(this.#setting.config.name || hostname()) : requireName(given);
  }

  /** The address of a target that is in the overlay, or on a LAN that some node of it announces. */
  #requireWay(target: string): string {
    const { membership } = this.#requireMesh();
    const bytes = resolveTarget(this.#requireMesh(), target);
    const isOverlay = membership.network.prefix.contains(bytes);
    if (isOverlay || routeRows(this.#requireMember(), target).length > 0) return formatIp(bytes);
    throw new MeshError('no-route', `nothing in the overlay leads to ${target}`, `see what would: weft why ${target}`);
  }

  /**
   * A network key without a membership is left of a founding that was killed, or of a network whose membership was damaged and
   * set aside; then it may be the only copy, so it is never written over.
   */
  #keepOldNetworkKey(): void {
    const { state, log } = this.#setting;
    const old = state.read(blobs.networkKey);
    if (!old) return;
    const name = `${blobs.networkKey}-${createHash('sha256').update(old).digest('hex').slice(0, 12)}`;
    state.write(name, old);
    log.warn('the key of another network was here and is kept', { file: `${name}.state` });
  }

  #requireNoNetwork(): void {
    if (!this.#mesh) return;
    if (this.#blocked) throw this.#blocked;
    const { network } = membershipInfo(this.#mesh);
    throw new MeshError(
      'already-member',
      `this machine is a member of network ${network.id} already`,
      'leave it first with "weft leave", or run a second daemon with its own --config, --state and --socket',
    );
  }

  #requireMesh(): Mesh {
    if (this.#mesh) return this.#mesh;
    throw noNetwork();
  }

  /** Nothing where the daemon of a member just does not run. */
  #whyNotRunning(): readonly MeshError[] {
    if (!this.#mesh) return [noNetwork()];
    return this.#blocked ? [this.#blocked] : [];
  }

  #requireMember(): Member {
    this.#requireMesh();
    if (this.#member) return this.#member;
    throw this.#whyNoMember();
  }

  /** Why a node that belongs to a network does not run in it. */
  #whyNoMember(): MeshError {
    return this.#blocked ?? this.#absence ?? busy();
  }
}

function busy(): MeshError {
  return new MeshError('busy', 'this machine is just joining or leaving a network', 'wait for it, then try again');
}

function noNetwork(): MeshError {
  return new MeshError(
    'no-network',
    'this machine belongs to no network',
    'found one with "weft init", or join one with "weft join TOKEN"',
  );
}

function ownAddress({ membership }: Mesh): IpBytes {
  return nodeAddress(membership.network.prefix, membership.number);
}

function requirePrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix) return prefix;
  throw new MeshError('bad-prefix', `"${text}" is no prefix`, 'write it as 192.168.1.0/24 or 2001:db8:1::/64');
}

/** Sealed octets as lines of base64 that survive mail and paper. */
function toText(sealed: Uint8Array): string {
  return `${Buffer.from(sealed)
    .toString('base64')
    .replace(/(.{72})/g, '$1\n')
    .trimEnd()}\n`;
}

function fromText(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

/** What kept the tunnels from starting; our own bug too, which else would leave a member that seems well and does nothing. */
function asMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  const message = `the tunnels did not start: ${error instanceof Error ? error.message : String(error)}`;
  return new MeshError('start-failed', message, 'look at the log and report it', { cause: error });
}
