import test from 'ava';
import { type Session, SessionKeys } from '../../src/tunnel/session-keys.js';
import { SessionList } from '../../src/tunnel/session-list.js';

function session(localIndex: number, role: Session['role'], bornAt: number): Session {
  return {
    localIndex,
    role,
    bornAt,
    keys: new SessionKeys(() => {}),
    incarnation: 1n,
    cipher: 'aes-256-gcm',
    remoteIndex: localIndex + 1000,
    remoteLanes: 1,
    isConfirmed: role === 'initiator',
    isByLower: role === 'initiator',
  };
}

test('two that ask each other over the overlay and directly, all at once: nothing the other may send on goes', (t) => {
  const list = new SessionList();
  t.deepEqual(list.add(session(1, 'initiator', 0)), []);
  t.deepEqual(list.add(session(2, 'responder', 5)), [], 'its initiator sends on it as soon as our answer has come');
  t.deepEqual(list.add(session(3, 'responder', 300)), []);
  t.deepEqual(list.add(session(4, 'initiator', 305)), []);
  t.true(list.confirm(2));
  t.true(list.confirm(3));
});

test('answers that nobody uses go before keys in use, and their number is bounded', (t) => {
  const list = new SessionList();
  list.add(session(1, 'initiator', 0));
  let gone = 0;
  for (let i = 2; i < 50; i++) gone += list.add(session(i, 'responder', i)).length;
  t.is(list.all.length, 6);
  t.is(gone, 43);
  t.truthy(list.find(1));
});
