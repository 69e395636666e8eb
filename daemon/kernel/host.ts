import { readFileSync, writeFileSync } from 'node:fs';
import { MeshError } from '../../src/errors.js';
import { readHost, readKernel } from './actual.js';
import { enableForwarding } from './forwarding.js';
import { ipAttempt, ipBatch, isTun, type Link, type Refusal, readLinks } from './ip.js';
import { type HostChanges, type HostPlan, hostChanges, hostTag, leftLans, noEntries, planEntries } from './plan.js';

/** What `apply` did beyond tables: worth a line in the log. */
export interface HostReport {
  /** Devices on which IPv6 was off and is on now. */
  readonly ipv6Enabled: readonly string[];
  /** Commands it took; 0 when all was as wanted. */
  readonly changes: number;
  /** Somebody set the device down that an earlier `apply` had set up. It is left so, and what is behind it unreachable. */
  readonly deviceIsDown: boolean;
  /** Something that `leftLans` finds is kept: see `apply`. */
  readonly keptLeft: boolean;
  /** What the kernel did not take; all else is in it. */
  readonly refused: readonly Refusal[];
}

/**
 * One network's addresses, routes and rule in the kernel. `apply` brings them to a plan from whatever is there, also what an
 * earlier run left behind; nothing is undone when the daemon stops, so that apps see loss and not errors.
 */
export class Host {
  readonly #device: string;
  #queue: Promise<unknown> = Promise.resolve();
  /** From then on who sets the device down means it. */
  #wasSetUp = false;

  constructor(device: string) {
    this.#device = device;
  }

  /**
   * Idempotent; calls are carried out one after the other. Throws MeshError: "no-ipv6", "no-device" when all that does without
   * the device is as planned, and "kernel-refused" when the devices or the tables cannot be read, or the device not be set up.
   * `keepsLeft`: what `leftLans` finds is unreachable, instead of gone.
   */
  apply(plan: HostPlan, keepsLeft = false): Promise<HostReport> {
    return this.#inTurn(async () => {
      const tag = hostTag(this.#device);
      let { entries, links } = await readKernel(tag);
      const changesTo = (hasDevice: boolean) => {
        const left = keepsLeft ? leftLans(entries, plan) : [];
        const wanted = planEntries({ ...plan, lans: [...plan.lans, ...left] }, hasDevice);
        return { ...hostChanges(entries, wanted), keptLeft: left.length > 0 };
      };
      if (!links.some((link) => link.ifname === this.#device)) {
        await carryOut(changesTo(false));
        throw new MeshError('no-device', `the device ${this.#device} is gone`, 'restart weftd: it makes it again');
      }
      const ipv6Enabled = ['lo', this.#device].filter(enableIpv6);
      const deviceIsDown = this.#wasSetUp && !isUp(links.find((link) => link.ifname === this.#device));
      const linkCommands = this.#linkCommands(links, plan);
      await ipBatch('-6', linkCommands);
      this.#wasSetUp = true;
      // The kernel makes and drops entries by itself when a device or its IPv6 comes up.
      if (linkCommands.length + ipv6Enabled.length > 0) ({ entries } = await readKernel(tag));
      const changes = changesTo(!deviceIsDown);
      const refused = await carryOut(changes);
      const { commands6, commands4, keptLeft } = changes;
      const count = linkCommands.length + commands6.length + commands4.length;
      return { ipv6Enabled, changes: count, deviceIsDown, keptLeft, refused };
    });
  }

  /**
   * Lets this machine forward packets between the overlay and these devices of its LANs. Gives the kernel settings that were
   * changed, and throws MeshError "forwarding-off" when one may not be. Never undone: something else may rely on it by then.
   */
  forward(devices: readonly string[]): readonly string[] {
    return enableForwarding([this.#device, ...devices]);
  }

  /** Takes everything away, the device too: for leave and for removal of the package. Needs no plan and no state. */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      const [refused] = await carryOut(hostChanges(await readHost(hostTag(this.#device)), noEntries));
      if (refused) throw refused.problem;
      const links = await readLinks();
      if (links.some((link) => link.ifname === this.#device && isTun(link))) {
        await ipBatch('-6', [`link del ${this.#device}`]);
      }
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work, work);
    this.#queue = turn.catch(() => {});
    return turn;
  }

  #linkCommands(links: readonly Link[], { mtu, segments }: HostPlan): string[] {
    const device = links.find((link) => link.ifname === this.#device);
    const lo = links.find((link) => link.ifname === 'lo');
    const commands: string[] = [];
    if (lo && !isUp(lo)) commands.push('link set lo up');
    if (device?.mtu !== mtu) commands.push(`link set ${this.#device} mtu ${mtu}`);
    if (device?.gso_max_segs !== segments) commands.push(`link set ${this.#device} gso_max_segs ${segments}`);
    // No link-local address, so no router solicitations and multicast reports into the overlay.
    if (!isUp(device) && !this.#wasSetUp) commands.push(`link set ${this.#device} addrgenmode none up`);
    return commands;
  }
}

/** All of both families, whatever of it is refused: a router on a LAN may have had a say in that. */
async function carryOut({ commands6, commands4 }: HostChanges): Promise<readonly Refusal[]> {
  return (await Promise.all([ipAttempt('-6', commands6), ipAttempt('-4', commands4)])).flat();
}

function isUp(link: Link | undefined): boolean {
  return link?.flags.includes('UP') ?? false;
}

/** Switches IPv6 on for one device where a sysctl has it off; true when it did. */
function enableIpv6(device: string): boolean {
  const file = `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`;
  try {
    if (readFileSync(file, 'utf8').trim() === '0') return false;
    writeFileSync(file, '0\n');
    return true;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') {
      throw new MeshError(
        'no-ipv6',
        'the kernel runs without IPv6',
        'remove ipv6.disable=1 from the kernel command line and restart the machine',
        { cause },
      );
    }
    throw new MeshError(
      'ipv6-off',
      `IPv6 is off on ${device} and may not be switched on (${code})`,
      `run as root once: sysctl -w net.ipv6.conf.${device}.disable_ipv6=0`,
      { cause },
    );
  }
}
