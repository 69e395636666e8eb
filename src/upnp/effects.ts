import type { CompanionEvent, CompanionOrder, CompanionStatus } from './companion.js';
import type {
  Announcement,
  CheckAnswer,
  CheckDepth,
  GatewayDescription,
  Grant,
  MappingRequest,
  Refusal,
} from './contract.js';
import type { MappingStatus } from './status.js';

export type MappingEvent =
  /** A router that can map ports was found by the search that runs. */
  | { readonly kind: 'gatewayFound'; readonly gateway: GatewayDescription }
  /** The search is over; `seen` says in words what was seen and cannot be used; undefined: no default gateway. */
  | { readonly kind: 'searchEnded'; readonly seen: string | undefined }
  /** `asked`, here and below: the external port of the order that this answers. */
  | { readonly kind: 'granted'; readonly gateway: string; readonly asked: number; readonly grant: Grant }
  | { readonly kind: 'refused'; readonly gateway: string; readonly asked: number; readonly refusal: Refusal }
  | { readonly kind: 'checked'; readonly gateway: string; readonly answer: CheckAnswer }
  | { readonly kind: 'announced'; readonly announcement: Announcement }
  /** An address, a link or the default route of this machine changed, or it woke up. */
  | { readonly kind: 'networkChanged' }
  /** The address from which peers see our frames come; undefined: no peer says. */
  | { readonly kind: 'observedExternally'; readonly address: string | undefined }
  /**
   * Whether the router forwards what it says cannot be seen at the port it has mapped: another one is mapped for a
   * trial, as soon as nothing else is asked of the router, and again when it was lost to a search or a renewal.
   */
  | { readonly kind: 'trialWanted' }
  /** It was seen, or will not be. */
  | { readonly kind: 'trialEnded' }
  | { readonly kind: 'companion'; readonly event: CompanionEvent }
  /** The daemon ends, or port mapping was switched off: the mapping is removed, and nothing more is done. */
  | { readonly kind: 'stopping' };

export type MappingEffect =
  | { readonly kind: 'search' }
  | { readonly kind: 'map'; readonly gateway: string; readonly request: MappingRequest }
  | { readonly kind: 'check'; readonly gateway: string; readonly depth: CheckDepth; readonly request: MappingRequest }
  | { readonly kind: 'unmap'; readonly gateway: string; readonly internalPort: number; readonly externalPort: number }
  | { readonly kind: 'companion'; readonly order: CompanionOrder }
  /** The router says that this is forwarded as well, until `trialEnded`; a port that nothing of ours has sent from. */
  | { readonly kind: 'trialMapped'; readonly externalAddress: string; readonly externalPort: number }
  /** What was mapped on trial is forwarded no more, and nothing was learnt. */
  | { readonly kind: 'trialLost' }
  /** Of the mapping over UDP: `tcp` alone is no change. */
  | { readonly kind: 'statusChanged'; readonly status: MappingStatus }
  /** The same port is mapped over TCP too, or why it is not. */
  | { readonly kind: 'companionChanged'; readonly status: CompanionStatus };

/** What the shell carries out; the rest is for the control plane. */
export type MappingOrder = Exclude<MappingEffect, { kind: MappingNews['kind'] }>;

/** What it tells, without anything to be carried out. */
export type MappingNews = Extract<
  MappingEffect,
  { kind: 'statusChanged' | 'companionChanged' | 'trialMapped' | 'trialLost' }
>;

const news: Readonly<Record<MappingNews['kind'], true>> = {
  statusChanged: true,
  companionChanged: true,
  trialMapped: true,
  trialLost: true,
};

export function isOrder(effect: MappingEffect): effect is MappingOrder {
  return !(effect.kind in news);
}
