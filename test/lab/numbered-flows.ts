import type { Socket } from 'node:dgram';
import { udpOn } from '../../lab/machines.js';
import { Namespace } from '../../lab/namespace.js';

const firstPort = 7100;
const interval = 20;

/** Many flows of numbered datagrams from one namespace to an address in another: does each arrive whole and in order? */
export class NumberedFlows {
  /** Those that came behind a later one, as "flow number". */
  readonly overtaken: string[] = [];
  readonly #address: string;
  readonly #from: readonly Socket[];
  readonly #to: readonly Socket[];
  readonly #arrived: Set<number>[];
  #rounds = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: string, to: string, address: string, count: number) {
    const flows = Array.from({ length: count }, (_, flow) => flow);
    this.#address = address;
    this.#from = flows.map(() => udpOn({ namespace: new Namespace(from) }, 0, '::'));
    this.#to = flows.map((flow) => udpOn({ namespace: new Namespace(to) }, firstPort + flow, '::'));
    this.#arrived = flows.map(() => new Set());
    for (const flow of flows) {
      let newest = -1;
      this.#to[flow]!.on('message', (bytes) => {
        const number = bytes.readUInt32BE(0);
        if (number < newest) this.overtaken.push(`${flow} ${number}`);
        newest = Math.max(newest, number);
        this.#arrived[flow]!.add(number);
      });
    }
  }

  /** One datagram of each flow every 20 ms. */
  start(): void {
    this.#timer = setInterval(() => {
      const datagram = Buffer.alloc(8);
      datagram.writeUInt32BE(this.#rounds++);
      for (const [flow, socket] of this.#from.entries()) socket.send(datagram, firstPort + flow, this.#address);
    }, interval);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  close(): void {
    this.stop();
    for (const socket of [...this.#from, ...this.#to]) socket.close();
  }

  get sent(): number {
    return this.#rounds * this.#from.length;
  }

  /** What has not arrived of what was sent. */
  get lost(): string[] {
    return this.#arrived.flatMap((arrived, flow) =>
      Array.from({ length: this.#rounds }, (_, number) => number)
        .filter((number) => !arrived.has(number))
        .map((number) => `${flow} ${number}`),
    );
  }
}
