import test, { type ExecutionContext } from 'ava';
import { until } from '../../lab/until.js';
import type { MappingProtocol } from '../../src/upnp/contract.js';
import type { MappingStatus } from '../../src/upnp/status.js';
import { homeAddress, MiniupnpdHome, type RouterOptions } from './miniupnpd-home.js';

type Scenario = (t: ExecutionContext, home: MiniupnpdHome) => Promise<void>;

/** For what is no promise of ours, on a machine that has other things to do. */
const patience = 20_000;

let homes = 0;

/** In a home of its own, which is removed whatever happens. */
function atHome(run: Scenario, router: RouterOptions) {
  return async (t: ExecutionContext) => {
    const home = new MiniupnpdHome(`map${++homes}`);
    try {
      home.startRouter(router);
      await run(t, home);
    } finally {
      await home.remove();
    }
  };
}

/** Alone, one after the other: most are to be done within seconds. */
function scenario(title: string, run: Scenario, router: RouterOptions = { externalAddress: '11.0.0.2' }): void {
  test.serial(title, atHome(run, router));
}

/** Side by side after all those: they wait for leases to end, and do next to nothing meanwhile. */
function longScenario(title: string, run: Scenario): void {
  test(title, atHome(run, { externalAddress: '11.0.0.2' }));
}

const [udp, tcp] = ['udp', 'tcp'].map((transport) => `${transport} 16696 ${homeAddress}:16696`) as [string, string];

const isMappedOverTcp = ({ tcp }: MappingStatus) => tcp?.mapped === true;

function mapsForwardsAndRemoves(protocols: readonly MappingProtocol[]) {
  return async (t: ExecutionContext, home: MiniupnpdHome) => {
    const client = home.startClient(protocols);
    const status = await client.status(({ state }) => state === 'mapped', 3000);
    t.like(status, {
      protocol: protocols[0],
      gateway: '192.168.1.1',
      externalAddress: '11.0.0.2',
      externalPort: 16696,
      reason: null,
    });
    // What the router keeps, and it counts the seconds that are left.
    t.true(status.leaseSeconds! > 3590 && status.leaseSeconds! <= 3600, `${status.leaseSeconds}`);
    await client.status(isMappedOverTcp, patience);
    t.deepEqual(home.forwardings().sort(), [tcp, udp]);
    home.sendFromOutside(16696, 'hello');
    await client.received('hello', patience);
    home.sendFromOutside(16696, 'hello', 'tcp');
    await client.received('hello over TCP', patience);
    await client.stop();
    t.deepEqual(home.forwardings(), []);
  };
}

scenario('IGDv2: mapped within 3 s of start, forwarded, removed on exit', mapsForwardsAndRemoves(['upnp']));

scenario('IGDv1: mapped within 3 s of start, forwarded, removed on exit', mapsForwardsAndRemoves(['upnp']), {
  externalAddress: '11.0.0.2',
  generation1: true,
});

scenario('NAT-PMP: mapped within 3 s of start, forwarded, removed on exit', mapsForwardsAndRemoves(['nat-pmp']));

for (const protocol of ['upnp', 'nat-pmp'] as const) {
  scenario(
    `${protocol}: a router that reboots with an empty table and another address has us again within 10 s`,
    async (t, home) => {
      const client = home.startClient([protocol]);
      await client.status(isMappedOverTcp, patience);
      await home.stopRouter();
      home.startRouter({ externalAddress: '11.0.0.9' });
      t.deepEqual(home.forwardings(), []);
      const status = await client.status(
        ({ state, externalAddress }) => state === 'mapped' && externalAddress === '11.0.0.9',
        10_000,
      );
      t.is(status.externalPort, 16696);
      home.sendFromOutside(16696, 'again');
      await client.received('again', patience);
      const both = await until(
        'both',
        () => home.forwardings().sort(),
        ({ length }) => length === 2,
        patience,
      );
      t.deepEqual(both.value, [tcp, udp]);
      home.sendFromOutside(16696, 'again', 'tcp');
      await client.received('again over TCP', patience);
      await client.stop();
      t.deepEqual(home.forwardings(), []);
    },
  );
}

for (const protocol of ['upnp', 'nat-pmp'] as const) {
  scenario(
    `${protocol}: behind a carrier's NAT the router maps nothing and names no address: the reason is the NAT where peers see us, else its line`,
    async (t, home) => {
      const isRefused = ({ state }: MappingStatus) => state === 'refused';
      const client = home.startClient([protocol]);
      const alone = await client.status(isRefused, patience);
      await client.stop();
      t.regex(alone.reason!, /it has no address on the Internet side; check its line/);
      const seen = await home.startClient([protocol], 3600, '11.0.0.77').status(isRefused, patience);
      t.regex(seen.reason!, /peers see us at 11\.0\.0\.77, so a line works: another NAT stands in front of it.*CGNAT/);
      t.notRegex(seen.reason!, /by hand|check its line/);
      t.deepEqual(home.forwardings(), []);
    },
    { externalAddress: '100.64.0.2' },
  );
}

scenario('one table for both protocols: asked by the other one, the router forwards all the while', async (t, home) => {
  home.mute('nat-pmp');
  const client = home.startClient(['nat-pmp', 'upnp']);
  t.is((await client.status(isMappedOverTcp, patience)).protocol, 'upnp');
  for (const protocol of ['nat-pmp', 'upnp'] as const) {
    home.unmute();
    home.mute(protocol === 'upnp' ? 'nat-pmp' : 'upnp');
    client.networkChanges();
    const isBy = (status: MappingStatus) => status.protocol === protocol && status.state === 'mapped';
    t.is((await client.status((status) => isBy(status) && isMappedOverTcp(status), patience)).externalPort, 16696);
    t.deepEqual(home.forwardings().sort(), [tcp, udp], protocol);
    home.sendFromOutside(16696, protocol);
    await client.received(protocol, patience);
    home.sendFromOutside(16696, protocol, 'tcp');
    await client.received(`${protocol} over TCP`, patience);
  }
  await client.stop();
  t.deepEqual(home.forwardings(), []);
});

scenario(
  'upnp: another address of ours takes the port with it, over UDP and TCP',
  async (t, home) => {
    const client = home.startClient(['upnp']);
    await client.status(isMappedOverTcp, patience);
    home.moves('192.168.1.21');
    client.networkChanges();
    const isDone = (status: MappingStatus) => status.state === 'mapped' && isMappedOverTcp(status);
    t.is((await client.status(isDone, patience)).externalPort, 16696);
    t.deepEqual(home.forwardings().sort(), ['tcp 16696 192.168.1.21:16696', 'udp 16696 192.168.1.21:16696']);
    home.sendFromOutside(16696, 'moved');
    await client.received('moved', patience);
    home.sendFromOutside(16696, 'moved', 'tcp');
    await client.received('moved over TCP', patience);
    await client.stop();
    t.deepEqual(home.forwardings(), []);
  },
  { externalAddress: '11.0.0.2', anyClient: true },
);

for (const protocol of ['upnp', 'nat-pmp'] as const) {
  longScenario(
    `${protocol}: nobody removes what goes to our address of before: another port, and the same again when its lease is over`,
    async (t, home) => {
      const client = home.startClient([protocol], 8);
      await client.status(isMappedOverTcp, patience);
      home.moves('192.168.1.21');
      client.networkChanges();
      const isElsewhere = ({ state, externalPort }: MappingStatus) => state === 'mapped' && externalPort !== 16696;
      const { externalPort } = await client.status(isElsewhere, patience);
      t.true(home.forwardings().includes(`udp ${externalPort} 192.168.1.21:16696`));
      home.sendFromOutside(externalPort!, 'elsewhere');
      await client.received('elsewhere', patience);
      const isBack = (status: MappingStatus) =>
        status.state === 'mapped' && status.externalPort === 16696 && isMappedOverTcp(status);
      await client.status(isBack, patience);
      home.sendFromOutside(16696, 'back');
      await client.received('back', patience);
      home.sendFromOutside(16696, 'back', 'tcp');
      await client.received('back over TCP', patience);
      await client.stop();
      t.deepEqual(home.forwardings(), []);
    },
  );
}

longScenario('a lease is renewed before it ends, and ends without us', async (t, home) => {
  const client = home.startClient(['upnp'], 3);
  await client.status(({ state }) => state === 'mapped', patience);
  for (let renewals = 0; renewals < 3; renewals++) {
    await client.status(({ state }) => state === 'renewing', 3000);
    const { leaseSeconds } = await client.status(({ state }) => state === 'mapped', patience);
    t.true([2, 3].includes(leaseSeconds!), `${leaseSeconds}`);
  }
  t.true(home.forwardings().includes(udp));
  await client.kill();
  await until(
    'it has ended',
    () => home.forwardings(),
    ({ length }) => length === 0,
    patience,
  );
});

scenario(
  'a port that another machine of the house holds is left to it',
  async (t, home) => {
    home.occupy(16696, 'UDP');
    const before = home.forwardings();
    const client = home.startClient(['upnp']);
    const status = await client.status(({ state }) => state === 'mapped', patience);
    t.not(status.externalPort, 16696);
    t.deepEqual(home.forwardings(), [...before, `udp ${status.externalPort} ${homeAddress}:16696`]);
  },
  { externalAddress: '11.0.0.2', anyClient: true },
);

for (const protocol of ['upnp', 'nat-pmp'] as const) {
  scenario(
    `${protocol}: a port that another machine of the house holds over TCP alone is left to it, and is ours over UDP`,
    async (t, home) => {
      home.occupy(16696, 'TCP');
      const before = home.forwardings();
      const client = home.startClient([protocol]);
      const status = await client.status(({ tcp }) => tcp?.reason != null, patience);
      t.like(status, { state: 'mapped', externalPort: 16696, reason: null, tcp: { mapped: false } });
      const left = await until(
        'given back',
        () => home.forwardings(),
        ({ length }) => length === 2,
        patience,
      );
      t.deepEqual(left.value, [...before, udp]);
      home.sendFromOutside(16696, 'hello');
      await client.received('hello', patience);
      await client.stop();
      t.deepEqual(home.forwardings(), before);
    },
    { externalAddress: '11.0.0.2', anyClient: true },
  );
}
