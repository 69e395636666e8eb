import { execFileSync } from 'node:child_process';
import { canonicalPrefix } from './route.js';
import type { Host } from './world.js';

/** A route of the host's kernel that some routing protocol put there. */
export interface KernelRoute {
  readonly prefix: string;
  readonly via: string;
  readonly device: string;
  readonly protocol: string;
}

/** The kernel's routes of all tables, of both families, that a gateway forwards. */
export function kernelRoutes(host: Host): KernelRoute[] {
  return ['-4', '-6'].flatMap((family) => {
    const text = execFileSync('ip', [family, '-j', '-N', '-n', host.namespace, 'route', 'show', 'table', 'all'], {
      encoding: 'utf8',
    });
    interface Row {
      dst: string;
      gateway?: string;
      via?: { host: string };
      dev?: string;
      protocol?: string;
    }
    const rows = JSON.parse(text === '' ? '[]' : text) as Row[];
    return rows
      .filter((row) => row.gateway !== undefined || row.via !== undefined)
      .map((row) => ({
        prefix: row.dst === 'default' ? (family === '-4' ? '0.0.0.0/0' : '::/0') : canonicalPrefix(row.dst),
        via: row.gateway ?? row.via?.host ?? '',
        device: row.dev ?? '',
        protocol: row.protocol ?? '',
      }));
  });
}
