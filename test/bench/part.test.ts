import test from 'ava';
import { type Part, partLine, readParts } from '../../bench/part.js';

test('what the programs of parts tell is read, and shown to a person', (t) => {
  const parts: readonly Part[] = [
    { key: 'lookup', what: 'lookup', nanos: 120.4, least: 118.2, most: 131 },
    { what: 'an initiation answered', nanos: 700_000, least: 650_000, most: 800_000, heap: 12 },
  ];
  t.deepEqual(readParts(`${parts.map((part) => JSON.stringify(part)).join('\n')}\n`), parts);
  t.regex(partLine(parts[0]!), /^lookup +120 ns \(118–131\) +8305648\/s$/);
  t.regex(partLine(parts[1]!), /^an initiation answered +700\.0 µs \(650\.0–800\.0\) +1429\/s +heap 12 octets$/);
});
