import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { isServerName } from '../src/addr/tls-endpoint.js';
import { MeshError } from '../src/errors.js';
import type { UnixSeconds } from '../src/time.js';

/** What the TLS listener shows callers. */
export interface TlsCertificate {
  /** PEM, as in the files. */
  readonly certificate: Buffer;
  readonly key: Buffer;
  readonly expires: UnixSeconds;
  /** The first DNS name in it that can be asked for. */
  readonly name: string | undefined;
}

export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Reads both and sees that they fit; an expired one counts. Throws a MeshError that names the file, the cause and the cure. */
export function readTlsCertificate(files: TlsFiles): TlsCertificate {
  const certificate = readPem(files.certificate, 'tls.certificate');
  const key = readPem(files.key, 'tls.key');
  const leaf = parsed(
    () => new X509Certificate(certificate),
    'tls-no-certificate',
    `${files.certificate} holds no certificate`,
    'it must be PEM: -----BEGIN CERTIFICATE-----',
  );
  const privateKey = parsed(
    () => createPrivateKey(key),
    'tls-no-key',
    `${files.key} holds no private key, or one under a passphrase`,
    'it must be PEM without a passphrase: -----BEGIN PRIVATE KEY-----',
  );
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new MeshError(
      'tls-mismatch',
      `the key in ${files.key} is not that of the certificate in ${files.certificate}`,
      'set tls.certificate and tls.key to files made together; the own certificate must come first in its file',
    );
  }
  parsed(
    () => createSecureContext({ cert: certificate, key }),
    'tls-unusable',
    `the certificate in ${files.certificate} cannot be used`,
    'make one with an RSA key of 2048 bits or a P-256 key',
  );
  const names = [...(leaf.subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map(([, name]) => name!.toLowerCase());
  return { certificate, key, expires: Date.parse(leaf.validTo) / 1000, name: names.find(isServerName) };
}

/** Changes when one of the files does. */
export function versionOf(files: TlsFiles): string {
  return [files.certificate, files.key].map(changedAt).join(' ');
}

function changedAt(file: string): string {
  try {
    const { mtimeMs, ino, size } = statSync(file);
    return `${mtimeMs}-${ino}-${size}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

function readPem(file: string, key: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new MeshError('tls-missing', `${file} is not there`, `put it there, or correct ${key} in the config`, {
        cause,
      });
    }
    throw new MeshError('tls-unreadable', `${file} cannot be read (${code})`, 'let the user of weftd read it', {
      cause,
    });
  }
}

function parsed<T>(parse: () => T, code: string, message: string, cure: string): T {
  try {
    return parse();
  } catch (cause) {
    throw new MeshError(code, `${message} (${(cause as Error).message})`, cure, { cause });
  }
}
