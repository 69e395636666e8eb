import test from 'ava';
import { parseIp } from '../../src/addr/ip.js';
import { appendMacs, datagramMacsLength } from '../../src/datagram-mac.js';
import { seededRandom } from '../../src/random.js';
import { second } from '../../src/time.js';
import { Guard, maxHandshakeLength } from '../../src/tunnel/guard.js';
import { World } from '../mesh/world.js';

test('a newcomer joins while the issuer is flooded by initiations that know its key', (t) => {
  const world = new World(31);
  const issuer = world.found();
  const ours = issuer.mesh!.membership.identity.agreement.publicKey;
  const random = seededRandom(32);
  const guard = new Guard({ publicKey: ours, cookieSecret: random.bytes(32), random });
  const flood = () => {
    for (let i = 0; i < 100; i++) {
      const body = random.bytes(maxHandshakeLength - datagramMacsLength);
      body[0] = 1;
      guard.admit(appendMacs(ours, body), { address: random.bytes(16), port: i }, world.now);
    }
  };
  const newcomer = world.join(world.invite(issuer));
  const verdicts: string[] = [];
  world.lose = (from, effect) => {
    if (from !== newcomer || effect.kind !== 'sendDatagram') return false;
    flood();
    const source = { address: parseIp(`::ffff:${newcomer.endpoint.address}`)!, port: newcomer.endpoint.port };
    const verdict = guard.admit(effect.bytes, source, world.now);
    verdicts.push(typeof verdict === 'string' ? verdict : 'cookie');
    if (verdict === 'pass') return false;
    if (typeof verdict !== 'string') {
      // Said ten times over: one answer to a cookie is enough.
      for (let i = 0; i < 10; i++) {
        world.perform(
          newcomer,
          newcomer.joiner!.handle({ kind: 'datagram', from: issuer.endpoint, bytes: verdict }, world.now),
        );
      }
    }
    return true;
  };
  world.run(10 * second);
  t.is(newcomer.joined, 1, verdicts.join(' '));
  t.true(verdicts.includes('cookie'));
  t.true(verdicts.length < 10, verdicts.join(' '));
});
