import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { fromHex, toHex } from '../../src/bytes.js';
import { parseDeviceDescription, printable } from '../../src/upnp/device-description.js';
import { worthOfExternalAddress } from '../../src/upnp/external-address.js';
import { parseRouteTable } from '../../src/upnp/gateways-routes.js';
import {
  decodeNatPmp,
  encodeAddressRequest,
  encodeMapRequest,
  epochWasReset,
  isNatPmpAnnouncement,
} from '../../src/upnp/nat-pmp.js';
import { encodeCall, refusalOfFault } from '../../src/upnp/soap.js';
import { decodeSsdp, encodeSearch, gatewayTypes, plainUrl } from '../../src/upnp/ssdp.js';
import { contentsOf, textOf } from '../../src/upnp/xml.js';
import { leastProcessorTimeOf } from '../helpers/processor-time.js';

/** docs/protocol/port-mapping.md: RFC 6886, and the texts of UPnP. */
const vectors = JSON.parse(readFileSync('test/vectors/port-mapping.json', 'utf8')) as Record<string, string>;
const octetsOf = (name: string) => fromHex(vectors[name]!)!;

test('what a router is asked is as the vectors say', (t) => {
  t.is(toHex(encodeAddressRequest()), vectors['NAT-PMP, address asked']!);
  for (const transport of ['udp', 'tcp'] as const) {
    const asked = `NAT-PMP, ${transport.toUpperCase()} 16696`;
    t.is(toHex(encodeMapRequest(transport, 16696, 40000, 3600)), vectors[`${asked} asked to be 40000 for 3600 s`]!);
    t.is(toHex(encodeMapRequest(transport, 16696, 40000, 0)), vectors[`${asked} given back`]!);
  }
  t.is(encodeSearch(gatewayTypes[0]), vectors['SSDP, search']!);
  t.is(encodeSearch(gatewayTypes[1], '192.168.1.1'), vectors['SSDP, question to one host']!);
  const service = 'urn:schemas-upnp-org:service:WANIPConnection:2';
  const call = encodeCall(service, 'GetSpecificPortMappingEntry', [
    ['NewRemoteHost', ''],
    ['NewExternalPort', '16696'],
    ['NewProtocol', 'UDP'],
  ]);
  t.is(call, vectors['SOAP, call']!);
});

test('NAT-PMP answers are read, and at every shorter length are none', (t) => {
  const [address, mapping] = [octetsOf('NAT-PMP, address answered'), octetsOf('NAT-PMP, mapping answered')];
  t.deepEqual(decodeNatPmp(address), { kind: 'address', epochSeconds: 256, address: '11.0.0.2' });
  const told = { kind: 'mapping', epochSeconds: 256, internalPort: 16696, externalPort: 40000, leaseSeconds: 3600 };
  t.deepEqual<unknown, unknown>(decodeNatPmp(mapping), { ...told, transport: 'udp' });
  t.deepEqual<unknown, unknown>(decodeNatPmp(octetsOf('NAT-PMP, mapping over TCP answered')), {
    ...told,
    transport: 'tcp',
  });
  t.deepEqual(decodeNatPmp(octetsOf('NAT-PMP, mapping refused')), { kind: 'failure', opcode: 1, result: 3 });
  for (const whole of [address, mapping]) {
    for (let length = 0; length < whole.length; length++) t.is(decodeNatPmp(whole.subarray(0, length)), undefined);
  }
  t.is(decodeNatPmp(Uint8Array.from([2, ...address.subarray(1)])), undefined);
});

test('an announcement is the answer about the address or that of PCP, and at every shorter length is none', (t) => {
  for (const whole of [octetsOf('NAT-PMP, address answered'), octetsOf('PCP, announced')]) {
    t.true(isNatPmpAnnouncement(whole));
    for (let length = 0; length < whole.length; length++) t.false(isNatPmpAnnouncement(whole.subarray(0, length)));
  }
  const others = ['NAT-PMP, address asked', 'NAT-PMP, mapping answered', 'NAT-PMP, mapping refused'];
  for (const name of others) t.false(isNatPmpAnnouncement(octetsOf(name)));
  t.false(isNatPmpAnnouncement(octetsOf('PCP, announced').with(1, 0)), 'PCP, asked');
});

test('UPnP answers are read as the vectors say', (t) => {
  const answer = decodeSsdp(Buffer.from(vectors['SSDP, answer']!));
  t.like(answer, { kind: 'answer', type: gatewayTypes[0], life: '7' });
  t.is(answer?.location?.href, 'http://192.168.1.1:5000/rootDesc.xml');
  const farewell = decodeSsdp(Buffer.from(vectors['SSDP, the router goes']!));
  t.like(farewell, { kind: 'byebye', type: gatewayTypes[0] });
  t.deepEqual(refusalOfFault(vectors['SOAP, fault']!, 500), {
    code: 'conflict',
    detail: 'error 718 ConflictInMappingEntry',
  });
});

test('an epoch is reset when it is behind what 7/8 of our clock allows', (t) => {
  t.false(epochWasReset(1000, 1007, 8));
  t.false(epochWasReset(1000, 1005, 8));
  t.true(epochWasReset(1000, 1004, 8));
  t.true(epochWasReset(1000, 0, 0));
});

test('whatever comes over the network, no decoder throws', (t) => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .string({ unit: 'binary', maxLength: 300 })
      .map((text) => new TextEncoder().encode(`NOTIFY * HTTP/1.1\r\n${text}`)),
    fc
      .array(fc.constantFrom('<', '>', '/', 'root', 'service', 'serviceType', ' ', ':', '&amp;', '&', 'x'), {
        maxLength: 200,
      })
      .map((parts) => new TextEncoder().encode(parts.join(''))),
  );
  const base = new URL('http://192.168.1.1/');
  fc.assert(
    fc.property(anything, (bytes) => {
      const text = new TextDecoder().decode(bytes);
      decodeNatPmp(bytes);
      decodeSsdp(bytes);
      parseDeviceDescription(text, base);
      refusalOfFault(text, 500);
      plainUrl(text, base);
      parseRouteTable(text);
      return printable(text).length <= 64;
    }),
    { seed: 11, numRuns: 2000 },
  );
  t.pass();
});

test('malformed XML costs no more than its length', (t) => {
  const took = leastProcessorTimeOf(() => {
    for (const text of [
      '<'.repeat(131_072),
      '>'.repeat(131_072),
      '<a>'.repeat(43_690),
      `${'<'.repeat(131_071)}>`,
      '<service>'.repeat(14_000),
    ]) {
      contentsOf(text, 'service');
      parseDeviceDescription(text, new URL('http://192.168.1.1/'));
    }
  });
  t.true(took < 500, `${took} ms`);
});

test('elements are found whatever their prefix, attributes and case of entities', (t) => {
  t.is(textOf('<s:a xmlns:s="x"><s:b c="d"> 1 &lt; 2 &amp;amp; </s:b></s:a>', 'b'), '1 < 2 &amp;');
  t.is(textOf('<a/><b>x</b>', 'a'), '');
  t.is(textOf('<a><b>x</b></a>', 'a'), undefined);
  t.is(textOf('<a>x', 'a'), undefined);
  t.deepEqual(contentsOf('<e>1</e><f/><e>2</e>', 'e'), ['1', '2']);
});

test('URLs of names, other schemes, users and IPv6 are none we follow', (t) => {
  for (const url of [
    'http://router.local/x',
    'https://192.168.1.1/',
    'ftp://192.168.1.1/',
    'http://a@192.168.1.1/',
    'http://[fe80::1]/',
    'file:///etc/passwd',
    '',
  ]) {
    t.is(plainUrl(url), undefined, url);
  }
  t.is(plainUrl('http://0xc0a80101:5000/d')?.hostname, '192.168.1.1');
});

test('a search, an answer and an announcement', (t) => {
  t.regex(
    encodeSearch('upnp:rootdevice'),
    /^M-SEARCH \* HTTP\/1\.1\r\nHOST: 239\.255\.255\.250:1900\r\n.*MX: 1\r\n.*\r\n\r\n$/s,
  );
  const answer = 'HTTP/1.1 200 OK\r\nst: urn:x\r\nLocation:http://192.168.1.1:5000/d.xml\r\nBOOTID.UPNP.ORG: 7\r\n\r\n';
  const read = decodeSsdp(Buffer.from(answer));
  t.like(read, { kind: 'answer', type: 'urn:x', life: '7' });
  t.is(read?.location?.href, 'http://192.168.1.1:5000/d.xml');
  t.is(decodeSsdp(Buffer.from('NOTIFY * HTTP/1.1\r\nNTS: ssdp:byebye\r\nNT: urn:x\r\n\r\n'))?.kind, 'byebye');
  t.is(decodeSsdp(Buffer.from('M-SEARCH * HTTP/1.1\r\n\r\n')), undefined);
});

test('arguments of a call are escaped', (t) => {
  t.regex(encodeCall('urn:x', 'Do', [['A', '</A>&']]), /<A>&#60;\/A&#62;&#38;<\/A>/);
});

test('what an external address is worth', (t) => {
  const worth = {
    public: ['11.0.0.2', '172.32.0.1', '100.128.0.1', '192.0.2.1'],
    private: ['10.1.2.3', '172.31.255.255', '192.168.0.1', '192.0.0.2'],
    shared: ['100.64.0.1', '100.127.255.255'],
    unusable: ['0.0.0.0', '127.0.0.1', '169.254.1.1', '224.0.0.1', '255.255.255.255', '::1', '2001:db8::1', 'x', ''],
  };
  for (const [expected, addresses] of Object.entries(worth)) {
    for (const address of addresses) t.is(worthOfExternalAddress(address), expected as 'public', address);
  }
});

test('default gateways are read from the kernel’s table, the better metric first', (t) => {
  const table = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
ppp0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0
`;
  t.deepEqual(parseRouteTable(table), [
    { device: 'eth0', gateway: '192.168.1.1' },
    { device: 'wlan0', gateway: '192.168.2.1' },
  ]);
});
