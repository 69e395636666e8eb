import { type Server, Socket } from 'node:net';
import { MeshError } from '../src/errors.js';
import { defaultMark } from '../src/tunnel/plane/linux.js';
import { openStream, setMark } from '../src/tunnel/plane/linux-tcp.js';

/**
 * The mark of the tunnels, on TCP sockets: what carries it never goes into the overlay, which else would carry the very stream it
 * travels on where the overlay has the best route to the far end. Streams are there without it too, so a kernel that refuses it
 * is told of once, and nothing else changes.
 */
export class StreamMark {
  readonly #refused: (problem: MeshError) => void;
  readonly #set: (fd: number, mark: number) => boolean;
  #isTold = false;

  /** `set`: the kernel's, or in a test another. */
  constructor(refused: (problem: MeshError) => void = () => {}, set: (fd: number, mark: number) => boolean = setMark) {
    this.#refused = refused;
    this.#set = set;
  }

  /** A socket that is not connected yet. */
  socket(address: string): Socket {
    const fd = openStream(address.includes(':') ? 6 : 4);
    if (fd === undefined) return new Socket();
    this.#mark(fd);
    // manualStart: nothing is read before it is connected.
    return new Socket({ fd, manualStart: true } as ConstructorParameters<typeof Socket>[0]);
  }

  /** A server that listens, and by it what it accepts; one that was closed meanwhile has nothing to mark. */
  server(server: Server): void {
    const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } | null })._handle ?? { fd: -1 };
    if (fd >= 0) this.#mark(fd);
  }

  #mark(fd: number): void {
    if (this.#set(fd, defaultMark) || this.#isTold) return;
    this.#isTold = true;
    this.#refused(
      new MeshError(
        'stream-mark-refused',
        'the kernel refuses to mark TCP sockets, so tunnels over TCP and TLS may be sent into the overlay they carry',
        'give weftd CAP_NET_ADMIN (packaging/weft.service does)',
      ),
    );
  }
}
