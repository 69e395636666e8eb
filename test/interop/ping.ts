import { patience, until } from './until.js';
import { type Host, onHost } from './world.js';

/** Waits until the kernels forward too; theirs may be a moment behind the routers' tables. */
export async function pings(host: Host, from: string, to: string): Promise<void> {
  await until(`${from} pings ${to}`, patience, () => {
    try {
      return onHost(host, 'ping', '-c', '1', '-W', '1', '-I', from, to).includes(' 0% packet loss');
    } catch {
      return false;
    }
  });
}
