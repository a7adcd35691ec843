#!/usr/bin/env python3
"""A thermometer in Python with asyncio: aiomqtt, which was called asyncio-mqtt (Debian: python3-asyncio-mqtt).

    MQTT_HOST=localhost MQTT_PORT=1883 python3 thermometer.py [NAME]

It publishes a reading every few seconds to house/NAME/temperature at QoS 1, and takes another interval, in seconds, from
house/NAME/interval/set. house/NAME/status is `online`, and `offline` by its Will when it goes without a word. The
library leaves it to the program to connect again: that is the loop in `main`.
"""

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys

try:
    import aiomqtt as mqtt
except ImportError:
    import asyncio_mqtt as mqtt

RETRY_SECONDS = 1

name = sys.argv[1] if len(sys.argv) > 1 else "python-aiomqtt"
topic = "house/" + name
server = {"hostname": os.environ.get("MQTT_HOST", "localhost"), "port": int(os.environ.get("MQTT_PORT", "1883"))}
interval_seconds = 5.0


def read_celsius():
    """The temperature of the processor where Linux has it, and room temperature elsewhere."""
    try:
        with open("/sys/class/thermal/thermal_zone0/temp") as file:
            return int(file.read()) / 1000
    except (OSError, ValueError):
        return 21.5


def client_options():
    # The parameter was client_id before aiomqtt 2.0.
    is_new = "identifier" in inspect.signature(mqtt.Client.__init__).parameters
    return {
        "identifier" if is_new else "client_id": name,
        "clean_session": False,
        "keepalive": 30,
        "will": mqtt.Will(topic + "/status", "offline", qos=1, retain=True),
        **server,
    }


async def publish_readings(client, interval_changed):
    while True:
        await client.publish(topic + "/temperature", json.dumps({"celsius": read_celsius()}), qos=1)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(interval_changed.wait(), interval_seconds)
        interval_changed.clear()


async def take_settings(client, messages, interval_changed):
    global interval_seconds
    async for message in messages:
        try:
            seconds = float(message.payload)
            if not 0.1 <= seconds <= 3600:
                raise ValueError("not from 0.1 to 3600")
        except ValueError as error:
            # Anybody may publish anything; a thermometer that ends over it helps nobody.
            print("interval/set:", error, file=sys.stderr)
            continue
        interval_seconds = seconds
        interval_changed.set()
        await client.publish(topic + "/interval", message.payload, qos=1, retain=True)


async def run_connection(client):
    interval_changed = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        # A method that gives a context manager in asyncio-mqtt 0.16, the iterator itself in aiomqtt 2.
        messages = client.messages
        if callable(messages):
            messages = await stack.enter_async_context(messages())
        await client.publish(topic + "/status", "online", qos=1, retain=True)
        await client.subscribe(topic + "/interval/set", qos=1)
        print("connected", flush=True)
        jobs = [
            asyncio.create_task(publish_readings(client, interval_changed)),
            asyncio.create_task(take_settings(client, messages, interval_changed)),
        ]
        try:
            await asyncio.gather(*jobs)
        except asyncio.CancelledError:
            # The program ends: a goodbye, so that the server publishes no Will.
            await client.publish(topic + "/status", "offline", qos=1, retain=True)
            raise
        finally:
            for job in jobs:
                job.cancel()


async def main():
    task = asyncio.current_task()
    for name_of_signal in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name_of_signal, task.cancel)
    while True:
        try:
            async with mqtt.Client(**client_options()) as client:
                await run_connection(client)
        except mqtt.MqttError as error:
            print("connection lost:", error, "- again in", RETRY_SECONDS, "s", file=sys.stderr, flush=True)
            await asyncio.sleep(RETRY_SECONDS)


with contextlib.suppress(asyncio.CancelledError):
    asyncio.run(main())
