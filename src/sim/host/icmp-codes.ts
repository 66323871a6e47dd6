/** The error codes on Linux for the codes of "destination unreachable" (`icmp_err_convert`, net/ipv4/icmp.c). */
const ipv4 = [
  "ENETUNREACH",
  "EHOSTUNREACH",
  "ENOPROTOOPT",
  "ECONNREFUSED",
  "EMSGSIZE",
  "EOPNOTSUPP",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENONET",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "ENETUNREACH",
];
/** The same for IPv6 (`tab_unreach`, net/ipv6/icmp.c). */
const ipv6 = ["ENETUNREACH", "EACCES", "EHOSTUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "EACCES", "EACCES"];

/** The error code that a socket gets for an ICMP error. */
export function codeOfIcmp(version: 4 | 6, type: number, code: number): string {
  const isUnreachable = type === (version === 4 ? 3 : 1);
  return (isUnreachable ? (version === 4 ? ipv4 : ipv6)[code] : undefined) ?? "EHOSTUNREACH";
}
