import { readFileSync } from 'node:fs';
import { parseRequest } from '../../../daemon/admin-request.js';
import { parseConfig } from '../../../daemon/config.js';
import { parseDuration } from '../../../daemon/duration.js';
import { frameForStream, longestOnStream, StreamCutter } from '../../../daemon/tcp-frames.js';
import { fromHex, utf8 } from '../../../src/bytes.js';
import { MeshError } from '../../../src/errors.js';
import { parseDeviceDescription, printable } from '../../../src/upnp/device-description.js';
import { parseRouteTable } from '../../../src/upnp/gateways-routes.js';
import { decodeNatPmp } from '../../../src/upnp/nat-pmp.js';
import { encodeCall, errorNumberOf, refusalOfFault } from '../../../src/upnp/soap.js';
import { decodeSsdp, encodeSearch, gatewayTypes } from '../../../src/upnp/ssdp.js';
import { contentsOf, textOf } from '../../../src/upnp/xml.js';
import { tlvsOf } from '../../routing/tlvs.js';
import { promise, type Target } from '../target.js';

const text = (input: Uint8Array) => Buffer.from(input).toString('latin1');

function packetsOf(file: string): Uint8Array[] {
  const entries = JSON.parse(readFileSync(`test/vectors/${file}`, 'utf8')) as { packet?: string }[];
  return entries
    .map(({ packet }) => packet && fromHex(packet))
    .filter((octets) => octets !== undefined && octets !== '');
}

const babel: Target = {
  name: 'babel',
  files: ['codec/packet-reader.js'],
  seeds: [...packetsOf('babel.json'), ...packetsOf('babel-captures.json').slice(0, 40)],
  make: () => (input) => {
    promise(tlvsOf(input).length <= input.length / 2 + 1, 'a TLV is two octets at least');
  },
};

const streams: Target = {
  name: 'tcp frames',
  files: ['daemon/tcp-frames.js'],
  seeds: [
    new Uint8Array(Buffer.concat([frameForStream(new Uint8Array(3))!, frameForStream(new Uint8Array(1200))!])),
    Uint8Array.of(0, 0),
    Uint8Array.of(0xff, 0xff, 1),
  ],
  make: (random) => (input) => {
    const cutter = new StreamCutter();
    let whole = 0;
    for (let at = 0; at < input.length; ) {
      const step = 1 + random.below(400);
      const datagrams = cutter.push(Buffer.from(input.subarray(at, at + step)));
      if (!datagrams) return;
      for (const { length } of datagrams) {
        promise(length > 0 && length <= longestOnStream, 'a datagram of the stream is within its bounds');
        whole += 2 + length;
      }
      at += step;
    }
    promise(whole <= input.length, 'nothing comes out that did not go in');
  },
};

const natPmp: Target = {
  name: 'nat-pmp',
  files: ['upnp/nat-pmp.js'],
  seeds: ['008000000000010' + '00b000002', '0081000000000100413' + '89c4000000e10', '00810003'].map(
    (hex) => fromHex(hex)!,
  ),
  make: () => (input) => {
    const answer = decodeNatPmp(input);
    if (answer?.kind === 'mapping') promise(answer.externalPort >= 0 && answer.externalPort < 65_536, 'a port is one');
  },
};

const description = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>http://192.168.1.1:5000/</URLBase>
<device><friendlyName>A &amp; B</friendlyName><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
<controlURL>/ctl/IPConn</controlURL></service></serviceList></device></root>`;
const fault = `<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>718</errorCode><errorDescription>Conflict</errorDescription>
</UPnPError></detail></s:Fault></s:Body></s:Envelope>`;

const upnp: Target = {
  name: 'ssdp soap xml',
  files: ['upnp/ssdp.js', 'upnp/soap.js', 'upnp/xml.js', 'upnp/device-description.js'],
  seeds: [
    encodeSearch(gatewayTypes[0]!),
    `HTTP/1.1 200 OK\r\nST: ${gatewayTypes[0]}\r\nLOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n01-NLS: 1\r\n\r\n`,
    `NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\nNT: ${gatewayTypes[1]}\r\nLOCATION: http://192.168.1.1/d\r\nBOOTID.UPNP.ORG: 4\r\n\r\n`,
    'NOTIFY * HTTP/1.1\r\nNTS: ssdp:byebye\r\n\r\n',
    description,
    fault,
    encodeCall('urn:x', 'AddPortMapping', [['NewProtocol', 'UDP']]),
  ].map(utf8),
  make: () => {
    const location = new URL('http://192.168.1.1:5000/rootDesc.xml');
    return (input) => {
      decodeSsdp(input);
      const words = text(input);
      const found = parseDeviceDescription(words, location);
      for (const { controlUrl } of found?.services ?? []) {
        promise(controlUrl.hostname === location.hostname, 'a description sends us nowhere else');
      }
      promise(printable(words).length <= 64, 'a name is short');
      contentsOf(words, 'service');
      textOf(words, 'errorCode');
      errorNumberOf(words);
      refusalOfFault(words, 500);
      parseRouteTable(words);
    };
  },
};

const admin: Target = {
  name: 'admin requests',
  files: ['daemon/admin-request.js'],
  seeds: ['{"method":"status"}', '{"method":"invite","options":{"name":"a","lan":["10.0.0.0/8"]}}', '[]', 'null'].map(
    utf8,
  ),
  make: () => (input) => {
    const request = parseRequest(text(input));
    if (request) promise(typeof request.options === 'object', 'options are an object');
  },
};

const config: Target = {
  name: 'config',
  files: ['daemon/config.js', 'daemon/duration.js'],
  seeds: [
    'name = "attic"\nlisten = "0.0.0.0:16696"\nendpoints = ["192.0.2.1:16696"]\n[tun]\nname = "weft0"\nmtu = 1380\n[relay]\nmode = "limited"\nlimit-mbit = 10\n',
    '[[babel.interface]]\ndevice = "eth1"\nhello-interval = "4s"\ntype = "wired"\n[[critical]]\nname = "db"\n[force]\nworkers = 3\n[log]\nlevel = "debug"\n',
    '10 min 5s',
  ].map(utf8),
  make: () => (input) => {
    parseDuration(text(input));
    try {
      parseConfig(text(input), 'weft.toml');
    } catch (error) {
      promise(error instanceof MeshError && error.cure !== '', `an operator mistake has a cure: ${error}`);
    }
  },
};

export const protocolTargets: readonly Target[] = [babel, streams, natPmp, upnp, admin, config];
