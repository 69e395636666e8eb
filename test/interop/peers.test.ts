import test from 'ava';
import { Babeld } from './babeld.js';
import { Bird } from './bird.js';
import { kernelRoutes } from './kernel.js';
import { selectedWays } from './route.js';
import { Missing, patience, until } from './until.js';
import { onHost, World } from './world.js';

test('the harness sees babeld and BIRD agree, a withdrawal, and a silent link', async (t) => {
  const world = new World();
  t.teardown(() => world.close());
  const [a, b] = [world.host('a'), world.host('b')];
  world.lan('lan0', a, b);
  world.addresses(a, 'fd00:a::1/128', '192.0.2.1/32');
  world.addresses(b, 'fd00:b::1/128', '192.0.2.2/32');
  const babeld = await new Babeld(world, a, {
    devices: ['lan0'],
    announce: ['redistribute local ip fd00:a::/32 allow', 'redistribute local ip 192.0.2.0/24 allow'],
  }).ready();
  const bird = await new Bird(world, b, { devices: ['lan0'] }).ready();

  const agreed = ['192.0.2.1/32', '192.0.2.2/32 via 2', 'fd00:a::1/128', 'fd00:b::1/128 via 2'];
  await until('babeld has both families of BIRD', patience, async () => {
    const ways = selectedWays(await babeld.table());
    const missing = agreed.filter((way) => !ways.includes(way));
    return missing.length === 0 || new Missing(`missing ${missing.join(', ')}; has ${ways.join(', ')}`);
  });
  await until('BIRD has both families of babeld', patience, () => {
    const ways = selectedWays(bird.table());
    const wanted = ['192.0.2.1/32 via 1', 'fd00:a::1/128 via 1', 'fd00:b::1/128', '192.0.2.2/32'];
    const missing = wanted.filter((way) => !ways.includes(way));
    return missing.length === 0 || new Missing(`missing ${missing.join(', ')}; has ${ways.join(', ')}`);
  });
  t.true(kernelRoutes(b).some((route) => route.prefix === 'fd00:a::1/128' && route.via === 'fe80::1'));
  t.regex(onHost(b, 'ping', '-6', '-c', '1', '-W', '2', '-I', 'fd00:b::1', 'fd00:a::1'), / 0% packet loss/);

  world.dropAddresses(a, 'fd00:a::1/128');
  await until(
    'BIRD hears the withdrawal, or lets the route expire',
    patience,
    () => !selectedWays(bird.table()).includes('fd00:a::1/128 via 1'),
  );

  world.silence('lan0', a);
  await until(
    'BIRD loses the silent neighbour',
    patience,
    () => !selectedWays(bird.table()).some((way) => way.includes('via')),
  );
  t.deepEqual([...babeld.complaints, ...bird.complaints], []);
});
