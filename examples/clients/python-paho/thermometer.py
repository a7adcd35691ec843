#!/usr/bin/env python3
"""A thermometer in Python with Eclipse Paho (Debian: python3-paho-mqtt, 1.6; or pip install paho-mqtt, 2.x).

    MQTT_HOST=localhost MQTT_PORT=1883 python3 thermometer.py [NAME]

It publishes a reading every few seconds to house/NAME/temperature at QoS 1, and takes another interval, in seconds, from
house/NAME/interval/set. house/NAME/status is `online`, and `offline` by its Will when it goes without a word. The
session is kept, so that a setting waits for it while it is away; the library connects again by itself.
"""

import json
import os
import signal
import sys
import threading

import paho.mqtt.client as mqtt

name = sys.argv[1] if len(sys.argv) > 1 else "python-paho"
topic = "house/" + name
stop = threading.Event()
interval_changed = threading.Event()
interval_seconds = 5.0


def read_celsius():
    """The temperature of the processor where Linux has it, and room temperature elsewhere."""
    try:
        with open("/sys/class/thermal/thermal_zone0/temp") as file:
            return int(file.read()) / 1000
    except (OSError, ValueError):
        return 21.5


def on_connect(client, userdata, flags, code):
    if code != 0:
        print("refused:", mqtt.connack_string(code), file=sys.stderr)
        return
    print("connected; session present:", bool(flags["session present"]))
    client.publish(topic + "/status", "online", qos=1, retain=True)
    # Also when there is a session: the server may have lost it since, and subscribing twice does no harm.
    client.subscribe(topic + "/interval/set", qos=1)


def on_message(client, userdata, message):
    global interval_seconds
    try:
        seconds = float(message.payload)
        if not 0.1 <= seconds <= 3600:
            raise ValueError("not from 0.1 to 3600")
    except ValueError as error:
        # Anybody may publish anything; a thermometer that ends over it helps nobody.
        print("interval/set:", error, file=sys.stderr)
        return
    interval_seconds = seconds
    interval_changed.set()
    client.publish(topic + "/interval", message.payload, qos=1, retain=True)


# Paho 2.x asks which callbacks are meant; 1.6 has only these.
version = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
client = mqtt.Client(*version, client_id=name, clean_session=False)
client.will_set(topic + "/status", "offline", qos=1, retain=True)
client.on_connect = on_connect
client.on_message = on_message
client.on_disconnect = lambda client, userdata, code: print("disconnected:", mqtt.error_string(code))
# Connects in the background, and again after each loss, with pauses of 1 to 30 seconds.
client.reconnect_delay_set(min_delay=1, max_delay=30)
client.connect_async(os.environ.get("MQTT_HOST", "localhost"), int(os.environ.get("MQTT_PORT", "1883")), keepalive=30)
for name_of_signal in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name_of_signal, lambda *_: (stop.set(), interval_changed.set()))
client.loop_start()

while not stop.is_set():
    # At QoS 1 it waits in the client while there is no connection.
    client.publish(topic + "/temperature", json.dumps({"celsius": read_celsius()}), qos=1)
    interval_changed.wait(interval_seconds)
    interval_changed.clear()

# A goodbye: the server then publishes no Will.
client.publish(topic + "/status", "offline", qos=1, retain=True).wait_for_publish(5)
client.disconnect()
client.loop_stop()
