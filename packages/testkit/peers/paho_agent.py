"""Paho Python, driven by lines: the client side of packages/testkit/src/peers/agent.ts.

Reads one command per line from standard input, `verb key=value ...`, where a value is a decimal number or the hex of a
string's bytes. Answers each, in order, with `ok key=value ...` or `fail text=HEX`. Between answers it writes events:
`message ...` for each message and `closed reason=N` when the broker ended the connection (N is -1 with no DISCONNECT).
Works with Paho 1.6 (Debian 12) and with 2.x, whose older callback interface it asks for.
"""

import binascii
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WAIT_SECONDS = 18  # less than the driver's own bound, so that the failure is told here

out_lock = threading.Lock()


def hexed(data):
    if isinstance(data, str):
        data = data.encode()
    return binascii.hexlify(bytes(data)).decode()


def write(verb, *pairs):
    line = " ".join([verb] + ["%s=%s" % pair for pair in pairs]) + "\n"
    with out_lock:
        sys.stdout.write(line)
        sys.stdout.flush()


class Command:
    def __init__(self, line):
        self.verb, *tokens = line.split(" ")
        self.pairs = [token.split("=", 1) for token in tokens]

    def raw(self, key):
        for name, value in self.pairs:
            if name == key:
                return value
        return None

    def has(self, key):
        return self.raw(key) is not None

    def number(self, key, default=0):
        value = self.raw(key)
        return default if value is None else int(value)

    def data(self, key):
        return binascii.unhexlify(self.raw(key) or "")

    def text(self, key):
        return self.data(key).decode()

    def users(self):
        pairs = []
        for name, value in self.pairs:
            if name == "user":
                left, right = value.split(":")
                pairs.append((binascii.unhexlify(left).decode(), binascii.unhexlify(right).decode()))
        return pairs


def message_properties(command, packet_type):
    properties = Properties(packet_type)
    if command.has("expiry"):
        properties.MessageExpiryInterval = command.number("expiry")
    if command.has("content_type"):
        properties.ContentType = command.text("content_type")
    if command.has("response_topic"):
        properties.ResponseTopic = command.text("response_topic")
    if command.has("correlation"):
        properties.CorrelationData = command.data("correlation")
    if command.has("topic_alias"):
        properties.TopicAlias = command.number("topic_alias")
    for pair in command.users():
        properties.UserProperty = pair
    return properties


class Agent:
    def __init__(self):
        self.client = None
        self.version = 4
        self.connack = None
        self.connected = threading.Event()
        self.acks = {}
        self.acks_changed = threading.Condition()
        self.pending = []
        self.leaving = False

    # Callbacks, on Paho's network thread.

    def on_connect(self, client, userdata, flags, rc, properties=None):
        self.connack = (flags, rc, properties)
        self.connected.set()

    def on_disconnect(self, client, userdata, rc, properties=None):
        # Paho's loop would connect again by itself, and a client that was taken over must not take over in turn.
        client.disconnect()
        if not self.leaving:
            write("closed", ("reason", rc.value if hasattr(rc, "value") else -1))

    def on_subscribe(self, client, userdata, mid, granted, properties=None):
        code = granted[0]
        self.acknowledge(mid, code.value if hasattr(code, "value") else code)

    def on_unsubscribe(self, client, userdata, mid, *rest):
        self.acknowledge(mid, 0)

    def on_message(self, client, userdata, message):
        pairs = [
            ("topic", hexed(message.topic)),
            ("payload", hexed(message.payload)),
            ("qos", message.qos),
            ("retain", int(message.retain)),
        ]
        properties = getattr(message, "properties", None)
        if properties is not None:
            for key, name in (
                ("expiry", "MessageExpiryInterval"),
                ("content_type", "ContentType"),
                ("response_topic", "ResponseTopic"),
                ("correlation", "CorrelationData"),
            ):
                if hasattr(properties, name):
                    value = getattr(properties, name)
                    pairs.append((key, value if isinstance(value, int) else hexed(value)))
            for identifier in getattr(properties, "SubscriptionIdentifier", []):
                pairs.append(("subscription_id", identifier))
            for left, right in getattr(properties, "UserProperty", []):
                pairs.append(("user", hexed(left) + ":" + hexed(right)))
        write("message", *pairs)

    # Commands, on the main thread.

    def acknowledge(self, mid, code):
        with self.acks_changed:
            self.acks[mid] = code
            self.acks_changed.notify_all()

    def wait_acknowledged(self, mid):
        with self.acks_changed:
            if not self.acks_changed.wait_for(lambda: mid in self.acks, WAIT_SECONDS):
                raise RuntimeError("no acknowledgement for mid %d" % mid)
            return self.acks.pop(mid)

    def wait_connected(self):
        if not self.connected.wait(WAIT_SECONDS):
            raise RuntimeError("no CONNACK")
        flags, rc, properties = self.connack
        code = rc.value if hasattr(rc, "value") else rc
        if code != 0:
            raise RuntimeError("CONNACK with reason code %d" % code)
        pairs = [("session_present", int(flags["session present"]))]
        if properties is not None and hasattr(properties, "AssignedClientIdentifier"):
            pairs.append(("assigned", hexed(properties.AssignedClientIdentifier)))
        return pairs

    def connect(self, command):
        self.version = command.number("version")
        options = {"client_id": command.text("client_id"), "protocol": self.version}
        if hasattr(mqtt, "CallbackAPIVersion"):
            options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        if self.version != mqtt.MQTTv5:
            options["clean_session"] = command.number("clean") == 1
        client = self.client = mqtt.Client(**options)
        client.on_connect = self.on_connect
        client.on_disconnect = self.on_disconnect
        client.on_subscribe = self.on_subscribe
        client.on_unsubscribe = self.on_unsubscribe
        client.on_message = self.on_message
        if command.has("will_topic"):
            properties = None
            if self.version == mqtt.MQTTv5:
                properties = Properties(PacketTypes.WILLMESSAGE)
                if command.has("will_delay"):
                    properties.WillDelayInterval = command.number("will_delay")
            client.will_set(
                command.text("will_topic"),
                command.data("will_payload"),
                command.number("will_qos"),
                command.number("will_retain") == 1,
                properties,
            )
        options = {}
        if self.version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = command.number("session_expiry")
            if command.has("receive_maximum"):
                properties.ReceiveMaximum = command.number("receive_maximum")
            # A Clean Start is for the first connection only: `reconnect` comes back to the session.
            clean = mqtt.MQTT_CLEAN_START_FIRST_ONLY if command.number("clean") == 1 else False
            options = {"clean_start": clean, "properties": properties}
        client.connect(command.text("host"), command.number("port"), command.number("keep_alive", 60), **options)
        client.loop_start()
        return self.wait_connected()

    def reconnect(self, command):
        # Joins the network thread, which ended with the connection.
        self.client.loop_stop()
        self.connected.clear()
        self.client.reconnect()
        self.client.loop_start()
        return self.wait_connected()

    def subscribe(self, command):
        if self.version == mqtt.MQTTv5:
            options = mqtt.SubscribeOptions(
                qos=command.number("qos"),
                noLocal=command.number("no_local") == 1,
                retainAsPublished=command.number("retain_as_published") == 1,
                retainHandling=command.number("retain_handling"),
            )
            properties = Properties(PacketTypes.SUBSCRIBE)
            if command.has("subscription_id"):
                properties.SubscriptionIdentifier = command.number("subscription_id")
            rc, mid = self.client.subscribe(command.text("filter"), options=options, properties=properties)
        else:
            rc, mid = self.client.subscribe(command.text("filter"), command.number("qos"))
        if rc != mqtt.MQTT_ERR_SUCCESS:
            raise RuntimeError(mqtt.error_string(rc))
        return [("code", self.wait_acknowledged(mid))]

    def unsubscribe(self, command):
        rc, mid = self.client.unsubscribe(command.text("filter"))
        if rc != mqtt.MQTT_ERR_SUCCESS:
            raise RuntimeError(mqtt.error_string(rc))
        self.wait_acknowledged(mid)
        return []

    def publish(self, command):
        options = {}
        if self.version == mqtt.MQTTv5:
            options["properties"] = message_properties(command, PacketTypes.PUBLISH)
        info = self.client.publish(
            command.text("topic"),
            command.data("payload"),
            command.number("qos"),
            command.number("retain") == 1,
            **options,
        )
        if command.number("wait", 1) == 0:
            self.pending.append(info)
        else:
            self.wait_published(info)
        return []

    def flush(self, command):
        for info in self.pending:
            self.wait_published(info)
        self.pending = []
        return []

    def wait_published(self, info):
        info.wait_for_publish(WAIT_SECONDS)
        if not info.is_published():
            raise RuntimeError("not acknowledged: mid %d" % info.mid)

    def disconnect(self, command):
        self.leaving = True
        self.client.disconnect()
        self.client.loop_stop()
        return []


def main():
    agent = Agent()
    verbs = {
        "connect": agent.connect,
        "reconnect": agent.reconnect,
        "subscribe": agent.subscribe,
        "unsubscribe": agent.unsubscribe,
        "publish": agent.publish,
        "flush": agent.flush,
        "disconnect": agent.disconnect,
    }
    for line in sys.stdin:
        command = Command(line.rstrip("\n"))
        try:
            write("ok", *verbs[command.verb](command))
        except Exception as error:  # whatever Paho throws is the answer, the driver fails the test with it
            write("fail", ("text", hexed("%s: %s" % (type(error).__name__, error))))


main()
