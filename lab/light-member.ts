import { createSocket, type Socket } from 'node:dgram';
import { join } from 'node:path';
import { Driver, timedClock } from '../daemon/driver.js';
import { joinNetwork } from '../daemon/joining.js';
import { State } from '../daemon/state.js';
import { requireInvitation } from '../src/addr/invitation.js';
import { nodeAddress } from '../src/addr/node-number.js';
import type { ControlEffect, ControlEvent } from '../src/control/contract.js';
import { ControlPlane } from '../src/control/control-plane.js';
import { blobs } from '../src/mesh/effects.js';
import { Mesh } from '../src/mesh/mesh.js';
import { sparseLimits } from '../src/mesh/topology.js';
import { systemRandom } from '../src/random.js';
import { Guard } from '../src/tunnel/guard.js';
import type { Aead } from '../src/tunnel/plane/aead.js';
import type { Arena } from '../src/tunnel/plane/arena.js';
import { InProcessPlane } from '../src/tunnel/plane/in-process.js';

const port = 16696;
/** Tunnels of its own: a few, so that a hundred of them are a light load. */
const ownTunnels = 2;

const icmpv6 = 58;
const echoRequest = 128;
const echoReply = 129;

/**
 * A member without a kernel: the product's own control plane and data plane over one UDP socket, many in one process.
 * It answers pings and relays; it keeps nothing on the disk once it has joined.
 */
export class LightMember {
  readonly address: Uint8Array;
  readonly #driver: Driver<ControlEvent, ControlEffect>;
  readonly #plane: InProcessPlane;
  readonly #socket: Socket;
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;

  /**
   * Redeems the token and runs. `local`: the address of this machine that is its own; `memory`: as of `InProcessPlane`.
   */
  static async join(
    folder: string,
    name: string,
    token: string,
    local: string,
    memory: { readonly arena: Arena; readonly aead: Aead },
  ): Promise<LightMember> {
    const invitation = requireInvitation(token);
    const state = State.open(join(folder, name));
    try {
      await joinNetwork(state, invitation, name);
      const stored = Object.fromEntries(
        Object.entries(blobs).map(([field, blob]) => [field, state.read(blob)]),
      ) as unknown as Parameters<typeof Mesh.restore>[0];
      const mesh = Mesh.restore(stored, systemRandom(), () => Date.now() / 1000);
      if (!mesh) throw new Error(`${name} is no member`);
      const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.bind(port, local, resolve);
      });
      return new LightMember(mesh, invitation.members, socket, local, memory);
    } finally {
      state.close();
    }
  }

  private constructor(
    mesh: Mesh,
    seeds: ReturnType<typeof requireInvitation>['members'],
    socket: Socket,
    local: string,
    memory: { readonly arena: Arena; readonly aead: Aead },
  ) {
    const random = systemRandom();
    const clock = timedClock();
    const { membership } = mesh;
    const cookieSecret = random.bytes(32);
    this.#socket = socket;
    this.address = nodeAddress(membership.network.prefix, membership.number);
    this.#plane = new InProcessPlane({
      random,
      memory,
      guard: (publicKey) => new Guard({ publicKey, cookieSecret, random }),
      toKernel: (packet) => this.#answer(packet),
      // A probe of a path's size may be longer than the device takes.
      toUnderlay: (bytes, to) => socket.send(bytes.slice(), to.port, to.address, () => {}),
    });
    const control = new ControlPlane({
      mesh,
      seeds,
      former: [],
      storedSeqno: undefined,
      random,
      now: clock.now(),
      unixSeconds: () => Date.now() / 1000,
      port,
      endpoints: [],
      mapPort: false,
      ipv6: false,
      relay: { mode: 'yes', limitBitsPerSecond: 0, octetsPerMonth: 0 },
      relayedMonths: [],
      topology: sparseLimits(ownTunnels),
      lanes: 1,
      aesFaster: true,
      counters: (link) => this.#plane.counters(link),
      relayed: () => this.#plane.relayed(),
    });
    this.#driver = new Driver(
      control,
      (effect) => {
        if (effect.kind !== 'plane') return;
        this.#plane.command(effect.command);
        // By the driver's own timer too; the plane looks at its commands when it runs.
        if (!this.#isRunning) setImmediate(() => this.#run());
      },
      clock,
    );
    this.#plane.onEvent((event) => this.#driver.post({ kind: 'plane', event }));
    socket.on('message', (bytes, from) => {
      this.#plane.fromUnderlay(new Uint8Array(bytes), { address: from.address, port: from.port });
      this.#run();
    });
    this.#driver.post({ kind: 'localAddresses', addresses: [{ device: 'eth0', address: local }] });
    this.#run();
  }

  stop(): void {
    this.#isRunning = true;
    clearTimeout(this.#timer);
    this.#driver.stop();
    this.#socket.close();
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    const now = this.#driver.now();
    this.#driver.wake();
    this.#plane.run(now);
    this.#isRunning = false;
    clearTimeout(this.#timer);
    const wait = Math.max(0, Math.min(this.#plane.deadline() - this.#driver.now(), 1000));
    this.#timer = setTimeout(() => this.#run(), Math.ceil(wait));
  }

  /** What a kernel does with an echo request: ends swapped, another type, and the sum by as much less. */
  #answer(packet: Uint8Array): void {
    if (packet.length < 48 || packet[6] !== icmpv6 || packet[40] !== echoRequest) return;
    const answer = packet.slice();
    answer.set(packet.subarray(24, 40), 8);
    answer.set(packet.subarray(8, 24), 24);
    answer[40] = echoReply;
    const view = new DataView(answer.buffer);
    const sum = view.getUint16(42) - ((echoReply - echoRequest) << 8);
    view.setUint16(42, sum < 0 ? sum + 0xffff : sum);
    this.#plane.fromKernel(answer);
  }
}
