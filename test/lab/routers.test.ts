import test from 'ava';
import { carrier, home, host, type RouterSpec } from '../../lab/description.js';
import { udpOn } from '../../lab/machines.js';
import { type Classification, classify } from '../../lab/prober.js';
import { World } from '../../lab/world.js';

const dependent = 'address-and-port-dependent';
const independent = 'endpoint-independent';
const byAddress = 'address-dependent';

/** Each router, and what RFC 4787 calls it. Written from the kinds' definitions, not from what was measured. */
const routers: Record<string, [RouterSpec, Partial<Classification>]> = {
  cone: [{ nat: 'endpoint-independent' }, { mapping: independent, filtering: independent, portPreservation: true }],
  address: [{ nat: 'address-restricted' }, { mapping: independent, filtering: byAddress, portPreservation: true }],
  port: [{ nat: 'port-restricted' }, { mapping: independent, filtering: dependent, portPreservation: true }],
  symmetric: [{ nat: 'symmetric' }, { mapping: dependent, filtering: dependent, portPreservation: false }],
  'cone-random': [
    { nat: 'endpoint-independent', ports: 'random' },
    { mapping: independent, filtering: independent, portPreservation: false },
  ],
  'port-random': [
    { nat: 'port-restricted', ports: 'random' },
    { mapping: independent, filtering: dependent, portPreservation: false },
  ],
  hairpin: [
    { nat: 'endpoint-independent', hairpin: true },
    { mapping: independent, filtering: independent, hairpinning: true },
  ],
  'upnp-home': [{ mapping: ['igd2'] }, { mapping: independent, filtering: dependent, portPreservation: true }],
  blocked: [{ nat: 'udp-blocked' }, { blocked: true }],
};

test.serial('each router is what its label says, by an independent prober', async (t) => {
  const world = await World.build({
    'dc-1': host(),
    'dc-2': host(),
    ...Object.fromEntries(Object.entries(routers).map(([name, [spec]]) => [name, home(spec)])),
  });
  t.teardown(() => world.remove());
  await Promise.all(
    Object.entries(routers).map(async ([name, [, label]]) => {
      const seen = await classify(world.host(name), world.host('dc-1'), world.host('dc-2'));
      t.like(seen, { blocked: false, hairpinning: false, ...label }, `${name}: ${JSON.stringify(seen)}`);
    }),
  );
});

test.serial('two NATs in a row are as strict as the stricter of them', async (t) => {
  const world = await World.build({
    'dc-1': host(),
    'dc-2': host(),
    isp: carrier({ nat: 'endpoint-independent' }),
    'behind-isp': home({ nat: 'port-restricted', behind: 'isp' }),
    'strict-isp': carrier({ nat: 'symmetric', lan: '100.65.0.0' }),
    'behind-strict': home({ nat: 'endpoint-independent', behind: 'strict-isp' }),
  });
  t.teardown(() => world.remove());
  t.like(await classify(world.host('behind-isp'), world.host('dc-1'), world.host('dc-2')), {
    mapping: independent,
    filtering: dependent,
  });
  t.like(await classify(world.host('behind-strict'), world.host('dc-1'), world.host('dc-2')), {
    mapping: dependent,
    filtering: dependent,
  });
});

test.serial('two members with the same inner port get two outer ports, each its own mapping', async (t) => {
  const world = await World.build({
    'dc-1': host(),
    'dc-2': host(),
    flat: home({ nat: 'endpoint-independent', members: ['anna', 'ben'] }),
  });
  t.teardown(() => world.remove());
  for (const member of ['anna', 'ben']) {
    t.like(await classify(world.host(member), world.host('dc-1'), world.host('dc-2')), {
      mapping: independent,
      filtering: independent,
    });
  }
});

test.serial('a router counts what its members send, by destination, even where it forwards no UDP', async (t) => {
  const world = await World.build({ 'dc-1': host(), flat: home(), office: home({ nat: 'udp-blocked' }) });
  t.teardown(() => world.remove());
  const { address } = world.host('dc-1');
  for (const name of ['flat', 'office']) {
    const socket = udpOn(world.host(name));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => socket.send('knock', 4000, address, resolve));
    await new Promise((resolve) => socket.send('knock', 4001, address, resolve));
    socket.close();
    t.deepEqual(
      [...(await world.router(name).udpSent())].sort(),
      [
        [`${address}:4000`, 5],
        [`${address}:4001`, 1],
      ],
      name,
    );
  }
});
