import type { Patch } from './mutant-build.js';

/**
 * A mistake that no invariant can see, because our own speakers never send what shows it: a test of the routing by
 * itself, which sends it by hand, must notice it.
 */
export interface UnitMutant extends Patch {
  readonly test: string;
  readonly title: string;
}

const hostile = 'test/routing/hostile.test';
const lan = 'test/routing/lan.test';
const pending = 'test/routing/pending-requests.test';
const reader = 'codec/packet-reader.ts';

export const unitMutants: readonly UnitMutant[] = [
  {
    name: 'W1: a body longer than its datagram is read as far as it goes',
    file: reader,
    search: `    if (headerLength + length > bytes.length) return this.#drop('body-beyond-datagram');\n`,
    replace: '',
    test: hostile,
    title: '2: a body longer than the datagram',
  },
  {
    name: 'W2: a TLV may end an octet beyond the body',
    file: reader,
    search: 'if (start > this.#end || end > this.#end) {',
    replace: 'if (start > this.#end + 1 || end > this.#end + 1) {',
    test: hostile,
    title: '5: a TLV that ends beyond the body by one and by two',
  },
  {
    name: 'W2: a sub-TLV may end an octet beyond its TLV',
    file: reader,
    search: `if (body > end || body + bytes[at + 1]! > end) return this.#drop('bad-sub-tlv');`,
    replace: `if (body > end || body + bytes[at + 1]! > end + 1) return this.#drop('bad-sub-tlv');`,
    test: hostile,
    title: '7: a sub-TLV beyond its TLV',
  },
  {
    name: 'W3: a mandatory sub-TLV is passed over like any other',
    file: reader,
    search: `      if (sub >= 128) return this.#drop('mandatory-sub-tlv');\n`,
    replace: '',
    test: hostile,
    title: '8: a mandatory sub-TLV of no octets',
  },
  {
    name: 'W3: a mandatory sub-TLV counts only when it holds something',
    file: reader,
    search: 'if (sub >= 128) return',
    replace: 'if (sub >= 128 && length > 0) return',
    test: hostile,
    title: '8: a mandatory sub-TLV of no octets',
  },
  {
    name: 'W3: only the first sub-TLV is looked at',
    file: reader,
    search: 'if (sub >= 128) return',
    replace: 'if (sub >= 128 && at === start) return',
    test: hostile,
    title: '9: a mandatory sub-TLV behind another',
  },
  {
    name: 'W3: an Update that is ignored sets no parser state',
    file: reader,
    search: `    if (flags & updatePrefixFlag) this.#keepDefault(ae);
    if (flags & updateRouterIdFlag) this.#routerIdFromPrefix(ae);
    if (!this.#subTlvs(Tlv.update, after, end) || this.#isMapped(ae)) return false;`,
    replace: `    if (!this.#subTlvs(Tlv.update, after, end) || this.#isMapped(ae)) return false;
    if (flags & updatePrefixFlag) this.#keepDefault(ae);
    if (flags & updateRouterIdFlag) this.#routerIdFromPrefix(ae);`,
    test: hostile,
    title: '16: an ignored Update still sets the default prefix and the router-id',
  },
  {
    name: 'W4: a Hello with reserved flags is refused',
    file: reader,
    search: '        this.unicastHello = (this.#u16(start) & helloUnicast) !== 0;',
    replace: `        if ((this.#u16(start) & 0x7fff) !== 0) return undefined;
        this.unicastHello = (this.#u16(start) & helloUnicast) !== 0;`,
    test: hostile,
    title: '11: a Hello with every reserved flag set is a multicast Hello',
  },
  {
    name: 'W4: a seqno request whose reserved octet is set is refused',
    file: reader,
    search: '        this.hopCount = bytes[start + 4]!;',
    replace: `        if (bytes[start + 5] !== 0) return undefined;
        this.hopCount = bytes[start + 4]!;`,
    test: hostile,
    title: '26: seqno requests with hop counts, router-ids and reserved octets out of bounds',
  },
  {
    name: 'W6: a router-id of zeros or ones is one, in its own TLV',
    file: reader,
    search: `        this.#hasRouterId = isRouterId(this.#stateHigh, this.#stateLow);
        if`,
    replace: `        this.#hasRouterId = true;
        if`,
    test: hostile,
    title: '18: a router-id cut short, all zeros or all ones names nobody',
  },
  {
    name: 'W6: and in a prefix',
    file: reader,
    search: `    this.#hasRouterId = isRouterId(this.#stateHigh, this.#stateLow);
    if`,
    replace: `    this.#hasRouterId = true;
    if`,
    test: hostile,
    title: '17: a router-id taken from ::/0 or from an IPv4 address',
  },
  {
    name: 'W6: and in a request',
    file: reader,
    search: `        if (!isRouterId(this.routerIdHigh, this.routerIdLow)) return this.#drop('bad-router-id') || undefined;\n`,
    replace: '',
    test: hostile,
    title: '26: seqno requests with hop counts, router-ids and reserved octets out of bounds',
  },
  {
    name: 'W7: a prefix of an unknown encoding ends the packet',
    file: reader,
    search: `      this.#drop(ae === Ae.linkLocal ? 'link-local-prefix' : 'unknown-encoding');`,
    replace: `      this.#drop(ae === Ae.linkLocal ? 'link-local-prefix' : 'unknown-encoding');
      this.#at = this.#end;`,
    test: hostile,
    title: '22: link-local prefixes in Updates and requests',
  },
  {
    name: 'W7: an IHU of an unknown encoding ends the packet',
    file: reader,
    search: `    if (length < 0) return this.#drop('unknown-encoding');`,
    replace: `    if (length < 0) {
      this.#at = this.#end;
      return this.#drop('unknown-encoding');
    }`,
    test: hostile,
    title: '24: an IHU without its address, of an unknown encoding, or for somebody else',
  },
  {
    name: 'W8: IPv4 prefixes of both encodings are compressed by one default',
    file: reader,
    search: 'const known = ae === Ae.ipv6 ? this.#has2 : ae === Ae.ipv4 ? this.#has1 : this.#has4;',
    replace: 'const known = ae === Ae.ipv6 ? this.#has2 : this.#has1 || this.#has4;',
    test: hostile,
    title: '15: octets left out without a default, or with the default of another encoding',
  },
  {
    name: 'W8: the default prefix of one packet is good in the next',
    file: reader,
    search: '    this.#has1 = this.#has2 = this.#has4 = false;\n    this.#hasRouterId = false;',
    replace: '    this.#hasRouterId = false;',
    test: hostile,
    title: '15: octets left out without a default, or with the default of another encoding',
  },
  {
    name: 'W9: a retraction needs a next hop of its family',
    file: reader,
    search: 'if (this.metric === infinity) return true;',
    replace: 'if (this.metric === infinity && hasNextHop) return true;',
    test: hostile,
    title: '20: a retraction needs neither router-id nor next hop',
  },
  {
    name: 'W9: a route is known by its next hop',
    file: 'routes.ts',
    search: '      if (destination) this.#retract(destination, neighbour, now);\n      return;',
    replace: `      const heardBy = destination && neighbour.nextHops.get(destination.row);
      if (destination && (!heardBy || equalBytes(heardBy, reader.nextHop))) this.#retract(destination, neighbour, now);
      return;`,
    test: hostile,
    title: '20: a retraction needs neither router-id nor next hop',
  },
  {
    name: 'W10: a Hello without an interval promises one in 10 ms',
    file: 'hello-history.ts',
    search: '    if (interval > 0) {\n      this.#interval = interval;\n      this.#deadline = now + 1.5 * interval;',
    replace:
      '    if (interval >= 0) {\n      this.#interval = Math.max(10, interval);\n      this.#deadline = now + 1.5 * this.#interval;',
    test: hostile,
    title: '10: Hellos without an interval make no promise and no timer',
  },
  {
    name: 'W14: the next hop of a known route is not refreshed',
    file: 'routes.ts',
    search: 'if (neighbour.interface.lan) this.#noteNextHop(destination, neighbour, nextHop);',
    replace: 'if (neighbour.interface.lan && !known) this.#noteNextHop(destination, neighbour, nextHop);',
    test: lan,
    title: 'the same update by another next hop: packets go there from then on, and nobody else is told',
  },
  {
    name: 'W16: a route that is not heard again is forgotten the first time it expires',
    file: 'routes.ts',
    search: 'if (matrix.refmetric(row, neighbour.column) === infinity) {\n          this.#flush',
    replace: 'if (matrix.refmetric(row, neighbour.column) <= infinity) {\n          this.#flush',
    test: lan,
    title: 'a route nobody repeats expires twice: first infinite, then forgotten',
  },
  {
    name: 'W16: a route in use is not asked for before it expires',
    file: 'routes.ts',
    search:
      'matrix.raise(row, neighbour.column, Flag.asked);\n        this.#ask(destination.prefix.bytes, destination.prefix.length, neighbour, now);',
    replace: 'matrix.raise(row, neighbour.column, Flag.asked);',
    test: lan,
    title: 'a route nobody repeats expires twice: first infinite, then forgotten',
  },
  {
    name: 'W18: split horizon swallows the answer to a request',
    file: 'routes.ts',
    search: 'if (via && via.interface === at && at.splitsHorizon && (flags & Flag.forced) === 0) return false;',
    replace: 'if (via && via.interface === at && at.splitsHorizon) return false;',
    test: lan,
    title:
      'a request for what we do not know is answered by a retraction, whatever covers it, one for what came from there by an update',
  },
  {
    name: 'W19: a request with no hops left is one',
    file: reader,
    search: `        if (this.hopCount === 0) return this.#drop('zero-hop-count') || undefined;\n`,
    replace: '',
    test: hostile,
    title: '26: seqno requests with hop counts, router-ids and reserved octets out of bounds',
  },
  {
    name: 'W19: a request is passed on with its last hop',
    file: 'routes.ts',
    search: 'if (reader.hopCount < 2) return;',
    replace: 'if (reader.hopCount < 1) return;',
    test: hostile,
    title: '26: a request with two hops left goes on with one, and one with one hop no further',
  },
  {
    name: 'W19: a request more than a hundred ahead is dropped',
    file: 'routes.ts',
    search: 'if (!same || ahead === 0 || ahead >= 0x8000) {',
    replace: 'if (ahead > 100 && ahead < 0x8000) return;\n    if (!same || ahead === 0 || ahead >= 0x8000) {',
    test: hostile,
    title: '27: requests for our own seqno move it by one each, and at a bounded rate',
  },
  {
    name: 'W20: waiting requests are kept by prefix alone',
    file: 'pending-requests.ts',
    search: 'return row * 65536 + router;',
    replace: 'return router < 0 ? row : row * 65536;',
    test: pending,
    title: 'requests of two routers for one prefix are two',
  },
  {
    name: 'W20: only the very seqno that was asked for is an answer',
    file: 'pending-requests.ts',
    search: 'if (isNewer(asked.seqno, seqno)) continue;',
    replace: 'if (asked.seqno !== seqno) continue;',
    test: pending,
    title: 'any seqno at least as new as was asked for is an answer, round the ring too; an older one is none',
  },
  {
    name: 'W17: the last copy of a retraction on a LAN counts as heard by all',
    file: 'routes.ts',
    search: 'if (this.#mayBeUnheard(destination, now)) return false;',
    replace: '',
    test: 'test/routing/lan-policy.test',
    title: 'a node’s /64 that a LAN was told of is held for a minute, whoever has acknowledged in the overlay',
  },
  {
    name: 'W17: who was told by unicast alone is not told of the loss',
    file: 'routes.ts',
    search: 'for (const { interface: at, outlet } of this.#toldAlone(destination)) {',
    replace: 'for (const { interface: at, outlet } of this.#toldAlone(destination).slice(0, 0)) {',
    test: 'test/routing/lan-policy.test',
    title: 'a LAN router that asked for what split horizon keeps from the others is told when that is lost',
  },
];
