import type { SessionInstall } from '../../../src/tunnel/plane/contract.js';
import { DataPlane } from '../../../src/tunnel/plane/data-plane.js';

/** The send counters that workers share, of sessions installed while a piece of code runs (layout: link.ts). */
export class SendCounters {
  readonly #installed = new Map<number, Int32Array>();

  /** Only what is installed inside `act`; it must not wait for anything. */
  during<Result>(act: () => Result): Result {
    const { apply } = DataPlane.prototype;
    const note = ({ localIndex, remoteLanes }: SessionInstall, shared: SharedArrayBuffer) =>
      this.#installed.set(localIndex, new Int32Array(shared, 16, remoteLanes));
    DataPlane.prototype.apply = function (this: DataPlane, order, now) {
      if (order.command.kind === 'installSession') note(order.command.session, order.shared!);
      apply.call(this, order, now);
    };
    try {
      return act();
    } finally {
      DataPlane.prototype.apply = apply;
    }
  }

  /** Lets every lane of this session have sent so many frames. `localIndex`: the sender's own. */
  set(localIndex: number, frames: number): void {
    this.#installed.get(localIndex)!.fill(frames);
  }

  /** The most frames that a lane of it has sent. */
  most(localIndex: number): number {
    return Math.max(...this.#installed.get(localIndex)!);
  }

  get sessions(): number[] {
    return [...this.#installed.keys()];
  }
}
