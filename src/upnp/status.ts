import type { CompanionStatus } from './companion.js';
import type { MappingProtocol } from './contract.js';

/**
 *            search ends empty                     all routers refused
 *   ┌───────────────────────────► absent     ┌──────────────────────────► refused
 *   │                               │ found  │                               │ back-off over, announced,
 * (start) ──────────────────────────┴──► asked ◄─────────────────────────────┘ network changed: search
 *                                          │ granted
 *                     granted              ▼      half of the lease, table lost, network changed
 *              ┌──────────────────────► mapped ─────────────────────────────► renewing ──► asked, refused, absent
 *              └──────────────────────────────────────────────────────────────────┘
 */
export type MappingState = 'absent' | 'asked' | 'mapped' | 'renewing' | 'refused';

/** What `status --json` shows as portMapping (docs/OPERATIONS.md, What scripts read). */
export interface MappingStatus {
  readonly state: MappingState;
  readonly protocol: MappingProtocol | null;
  /** The router's address. */
  readonly gateway: string | null;
  readonly externalAddress: string | null;
  readonly externalPort: number | null;
  /** As granted; 0: permanent. */
  readonly leaseSeconds: number | null;
  /** One or two sentences for the operator: why not, or what is odd, and what to do. */
  readonly reason: string | null;
  /** Whether the same port is mapped over TCP too; null while none is mapped over UDP. */
  readonly tcp: CompanionStatus | null;
}
