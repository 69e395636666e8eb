import { decodeChain, encodeChain } from '../addr/certificate-chain.js';
import { octetsField } from '../addr/fields.js';
import { decodeNodeCertificate } from '../addr/node-certificate.js';
import type { NodeNumber } from '../addr/node-number.js';
import { isRenewalDue } from '../addr/validity.js';
import type { CheckBudget } from '../check-budgets.js';
import { type Millis, minute } from '../time.js';
import type { MeshEffect } from './effects.js';
import type { Issuer } from './issuer.js';
import type { Membership } from './membership.js';
import { type MeshMessages, sendMesh } from './messages.js';

/** How often we look whether half of the lifetime is over. */
const lookEvery: Millis = 10 * minute;
const firstPause: Millis = minute;
const longestPause: Millis = 60 * minute;

/**
 * Keeps our certificate young: from half of its lifetime on an issuer that owns our sub-prefix is asked (`renew`), in turn
 * where there are several, until one answers (`renewed`). Answers what others ask, where we are that issuer.
 */
export class Renewal {
  readonly #membership: Membership;
  readonly #issuer: () => Issuer | undefined;
  #next: Millis = Number.NEGATIVE_INFINITY;
  #pause: Millis = firstPause;
  #asked = 0;

  /** `checks`: signatures that other members may have us check. */
  constructor(
    membership: Membership,
    messages: MeshMessages,
    issuer: () => Issuer | undefined,
    checks: { of(node: NodeNumber): CheckBudget },
  ) {
    this.#membership = membership;
    this.#issuer = issuer;
    messages.on('renew', (message, sender, now) => {
      const old = decodeNodeCertificate(octetsField(message, 'c', 1, 1024) ?? new Uint8Array(0));
      const budget = checks.of(sender.node);
      if (old?.number !== sender.node || !budget.take(now)) return [];
      const effects = this.#answer(old.bytes, sender.node);
      if (effects.length > 0) budget.wasTrue();
      return effects;
    });
    messages.on('renewed', (message, sender, now) => {
      const chain = decodeChain(octetsField(message, 'c', 1, 1200) ?? new Uint8Array(0));
      const budget = checks.of(sender.node);
      if (!chain || !budget.take(now) || !this.#membership.adopt(chain)) return [];
      budget.wasTrue();
      return this.#adopted();
    });
  }

  tick(now: Millis): MeshEffect[] {
    if (now < this.#next) return [];
    const { node } = this.#membership.chain;
    if (!isRenewalDue(node, this.#membership.now())) {
      this.#next = now + lookEvery;
      this.#pause = firstPause;
      return [];
    }
    this.#next = now + this.#pause;
    this.#pause = Math.min(longestPause, 2 * this.#pause);
    const own = this.#issuer();
    if (own?.owns(node.number)) return this.#renewOwn(own);
    const able = this.#membership
      .issuers()
      .filter((issuer) => issuer.index === node.issuer && this.#membership.isIssuerInGoodStanding(issuer));
    const asked = able[this.#asked++ % Math.max(1, able.length)];
    return asked ? [sendMesh(asked.number, 'renew', { c: node.bytes })] : [];
  }

  deadline(): Millis {
    return this.#next;
  }

  #renewOwn(issuer: Issuer): MeshEffect[] {
    const { value, effects } = issuer.renew(this.#membership.chain.node);
    if (!value || !this.#membership.adopt({ issuer: issuer.certificate, node: value })) return [...effects];
    return [...effects, ...this.#adopted()];
  }

  #adopted(): MeshEffect[] {
    return [...this.#membership.changes(), { kind: 'renewed', chain: this.#membership.chain }];
  }

  #answer(octets: Uint8Array, asker: NodeNumber): MeshEffect[] {
    const issuer = this.#issuer();
    const old = decodeNodeCertificate(octets);
    if (!issuer || !old) return [];
    const { value, effects } = issuer.renew(old);
    if (!value) return [...effects];
    return [...effects, sendMesh(asker, 'renewed', { c: encodeChain({ issuer: issuer.certificate, node: value }) })];
  }
}
