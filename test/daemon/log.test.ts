import test from 'ava';
import type { LogLine } from '../../daemon/api.js';
import { createLog, type LogFields, redactText } from '../../daemon/log.js';

function collecting(level: 'debug' | 'info', pretty = false) {
  const lines: string[] = [];
  return { lines, log: createLog({ level, pretty, write: (line) => lines.push(line) }) };
}

test('a line is JSON: time, level, fields, message', (t) => {
  const { lines, log } = collecting('info');
  log.info('tunnel up', { node: 'cellar', rttMs: 12.5 });
  log.debug('not asked for');
  t.is(lines.length, 1);
  const { time, ...rest } = JSON.parse(lines[0]!);
  t.deepEqual(rest, { level: 'info', node: 'cellar', rttMs: 12.5, msg: 'tunnel up' });
  t.false(Number.isNaN(Date.parse(time)));
});

test('on a terminal a line is short text', (t) => {
  const { lines, log } = collecting('info', true);
  log.warn('port mapping refused', { gateway: '192.168.1.1', reason: 'error 718' });
  t.regex(lines[0]!, /^\d\d:\d\d:\d\d warn {2}port mapping refused gateway=192\.168\.1\.1 reason="error 718"\n$/);
});

test('octets and objects never reach a line, whatever field they come in', (t) => {
  const { lines, log } = collecting('info');
  const key = new Uint8Array(32).fill(0xab);
  const slipped: unknown = { id: key, reason: { secretKey: key }, name: [1, 2, 3] };
  log.error('a key slipped past the compiler', slipped as LogFields);
  const { id, reason, name } = JSON.parse(lines[0]!);
  t.deepEqual([id, reason, name], ['[redacted]', '[redacted]', '[redacted]']);
});

test('text that looks like a token or a key is cut out, addresses and fingerprints stay', (t) => {
  const token = `weft1${'a7bq'.repeat(40)}`;
  t.is(redactText(`token ${token} is used`), 'token [redacted] is used');
  t.is(redactText('half a token: WEFT1A7BQA7BQA7BQA7BQ'), 'half a token: [redacted]');
  t.is(redactText(`key ${'ab'.repeat(32)}`), 'key [redacted]');
  const plain = `fd5e:cd52:8401:7:9b0c:1:2:3 ${'k7qd'.repeat(13)} [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:16696`;
  t.is(redactText(plain), plain);
});

test('a follower hears its own level whatever goes to stderr, until it leaves', (t) => {
  const { lines, log } = collecting('info');
  const heard: LogLine[] = [];
  const leave = log.follow('debug', (line) => heard.push(line));
  log.debug('probe sent', { node: 'cellar' });
  leave();
  log.debug('probe sent', { node: 'cellar' });
  t.deepEqual(
    heard.map((line) => line.msg),
    ['probe sent'],
  );
  t.deepEqual(lines, []);
});
