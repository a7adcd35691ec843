/*
 * A thermometer on an ESP32 with the Arduino core, without an MQTT library: the packets are those of examples/c-sockets,
 * whose C runs here as it is. `make sketch` puts them into this folder's `src`, where the Arduino tools look for them.
 *
 * It publishes a reading every few seconds to house/NAME/temperature at QoS 1, and takes another interval, in seconds,
 * from house/NAME/interval/set. house/NAME/status is `online`, and `offline` by its Will. One message is in flight at a
 * time, and is sent again with DUP after a reconnect: the session is kept. Nothing here waits and nothing is allocated,
 * so that `loop` stays short and the watchdog content.
 */
#include <WiFi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern "C" {
#include "src/packets/connack.h"
#include "src/packets/connect.h"
#include "src/packets/pingreq.h"
#include "src/packets/puback.h"
#include "src/packets/publish.h"
#include "src/packets/suback.h"
#include "src/packets/subscribe.h"
}

#ifndef WIFI_SSID
#define WIFI_SSID "your network"
#define WIFI_PASSWORD "its password"
#endif
#ifndef MQTT_HOST
#define MQTT_HOST "192.168.1.10"
#define MQTT_PORT 1883
#endif
#ifndef NAME
#define NAME "esp32"
#endif
#define TOPIC "house/" NAME

static const uint16_t KEEP_ALIVE_SECONDS = 30;
static const unsigned long RETRY_MS = 2000;
/* Time for CONNACK, and for any answer to a PINGREQ. */
static const unsigned long ANSWER_MS = 10000;

static WiFiClient network;
static enum { OFFLINE, CONNECTING, ONLINE } state = OFFLINE;
static unsigned long state_since, last_sent, last_received, last_reading;
static unsigned long interval_ms = 5000;
static bool has_tried;
static uint8_t received[512];
static size_t received_length;
/* The message in flight, as a packet, until its PUBACK; its length is 0 when there is none. */
static uint8_t pending[192];
static size_t pending_length;
static uint16_t pending_id;

static void give_up(const char *why)
{
  Serial.println(why);
  network.stop();
  state = OFFLINE;
  state_since = millis();
}

static void send(const uint8_t *packet, size_t length)
{
  if (length == 0 || network.write(packet, length) != length) give_up("the connection takes no more");
  last_sent = millis();
}

static void publish(const char *topic, const char *payload, bool retain, bool is_pending)
{
  struct publish message = {};
  message.qos = is_pending ? 1 : 0;
  message.retain = retain;
  message.topic = bytes_of(topic);
  message.payload = bytes_of(payload);
  if (is_pending) {
    pending_id = pending_id == 65535 ? 1 : pending_id + 1;
    message.packet_id = pending_id;
    pending_length = encode_publish(pending, sizeof pending, &message);
    if (state == ONLINE) send(pending, pending_length);
    return;
  }
  uint8_t packet[128];
  send(packet, encode_publish(packet, sizeof packet, &message));
}

static void open_connection(void)
{
  state_since = millis();
  if (!network.connect(MQTT_HOST, MQTT_PORT)) return give_up("no connection");
  state = CONNECTING;
  received_length = 0;
  last_received = millis();
  struct connect connect = {};
  connect.clean_session = false;
  connect.keep_alive_seconds = KEEP_ALIVE_SECONDS;
  connect.client_id = bytes_of(NAME);
  connect.has_will = true;
  connect.will.topic = bytes_of(TOPIC "/status");
  connect.will.payload = bytes_of("offline");
  connect.will.qos = 1;
  connect.will.retain = true;
  uint8_t packet[128];
  send(packet, encode_connect(packet, sizeof packet, &connect));
}

static void begin_session(void)
{
  Serial.println("connected");
  state = ONLINE;
  static struct subscribe subscribe;
  subscribe.packet_id = 65535; /* never that of a message in flight for long: those begin at 1 */
  subscribe.count = 1;
  subscribe.subscriptions[0].filter = bytes_of(TOPIC "/interval/set");
  subscribe.subscriptions[0].qos = 1;
  uint8_t packet[128];
  send(packet, encode_subscribe(packet, sizeof packet, &subscribe));
  publish(TOPIC "/status", "online", true, false);
  if (pending_length > 0) {
    pending[0] |= PUBLISH_DUP;
    send(pending, pending_length);
  }
}

static void take_setting(const struct publish *message)
{
  char text[16] = "";
  if (message->payload.length < sizeof text) memcpy(text, message->payload.data, message->payload.length);
  double seconds = atof(text);
  /* Anybody may publish anything. */
  if (!(seconds >= 0.1 && seconds <= 3600)) return Serial.println("interval/set: not from 0.1 to 3600");
  interval_ms = (unsigned long)(seconds * 1000);
  publish(TOPIC "/interval", text, true, false);
}

static void handle(const struct frame *frame)
{
  struct connack connack;
  struct publish message;
  struct puback puback;
  uint8_t packet[4];
  switch (frame->type) {
    case MQTT_CONNACK:
      if (state != CONNECTING || !decode_connack(frame, &connack)) return give_up("malformed CONNACK");
      if (connack.return_code != 0) return give_up(connack_text(connack.return_code));
      return begin_session();
    case MQTT_PUBLISH:
      if (state != ONLINE || !decode_publish(frame, &message) || message.qos > 1) return give_up("malformed PUBLISH");
      take_setting(&message);
      puback.packet_id = message.packet_id;
      if (message.qos == 1) send(packet, encode_puback(packet, sizeof packet, puback));
      return;
    case MQTT_PUBACK:
      if (!decode_puback(frame, &puback)) return give_up("malformed PUBACK");
      if (puback.packet_id == pending_id) pending_length = 0;
      return;
    case MQTT_SUBACK:
    case MQTT_PINGRESP:
      return;
    default:
      give_up("a packet that no server sends");
  }
}

static void receive(void)
{
  while (state != OFFLINE && network.available() > 0) {
    int got = network.read(received + received_length, sizeof received - received_length);
    if (got <= 0) return;
    received_length += (size_t)got;
    last_received = millis();
    struct frame frame;
    enum frame_status status;
    while ((status = frame_next(received, received_length, sizeof received, &frame)) == FRAME_READY) {
      handle(&frame);
      if (state == OFFLINE) return;
      received_length -= frame.length;
      memmove(received, received + frame.length, received_length);
    }
    if (status != FRAME_INCOMPLETE) return give_up("a packet that is malformed or too large");
  }
}

static void keep_alive(unsigned long now)
{
  /* Half of the Keep Alive: a PINGREQ that is late by TCP's retries still comes in time. */
  if (state == ONLINE && now - last_sent > KEEP_ALIVE_SECONDS * 500UL) {
    uint8_t packet[2];
    send(packet, encode_pingreq(packet, sizeof packet));
  }
  unsigned long limit = state == ONLINE ? KEEP_ALIVE_SECONDS * 500UL + ANSWER_MS : ANSWER_MS;
  if (state != OFFLINE && now - last_received > limit) give_up("the server is silent");
}

void setup()
{
  Serial.begin(115200);
  WiFi.mode(WIFI_STA);
  WiFi.begin(WIFI_SSID, WIFI_PASSWORD);
}

void loop()
{
  unsigned long now = millis();
  if (WiFi.status() != WL_CONNECTED) {
    if (state != OFFLINE) give_up("no WiFi");
  } else if (state == OFFLINE) {
    if (!has_tried || now - state_since >= RETRY_MS) open_connection();
    has_tried = true;
  } else if (!network.connected()) {
    give_up("the server has closed the connection");
  }
  receive();
  keep_alive(now);
  /* While a reading is in flight the next one waits: the newest one is measured when it can be sent. */
  if (pending_length == 0 && now - last_reading >= interval_ms) {
    last_reading = now;
    char reading[32];
    snprintf(reading, sizeof reading, "{\"celsius\":%.1f}", (double)temperatureRead());
    publish(TOPIC "/temperature", reading, false, true);
  }
  delay(10);
}
