import network
import sensor
import socket
import time

import datagram

sensor.reset()
sensor.set_pixformat(sensor.RGB565)
sensor.set_framesize(sensor.QVGA)
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect("your network", "its password")
while not wlan.isconnected():
    time.sleep_ms(500)

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
m = datagram.Messages(sock)
desk = socket.getaddrinfo("192.168.1.10", 9000)[0][-1]
while True:
    picture = sensor.snapshot().compress(quality=80)
    try:
        m.send(picture.bytearray(), desk)
    except OSError as error:
        print("the desk did not answer:", error)
