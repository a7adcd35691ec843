"""Paho for Python as asyncio-mqtt and aiomqtt drive it: one packet is read each time that the socket is readable.

Usage: paho_asyncio.py TRANSPORT PORT CA COUNT. Subscribes, publishes COUNT messages at QoS 1 to itself, and prints how many came and how many
were acknowledged. TRANSPORT is tcp or websockets, both on TLS.
"""
import selectors
import sys
import time

import paho.mqtt.client as mqtt

transport, port, ca, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
try:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, transport=transport)
except AttributeError:
    client = mqtt.Client(transport=transport)
client.tls_set(ca_certs=ca)
# One packet for each call of loop_read, whatever is in flight.
client.max_inflight_messages_set(0)
received = acknowledged = 0
is_subscribed = False


def on_subscribe(*_):
    global is_subscribed
    is_subscribed = True


def on_message(*_):
    global received
    received += 1


def on_publish(*_):
    global acknowledged
    acknowledged += 1


client.on_connect = lambda *_: client.subscribe("burst", 1)
client.on_subscribe, client.on_message, client.on_publish = on_subscribe, on_message, on_publish
client.connect("127.0.0.1", port)
selector = selectors.DefaultSelector()
selector.register(client.socket(), selectors.EVENT_READ)
until = time.monotonic() + 15
published = 0
while time.monotonic() < until and min(received, acknowledged) < count:
    if is_subscribed and published < count:
        # One at a time, so that loop_read reads one packet for an event.
        if published == min(received, acknowledged):
            client.publish("burst", "hello", 1)
            published += 1
    while client.want_write():
        client.loop_write()
    if selector.select(0.05):
        client.loop_read()
    client.loop_misc()
print(received, acknowledged)
