import test from 'ava';
import {
  certificateLifetime,
  certificateNow,
  earliestPlausible,
  expiredGrace,
  isRenewalDue,
  signingTime,
  standing,
} from '../../src/addr/validity.js';
import { MeshError } from '../../src/errors.js';

const issued = 1_795_000_000;
const certificate = { issued, expires: issued + certificateLifetime };
const hour = 3600;

test('a certificate is valid, then expired for a year, then void', (t) => {
  t.is(standing(certificate, issued), 'valid');
  t.is(standing(certificate, certificate.expires - 1), 'valid');
  t.is(standing(certificate, certificate.expires), 'expired');
  t.is(standing(certificate, certificate.expires + expiredGrace - 1), 'expired');
  t.is(standing(certificate, certificate.expires + expiredGrace), 'void');
});

test('there is no not-before: a clock in 1970 or an hour behind locks nobody out', (t) => {
  t.is(standing(certificate, certificateNow(0, 0)), 'valid');
  t.is(standing(certificate, certificateNow(issued - hour, 0)), 'valid');
});

test('a clock an hour ahead locks nobody out, even on the last day', (t) => {
  t.is(standing(certificate, certificateNow(certificate.expires - 60 + hour, 0)), 'expired');
});

test('a clock in 1970 does not make the expired young again where a newer signed time was seen', (t) => {
  const newest = certificate.expires + expiredGrace;
  t.is(standing(certificate, certificateNow(0, newest)), 'void');
});

test('renewal is due from half of the lifetime', (t) => {
  t.false(isRenewalDue(certificate, issued + certificateLifetime / 2 - 1));
  t.true(isRenewalDue(certificate, issued + certificateLifetime / 2));
  t.false(isRenewalDue(certificate, 0));
});

test('an issuer signs with the later of its clock and the signed times', (t) => {
  t.is(signingTime(issued + 5, 0), issued + 5);
  t.is(signingTime(0, issued), issued);
  t.is(signingTime(issued + hour, issued), issued + hour);
});

test('an issuer does not sign with a clock that is wrong beyond doubt', (t) => {
  const wrong = (clock: number, newest: number) => {
    const error = t.throws(() => signingTime(clock, newest), { instanceOf: MeshError });
    t.is(error.code, 'clock');
  };
  wrong(0, 0);
  wrong(earliestPlausible - 1, 0);
  wrong(issued + 10 * certificateLifetime, issued);
});
