import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import ava, { type ExecutionContext } from 'ava';
import { until } from '../../lab/until.js';
import { seededRandom } from '../../src/random.js';
import type { MappingProtocol } from '../../src/upnp/contract.js';
import { isOrder, type MappingEffect, type MappingEvent } from '../../src/upnp/effects.js';
import { RouterFinder } from '../../src/upnp/gateways.js';
import { findNatPmpGateway, NatPmpGateway } from '../../src/upnp/gateways-nat-pmp.js';
import { MappingShell } from '../../src/upnp/gateways-shell.js';
import { openUpnpGateway } from '../../src/upnp/gateways-upnp.js';
import { Mapping } from '../../src/upnp/mapping.js';
import type { MappingStatus } from '../../src/upnp/status.js';
import { isTcp, LyingRouter, sendXml } from './lying-router.js';

// Each way in which routers were seen to lie, against real sockets on loopback.

/**
 * So many at once: each computes for a few hundredths of a second and then waits, but what a router may take to answer is
 * 2 s, and all of them together would use that up on a third of a core.
 */
const atOnce = 8;
const waiting: (() => void)[] = [];
let running = 0;

function test(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  ava(title, async (t) => {
    if (running === atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      await run(t);
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  });
}

/** For what comes by itself, on a machine that has other things to do. */
const patience = 30_000;

const localAddress = '127.0.0.1';
let lastHost = 0;

/** An address of loopback that no other test, and no other run at the same time, uses. */
function freshAddress(): string {
  return `127.${64 + (process.pid % 128)}.${(process.pid >> 7) & 0xff}.${++lastHost}`;
}

/** Runs a Mapping against the router until a status fits. */
async function mapOn(
  t: ExecutionContext,
  gatewayAddress: string,
  fits: (status: MappingStatus) => boolean,
  protocols: readonly MappingProtocol[] = ['upnp'],
  local = () => localAddress,
): Promise<{
  status: MappingStatus;
  now: () => MappingStatus;
  hears: (event: MappingEvent) => void;
  leave: () => Promise<void>;
}> {
  const mapping = new Mapping({ internalPort: 16696, random: seededRandom(1) });
  const finder = new RouterFinder(protocols, () => [{ address: gatewayAddress, localAddress: local() }]);
  let timer: NodeJS.Timeout | undefined;
  let left = false;
  const shell = new MappingShell(finder, (event) => handle(event));
  let settle: (status: MappingStatus) => void = () => {};
  const settled = new Promise<MappingStatus>((resolve) => {
    settle = resolve;
  });
  const apply = (effects: readonly MappingEffect[]) => {
    for (const effect of effects) {
      if (isOrder(effect)) shell.carryOut(effect);
      else if (fits(mapping.status())) settle(mapping.status());
    }
    clearTimeout(timer);
    const wait = mapping.deadline() - performance.now();
    if (wait < 60_000) timer = setTimeout(() => apply(mapping.tick(performance.now())), Math.max(0, wait));
  };
  const handle = (event: MappingEvent) => apply(mapping.handle(event, performance.now()));
  const leave = async () => {
    if (left) return;
    left = true;
    handle({ kind: 'stopping' });
    await shell.close();
  };
  t.teardown(leave);
  apply(mapping.tick(performance.now()));
  return { status: await settled, now: () => mapping.status(), hears: handle, leave };
}

async function routerThat(t: ExecutionContext, lies: (router: LyingRouter) => void): Promise<LyingRouter> {
  const router = new LyingRouter(freshAddress());
  lies(router);
  await router.start();
  t.teardown(() => router.stop());
  return router;
}

const isMapped = ({ state }: MappingStatus) => state === 'mapped';
const hasEnded = ({ state, reason }: MappingStatus) => (state === 'refused' || state === 'absent') && reason !== null;

test('25: an honest router is mapped, and unmapped on leaving', async (t) => {
  const router = await routerThat(t, () => {});
  const { status, leave } = await mapOn(t, router.address, isMapped);
  t.like(status, { gateway: router.address, externalAddress: '11.0.0.2', externalPort: 16696, leaseSeconds: 3600 });
  t.deepEqual([...router.table], [['16696', { client: localAddress, internalPort: '16696', lease: '3600' }]]);
  await leave();
  t.is(router.table.size, 0);
});

test('25: a trial that the router forwards and never answers is removed: by itself, after a search that broke it off, on leaving', async (t) => {
  const router = await routerThat(t, (it) => {
    it.swallows = (action, body) =>
      action === 'AddPortMapping' && !body.includes('<NewExternalPort>16696</NewExternalPort>');
  });
  const { hears, leave } = await mapOn(t, router.address, isMapped);
  const forwarded = () => [...router.table.keys()];
  const trial = () => until('a trial is forwarded', forwarded, ({ length }) => length === 2, patience);
  const removed = (trials: number) =>
    until(
      `${trials} removed`,
      () => [router.calls.filter((call) => call === 'DeletePortMapping').length, ...forwarded()].join(),
      (seen) => seen === `${trials},16696`,
      patience,
    );
  hears({ kind: 'trialWanted' });
  await trial();
  await removed(1);
  hears({ kind: 'trialWanted' });
  await trial();
  hears({ kind: 'networkChanged' }); // and then it is asked for again, at another port
  await removed(3);
  hears({ kind: 'trialWanted' });
  await trial();
  await leave();
  t.is(router.table.size, 0);
});

const listening: MappingEvent = { kind: 'companion', event: { kind: 'listening' } };
/** The question over TCP has come to its end. */
const isSettled = ({ tcp }: MappingStatus) =>
  tcp !== null && (tcp.mapped || /TCP port 16696 to/.test(tcp.reason ?? ''));

/** Mapped over UDP, and whatever came of it over TCP. */
async function mapBoth(t: ExecutionContext, router: LyingRouter) {
  const run = await mapOn(t, router.address, isMapped);
  run.hears(listening);
  const status = await until('asked over TCP', run.now, isSettled, patience);
  return { ...run, status: status.value };
}

const ours = { client: localAddress, internalPort: '16696', lease: '3600' };

test('25: an honest router is asked for the same port over TCP, and both are given back on leaving', async (t) => {
  const router = await routerThat(t, () => {});
  const { status, leave } = await mapBoth(t, router);
  t.deepEqual(status.tcp, { mapped: true, reason: null });
  t.deepEqual(
    [...router.table, ...router.tcpTable],
    [
      ['16696', ours],
      ['16696', ours],
    ],
  );
  await leave();
  t.is(router.table.size + router.tcpTable.size, 0);
});

for (const [what, entry] of [
  ['another machine', { client: '192.168.1.9', internalPort: '16696', lease: '0' }],
  ['another service of this machine', { client: localAddress, internalPort: '8443', lease: '0' }],
] as const) {
  test(`25: over TCP the port is ${what}'s: left alone, on leaving too, and UDP is as it was`, async (t) => {
    const router = await routerThat(t, (it) => {
      it.tcpTable.set('16696', { ...entry });
    });
    const { status, leave } = await mapBoth(t, router);
    t.like(status, { state: 'mapped', externalPort: 16696, reason: null, tcp: { mapped: false } });
    t.regex(status.tcp!.reason!, /refused over UPnP \(held by /);
    t.deepEqual([...router.table], [['16696', ours]]);
    await leave();
    t.is(router.table.size, 0);
    t.deepEqual(router.tcpTable.get('16696'), entry);
  });
}

test('25: over TCP: not authorised, made and never answered, not kept: a word each, and UDP is as it was', async (t) => {
  const lies: readonly (readonly [RegExp, (it: LyingRouter) => void])[] = [
    [
      /\(error 606 No\): port mapping is switched off/,
      (it) => {
        it.refuse = (action, body) =>
          action === 'AddPortMapping' && isTcp(body) ? { errorCode: 606, words: 'No' } : undefined;
      },
    ],
    [
      /does not answer/,
      (it) => {
        it.swallows = (action, body) => action === 'AddPortMapping' && isTcp(body);
      },
    ],
    [
      /said yes, but its table forwards port 16696 to 127\.0\.0\.1:9;/,
      (it) => {
        let made = 0;
        it.store = (entry) => (made++ === 0 ? entry : { ...entry, internalPort: '9' });
      },
    ],
  ];
  for (const [words, lie] of lies) {
    const router = await routerThat(t, lie);
    const { status, leave } = await mapBoth(t, router);
    t.like(status, { state: 'mapped', externalPort: 16696, reason: null, tcp: { mapped: false } });
    t.regex(status.tcp!.reason!, words);
    await leave();
    t.is(router.table.size, 0);
    t.true(
      [...router.tcpTable.values()].every(({ internalPort }) => internalPort === '9'),
      'nothing of ours is left',
    );
  }
});

test('25: a look for what is mapped over TCP is one call; a table that hides it says nothing of UDP', async (t) => {
  const router = await routerThat(t, () => {});
  const gateway = await openUpnpGateway(new URL(router.location()), { address: router.address, localAddress });
  if (typeof gateway === 'string') return t.fail(gateway);
  const request = { internalPort: 16696, externalPort: 16696, leaseSeconds: 3600 };
  for (const transport of ['udp', 'tcp'] as const) t.is((await gateway.map(transport, request)).kind, 'granted');
  const before = router.calls.length;
  t.true(await gateway.holdsTcp(request));
  t.deepEqual(router.calls.slice(before), ['GetSpecificPortMappingEntry']);
  router.tcpTable.clear();
  t.false(await gateway.holdsTcp(request), 'deleted by hand');
  router.refuse = (action, body) =>
    action === 'GetSpecificPortMappingEntry' && isTcp(body) ? { errorCode: 714, words: 'NoSuchEntry' } : undefined;
  t.is((await gateway.map('tcp', request)).kind, 'granted');
  t.is(await gateway.holdsTcp(request), undefined);
  t.true((await gateway.check('table', request)).held);
  router.table.clear();
  t.false((await gateway.check('table', request)).held);
});

test('25: of a router that hides what it forwards, or forwards another port than was asked, a second port is told from the first', async (t) => {
  let next = 40_000;
  const lies: readonly (readonly [(it: LyingRouter) => void, held: number, second: number])[] = [
    [
      (it) => {
        it.refuse = (action) =>
          action === 'GetSpecificPortMappingEntry' ? { errorCode: 714, words: 'NoSuchEntry' } : undefined;
      },
      16696,
      25_000,
    ],
    [(it) => (it.storesAt = () => `${next++}`), 40_000, 40_001],
    [(it) => (it.storesAt = () => '40001'), 40_001, 40_001],
  ];
  for (const [lie, held, second] of lies) {
    const router = await routerThat(t, lie);
    const gateway = await openUpnpGateway(new URL(router.location()), { address: router.address, localAddress });
    if (typeof gateway === 'string') return t.fail(gateway);
    const request = { internalPort: 16696, externalPort: 16696, leaseSeconds: 3600 };
    t.like(await gateway.map('udp', request), { grant: { externalPort: held } });
    t.like(await gateway.map('udp', { ...request, externalPort: 25_000 }), { grant: { externalPort: second } });
    if (second === held) continue;
    await gateway.unmap('udp', 16696, second);
    t.deepEqual([...router.table.keys()], [`${held}`], 'nothing of the second is left');
  }
});

test('25: a router that leaves the line as it is and makes one at a fresh port at each renewal: the fresh one is granted', async (t) => {
  let next = 40_000;
  const router = await routerThat(t, (it) => (it.storesAt = () => `${next++}`));
  const gateway = await openUpnpGateway(new URL(router.location()), { address: router.address, localAddress });
  if (typeof gateway === 'string') return t.fail(gateway);
  let held = 16_696;
  for (const fresh of [40_000, 40_001, 40_002]) {
    const before = router.table.get(`${held}`);
    if (before) before.lease = '1800';
    const request = { internalPort: 16696, externalPort: held, leaseSeconds: 3600 };
    t.like(await gateway.map('udp', request), { grant: { externalPort: fresh, leaseSeconds: 3600 } });
    // As the machine does with what it held at another port.
    if (before) await gateway.unmap('udp', 16696, held);
    held = fresh;
    t.deepEqual([...router.table.keys()], [`${held}`]);
  }
});

test('25: a mapping that the router makes and never answers is removed on leaving', async (t) => {
  const router = await routerThat(t, (it) => {
    it.swallows = (action) => action === 'AddPortMapping';
  });
  const { leave } = await mapOn(t, router.address, ({ state }) => state === 'asked');
  await until(
    'it is mapped',
    () => router.table.size,
    (size) => size === 1,
    patience,
  );
  await leave();
  t.is(router.table.size, 0);
});

test('25: its answer may come from any port', async (t) => {
  const router = await routerThat(t, (it) => {
    it.answerFrom = { address: it.address, port: 0 };
  });
  t.is((await mapOn(t, router.address, isMapped)).status.externalPort, 16696);
});

test('25: a relative control URL without a leading slash is of the place of the description', async (t) => {
  const router = await routerThat(t, (it) => {
    it.controlUrl = () => 'control?WANIPConn1';
  });
  t.is((await mapOn(t, router.address, isMapped)).status.externalPort, 16696);
});

test('25: 718: other ports are tried', async (t) => {
  let refusals = 0;
  const router = await routerThat(t, (it) => {
    it.refuse = (action) =>
      action === 'AddPortMapping' && refusals++ < 3 ? { errorCode: 718, words: 'ConflictInMappingEntry' } : undefined;
  });
  const { status } = await mapOn(t, router.address, isMapped);
  t.not(status.externalPort, 16696);
  t.is(router.calls.filter((call) => call === 'AddPortMapping').length, 4);
});

test('25: 718 without end: eight ports, then the reason says what to click', async (t) => {
  const router = await routerThat(t, (it) => {
    it.refuse = (action) =>
      action === 'AddPortMapping' ? { errorCode: 718, words: 'ConflictInMappingEntry' } : undefined;
  });
  const { status } = await mapOn(t, router.address, hasEnded);
  t.is(status.state, 'refused');
  t.is(router.calls.filter((call) => call === 'AddPortMapping').length, 8);
  t.regex(
    status.reason!,
    /Test & Box .* refused over UPnP \(error 718 ConflictInMappingEntry\).*another machine.*open http:\/\//,
  );
});

test('25: a router that lets one steal ports: an entry of another machine is left alone', async (t) => {
  const router = await routerThat(t, (it) => {
    it.table.set('16696', { client: '192.168.1.9', internalPort: '16696', lease: '0' });
  });
  const { status } = await mapOn(t, router.address, isMapped);
  t.not(status.externalPort, 16696);
  t.is(router.table.get('16696')?.client, '192.168.1.9');
});

for (const externalAddress of ['11.0.0.2', '11.0.0.9']) {
  const isSame = externalAddress === '11.0.0.2';
  test(`25: after another address of ours, what goes to the one before is ${isSame ? 'ours to replace' : 'of another home, if the router has another address outside'}`, async (t) => {
    const router = await routerThat(t, () => {});
    let ours = localAddress;
    const { now, hears } = await mapOn(t, router.address, isMapped, ['upnp'], () => ours);
    t.is(router.table.get('16696')?.client, localAddress);
    ours = freshAddress();
    router.externalAddress = externalAddress;
    hears({ kind: 'networkChanged' });
    const isAnew = (status: MappingStatus) => isMapped(status) && [...router.table.values()].at(-1)?.client === ours;
    const { value } = await until('it is mapped anew', now, isAnew, patience);
    t.is(value.externalPort === 16696, isSame);
    t.is(router.table.get('16696')?.client, isSame ? ours : localAddress);
    t.is(router.table.size, isSame ? 1 : 2);
  });
}

test('25: an entry of another machine is left alone on leaving too, where it could not be seen before and asking was not answered', async (t) => {
  let looks = 0;
  const router = await routerThat(t, (it) => {
    it.table.set('16696', { client: '192.168.1.9', internalPort: '16696', lease: '0' });
    it.refuse = (action) => {
      const isFirstLook = action === 'GetSpecificPortMappingEntry' && looks++ === 0;
      return isFirstLook || action === 'AddPortMapping' ? { errorCode: 501, words: 'ActionFailed' } : undefined;
    };
    it.swallows = (action) => action === 'AddPortMapping';
  });
  const { leave } = await mapOn(t, router.address, ({ state }) => state === 'asked');
  await until(
    'it is asked',
    () => router.calls.at(-1),
    (call) => call === 'AddPortMapping',
    patience,
  );
  await leave();
  t.is(router.table.get('16696')?.client, '192.168.1.9');
});

test('25: 725 OnlyPermanentLeasesSupported: a permanent lease is asked for, and removed on leaving', async (t) => {
  const router = await routerThat(t, (it) => {
    it.refuse = (action, body) =>
      action === 'AddPortMapping' && !body.includes('<NewLeaseDuration>0<')
        ? { errorCode: 725, words: 'OnlyPermanentLeasesSupported' }
        : undefined;
  });
  const { status, leave } = await mapOn(t, router.address, isMapped);
  t.is(status.leaseSeconds, 0);
  await leave();
  t.is(router.table.size, 0);
});

test('25: 724 SamePortValuesRequired: no other port is tried, and the reason says so', async (t) => {
  const router = await routerThat(t, (it) => {
    it.table.set('16696', { client: '192.168.1.9', internalPort: '16696', lease: '0' });
    it.refuse = (action, body) =>
      action === 'AddPortMapping' && !body.includes('<NewExternalPort>16696<')
        ? { errorCode: 724, words: 'SamePortValuesRequired' }
        : undefined;
  });
  const { status } = await mapOn(t, router.address, hasEnded);
  t.is(status.state, 'refused');
  t.is(router.calls.filter((call) => call === 'AddPortMapping').length, 1);
  t.regex(
    status.reason!,
    /it forwards only equal ports, and UDP port 16696 is taken; .*choose another port with listen/,
  );
  t.notRegex(status.reason!, /belongs to another machine|by hand/);
});

for (const [what, lease] of [
  ['a shorter lease than asked', 120],
  ['a longer lease than asked', 604_800],
  ['a lease of 0, for good,', 0],
] as const) {
  test(`25: ${what} is the one that counts`, async (t) => {
    const router = await routerThat(t, (it) => {
      it.store = (entry) => ({ ...entry, lease: `${lease}` });
    });
    const { status, leave } = await mapOn(t, router.address, isMapped);
    t.is(status.leaseSeconds, lease);
    await leave();
    t.is(router.table.size, 0, 'removed all the same');
  });
}

test('25: a wrong port in its table is not believed', async (t) => {
  const router = await routerThat(t, (it) => {
    it.store = (entry) => ({ ...entry, internalPort: '9' });
  });
  const { status } = await mapOn(t, router.address, hasEnded);
  t.regex(status.reason!, /said yes, but its table forwards port 16696 to 127\.0\.0\.1:9/);
});

test('25: wrong external port: what its table shows is ours, asked for again, and given back on leaving', async (t) => {
  const others = { client: '192.168.1.9', internalPort: '16696', lease: '0' };
  const router = await routerThat(t, (it) => {
    // Neither of these is the entry: another machine's, another port of ours, and TCP's.
    it.table.set('30001', others);
    it.table.set('30002', { client: localAddress, internalPort: '9', lease: '0' });
    it.storesAt = () => '40001';
  });
  const { status, now, hears, leave } = await mapOn(t, router.address, isMapped);
  t.like(status, { externalPort: 40_001, reason: null });
  t.deepEqual(router.table.get('40001'), ours);
  router.table.clear();
  hears({ kind: 'networkChanged' });
  await until(
    'it is mapped anew',
    () => now().state,
    (state) => state === 'mapped' && router.table.size === 1,
    patience,
  );
  t.is(now().externalPort, 40_001);
  const asked = router.calls.filter((call) => call === 'AddPortMapping').length;
  t.is(asked, 2, 'by the port it forwards');
  router.table.set('30001', others);
  await leave();
  t.deepEqual([...router.table.keys()], ['30001'], 'nothing of ours is left');
});

test('25: wrong external port: what is mapped there is seen to stand, and to be gone', async (t) => {
  const router = await routerThat(t, (it) => {
    it.storesAt = () => '40001';
    it.store = (entry) => ({ ...entry, lease: '120' });
  });
  const gateway = await openUpnpGateway(new URL(router.location()), { address: router.address, localAddress });
  if (typeof gateway === 'string') return t.fail(gateway);
  const request = { internalPort: 16696, externalPort: 16696, leaseSeconds: 3600 };
  const answer = await gateway.map('udp', request);
  const grant = { externalAddress: '11.0.0.2', externalPort: 40_001, leaseSeconds: 120 };
  t.deepEqual(answer, { kind: 'granted', grant });
  t.true((await gateway.check('table', { ...request, externalPort: 40_001 })).held);
  router.table.clear();
  t.false((await gateway.check('table', { ...request, externalPort: 40_001 })).held);
});

test('25: wrong external port over TCP: nobody would call there, so it is given back, and UDP is as it was', async (t) => {
  const router = await routerThat(t, (it) => {
    let made = 0;
    it.storesAt = (port) => (made++ === 0 ? port : '40001');
  });
  const { status, leave } = await mapBoth(t, router);
  t.like(status, { state: 'mapped', externalPort: 16696, reason: null, tcp: { mapped: false } });
  t.regex(status.tcp!.reason!, /offers port 40001 instead/);
  await until(
    'given back',
    () => router.tcpTable.size,
    (size) => size === 0,
    patience,
  );
  await leave();
  t.is(router.table.size, 0);
});

test('25: wrong external port: an endless table is read to its bound, and impossible ports in it are none', async (t) => {
  const router = await routerThat(t, (it) => {
    it.storesAt = () => 'elsewhere';
    it.line = () =>
      `<NewExternalPort>70000</NewExternalPort><NewProtocol>UDP</NewProtocol><NewInternalPort>16696</NewInternalPort><NewInternalClient>${localAddress}</NewInternalClient>`;
  });
  const { status } = await mapOn(t, router.address, isMapped);
  t.is(status.externalPort, 16696, 'as it was asked for; others believe it when it is proven');
  const lines = router.calls.filter((call) => call === 'GetGenericPortMappingEntry').length;
  t.true(lines > 1 && lines <= 32, `${lines}`);
});

test('25: wrong external port: NAT-PMP grants another one than was asked: that is ours, and is asked for again', async (t) => {
  const { address, asked } = await natPmpRouter(t, () => 40_000);
  const { status, hears, now, leave } = await mapOn(t, address, isMapped, ['nat-pmp']);
  t.like(status, { externalPort: 40_000, reason: null });
  hears({ kind: 'networkChanged' });
  await until(
    'asked again',
    () => asked.length,
    (count) => count === 2,
    patience,
  );
  await until('mapped', now, isMapped, patience);
  await leave();
  // A pulse that is answered as we leave has it removed once more.
  t.deepEqual([...new Set(asked)], ['udp 16696 for 3600 s', 'udp 40000 for 3600 s', 'udp 0 for 0 s']);
});

for (const address of ['0.0.0.0', '127.0.0.1', '169.254.3.4', '239.1.1.1', 'a.host.name', '']) {
  test(`25: an external address of "${address}" is not believed`, async (t) => {
    const router = await routerThat(t, (it) => {
      it.externalAddress = address;
    });
    const { status } = await mapOn(t, router.address, hasEnded);
    t.is(status.state, 'refused');
    t.is(status.externalAddress, null);
    t.deepEqual([...router.table.keys()], []);
  });
}

const lacksAddress = (action: string) =>
  action === 'GetExternalIPAddress' ? { errorCode: 501, words: 'ActionFailed' } : undefined;

test('25: a router without an address outside, by 0.0.0.0 or by error 501, is asked for that alone: one description and one call', async (t) => {
  const zero = await routerThat(t, (it) => {
    it.externalAddress = '0.0.0.0';
  });
  const failing = await routerThat(t, (it) => {
    it.refuse = lacksAddress;
  });
  for (const router of [zero, failing]) {
    const { status } = await mapOn(t, router.address, hasEnded);
    t.regex(status.reason!, /it has no address on the Internet side/);
    t.deepEqual([router.calls, router.paths.length], [['GetExternalIPAddress'], 2]);
  }
});

test('25: a router that has lost its address, by error 501 or NAT-PMP result 3, is seen to have: by a look, and by a pulse', async (t) => {
  const request = { internalPort: 16696, externalPort: 16696, leaseSeconds: 3600 };
  const router = await routerThat(t, (it) => {
    it.refuse = lacksAddress;
  });
  const byUpnp = await openUpnpGateway(new URL(router.location()), { address: router.address, localAddress });
  if (typeof byUpnp === 'string') return t.fail(byUpnp);
  t.deepEqual(await byUpnp.check('table', request), { answered: true, externalAddress: '0.0.0.0' });
  const address = freshAddress();
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(5351, address, resolve));
  t.teardown(() => socket.close());
  socket.on('message', (_, { port, address: from }) =>
    socket.send(Buffer.from([0, 128, 0, 3, 0, 0, 0, 9]), port, from),
  );
  const byNatPmp = new NatPmpGateway({ address, localAddress });
  t.deepEqual(await byNatPmp.check('pulse', request), { answered: true, externalAddress: '0.0.0.0' });
});

test('25: a search over NAT-PMP where nothing answers is four datagrams', async (t) => {
  const address = freshAddress();
  const heard: string[] = [];
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(5351, address, resolve));
  t.teardown(() => socket.close());
  socket.on('message', (bytes) => heard.push(bytes.toString('hex')));
  t.is(await findNatPmpGateway({ address, localAddress }), undefined);
  t.deepEqual(heard, ['0000', '0000', '0000', '0000']);
});

test('25: a private external address is double NAT, and said so', async (t) => {
  const router = await routerThat(t, (it) => {
    it.externalAddress = '192.168.178.20';
  });
  const { status } = await mapOn(t, router.address, isMapped);
  t.regex(status.reason!, /second router stands in front of it \(double NAT\)/);
});

test('25: an external address of 100.64.0.0/10 is the provider’s NAT, and said so', async (t) => {
  const router = await routerThat(t, (it) => {
    it.externalAddress = '100.72.1.1';
  });
  const { status } = await mapOn(t, router.address, isMapped);
  t.regex(status.reason!, /\(CGNAT\).*ask the provider/);
});

test('25: a redirect to another host is not followed', async (t) => {
  let reached = 0;
  const victim = createServer((_, response) => {
    reached++;
    response.end();
  });
  await new Promise<void>((resolve) => victim.listen(0, freshAddress(), resolve));
  t.teardown(() => victim.close());
  const { address, port } = victim.address() as { address: string; port: number };
  const router = await routerThat(t, (it) => {
    it.describe = (response) => response.writeHead(302, { location: `http://${address}:${port}/` }).end();
  });
  const { status } = await mapOn(t, router.address, hasEnded);
  t.regex(status.reason!, /its description cannot be read: HTTP status 302, a redirect/);
  t.is(reached, 0);
});

test('25: a location or a control URL on another host is not visited', async (t) => {
  const other = await routerThat(t, () => {});
  const byLocation = await routerThat(t, (it) => {
    it.location = () => `http://${other.address}:${other.port}/description.xml`;
  });
  const byControl = await routerThat(t, (it) => {
    it.controlUrl = () => `http://${other.address}:${other.port}/control`;
  });
  const [one, two] = await Promise.all([mapOn(t, byLocation.address, hasEnded), mapOn(t, byControl.address, hasEnded)]);
  t.regex(one.status.reason!, /points to another machine/);
  t.regex(two.status.reason!, /its control address is on another machine/);
  t.deepEqual(other.paths, []);
});

test('25: an answer from a second device is not believed', async (t) => {
  const second = await routerThat(t, () => {});
  const { status } = await mapOn(t, freshAddress(), hasEnded);
  t.is(status.state, 'absent');
  t.regex(status.reason!, /127\.\d+\.\d+\.\d+ offers to map ports, but it is not the router/);
  t.deepEqual(second.paths, []);
});

test('25: a second device that is faster than the router changes nothing', async (t) => {
  const second = await routerThat(t, () => {});
  const router = await routerThat(t, () => {});
  t.is((await mapOn(t, router.address, isMapped)).status.gateway, router.address);
  t.deepEqual(second.paths, []);
});

test('25: an HA gateway: answers come from one of the pair, the description is on the address they share: mapped there', async (t) => {
  const ownAddress = freshAddress();
  const router = await routerThat(t, (it) => {
    it.answerFrom = { address: ownAddress, port: 1900 };
  });
  const { status, leave } = await mapOn(t, router.address, isMapped);
  t.is(status.gateway, router.address);
  t.is(router.table.get('16696')?.client, localAddress);
  const gateway = await openUpnpGateway(new URL(router.location()), { address: router.address, localAddress });
  if (typeof gateway === 'string') return t.fail(gateway);
  const request = { internalPort: 16696, externalPort: 16696, leaseSeconds: 3600 };
  t.deepEqual(await gateway.check('pulse', request), { answered: true }, 'asked alone, its answer from there counts');
  await leave();
  t.is(router.table.size, 0);
});

test('25: an HA gateway that describes itself on the address of one of the pair is not visited there, and the reason names both', async (t) => {
  const one = await routerThat(t, () => {});
  const shared = freshAddress();
  const { status } = await mapOn(t, shared, hasEnded);
  // Routers of other tests answer too, and four strangers at most are named.
  t.true(status.reason!.includes(` offers to map ports, but it is not the router ${shared}`), status.reason!);
  t.regex(status.reason!, /where two routers share an address, UPnP must be offered at that one/);
  t.deepEqual(one.paths, []);

  const other = await routerThat(t, () => {});
  const pointing = await routerThat(t, (it) => {
    it.location = () => `http://${other.address}:${other.port}/description.xml`;
  });
  const pointed = await mapOn(t, pointing.address, hasEnded);
  t.regex(pointed.status.reason!, /points to another machine/);
  t.deepEqual(other.paths, []);
});

test('25: an HA gateway fails over: the other one has an empty table and another port, and is mapped as soon as it says that it is there', async (t) => {
  const first = new LyingRouter(freshAddress());
  await first.start();
  await mapOn(t, first.address, isMapped);
  t.is(first.table.size, 1);
  first.stop();
  const second = new LyingRouter(first.address);
  await second.start();
  t.teardown(() => second.stop());
  second.announce();
  await until(
    'mapped there',
    async () => second.table.get('16696')?.client ?? 'nobody',
    (client) => client === localAddress,
    patience,
  );
});

test('25: from elsewhere two places on the router are looked at, and no more', async (t) => {
  const stranger = freshAddress();
  let count = 0;
  const router = await routerThat(t, (it) => {
    it.answerFrom = { address: stranger, port: 1900 };
    it.location = () => `http://${it.address}:${it.port}/invented-${count++}.xml`;
    it.describe = (response) => sendXml(response, 404, '');
  });
  await mapOn(t, router.address, hasEnded);
  t.true(count > 2, `${count}`);
  // One where the other answer came too late for the search.
  t.true(router.paths.length === 1 || router.paths.length === 2, router.paths.join());
});

test('25: an endless description is given up at its bound', async (t) => {
  let sent = 0;
  const router = await routerThat(t, (it) => {
    it.describe = (response) => {
      response.writeHead(200, { 'content-type': 'text/xml' });
      const more = () => {
        while (!response.destroyed && response.write('<a>'.repeat(4096))) sent += 12_288;
        response.once('drain', more);
      };
      more();
    };
  });
  const { status } = await mapOn(t, router.address, hasEnded);
  t.regex(status.reason!, /longer than 131072 octets/);
  t.true(sent < 8 * 2 ** 20, `${sent} octets left the router`);
});

test('25: a description of an octet a second is given up', async (t) => {
  const router = await routerThat(t, (it) => {
    it.describe = (response) => {
      response.writeHead(200, { 'content-type': 'text/xml' });
      const timer = setInterval(() => response.write('<'), 100);
      response.on('close', () => clearInterval(timer));
    };
  });
  const { status } = await mapOn(t, router.address, hasEnded);
  t.regex(status.reason!, /no answer in time/);
});

test('25: an XML bomb stays as small as it came', async (t) => {
  const router = await routerThat(t, (it) => {
    const entities = Array.from({ length: 30 }, (_, i) => `<!ENTITY a${i + 1} "&a${i};&a${i};&a${i};">`).join('');
    const bomb = () =>
      `<!DOCTYPE root [<!ENTITY a0 "ha">${entities}]>${it.description().replace('Test &amp; Box', '&a30;')}`;
    it.describe = (response) => sendXml(response, 200, bomb());
  });
  const { status } = await mapOn(t, router.address, isMapped);
  t.is(status.externalPort, 16696);
});

test('25: a control URL that is not there (404) is a refusal in words', async (t) => {
  const router = await routerThat(t, (it) => {
    const description = it.description().replace('/control', '/elsewhere');
    it.describe = (response) => sendXml(response, 200, description);
  });
  const { status } = await mapOn(t, router.address, hasEnded);
  t.regex(status.reason!, /refused over UPnP \(HTTP status 404\)/);
});

test('25: what is no description at all is no router', async (t) => {
  const router = await routerThat(t, (it) => {
    it.describe = (response) => response.end('<html>please log in</html>');
  });
  const { status } = await mapOn(t, router.address, hasEnded);
  t.regex(status.reason!, /its description makes no sense/);
});

test('25: NAT-PMP: an answer from another host is never seen, and one for another port is not taken', async (t) => {
  const address = freshAddress();
  const router = createSocket('udp4');
  const stranger = createSocket('udp4');
  await new Promise<void>((resolve) => router.bind(5351, address, resolve));
  await new Promise<void>((resolve) => stranger.bind(5351, freshAddress(), resolve));
  t.teardown(() => router.close());
  t.teardown(() => stranger.close());
  const addressAnswer = (last: number) => Buffer.from([0, 128, 0, 0, 0, 0, 0, 9, 11, 0, 0, last]);
  const mapAnswer = (internalPort: number, externalPort: number) => {
    const bytes = Buffer.from([0, 129, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0x0e, 0x10]);
    bytes.writeUInt16BE(internalPort, 8);
    bytes.writeUInt16BE(externalPort, 10);
    return bytes;
  };
  router.on('message', (bytes, { port, address: from }) => {
    if (bytes.length === 2) {
      stranger.send(addressAnswer(66), port, from, () => router.send(addressAnswer(7), port, from));
    } else {
      router.send(mapAnswer(9, 9), port, from);
      router.send(mapAnswer(16696, 40_000), port, from);
    }
  });
  const { status } = await mapOn(t, address, isMapped, ['nat-pmp']);
  t.like(status, { protocol: 'nat-pmp', externalAddress: '11.0.0.7', externalPort: 40_000, leaseSeconds: 3600 });
});

/** A router of NAT-PMP: asked for an external port over UDP or TCP, its answer; each question as text in `asked`. */
async function natPmpRouter(
  t: ExecutionContext,
  grants: (transport: 'udp' | 'tcp', externalPort: number) => number | undefined,
) {
  const socket = createSocket('udp4');
  const address = freshAddress();
  await new Promise<void>((resolve) => socket.bind(5351, address, resolve));
  t.teardown(() => socket.close());
  const asked: string[] = [];
  const askers = new Set<number>();
  socket.on('message', (bytes, { port, address: from }) => {
    const answer = (...octets: number[]) => socket.send(Buffer.from([0, ...octets]), port, from);
    if (bytes.length === 2) return answer(128, 0, 0, 0, 0, 0, 9, 11, 0, 0, 7);
    const transport = bytes[1] === 2 ? 'tcp' : 'udp';
    const [external, lease] = [bytes.readUInt16BE(6), bytes.readUInt32BE(8)];
    // One that is sent again, as its answer took long, comes from the same port.
    if (!askers.has(port)) asked.push(`${transport} ${external} for ${lease} s`);
    askers.add(port);
    const granted = lease === 0 ? 0 : grants(transport, external);
    if (granted === undefined) return;
    const whole = Buffer.alloc(16);
    bytes.copy(whole, 8, 4);
    whole.set([0, 128 + bytes[1]!]);
    whole.writeUInt16BE(granted, 10);
    socket.send(whole, port, from);
  });
  return { address, asked };
}

test('25: NAT-PMP: over TCP another port is granted, or nothing answered: given back, said, and UDP is as it was', async (t) => {
  for (const [granted, words] of [
    [40_000, /offers port 40000 instead/],
    [undefined, /does not answer/],
  ] as const) {
    const { address, asked } = await natPmpRouter(t, (transport, port) => (transport === 'udp' ? port : granted));
    const { now, hears, leave } = await mapOn(t, address, isMapped, ['nat-pmp']);
    hears(listening);
    const { value } = await until('asked over TCP', now, isSettled, patience);
    t.like(value, { state: 'mapped', externalPort: 16696, reason: null, tcp: { mapped: false } });
    t.regex(value.tcp!.reason!, words);
    await leave();
    t.is(asked.filter((question) => question === 'tcp 0 for 0 s').length, 1, asked.join());
    t.is(asked.at(-1)?.startsWith('tcp 0'), !granted, 'what is not answered is given back as we leave');
  }
});

test('25: NAT-PMP: refused with words; an external port of 0 is none, and a lease of 0 is no lease', async (t) => {
  const answering = async (result: number, externalPort = 0, lease = 1) => {
    const router = createSocket('udp4');
    const address = freshAddress();
    await new Promise<void>((resolve) => router.bind(5351, address, resolve));
    t.teardown(() => router.close());
    router.on('message', (bytes, { port, address: from }) => {
      const opcode = 128 + bytes[1]!;
      const answer =
        opcode === 128
          ? [0, 128, 0, 0, 0, 0, 0, 9, 11, 0, 0, 7]
          : [0, opcode, 0, result, 0, 0, 0, 9, 0x41, 0x38, 0, externalPort, 0, 0, lease, 0];
      router.send(Buffer.from(answer), port, from);
    });
    return (await mapOn(t, address, hasEnded, ['nat-pmp'])).status.reason!;
  };
  const [notAuthorised, network, zero, noTime] = await Promise.all([
    answering(2),
    answering(3),
    answering(0),
    answering(0, 9, 0),
  ]);
  t.regex(network, /refused over NAT-PMP \(result 3, network failure\); open http.* by hand/, 'it has an address');
  t.regex(notAuthorised, /refused over NAT-PMP \(result 2, not authorised\).*switch on UPnP or NAT-PMP/);
  t.regex(zero, /it granted port 0/);
  t.regex(noTime, /a lease of no time/);
});
