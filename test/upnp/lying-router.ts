import { createSocket, type Socket } from 'node:dgram';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Millis } from '../../src/time.js';
import { textOf } from '../../src/upnp/xml.js';

export interface Fault {
  readonly errorCode: number;
  readonly words: string;
}

interface TableEntry {
  client: string;
  internalPort: string;
  lease: string;
}

/** An honest IGDv1 on loopback, speaking SSDP and HTTP on real sockets; each test makes it lie in one way. */
export class LyingRouter {
  /** Loopback, but its own: nobody else's router answers from it. */
  readonly address: string;
  externalAddress = '11.0.0.2';
  readonly table = new Map<string, TableEntry>();
  /** The same over TCP. */
  readonly tcpTable = new Map<string, TableEntry>();
  /** Every action called, in order. */
  readonly calls: string[] = [];
  /** Every request path, in order. */
  readonly paths: string[] = [];

  /** What the SSDP answers name; the description of this router by default. */
  location = () => `http://${this.address}:${this.port}/description.xml`;
  controlUrl = () => '/control';
  describe = (response: ServerResponse): unknown => sendXml(response, 200, this.description());
  /** Before an action is done: a fault to answer with, or undefined. */
  refuse = (_action: string, _body: string): Fault | undefined => undefined;
  /** How long it takes to say what it has done. */
  answersAfter = (_action: string): Millis => 0;
  /** What it does, and then never says that it has. */
  swallows = (_action: string, _body: string): boolean => false;
  /** Where the search is answered from, if not from port 1900 of this router; asked alone, the router answers from there too. */
  answerFrom: { readonly address: string; readonly port: number } | undefined;
  /** The external port it takes, whatever port it was asked for. */
  storesAt = (port: string): string => port;
  /** After an entry was made: what really goes to the table. */
  store = (entry: TableEntry): TableEntry => entry;

  /** A line of its whole table. */
  line = (index: number): string | Fault => {
    const lines = [
      ...[...this.table].map((line) => ['UDP', ...line] as const),
      ...[...this.tcpTable].map((line) => ['TCP', ...line] as const),
    ];
    const [protocol, port, entry] = lines[index] ?? [];
    if (!entry) return { errorCode: 713, words: 'SpecifiedArrayIndexInvalid' };
    return `<NewRemoteHost></NewRemoteHost><NewExternalPort>${port}</NewExternalPort><NewProtocol>${protocol}</NewProtocol>${fieldsOf(entry)}`;
  };

  readonly #ssdp = createSocket({ type: 'udp4', reuseAddr: true });
  /** Port 1900 of the router, where the answers come from elsewhere. */
  #asked: Socket | undefined;
  #answers: Socket | undefined;
  readonly #http: Server;
  readonly #lan: string;

  /** `lan`: where searches are heard; loopback unless given. */
  constructor(address: string, lan = '127.0.0.1') {
    this.address = address;
    this.#lan = lan;
    this.#http = createServer((request, response) => this.#serve(request, response));
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#http.listen(0, this.address, resolve));
    const answers = createSocket({ type: 'udp4', reuseAddr: true });
    const { address, port } = this.answerFrom ?? { address: this.address, port: 1900 };
    await new Promise<void>((resolve) => answers.bind(port, address, resolve));
    this.#answers = answers;
    answers.on('message', (bytes, from) => this.#search(bytes, from.address, from.port));
    if (address !== this.address) {
      const asked = createSocket({ type: 'udp4', reuseAddr: true });
      await new Promise<void>((resolve) => asked.bind(1900, this.address, resolve));
      asked.on('message', (bytes, from) => this.#search(bytes, from.address, from.port));
      this.#asked = asked;
    }
    this.#ssdp.on('message', (bytes, from) => this.#search(bytes, from.address, from.port));
    await new Promise<void>((resolve) => this.#ssdp.bind(1900, '239.255.255.250', resolve));
    this.#ssdp.addMembership('239.255.255.250', this.#lan);
  }

  /** Says to all that it is there, as after a start. */
  announce(): void {
    const type = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1';
    const words = `NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: ${type}\r\nNTS: ssdp:alive\r\nUSN: uuid:1::${type}\r\nLOCATION: ${this.location()}\r\n\r\n`;
    this.#answers?.setMulticastInterface(this.#lan);
    this.#answers?.send(words, 1900, '239.255.255.250');
  }

  stop(): void {
    this.#ssdp.close();
    this.#answers?.close();
    this.#asked?.close();
    this.#http.close();
    this.#http.closeAllConnections();
  }

  description(): string {
    return `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>Test &amp; Box</friendlyName>
<deviceList><device><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>${this.controlUrl()}</controlURL>
</service></serviceList></device></deviceList></device></root>`;
  }

  #search(bytes: Buffer, to: string, port: number): void {
    const text = bytes.toString('latin1');
    const type = /^ST: (.*:InternetGatewayDevice:1|upnp:rootdevice)\r$/m.exec(text)?.[1];
    if (!text.startsWith('M-SEARCH') || !type) return;
    this.#answers?.send(
      `HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nST: ${type}\r\nUSN: uuid:1::${type}\r\nLOCATION: ${this.location()}\r\n\r\n`,
      port,
      to,
    );
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.paths.push(request.url ?? '');
    if (request.method === 'GET') {
      this.describe(response);
      return;
    }
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { pathname, search } = new URL(this.controlUrl(), this.location());
      if (request.url !== pathname + search) response.writeHead(404).end();
      else this.#call(/#(\w+)/.exec(`${request.headers.soapaction}`)?.[1] ?? '', body, response);
    });
  }

  #call(action: string, body: string, response: ServerResponse): void {
    this.calls.push(action);
    const reply = this.refuse(action, body) ?? this.#do(action, body);
    if (this.swallows(action, body)) return;
    setTimeout(() => sendReply(response, action, reply), this.answersAfter(action));
  }

  #do(action: string, body: string): string | Fault {
    if (action === 'GetExternalIPAddress') {
      return `<NewExternalIPAddress>${this.externalAddress}</NewExternalIPAddress>`;
    }
    if (action === 'GetGenericPortMappingEntry') return this.line(Number(textOf(body, 'NewPortMappingIndex')));
    const port = textOf(body, 'NewExternalPort') ?? '';
    const table = isTcp(body) ? this.tcpTable : this.table;
    if (action === 'AddPortMapping') {
      const entry = {
        client: textOf(body, 'NewInternalClient') ?? '',
        internalPort: textOf(body, 'NewInternalPort') ?? '',
        lease: textOf(body, 'NewLeaseDuration') ?? '',
      };
      table.set(this.storesAt(port), this.store(entry));
      return '';
    }
    const entry = table.get(port);
    if (!entry) return { errorCode: 714, words: 'NoSuchEntryInArray' };
    if (action === 'DeletePortMapping') table.delete(port);
    return fieldsOf(entry);
  }
}

function fieldsOf({ client, internalPort, lease }: TableEntry): string {
  return `<NewInternalPort>${internalPort}</NewInternalPort><NewInternalClient>${client}</NewInternalClient><NewLeaseDuration>${lease}</NewLeaseDuration>`;
}

/** Whether a call is about a port of TCP. */
export function isTcp(body: string): boolean {
  return textOf(body, 'NewProtocol') === 'TCP';
}

export function sendXml(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'text/xml; charset="utf-8"' }).end(xml);
}

function sendReply(response: ServerResponse, action: string, reply: string | Fault): void {
  if (typeof reply !== 'string') {
    const { errorCode, words } = reply;
    const error = `<errorCode>${errorCode}</errorCode><errorDescription>${words}</errorDescription>`;
    const fault = `<s:Fault><detail><UPnPError>${error}</UPnPError></detail></s:Fault>`;
    sendXml(response, 500, `<s:Envelope><s:Body>${fault}</s:Body></s:Envelope>`);
  } else {
    const name = `u:${action}Response`;
    sendXml(response, 200, `<s:Envelope><s:Body><${name}>${reply}</${name}></s:Body></s:Envelope>`);
  }
}
