import { type Millis, minute, second } from '../time.js';

/** RFC 8966 appendix B, and the bounds RFC 8966 §3 states. */
export const spec = {
  helloInterval: 4 * second,
  urgentTimeout: 200 as Millis,
  routeExpiryFactor: 3.5,
  ihuHoldFactor: 3.5,
  requestTimeout: 2 * second,
  requestTries: 3,
  requestHops: 64,
  sourceTime: 3 * minute,
  wiredCost: 96,
  etxCost: 256,
} as const;

/** RFC 9616 §4, for LAN interfaces of type tunnel. */
export const delaySpec = {
  least: 10 as Millis,
  most: 120 as Millis,
  penalty: 150,
  alpha: 0.836,
  validity: 3 * minute,
} as const;

/** Ours, each with its reason. Tests and simulations may override any of them. */
export interface Tuning {
  /** Tunnels: liveness is the plane's, so Hellos only prove that Babel itself is there. */
  readonly tunnelHello: Millis;
  /** Tunnels: changes are triggered and acknowledged, so the full table is only a safety net. */
  readonly tunnelUpdate: Millis;
  readonly lanHello: Millis;
  /** Lost routes, new router-ids, new destinations: aggregated for so long, plus up to as much again by chance. */
  readonly urgentDelay: Millis;
  /** Metrics that changed noticeably. Longer, so that a wave of improvements is told once. */
  readonly triggeredDelay: Millis;
  /** Metrics that changed a little. */
  readonly lazyDelay: Millis;
  /** Packets sent in one go, and the pause after them. */
  readonly burst: number;
  readonly pacing: Millis;
  /**
   * After updates were sent to a neighbour, the next wait so long for each of them, at most `longestPause`: they
   * gather.
   */
  readonly updatePause: Millis;
  readonly longestPause: Millis;
  /** While many destinations are being found, each is told on after so long for each unit of its link's cost. */
  readonly ripeningPause: Millis;
  /** What ripens within so long is told together. */
  readonly ripeningStep: Millis;
  /** So many found within a second are many; of fewer, each waits in proportion less. */
  readonly ripeningFrom: number;
  /** How long an acknowledgement may wait for others, if whoever asked gives it that long. */
  readonly ackDelay: Millis;
  /** First wait for an acknowledgement. The next `ackTries` are twice as long, and each after those twice as long again, ... */
  readonly ackTimeout: Millis;
  readonly ackTries: number;
  /** ... up to this: it bounds what a neighbour costs that says Hello and acknowledges nothing. */
  readonly longestAckWait: Millis;
  /** A route must be better by this much, and by this share of the metric in use, ... */
  readonly switchMargin: number;
  readonly switchShare: number;
  /** ... for so long, plus up to a quarter by chance so that two ends of a path do not move together. */
  readonly dwell: Millis;
  /** For so long after a destination was found, better routes come in one after the other: each is taken at once. */
  readonly settling: Millis;
  /** A neighbour left because it had become worse is not returned to for so long: congestion that follows us. */
  readonly leftFor: Millis;
  /** But it is when the way in its place is so many times as bad as it was then: that is more than congestion that followed us; ... */
  readonly returnFrom: number;
  /** ... or, as congestion of our own making shows within so long after we came, when it becomes worse later, ... */
  readonly followsWithin: Millis;
  /** ... by so much, half of the 100 ms that are to be noticed. */
  readonly worseByItself: number;
  /** Either for so long, since traffic comes in bursts. */
  readonly burstTime: Millis;
  /** How long a lost destination is held at most (RFC 8966 §3.5.4), if somebody never acknowledges; longer where a LAN may believe it longer. */
  readonly holdTime: Millis;
  /**
   * How long at least, where the prefix is of no node: so long a retraction may take to reach the last who would seal
   * for us.
   */
  readonly holdLeast: Millis;
  /** Own seqno: at most this many increments at once, then one each `seqnoPause`. */
  readonly seqnoBurst: number;
  readonly seqnoPause: Millis;
  /** Bounds of every table the network feeds. */
  readonly maxDestinations: number;
  /** Of these, outside the overlay: the other half is for the nodes' own prefixes, whatever LANs announce, ... */
  readonly maxForeign: number;
  /** ... and by one node, so that it takes several whose LANs run wild to leave none for the others'. */
  readonly maxForeignPerEgress: number;
  /** Destinations one neighbour brings whose origin's certificate we do not hold: as many as are asked for at a time. */
  readonly maxUnprovenPerNeighbour: number;
  /** By all neighbours together: with what LANs may take it leaves places for the nodes' own prefixes. */
  readonly maxUnproven: number;
  readonly maxLanNeighbours: number;
  readonly maxPendingRequests: number;
  readonly maxProofs: number;
  readonly maxSources: number;
  /** Requests and acknowledgement requests answered for one neighbour: at once, then a second. */
  readonly requestBurst: number;
  readonly requestRate: number;
  /** A full table is sent to one neighbour at most so often on request. */
  readonly dumpPause: Millis;
  readonly sweepInterval: Millis;
}

export const defaultTuning: Tuning = {
  tunnelHello: 20 * second,
  tunnelUpdate: 300 * second,
  lanHello: spec.helloInterval,
  urgentDelay: 15,
  triggeredDelay: 200,
  lazyDelay: 10 * second,
  burst: 8,
  pacing: 10,
  updatePause: 0.5,
  longestPause: 400,
  ripeningPause: 0.5,
  ripeningStep: 400,
  ripeningFrom: 64,
  ackDelay: 65,
  ackTimeout: 500,
  ackTries: 6,
  longestAckWait: 32 * second,
  switchMargin: 50,
  switchShare: 1 / 16,
  dwell: 2 * second,
  settling: 1 * second,
  leftFor: 5 * minute,
  returnFrom: 1.4,
  followsWithin: 30 * second,
  worseByItself: 500,
  burstTime: 5.5 * second,
  holdTime: 1 * minute,
  holdLeast: 2 * second,
  seqnoBurst: 8,
  seqnoPause: 1 * second,
  maxDestinations: 60_000,
  maxForeign: 30_000,
  maxForeignPerEgress: 8192,
  maxUnprovenPerNeighbour: 4096,
  maxUnproven: 16_384,
  maxLanNeighbours: 256,
  maxPendingRequests: 4096,
  maxProofs: 4,
  maxSources: 16,
  requestBurst: 1000,
  requestRate: 200,
  dumpPause: 5 * second,
  sweepInterval: 30 * second,
};
