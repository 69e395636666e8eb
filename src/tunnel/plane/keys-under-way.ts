import type { PlaneCommand, PlaneEvent, SessionInstall } from './contract.js';

/**
 * Session keys that the plane was given and not every worker has taken. The last worker to take them zeroes them; what one that
 * died or was stopped will never take, whoever stops the workers zeroes.
 */
export class KeysUnderWay {
  readonly #sessions = new Map<number, SessionInstall>();

  given(command: PlaneCommand): void {
    if (command.kind === 'installSession') this.#sessions.set(command.session.localIndex, command.session);
  }

  told(event: PlaneEvent): void {
    if (event.kind === 'installed') this.#sessions.delete(event.localIndex);
  }

  /** Only when no worker is left: to one that comes late, keys of zeros would be as good as any. */
  wipe(): void {
    for (const session of this.#sessions.values()) wipeKeys(session);
    this.#sessions.clear();
  }
}

/** Zeroes keys of which every worker has its own, or will never want one. */
export function wipeKeys({ sendKey, receiveKey }: SessionInstall): void {
  new Uint8Array(sendKey).fill(0);
  new Uint8Array(receiveKey).fill(0);
}
