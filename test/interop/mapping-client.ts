import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { systemRandom } from '../../src/random.js';
import type { MappingProtocol } from '../../src/upnp/contract.js';
import { isOrder, type MappingEffect, type MappingEvent } from '../../src/upnp/effects.js';
import { RouterFinder } from '../../src/upnp/gateways.js';
import { MappingShell } from '../../src/upnp/gateways-shell.js';
import { Mapping } from '../../src/upnp/mapping.js';

/**
 * The Mapping and its shell as a program of their own, to be started inside a home's namespace. Prints one JSON a line:
 * each status, and each datagram and each piece of a TCP stream that reaches the port as `{received}`. SIGHUP tells of a change
 * of the network, SIGTERM ends it, after the mapping was removed. Arguments: the port, the lease in seconds, where peers see us or "nowhere", and the protocols.
 */
const [port = '16696', lease = '3600', seenAt = 'nowhere', ...protocols] = process.argv.slice(2);
const mapping = new Mapping({ internalPort: Number(port), lease: Number(lease), random: systemRandom() });
const finder = new RouterFinder(protocols as MappingProtocol[]);
const shell = new MappingShell(finder, handle);
const listener = createSocket('udp4').bind(Number(port));
listener.on('message', (bytes) => console.log(JSON.stringify({ received: bytes.toString() })));
const server = createServer((socket) => {
  socket.on('data', (bytes) => console.log(JSON.stringify({ received: `${bytes} over TCP` })));
  socket.on('error', () => {});
});
server.listen(Number(port), '0.0.0.0', () => handle({ kind: 'companion', event: { kind: 'listening' } }));
let timer: NodeJS.Timeout | undefined;

function apply(effects: readonly MappingEffect[]): void {
  for (const effect of effects) {
    if (isOrder(effect)) shell.carryOut(effect);
    else console.log(JSON.stringify(mapping.status()));
  }
  clearTimeout(timer);
  const wait = mapping.deadline() - performance.now();
  if (wait < 2 ** 31) timer = setTimeout(() => apply(mapping.tick(performance.now())), Math.max(0, wait));
}

function handle(event: MappingEvent): void {
  apply(mapping.handle(event, performance.now()));
}

process.on('SIGHUP', () => handle({ kind: 'networkChanged' }));
process.on('SIGTERM', () => {
  handle({ kind: 'stopping' });
  listener.close();
  server.close();
  shell.close();
});
if (seenAt !== 'nowhere') handle({ kind: 'observedExternally', address: seenAt });
apply(mapping.tick(performance.now()));
