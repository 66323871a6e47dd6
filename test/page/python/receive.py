import socket
import sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))

while True:
    data, src = s.recvfrom(1024)
    print("from", src, "got", data)
