import type { Endpoint } from '../addr/endpoint.js';
import type { NodeNumber } from '../addr/node-number.js';
import type { Carriage, LinkId, Path, PlaneCommand } from './plane/contract.js';

/** What Peers wants done, and what it tells. */
export type TunnelEffect<Certificate> =
  | { readonly kind: 'plane'; readonly command: PlaneCommand }
  /** A direct tunnel stands. A link that was told as `sessionUp` goes on as this, without `sessionDown`. */
  | {
      readonly kind: 'tunnelUp';
      readonly link: LinkId;
      readonly node: NodeNumber;
      readonly certificate: Certificate;
      readonly endpoint: Endpoint;
    }
  /** It does not any more. Its keys may go on serving over the overlay: `sessionUp` of the same link follows then. */
  | { readonly kind: 'tunnelDown'; readonly link: LinkId; readonly node: NodeNumber; readonly reason: string }
  | { readonly kind: 'tunnelMoved'; readonly link: LinkId; readonly node: NodeNumber; readonly endpoint: Endpoint }
  /** End-to-end keys with a node that is not reached directly. */
  | { readonly kind: 'sessionUp'; readonly link: LinkId; readonly node: NodeNumber; readonly certificate: Certificate }
  | { readonly kind: 'sessionDown'; readonly link: LinkId; readonly node: NodeNumber; readonly reason: string }
  /** Where a peer sees us. It says so; it may lie. */
  | { readonly kind: 'observed'; readonly by: NodeNumber; readonly endpoint: Endpoint }
  /** A handshake that bought nothing; to be counted. */
  | { readonly kind: 'refused'; readonly reason: string; readonly from: Path }
  /** A member without a tunnel asked for one and was not admitted. */
  | { readonly kind: 'knocked'; readonly node: NodeNumber }
  /** Two live machines hold one node's key. The first stays; both endpoints, as far as they are known. */
  | { readonly kind: 'cloned'; readonly node: NodeNumber; readonly endpoints: readonly Endpoint[] }
  /** So says a peer of our own key, and that the other machine stays. */
  | { readonly kind: 'clonedOurselves'; readonly by: NodeNumber }
  /** Another machine has proven to hold our own key, and we were there first; where it is, as a peer says, if it can. */
  | { readonly kind: 'copied'; readonly by: NodeNumber; readonly endpoint: Endpoint | undefined }
  /** `reason` in plain words, to follow "could not reach NAME: ". */
  | {
      readonly kind: 'dialFailed';
      readonly node: NodeNumber;
      readonly via: Carriage['kind'];
      readonly reason: string;
    };
