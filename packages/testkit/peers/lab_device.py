"""The device of the network laboratory with Paho Python: packages/testkit/src/lab/devices.ts starts it.

    lab_device.py HOST PORT CA|- ID QOS KEEP_ALIVE TOPIC

Connects with a session that is kept and a Will at TOPIC/gone, subscribes TOPIC/down, and publishes to TOPIC/up the
lines of its standard input. The library connects again by itself. It prints "connected", "subscribed", "lost" and
"got PAYLOAD". Works with Paho 1.6 (Debian 12) and with 2.x, whose older callback interface it asks for.
"""

import os
import sys
import threading

import paho.mqtt.client as mqtt

host, port, ca, identifier, qos, keep_alive, topic = sys.argv[1:]
out_lock = threading.Lock()


def write(*words):
    with out_lock:
        sys.stdout.write(" ".join(words) + "\n")
        sys.stdout.flush()


def on_connect(client, userdata, flags, code):
    if code != 0:
        return
    write("connected")
    if not flags["session present"]:
        client.subscribe(topic + "/down", int(qos))


older = {"callback_api_version": mqtt.CallbackAPIVersion.VERSION1} if hasattr(mqtt, "CallbackAPIVersion") else {}
device = mqtt.Client(client_id=identifier, clean_session=False, protocol=mqtt.MQTTv311, **older)
device.will_set(topic + "/gone", "gone", 1)
device.on_connect = on_connect
device.on_subscribe = lambda *_: write("subscribed")
device.on_disconnect = lambda *_: write("lost")
device.on_message = lambda client, userdata, message: write("got", message.payload.decode())
if ca != "-":
    device.tls_set(ca)
device.connect_async(host, int(port), int(keep_alive))
device.loop_start()
for line in sys.stdin:
    device.publish(topic + "/up", line.rstrip("\n"), int(qos))
# Without a goodbye, whatever the library's thread waits for.
os._exit(0)
