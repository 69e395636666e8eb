import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readTlsCertificate, type TlsFiles, versionOf } from '../../daemon/tls-certificate.js';
import { MeshError } from '../../src/errors.js';
import { makeCertificate, writeCertificate } from '../helpers/tls-certificate.js';

function inFolder(t: ExecutionContext, name = 'vpn.example.net', lifetime?: number): TlsFiles {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tls-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return writeCertificate(folder, makeCertificate(name, lifetime));
}

/** What it complains about: code, message and cure. */
function fault(t: ExecutionContext, files: TlsFiles): MeshError {
  const error = t.throws(() => readTlsCertificate(files));
  if (error instanceof MeshError) return error;
  throw new Error('not a MeshError', { cause: error });
}

test('a certificate and its key are read, with its name and its end', (t) => {
  const { name, expires } = readTlsCertificate(inFolder(t));
  t.is(name, 'vpn.example.net');
  t.true(Math.abs(expires - Date.now() / 1000 - 86_400) < 60);
});

test('an expired one counts, and tells that it is', (t) => {
  t.true(readTlsCertificate(inFolder(t, 'old.example.net', -60)).expires < Date.now() / 1000);
});

test('a name that cannot be asked for is none', (t) => {
  t.is(readTlsCertificate(inFolder(t, '*.example.net')).name, undefined);
});

test('each fault names its file, its cause and its cure', (t) => {
  const files = inFolder(t);
  const other = inFolder(t);
  const missing = fault(t, { ...files, certificate: '/nowhere/certificate.pem' });
  t.is(missing.code, 'tls-missing');
  t.regex(missing.message, /\/nowhere\/certificate\.pem is not there/);
  t.regex(missing.cure, /tls\.certificate/);

  const mismatch = fault(t, { ...files, key: other.key });
  t.is(mismatch.code, 'tls-mismatch');
  t.true(mismatch.message.includes(other.key) && mismatch.message.includes(files.certificate));

  const folder = fault(t, { ...files, key: '/' });
  t.is(folder.code, 'tls-unreadable');
  t.regex(folder.message, /EISDIR/);

  writeFileSync(files.certificate, 'no certificate');
  t.is(fault(t, files).code, 'tls-no-certificate');

  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(other.key, privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }));
  t.is(fault(t, other).code, 'tls-no-key');
  t.regex(fault(t, other).cure, /passphrase/);
});

test('a file that may not be read says so', (t) => {
  const files = inFolder(t);
  chmodSync(files.key, 0);
  if (process.getuid?.() === 0) {
    t.notThrows(() => readTlsCertificate(files), 'root reads everything');
    return;
  }
  t.is(fault(t, files).code, 'tls-unreadable');
});

test('a renewed certificate is another version', (t) => {
  const files = inFolder(t);
  const before = versionOf(files);
  t.is(versionOf(files), before);
  writeFileSync(files.certificate, `${makeCertificate('new.example.net').certificate}\n`);
  t.not(versionOf(files), before);
  t.not(versionOf({ ...files, key: '/nowhere' }), versionOf(files));
});
