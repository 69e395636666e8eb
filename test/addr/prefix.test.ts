import test from 'ava';
import { formatIp, parseIp } from '../../src/addr/ip.js';
import { Prefix, parsePrefix } from '../../src/addr/prefix.js';

test('addresses keep their canonical text', (t) => {
  for (const text of ['::', '::1', 'fe80::1:2', '1:2:3:4:5:6:7:8', '192.0.2.1', '2001:db8::1:0:0:1', '1:0:0:2::']) {
    t.is(formatIp(parseIp(text)!), text);
  }
  t.is(formatIp(parseIp('64:ff9b::1.2.3.4')!), '64:ff9b::102:304');
  t.is(formatIp(parseIp('::ffff:1.2.3.4')!), '1.2.3.4');
});

test('malformed addresses and prefixes are refused', (t) => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    ':::',
    'fe80::1%eth0',
    '1::2::3',
    'fd00::/129',
    '10.0.0.0/33',
    '::/-1',
    'fd00::1/8',
    'fd00::/8/8',
  ]) {
    t.is(parsePrefix(text), undefined, text);
  }
});

test('a prefix clears host bits and covers what is inside it', (t) => {
  const whole = new Prefix(parseIp('fd12:3456:7890::1')!, 40);
  t.is(String(whole), 'fd12:3456:7800::/40');
  t.true(whole.covers(parsePrefix('fd12:3456:78ff::/48')!));
  t.false(whole.covers(parsePrefix('fd12:3456:7900::/48')!));
  t.false(parsePrefix('fd12:3456:78ff::/48')!.covers(whole));
  t.is(String(parsePrefix('192.0.2.128/25')!), '192.0.2.128/25');
  t.true(parsePrefix('0.0.0.0/0')!.covers(parsePrefix('10.0.0.0/8')!));
  t.false(parsePrefix('0.0.0.0/0')!.covers(parsePrefix('::/0')!));
});
