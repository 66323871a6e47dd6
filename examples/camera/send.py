import socket, struct, sys, time

host, port, *files = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for picture, file in enumerate(files, int(time.time())):
        data = open(file, "rb").read()
        parts = [data[at : at + 1400] for at in range(0, len(data), 1400)]
        for part, piece in enumerate(parts):
            s.sendto(struct.pack("!IHH", picture, part, len(parts)) + piece, (host, int(port)))
