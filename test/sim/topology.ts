import type { Random } from '../../src/random.js';

/** Pairs of node indexes, each pair once. */
export type Edges = readonly (readonly [number, number])[];

export function line(nodes: number): Edges {
  return Array.from({ length: nodes - 1 }, (_, i) => [i, i + 1] as const);
}

export function ring(nodes: number): Edges {
  return [...line(nodes), [nodes - 1, 0]];
}

export function grid(width: number, height: number): Edges {
  const edges: [number, number][] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (x + 1 < width) edges.push([at, at + 1]);
      if (y + 1 < height) edges.push([at, at + width]);
    }
  }
  return edges;
}

/**
 * Every node makes `own` tunnels to others drawn at random, so the mean degree is nearly twice that
 * (docs/protocol/mesh.md, How many tunnels).
 */
export function randomTunnels(nodes: number, own: number, random: Random): Edges {
  if (nodes <= own + 1) return fullMesh(nodes);
  const edges: [number, number][] = [];
  const seen = new Set<number>();
  for (let from = 0; from < nodes; from++) {
    for (let made = 0, tries = 0; made < own && tries < 20 * own; tries++) {
      const to = random.below(nodes);
      const key = Math.min(from, to) * nodes + Math.max(from, to);
      if (to === from || seen.has(key)) continue;
      seen.add(key);
      edges.push([from, to]);
      made++;
    }
  }
  return edges;
}

function fullMesh(nodes: number): Edges {
  const edges: [number, number][] = [];
  for (let a = 0; a < nodes; a++) for (let b = a + 1; b < nodes; b++) edges.push([a, b]);
  return edges;
}
