/*
 * A sensor with Paho: publishes readings at QoS 1 or 2, and leaves a Will.
 *
 * What the broker has not acknowledged is on disk, so a lost connection, a restart of the broker and a restart of this
 * program lose nothing: it ends when all its readings, those of an earlier run included, are acknowledged.
 *
 * One message is under way at a time. Paho 1.3.12 sends a PUBLISH whose write failed, because the broker died, again from
 * memory that it has freed: with an empty payload, to another topic, or with a topic that is no UTF-8. Seen where
 * several were under way when the broker was killed.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.h"

static const char *const usage =
    "Usage: sensor -i ID [-n READINGS] [-p PAUSE_MS] [-t TOPIC] [-q 1|2] [-V 4|5] [-S FOLDER]\n"
    "              [-u URI] [-A CA.pem] [-C CERTIFICATE.pem -K KEY.pem]\n"
    "\n"
    "  -i ID        Client Identifier: the session and the store have this name\n"
    "  -n READINGS  default 10; -p PAUSE_MS between them, default 1000\n"
    "  -t TOPIC     default casa/sala/temperatura; its Will goes to TOPIC/estado\n"
    "  -q QOS       default 1\n"
    "  -V VERSION   4: MQTT 3.1.1, 5 (default): MQTT 5.0, with properties\n"
    "  -S FOLDER    for readings that are not acknowledged yet, default: the current one\n"
    "  -u URI       tcp:// (default tcp://localhost:1883), ssl://, ws:// or wss://\n";

static void on_connected(void *context, char *cause) {
  (void)context;
  (void)cause;
  fprintf(stderr, "connected\n");
}

static int on_message(void *context, char *topic, int topic_length, MQTTAsync_message *message) {
  (void)context;
  (void)topic_length;
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

/* Reads the temperature of this machine in degrees Celsius, or makes one up where there is no such sensor. */
static double read_temperature(long sequence) {
  FILE *file = fopen("/sys/class/thermal/thermal_zone0/temp", "r");
  if (file == NULL) return 21 + (double)(sequence % 20) / 10;
  long milli = 0;
  int found = fscanf(file, "%ld", &milli);
  fclose(file);
  return found == 1 ? (double)milli / 1000 : 21;
}

static void publish(MQTTAsync client, const struct arguments *arguments, long sequence) {
  char payload[128];
  snprintf(payload, sizeof payload, "{\"sequence\":%ld,\"celsius\":%.1f}", sequence, read_temperature(sequence));
  MQTTAsync_message message = MQTTAsync_message_initializer;
  message.payload = payload;
  message.payloadlen = (int)strlen(payload);
  message.qos = (int)arguments->qos;
  if (arguments->version == 5) {
    MQTTProperty type = {.identifier = MQTTPROPERTY_CODE_CONTENT_TYPE, .value.data = {16, "application/json"}};
    MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, .value.integer4 = 7 * 24 * 3600};
    MQTTProperty unit = {.identifier = MQTTPROPERTY_CODE_USER_PROPERTY, .value = {.data = {4, "unit"}, .value = {7, "celsius"}}};
    MQTTProperties_add(&message.properties, &type);
    MQTTProperties_add(&message.properties, &expiry);
    MQTTProperties_add(&message.properties, &unit);
  }
  /* Paho takes the properties of a message only where there are options too. */
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  int code = MQTTAsync_sendMessage(client, arguments->topic, &message, &response);
  MQTTProperties_free(&message.properties);
  if (code != MQTTASYNC_SUCCESS) fail("A reading could not be kept", code);
}

static void pause_for(long ms) {
  struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

static bool has_pending(MQTTAsync client) {
  MQTTAsync_token *tokens = NULL;
  if (MQTTAsync_getPendingTokens(client, &tokens) != MQTTASYNC_SUCCESS || tokens == NULL) return false;
  bool pending = tokens[0] != -1;
  MQTTAsync_free(tokens);
  return pending;
}

/* Waits until the broker has all that was published, through lost connections too. */
static void wait_until_acknowledged(MQTTAsync client) {
  while (has_pending(client)) pause_for(2);
}

int main(int count, char **texts) {
  struct arguments arguments = parse_arguments(count, texts, usage);
  if (arguments.client_id == NULL || arguments.client_id[0] == '\0') {
    fprintf(stderr, "-i is missing\n%s", usage);
    return 2;
  }
  if (arguments.count == 0) arguments.count = 10;
  char will_topic[512];
  if (snprintf(will_topic, sizeof will_topic, "%s/estado", arguments.topic) >= (int)sizeof will_topic) {
    fprintf(stderr, "-t is too long\n");
    return 2;
  }
  MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
  will.topicName = will_topic;
  will.message = "offline";
  will.retained = 1;
  will.qos = 1;
  MQTTAsync client = connect_client(&arguments, on_connected, on_message, NULL, &will);
  MQTTAsync_message online = MQTTAsync_message_initializer;
  online.payload = "online";
  online.payloadlen = 6;
  online.retained = 1;
  online.qos = 1;
  MQTTAsync_sendMessage(client, will_topic, &online, NULL);
  wait_until_acknowledged(client);
  for (long sequence = 0; sequence < arguments.count; sequence++) {
    publish(client, &arguments, sequence);
    wait_until_acknowledged(client);
    if (arguments.pause_ms > 0) pause_for(arguments.pause_ms);
  }
  MQTTAsync_disconnectOptions disconnect = MQTTAsync_disconnectOptions_initializer;
  disconnect.timeout = 5000;
  MQTTAsync_disconnect(client, &disconnect);
  while (MQTTAsync_isConnected(client)) pause_for(20);
  MQTTAsync_destroy(&client);
  printf("%ld readings acknowledged\n", arguments.count);
  return 0;
}
