/**
 * The names of ICMP errors, and the error codes that they cause (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1;
 * RFC 4443 section 3).
 */

const ipv4: Readonly<Record<number, readonly string[]>> = {
  3: [
    "network unreachable",
    "host unreachable",
    "protocol unreachable",
    "port unreachable",
    "fragmentation needed",
    "source route failed",
    "network unknown",
    "host unknown",
    "host isolated",
    "network prohibited",
    "host prohibited",
    "network unreachable for this TOS",
    "host unreachable for this TOS",
    "communication prohibited",
    "host precedence violation",
    "precedence cutoff",
  ],
  11: ["TTL exceeded in transit", "fragment reassembly time exceeded"],
  12: ["parameter problem", "parameter problem", "parameter problem"],
};

const ipv6: Readonly<Record<number, readonly string[]>> = {
  1: [
    "no route to destination",
    "communication prohibited",
    "beyond scope of source address",
    "address unreachable",
    "port unreachable",
    "source address failed policy",
    "route rejected",
  ],
  2: ["packet too big"],
  3: ["hop limit exceeded in transit", "fragment reassembly time exceeded"],
  4: ["parameter problem", "parameter problem", "parameter problem"],
};

/**
 * The codes that Linux turns ICMP errors into (`icmp_err_convert`, net/ipv4/icmp.c; `tab_unreach`, net/ipv6/icmp.c), with the
 * code of a packet that was too big.
 */
const errorCodes: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENONET",
  "EPROTO",
  "ENOPROTOOPT",
  "ENOTSUP",
  "EMSGSIZE",
  "EACCES",
]);

/** Whether the error of a receive call may come from an ICMP error about an earlier send. */
export function mayBeIcmp(code: string): boolean {
  return errorCodes.has(code);
}

/**
 * ICMP errors about a path that is down and may come back: a mobile link, a route that flaps. RFC 1122,
 * section 3.2.2.1, calls such an error a hint and no proof, and section 4.2.3.9 lets no connection end because of it. Linux has the
 * same list (`icmp_err_convert`, `tab_unreach`). A closed port, a prohibited host and a parameter problem are not in it.
 */
const transient: ReadonlySet<string> = new Set([
  "network unreachable",
  "host unreachable",
  "source route failed",
  "network unreachable for this TOS",
  "host unreachable for this TOS",
  "TTL exceeded in transit",
  "fragment reassembly time exceeded",
  "no route to destination",
  "beyond scope of source address",
  "address unreachable",
  "hop limit exceeded in transit",
]);

/** The codes of these errors. Without the name of the ICMP error, they cannot be told from a prohibited host over IPv4. */
const transientCodes: ReadonlySet<string> = new Set(["EHOSTUNREACH", "ENETUNREACH"]);

/** Whether datagrams may arrive later in spite of an ICMP error. @param kind its name, if it is known. */
export function isTransientIcmp(code: string, kind: string | undefined): boolean {
  return kind === undefined ? transientCodes.has(code) : transient.has(kind);
}

/** The type and the code of an ICMP error by its name; `undefined` if several or none have it. */
export function icmpTypeOf(version: 4 | 6, kind: string): readonly [type: number, code: number] | undefined {
  for (const [type, kinds] of Object.entries(version === 4 ? ipv4 : ipv6)) {
    const code = kinds.indexOf(kind);
    if (code >= 0) return kinds.lastIndexOf(kind) === code ? [Number(type), code] : undefined;
  }
  return undefined;
}

/** The name of the ICMP error about a packet that is larger than the MTU of the next link, which it has (RFC 1191, RFC 4443). */
export function tooBigKind(version: 4 | 6): string {
  return version === 4 ? icmpKind(4, 3, 4) : icmpKind(6, 2, 0);
}

/** The name of an ICMP error of IP version 4 or 6, such as `"port unreachable"`. */
export function icmpKind(version: 4 | 6, type: number, code: number): string {
  return (version === 4 ? ipv4 : ipv6)[type]?.[code] ?? `ICMP type ${type} code ${code}`;
}
