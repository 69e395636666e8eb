import test from 'ava';
import { verifyParts } from '../../scripts/verify-parts.js';

test('the parts of npm run verify together end within 90 minutes, each by its own limit', (t) => {
  t.true(verifyParts.reduce((sum, part) => sum + part.minutes, 0) <= 90);
});

test('no two parts share a name, for their results are kept by it', (t) => {
  t.is(new Set(verifyParts.map((part) => part.name)).size, verifyParts.length);
});
