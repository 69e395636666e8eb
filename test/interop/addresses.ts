/** The addresses of host n's loopback: fd00:n::1 and 192.0.2.n. */
export function addressesOf(n: number): [string, string] {
  return [`fd00:${n}::1/128`, `192.0.2.${n}/32`];
}

/** What lets babeld announce them. */
export const allow: readonly string[] = [
  'redistribute local ip fd00::/16 allow',
  'redistribute local ip 192.0.2.0/24 allow',
];

/** 200 prefixes to announce, every other one IPv4. */
export const many: readonly string[] = Array.from({ length: 100 }, (_, i) => [
  `fd00:33:${(i + 1).toString(16)}::/48`,
  `10.3.${i}.0/24`,
]).flat();

/** The ways to these prefixes by a next hop, as tables are compared (route.ts). */
export function waysVia(hop: number, prefixes: readonly string[]): string[] {
  return prefixes.map((prefix) => `${prefix} via ${hop}`);
}

/** The ways to the addresses of these hosts. */
export function via(hop: number, ...origins: readonly number[]): string[] {
  return waysVia(hop, origins.flatMap(addressesOf));
}

/** True of a TLV that announces one of `many`, as `tlvsOf` writes it. */
export function announcesMany(line: string): boolean {
  return /^update (fd00:33:|10\.3\.)/.test(line);
}

export function retractsMany(line: string): boolean {
  return /^retract (fd00:33:|10\.3\.)/.test(line);
}
