/** What Linux makes of the codes of "destination unreachable" (`icmp_err_convert`, net/ipv4/icmp.c). */
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
/** And of those of IPv6 (`tab_unreach`, net/ipv6/icmp.c). */
const ipv6 = ["ENETUNREACH", "EACCES", "EHOSTUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "EACCES", "EACCES"];

/** The code of the error that an ICMP error is to a socket. */
export function codeOfIcmp(version: 4 | 6, type: number, code: number): string {
  const isUnreachable = type === (version === 4 ? 3 : 1);
  return (isUnreachable ? (version === 4 ? ipv4 : ipv6)[code] : undefined) ?? "EHOSTUNREACH";
}
