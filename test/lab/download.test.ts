import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { home } from '../../lab/description.js';
import { Download, offer } from '../../lab/download.js';
import { World } from '../../lab/world.js';

/** Two members of a LAN whose lines carry 40 Mbit/s, with IPv6 addresses of their own. */
async function lan() {
  const world = await World.build({ flat: home({ members: ['anna', 'ben'], lanWire: { rate: 40 } }) });
  const [anna, ben] = [world.host('anna'), world.host('ben')];
  await anna.namespace.must(['ip', 'addr', 'add', 'fd00::1/64', 'dev', 'eth0']);
  await ben.namespace.must(['ip', 'addr', 'add', 'fd00::2/64', 'dev', 'eth0']);
  return { world, anna, ben };
}

test.serial('a download is whole, and its longest pause is the cut', async (t) => {
  const { world, anna, ben } = await lan();
  t.teardown(() => world.remove());
  const file = await offer(anna, 'fd00::1', 8_000_000);
  const download = new Download(ben, file.url);
  await sleep(600);
  await anna.wire!.cut();
  await sleep(500);
  await anna.wire!.heal();
  await download.finished;
  t.is(download.octets, 8_000_000);
  t.is(download.checksum(), file.checksum);
  t.true(download.longestPause >= 450 && download.longestPause < 1500, `paused ${download.longestPause} ms`);
  t.true(download.took > 1600, 'the line carries 40 Mbit/s');
});

test.serial('a download that fails says so', async (t) => {
  const { world, anna, ben } = await lan();
  t.teardown(() => world.remove());
  const file = await offer(anna, 'fd00::1', 100_000_000);
  const download = new Download(ben, file.url);
  await sleep(300);
  file.stop();
  await t.throwsAsync(download.finished, { message: /curl ended with 18/ });
});
