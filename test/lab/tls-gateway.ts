import type { Namespace } from '../../lab/namespace.js';

/**
 * A network that lets out nothing but TCP to port 443, and there only what begins as TLS does: the first octets a
 * client says must be those of a handshake record (RFC 8446 §5.1), or the connection is reset, as by deep packet
 * inspection.
 */
export async function letOutTlsAlone(router: Namespace): Promise<void> {
  // Segments that carry data and options of 12 octets, the time stamps that Linux sends: what is said begins after 32
  // octets.
  const said = 'tcp doff 8 ct mark 0 ct direction original';
  await router.nft(`
table inet inspection {
  counter not_https {}
  counter not_tls {}
  counter tls {}
  chain forward {
    type filter hook forward priority filter - 1; policy accept;
    iifname lan meta l4proto udp drop
    iifname lan meta l4proto tcp tcp dport != 443 counter name not_https reject with tcp reset
    iifname lan tcp dport 443 tcp flags & psh == psh ${said} @th,256,16 0x1603 ct mark set 0x746c73 counter name tls accept
    iifname lan tcp dport 443 tcp flags & psh == psh ct mark 0 ct direction original counter name not_tls reject with tcp reset
  }
}
`);
}

/** From now on this machine's kernel tells which of its calls over TLS came before plain TCP had had its head start. */
export function watchHeadStart(machine: Namespace): Promise<void> {
  const called = 'tcp flags & (syn|ack) == syn tcp dport';
  // Of 700 ms: those of them in which the daemon prepares its own call are none that the kernel sees.
  return machine.nft(`table inet head_start {
  set recent { type ipv4_addr; flags dynamic,timeout; timeout 400ms; }
  set ever { type ipv4_addr; flags dynamic,timeout; timeout 1h; }
  counter early { }
  counter late { }
  chain out {
    type filter hook output priority 0; policy accept;
    ${called} 16696 add @recent { ip daddr } add @ever { ip daddr }
    ${called} 443 ip daddr @recent counter name early accept
    ${called} 443 ip daddr != @ever counter name early accept
    ${called} 443 counter name late
  }
}
`);
}

/** How many calls over TLS left before plain TCP had had its head start, and how many after it. */
export async function tlsCalls(machine: Namespace): Promise<{ early: number; late: number }> {
  const text = await machine.must(['nft', 'list', 'counters', 'table', 'inet', 'head_start']);
  return { early: packetsOf(text, 'early'), late: packetsOf(text, 'late') };
}

/** From now on it lets out everything. */
export function letOutAll(router: Namespace): Promise<void> {
  return router.nft('delete table inet inspection\n');
}

/** How many packets were refused for their port, refused for not being TLS, and let out as the beginning of it. */
export async function inspected(router: Namespace): Promise<{ notHttps: number; notTls: number; tls: number }> {
  const text = await router.must(['nft', 'list', 'counters', 'table', 'inet', 'inspection']);
  return {
    notHttps: packetsOf(text, 'not_https'),
    notTls: packetsOf(text, 'not_tls'),
    tls: packetsOf(text, 'tls'),
  };
}

function packetsOf(counters: string, name: string): number {
  return Number(new RegExp(`counter ${name} \\{\\s+packets (\\d+)`).exec(counters)?.[1] ?? Number.NaN);
}
