import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { lineOf, parseConfig, readConfig } from '../../daemon/config.js';
import { configSample } from '../../daemon/config-keys.js';
import { resolvePaths } from '../../daemon/paths.js';
import { parsePrefix } from '../../src/addr/prefix.js';
import { MeshError } from '../../src/errors.js';

function mistake(t: import('ava').ExecutionContext, text: string): MeshError {
  return t.throws(() => parseConfig(text, 'weft.toml'), { instanceOf: MeshError });
}

test('an empty file gives every default', (t) => {
  const config = parseConfig('', 'weft.toml');
  t.deepEqual(config.listen, { address: '0.0.0.0', port: 16696 });
  t.deepEqual(config.tun, { name: 'weft0', mtu: 1380, offload: true });
  t.deepEqual(config.portMapping, { enabled: true, protocols: ['upnp', 'nat-pmp'] });
  t.is(config.relay.mode, 'yes');
  t.is(config.log.level, 'info');
  t.deepEqual(config.babel.interface, []);
  t.deepEqual(config.critical, []);
});

test('as many workers as a session has lanes and no more', (t) => {
  t.is(parseConfig('[force]\nworkers = 8\n', 'weft.toml').force.workers, 8);
  for (const workers of [9, 16]) {
    const { message, cure } = mistake(t, `[force]\nworkers = ${workers}\n`);
    t.regex(`${message} ${cure}`, /a whole number from 0 to 8/);
  }
});

test('TLS: what is written is taken, what is missing or none is named with its line and its cure', (t) => {
  const files = 'certificate = "/etc/weft/c.pem"\nkey = "/etc/weft/k.pem"\n';
  t.is(parseConfig('', 'weft.toml').tls.listen, undefined);
  const { tls } = parseConfig(
    `[tls]\nlisten = "0.0.0.0:443"\n${files}endpoint = "192.0.2.1:8443"\nserver-name = "vpn.example.net"\n`,
    'weft.toml',
  );
  t.deepEqual(tls, {
    listen: { address: '0.0.0.0', port: 443 },
    certificate: '/etc/weft/c.pem',
    key: '/etc/weft/k.pem',
    endpoint: { address: '192.0.2.1', port: 8443 },
    serverName: 'vpn.example.net',
  });
  const lacking = mistake(t, '[tls]\nlisten = "0.0.0.0:443"\nkey = "/etc/weft/k.pem"\n');
  t.is(lacking.code, 'config-missing-key');
  t.regex(lacking.message, /weft\.toml line 1: \[tls\] lacks "certificate"/);
  t.regex(lacking.cure, /add certificate = "\//);
  t.regex(mistake(t, '[tls]\nlisten = "0.0.0.0:443"\ncertificate = "/c.pem"\n').message, /lacks "key"/);
  for (const [line, want] of [
    ['listen = 443', /0\.0\.0\.0:443/],
    ['certificate = "c.pem"', /path of a file/],
    ['endpoint = "vpn.example.net"', /192\.0\.2\.1:443/],
    ['server-name = "192.0.2.1"', /DNS name/],
    ['server-name = "-"', /DNS name/],
  ] as const) {
    const error = mistake(t, `[tls]\n${line}\n`);
    t.is(error.code, 'config-bad-value', line);
    t.regex(error.cure, want);
  }
});

test('what the operator writes is taken', (t) => {
  const config = parseConfig(
    `
name = "attic"
listen = "192.0.2.1:4000"
endpoints = ["home.example.net:16696", "[2001:db8::1]:16696"]
tun.name = "weft1"
[relay]
mode = "limited"
limit-mbit = 20
[[babel.interface]]
device = "eth1"
hello-interval = "500ms"
import = ["10.9.0.0/16", "2001:db8:7::/48"]
export = []
[[babel.interface]]
device = "eth2"
type = "wireless"
[[critical]]
node = "database"
`,
    'weft.toml',
  );
  t.is(config.name, 'attic');
  t.deepEqual(config.listen, { address: '192.0.2.1', port: 4000 });
  t.is(config.tun.name, 'weft1');
  t.is(config.relay.limitMbit, 20);
  t.deepEqual(config.babel.interface, [
    {
      device: 'eth1',
      helloInterval: 500,
      updateInterval: 16_000,
      type: 'wired',
      import: [parsePrefix('10.9.0.0/16'), parsePrefix('2001:db8:7::/48')],
      export: [],
    },
    {
      device: 'eth2',
      helloInterval: 4000,
      updateInterval: 16_000,
      type: 'wireless',
      import: undefined,
      export: undefined,
    },
  ]);
  t.deepEqual(config.critical, [{ node: 'database' }]);
});

test('an unknown key is an error that names key, line and cure', (t) => {
  const error = mistake(t, 'name = "attic"\n\n[tun]\nmtu = 1380\nnmae = "weft0"\n');
  t.is(error.code, 'config-unknown-key');
  t.is(error.message, 'weft.toml line 5: unknown key "tun.nmae"');
  t.is(error.cure, 'did you mean "name"?');
});

test('an unknown table is found too, and without a near name all keys are told', (t) => {
  const error = mistake(t, '[relay]\nmode = "no"\n[firewall]\non = true\n');
  t.is(error.message, 'weft.toml line 3: unknown key "firewall"');
  t.regex(error.cure, /port-mapping/);
});

test('camel case and underscores are not accepted, but understood', (t) => {
  t.is(mistake(t, 'portMapping.enabled = false').cure, 'did you mean "port-mapping"?');
  t.is(mistake(t, '[relay]\nlimit_mbit = 3').cure, 'did you mean "limit-mbit"?');
});

for (const [text, line, key] of [
  ['name = "Attic"', 1, 'name'],
  ['name = 7', 1, 'name'],
  ['listen = "0.0.0.0"', 1, 'listen'],
  ['listen = "[::]:16696"', 1, 'listen'],
  ['listen = "0.0.0.0:70000"', 1, 'listen'],
  ['endpoints = ["a b"]', 1, 'endpoints'],
  ['# a comment\n[tun]\nmtu = 9000', 3, 'tun.mtu'],
  ['tun = { name = "a device with a long name" }', 1, 'tun.name'],
  ['tun = 3', 1, 'tun'],
  ['[port-mapping]\nprotocols = ["pcp"]', 2, 'port-mapping.protocols'],
  ['relay.mode = "sometimes"', 1, 'relay.mode'],
  ['log.level = "loud"', 1, 'log.level'],
  [
    '[[babel.interface]]\ndevice="a"\n[[babel.interface]]\ndevice="b"\nhello-interval = 4',
    5,
    'babel.interface.hello-interval',
  ],
  ['[babel.interface]\ndevice = "eth1"', 1, 'babel.interface'],
  ['inbound = "deny"', 1, 'inbound'],
] as const) {
  test(`a bad value is an error that names key, line and cure: ${text.replaceAll('\n', ' ⏎ ')}`, (t) => {
    const error = mistake(t, text);
    t.is(error.code, 'config-bad-value');
    t.is(error.message, `weft.toml line ${line}: bad value for "${key}"`);
    t.regex(error.cure, /^it must be /);
  });
}

test('a table that lacks its name says which', (t) => {
  const error = mistake(t, '[[babel.interface]]\ndevice = "a"\n[[babel.interface]]\n');
  t.is(error.message, 'weft.toml line 3: [[babel.interface]] lacks "device"');
  t.is(error.cure, 'add device = "eth1"');
});

test('what is no TOML is an error with its line', (t) => {
  const error = mistake(t, 'name = "attic"\nlisten = \n');
  t.is(error.code, 'config-syntax');
  t.regex(error.message, /^weft\.toml line 2: /);
});

test('a key name every object has is unknown like any other', (t) => {
  t.is(mistake(t, 'constructor = 1').code, 'config-unknown-key');
});

test('the line of a key is found in headers, dotted keys and inline tables', (t) => {
  const text = 'a.b = 1\n[c]\n  d = { e = 2 }\n[[f]]\ng = 1\n[[f]]\n"g" = 2';
  t.deepEqual(
    [
      lineOf(text, ['a', 'b']),
      lineOf(text, ['c', 'd', 'e']),
      lineOf(text, ['f', 0, 'g']),
      lineOf(text, ['f', 1, 'g']),
      lineOf(text, ['x']),
    ],
    [1, 3, 5, 7, undefined],
  );
});

test('the sample is a valid file of defaults, also with every key uncommented', (t) => {
  const sample = configSample();
  t.deepEqual(parseConfig(sample, 'sample'), parseConfig('', 'none'));
  const uncommented = sample.replace(/^#(?=[[a-z])/gm, '');
  const all = parseConfig(uncommented, 'sample');
  t.is(all.name, 'my-machine');
  t.deepEqual(
    all.babel.interface.map((item) => item.device),
    ['eth1'],
  );
  t.deepEqual(all.tun, parseConfig('', 'none').tun);
});

test('a config file that was named must be there, the default one need not', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-config-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'weft.toml');
  t.is(readConfig(file, true).tun.name, 'weft0');
  const missing = t.throws(() => readConfig(file, false), { instanceOf: MeshError });
  t.is(missing.code, 'config-unreadable');
  t.is(t.throws(() => readConfig(folder, true), { instanceOf: MeshError }).code, 'config-unreadable');
});

test('paths: flags first, then the environment, then system or XDG folders', (t) => {
  t.deepEqual(resolvePaths({}, {}, true), {
    config: '/etc/weft/weft.toml',
    configNamed: false,
    state: '/var/lib/weft',
    socket: '/run/weft/weft.sock',
  });
  t.deepEqual(resolvePaths({}, { HOME: '/home/ada', XDG_RUNTIME_DIR: '/run/user/1000' }, false), {
    config: '/home/ada/.config/weft/weft.toml',
    configNamed: false,
    state: '/home/ada/.local/state/weft',
    socket: '/run/user/1000/weft/weft.sock',
  });
  t.deepEqual(
    resolvePaths({ state: '/flag' }, { WEFT_STATE: '/env', WEFT_CONFIG: '/env.toml', WEFT_SOCKET: '/env.sock' }, true),
    { config: '/env.toml', configNamed: true, state: '/flag', socket: '/env.sock' },
  );
  t.is(
    t.throws(() => resolvePaths({ socket: `/${'x'.repeat(120)}` }, {}, true), { instanceOf: MeshError }).code,
    'socket-path-too-long',
  );
});
