"""Switches an offload of an interface, as `ethtool -K` does: offload.py <interface> tso|gro on|off."""

import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
COMMANDS = {"tso": 0x1F, "gro": 0x2C}  # ETHTOOL_STSO, ETHTOOL_SGRO

interface, offload, state = sys.argv[1:]
value = array.array("I", [COMMANDS[offload], state == "on"])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, SIOCETHTOOL, struct.pack("16sP", interface.encode(), value.buffer_info()[0]))
