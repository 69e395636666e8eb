import test from 'ava';
import { classifyNat } from '../../src/mesh/nat-class.js';

const port = 16696;
const home = { address: '11.0.1.1', port };

/** By neighbours at these places: whom they see. Each place is an address of its own, or one with a port. */
function classOf(seen: Readonly<Record<string, string>>) {
  const parse = (text: string) => {
    const [address, at] = text.split(':');
    return { address: address!, port: Number(at ?? port) };
  };
  const observations = Object.entries(seen).map(([by, what]) => ({ by: parse(by), seen: parse(what) }));
  return classifyNat(observations, ['192.168.1.2'], port, undefined);
}

test('between two NATs: whoever stands there sees the inner one, which says nothing of the outer', (t) => {
  const within = { '192.168.0.9': '192.168.0.5' };
  const outside = { '11.0.2.1': home.address, '11.0.3.1': home.address };
  t.like(classOf({ ...within, ...outside }), { translated: true, mapping: 'endpoint-independent' });
  t.is(classOf({ ...within, '11.0.2.1': home.address }).mapping, undefined, 'one outside is not enough to tell');
  t.like(classOf({ ...within, '192.168.0.8': '192.168.0.5' }), { translated: true, mapping: 'endpoint-independent' });
});

test('one that lies makes no NAT symmetric that two or three see as it is', (t) => {
  for (const lie of ['11.6.6.6:53', `${home.address}:5353`]) {
    for (const truthful of [2, 3]) {
      const seen: Record<string, string> = {};
      for (let i = 0; i < truthful; i++) seen[`11.0.${i + 2}.1`] = home.address;
      // The liar first and last.
      for (const all of [
        { '11.0.9.1': lie, ...seen },
        { ...seen, '11.0.9.1': lie },
      ])
        t.like(classOf(all), { mapping: 'endpoint-independent', portPreservation: true }, `${truthful}: ${lie}`);
    }
  }
});

test('what is seen over IPv6 says nothing of the NAT before IPv4', (t) => {
  const one = { by: { address: '11.0.2.1', port }, seen: home };
  const two = { by: { address: '11.0.3.1', port }, seen: home };
  const ipv6 = [1, 2, 3].map((i) => ({
    by: { address: `2001:db8:${i}::1`, port },
    seen: { address: `2001:db8:99::${i}`, port },
  }));
  const own = ['192.168.1.2', '2001:db8:99::77'];
  t.is(classifyNat([one, two, ...ipv6], own, port, undefined).mapping, 'endpoint-independent');
  t.is(classifyNat([one, ...ipv6], own, port, undefined).mapping, undefined, 'one is not enough to tell');
});

test('a NAT that gives every destination another port is symmetric, however many see it', (t) => {
  for (const count of [2, 3, 5]) {
    const seen: Record<string, string> = {};
    for (let i = 0; i < count; i++) seen[`11.0.${i + 2}.1`] = `${home.address}:${40_000 + i}`;
    t.like(classOf(seen), { mapping: 'address-and-port-dependent', portPreservation: false }, `${count}`);
  }
});

test('neighbours at one address tell whether the port matters, and have one voice together', (t) => {
  const [one, other] = [`${home.address}:40000`, `${home.address}:40001`];
  const third = `${home.address}:40002`;
  const at = (a: string, b: string, elsewhere?: string) =>
    classOf({ '11.0.2.1:1': a, '11.0.2.1:2': b, ...(elsewhere ? { '11.0.3.1': elsewhere } : {}) }).mapping;
  t.is(at(one, one), undefined);
  t.is(at(one, other), 'address-and-port-dependent');
  t.is(at(one, one, one), 'endpoint-independent');
  t.is(at(one, one, other), 'address-dependent');
  t.is(at(one, other, third), 'address-and-port-dependent');
});
