import { type Endpoint, formatEndpoint } from '../src/addr/endpoint.js';
import { MeshError } from '../src/errors.js';

/**
 * Why nothing listens on a TCP port, and what to do: `tls-port-taken`, `tls-port-forbidden`, `tls-no-listener`, and the same with
 * `tcp`. `key`: what names the port in the config.
 */
export function portProblem(kind: 'tcp' | 'tls', listen: Endpoint, key: string, cause: Error): MeshError {
  const { code } = cause as NodeJS.ErrnoException;
  const where = formatEndpoint(listen);
  switch (code) {
    case 'EADDRINUSE':
      return new MeshError(
        `${kind}-port-taken`,
        `another program listens on TCP ${where}`,
        `end it ("ss -ltnp" shows it), or set ${key}`,
        { cause },
      );
    case 'EACCES':
      return new MeshError(
        `${kind}-port-forbidden`,
        `weftd may not listen on TCP ${where}`,
        `give it CAP_NET_BIND_SERVICE (packaging/weft.service does), or set ${key} to a port from 1024 on`,
        { cause },
      );
    default:
      return new MeshError(`${kind}-no-listener`, `TCP ${where}: ${cause.message}`, `correct ${key}`, { cause });
  }
}
