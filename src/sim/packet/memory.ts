/** `sizeof(struct sk_buff)` and `sizeof(struct skb_shared_info)` on 64 bits, in whole cache lines. */
const skbBytes = 256;
const sharedInfoBytes = 320;
const cacheLineBytes = 64;
/** What a small packet's memory comes from (`skbuff_small_head`, since Linux 6.3). */
const smallHeadBytes = 576;
/** From here on the data lies in pages, and only the headers in memory of that kind (`SKB_MAX_ALLOC`). */
const maxLinearBytes = 16_384 - sharedInfoBytes;
/** What a socket leaves room for beside a packet: the Ethernet header, and over IPv4 fifteen bytes to align it by. */
const reservedBytes = { 4: 31, 6: 16 } as const;

/**
 * The memory that Linux charges for a packet, `skb->truesize`: not the bytes that it has, but those of the buffer that it
 * lies in. Its size is that of the sender's, where a packet comes over veth or loopback; of a network card it is that of
 * the buffers which its driver hands to the card, 2 KiB or a page for most.
 *
 * The buffer has the packet, what is reserved, and `struct skb_shared_info`; it comes from the next size that `kmalloc`
 * has: a power of two. `struct sk_buff` is beside it. `__ip_append_data` (net/ipv4/ip_output.c), `__ip6_append_data`
 * (net/ipv6/ip6_output.c), `SKB_TRUESIZE` (include/linux/skbuff.h), `kmalloc_reserve` (net/core/skbuff.c). Measured on
 * Linux 6.18 through `/proc/net/sockstat`: 2,304 for a fragment of 1,500 bytes.
 *
 * @param bytes of the packet, IP header and all.
 */
export function memoryBytes(version: 4 | 6, bytes: number): number {
  const data = bytes + reservedBytes[version];
  if (data >= maxLinearBytes) return smallHeadBytes + skbBytes + bytes;
  const buffer = Math.ceil(data / cacheLineBytes) * cacheLineBytes + sharedInfoBytes;
  return skbBytes + (buffer <= smallHeadBytes ? smallHeadBytes : 1 << (32 - Math.clz32(buffer - 1)));
}
