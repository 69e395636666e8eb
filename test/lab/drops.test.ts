import test from 'ava';
import { dropsBetween } from '../../lab/drops.js';

test('what both ends dropped is counted, whichever of them it was and whether it had dropped such before', (t) => {
  const before: Record<string, number>[] = [{ 'handshake-cookie-rate': 5, spoofed: 2 }, { spoofed: 1 }];
  const after: Record<string, number>[] = [
    { 'handshake-cookie-rate': 25, spoofed: 2 },
    { 'handshake-cookie-rate': 300, spoofed: 4 },
  ];
  t.deepEqual(dropsBetween(before, after), { 'handshake-cookie-rate': 320, spoofed: 3 });
});
