import test from 'ava';
import type { EndpointSource } from '../../src/addr/endpoint.js';
import { type TlsOffer, tlsEndpoints } from '../../src/control/tls-offer.js';

const offer: TlsOffer = { listen: { address: '0.0.0.0', port: 443 }, endpoint: undefined, name: 'a.example.net' };
const at = (address: string, source: EndpointSource) => ({ address, port: 16696, source, proven: true });
const told = (address: string, port = 443) => ({ address, port, name: 'a.example.net' });

test('the addresses of the machine are told with the port of TLS, public ones first', (t) => {
  const endpoints = [at('192.168.1.20', 'local'), at('11.0.0.2', 'local')];
  t.deepEqual(tlsEndpoints(offer, endpoints), [told('11.0.0.2'), told('192.168.1.20')]);
});

test('an address the operator has configured counts, one twice known is told once, and two at most', (t) => {
  const endpoints = [
    at('11.0.0.3', 'configured'),
    at('11.0.0.2', 'local'),
    at('11.0.0.3', 'local'),
    at('11.0.0.4', 'local'),
  ];
  t.deepEqual(tlsEndpoints(offer, endpoints), [told('11.0.0.3'), told('11.0.0.2')]);
});

test('the router’s address is not told: it forwards our UDP port', (t) => {
  const endpoints = (['upnp', 'nat-pmp', 'observed'] as const).map((source) => at('11.0.0.9', source));
  t.deepEqual(tlsEndpoints(offer, endpoints), []);
});

test('what the operator says is told alone', (t) => {
  const endpoint = { address: '11.0.0.9', port: 8443 };
  t.deepEqual(tlsEndpoints({ ...offer, endpoint }, [at('11.0.0.2', 'local')]), [told('11.0.0.9', 8443)]);
});

test('who listens at one address tells that one, unless nobody else could reach it', (t) => {
  const listening = (address: string) =>
    tlsEndpoints({ ...offer, listen: { address, port: 444 } }, [at('11.0.0.2', 'local')]);
  t.deepEqual(listening('11.0.0.5'), [told('11.0.0.5', 444)]);
  t.deepEqual(listening('127.0.0.1'), []);
});
