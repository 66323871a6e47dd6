#!/bin/sh
# Common belief: to set a socket option such as UDP_GRO, and to close the socket, costs about a microsecond each.
# What happens: Linux patches its own code on every CPU when the first socket of the machine sets UDP_GRO, and when the last
# one closes. Open, setsockopt and close together take many times as long if no other socket has the option.
# udp_encap_needed_key is a static key that counts these sockets: udp_encap_enable and udp_destroy_sock (net/ipv4/udp.c),
# static_branch_inc and static_branch_dec (kernel/jump_label.c).
# Seen on Linux 6.18: 610 us instead of 9 us. If another program of the machine has such a socket, there is no difference, and
# this script fails. Debian package: python3.
set -eu
uname -sr
exec python3 -c '
import socket, time

UDP_GRO = 104  # linux/udp.h

def merging():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    return s

def cycle_us(times=50):
    started = time.process_time()
    for _ in range(times):
        merging().close()
    return (time.process_time() - started) / times * 1e6

ratios = []
for _ in range(5):
    alone = cycle_us()
    kept = merging()
    beside = cycle_us()
    kept.close()
    print(f"open, UDP_GRO, close: {alone:.0f} us of CPU alone, {beside:.0f} us while another socket has UDP_GRO")
    ratios.append(alone / beside)
assert sorted(ratios)[2] > 5, f"the kernel no longer pays for the first socket: {ratios}"
'
