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

/** From now on it lets out everything. */
export function letOutAll(router: Namespace): Promise<void> {
  return router.nft('delete table inet inspection\n');
}

/** How many packets were refused for their port, refused for not being TLS, and let out as the beginning of it. */
export async function inspected(router: Namespace): Promise<{ notHttps: number; notTls: number; tls: number }> {
  const text = await router.must(['nft', 'list', 'counters', 'table', 'inet', 'inspection']);
  const of = (name: string) =>
    Number(new RegExp(`counter ${name} \\{\\s+packets (\\d+)`).exec(text)?.[1] ?? Number.NaN);
  return { notHttps: of('not_https'), notTls: of('not_tls'), tls: of('tls') };
}
