/** `sizeof(struct sk_buff)` and `sizeof(struct skb_shared_info)` on 64 bits, in whole cache lines. */
const skbBytes = 256;
const sharedInfoBytes = 320;
const cacheLineBytes = 64;
/** Size of the buffer of a small packet (`skbuff_small_head`, since Linux 6.3). */
const smallHeadBytes = 576;
/** From this size on, the data is in pages, and only the headers are in a small buffer (`SKB_MAX_ALLOC`). */
const maxLinearBytes = 16_384 - sharedInfoBytes;
/** The room that a socket reserves before a packet: for the Ethernet header, and over IPv4 fifteen bytes for alignment. */
const reservedBytes = { 4: 31, 6: 16 } as const;

/**
 * The memory that Linux charges for a packet (`skb->truesize`): the size of its buffer, not of the packet. Over veth and
 * loopback, the sender chooses the size of the buffer. On a network card, the driver chooses it: 2 KiB or a page for most.
 *
 * The buffer holds the packet, the reserved bytes and `struct skb_shared_info`. `kmalloc` rounds its size up to a power of
 * two. `struct sk_buff` is added. `__ip_append_data` (net/ipv4/ip_output.c), `__ip6_append_data`
 * (net/ipv6/ip6_output.c), `SKB_TRUESIZE` (include/linux/skbuff.h), `kmalloc_reserve` (net/core/skbuff.c). Measured on
 * Linux 6.18 through `/proc/net/sockstat`: 2,304 for a fragment of 1,500 bytes.
 *
 * @param bytes of the packet, including the IP header.
 */
export function memoryBytes(version: 4 | 6, bytes: number): number {
  const data = bytes + reservedBytes[version];
  if (data >= maxLinearBytes) return smallHeadBytes + skbBytes + bytes;
  const buffer = Math.ceil(data / cacheLineBytes) * cacheLineBytes + sharedInfoBytes;
  return skbBytes + (buffer <= smallHeadBytes ? smallHeadBytes : 1 << (32 - Math.clz32(buffer - 1)));
}
