import type { RouterSpec } from './description.js';

/**
 * The nftables rules of a router with the devices `wan` and `lan`.
 *
 * Linux masquerading alone maps by connection. The endpoint-independent kinds therefore write down each mapping as it
 * is made (`outer`: inner endpoint, hashed into the packet's mark while it can still be seen, to outer endpoint;
 * `inner`: outer port to inner endpoint) and use it for every further destination. Address restriction also writes down
 * who was spoken to. Packets from outside that match nothing are dropped before conntrack keeps them, or a later packet
 * outwards would find its own tuple taken. `sent` counts what the members try to send, by destination. Each boot of the
 * router has a conntrack zone of its own (`rebooted`).
 */
export function routerRules(spec: RouterSpec, external: string): string {
  const nat = spec.nat ?? 'port-restricted';
  const timeout = spec.timeout ?? 120;
  const independent = nat === 'endpoint-independent' || nat === 'address-restricted' || nat === 'port-restricted';
  const random = spec.ports === 'random';
  const hairpin = spec.hairpin === true;
  const lines = (...list: (string | false)[]) => list.filter(Boolean).join('\n    ');

  const admission = {
    'endpoint-independent': 'iifname wan meta l4proto udp dnat ip to udp dport map @inner',
    'address-restricted': 'iifname wan udp dport . ip saddr @spoken dnat ip to udp dport map @inner',
    'port-restricted': false as const,
    symmetric: false as const,
    'udp-blocked': false as const,
  }[nat];

  return `
table inet router {
  map outer { type mark : ipv4_addr . inet_service; flags dynamic,timeout; timeout ${timeout}s; }
  map inner { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout ${timeout}s; }
  set taken { type inet_service; flags dynamic,timeout; timeout ${timeout}s; }
  set spoken { type inet_service . ipv4_addr; flags dynamic,timeout; timeout ${timeout}s; }

  set sent { type ipv4_addr . inet_service; size 65535; flags dynamic; counter; }

  chain upnp_prerouting {}
  chain upnp_postrouting {}
  chain upnp_forward {}

  chain boot {
    type filter hook prerouting priority raw; policy accept;
    ct zone set 1
  }
  chain boot_own {
    type filter hook output priority raw; policy accept;
    ct zone set 1
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ${lines(
      spec.forwards !== false && 'iifname wan jump upnp_prerouting',
      admission,
      hairpin && `iifname lan ip daddr ${external} meta l4proto udp dnat ip to udp dport map @inner`,
    )}
  }
  chain remember {
    type filter hook postrouting priority srcnat - 10; policy accept;
    ${lines(independent && 'meta l4proto udp meta mark set jhash ip saddr . udp sport mod 0xffffffff seed 0x77656674')}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ${lines(
      'oifname wan jump upnp_postrouting',
      independent && 'oifname wan meta l4proto udp snat ip to meta mark map @outer',
      independent && 'oifname wan udp sport @taken masquerade to :1024-65535 fully-random',
      independent && random && 'oifname wan meta l4proto udp masquerade to :1024-65535 fully-random',
      nat === 'symmetric' && 'oifname wan meta l4proto udp masquerade to :1024-65535 fully-random',
      'oifname wan meta nfproto ipv4 masquerade',
      hairpin && 'iifname lan oifname lan ct status dnat meta l4proto udp snat ip to meta mark map @outer',
      hairpin && `iifname lan oifname lan ct status dnat snat ip to ${external}`,
    )}
  }
  chain record {
    type filter hook postrouting priority 150; policy accept;
    ${lines(
      independent && 'oifname wan meta l4proto udp jump note',
      hairpin && 'iifname lan oifname lan ct status dnat meta l4proto udp jump note',
    )}
  }
  chain note {
    update @outer { meta mark : ip saddr . udp sport }
    ct direction original update @inner { udp sport : ct original ip saddr . ct original proto-src }
    ct direction reply update @inner { udp sport : ct reply ip saddr . ct reply proto-src }
    update @taken { udp sport }
    update @spoken { udp sport . ip daddr }
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    iifname lan oifname wan meta l4proto udp update @sent { ip daddr . udp dport }
    ${lines(
      nat === 'udp-blocked' && 'meta l4proto udp drop',
      'ct state established,related accept',
      'iifname lan accept',
      'ct status dnat accept',
      'jump upnp_forward',
    )}
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname wan ct state established,related accept
    iifname wan meta l4proto { icmp, icmpv6 } accept
    iifname wan drop
  }
}
`;
}

/** Makes the router forget its mappings and connections: those it had are in another zone, where nothing finds them. */
export function rebooted(boot: number): string {
  const lists = ['map inet router outer', 'map inet router inner', 'set inet router taken', 'set inet router spoken'];
  const chains = ['boot', 'boot_own'].map(
    (chain) => `flush chain inet router ${chain}\nadd rule inet router ${chain} ct zone set ${1 + boot}\n`,
  );
  return [...lists.map((list) => `flush ${list}\n`), ...chains].join('');
}
