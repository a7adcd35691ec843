/*
 * A dashboard with Paho: prints every reading that it receives, those included that were published while it was away, since
 * its session stays with the broker.
 */
#define _POSIX_C_SOURCE 200809L
#include <time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

static const char *const usage =
    "Usage: dashboard -i ID [-n COUNT] [-t FILTER] [-q 1|2] [-V 4|5] [-S FOLDER]\n"
    "                 [-u URI] [-A CA.pem] [-C CERTIFICATE.pem -K KEY.pem]\n"
    "\n"
    "  -i ID      Client Identifier: the session has this name\n"
    "  -n COUNT   end after that many messages; default: never\n"
    "  -t FILTER  default casa/sala/temperatura\n"
    "  -q QOS     default 1\n"
    "  -V VERSION 4: MQTT 3.1.1, 5 (default): MQTT 5.0\n"
    "  -S FOLDER  for acknowledgements of QoS 2 under way, default: the current one\n"
    "  -u URI     tcp:// (default tcp://localhost:1883), ssl://, ws:// or wss://\n";

struct dashboard {
  struct arguments arguments;
  MQTTAsync client;
  bool ready;  /* the client is known to its callbacks */
  long printed;
  bool done;
};

static void on_subscribed(void *context, MQTTAsync_successData *data) {
  (void)context;
  (void)data;
  fprintf(stderr, "subscribed\n");
}
static void on_subscribed5(void *context, MQTTAsync_successData5 *data) {
  (void)context;
  (void)data;
  fprintf(stderr, "subscribed\n");
}

/* Subscribes. On each connection anew: a broker that lost the session has lost the subscription too. */
static void subscribe(struct dashboard *dashboard) {
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  response.context = dashboard;
  if (dashboard->arguments.version == 5) {
    response.onSuccess5 = on_subscribed5;
    /* 1: retained messages only with a new subscription, not with each connection. */
    response.subscribeOptions.retainHandling = 1;
  } else {
    response.onSuccess = on_subscribed;
  }
  MQTTAsync_subscribe(dashboard->client, dashboard->arguments.topic, (int)dashboard->arguments.qos, &response);
}

static void on_connected(void *context, char *cause) {
  (void)cause;
  struct dashboard *dashboard = context;
  fprintf(stderr, "connected\n");
  if (wait_until(&dashboard->ready, 10000)) subscribe(dashboard);
}

/* Prints a message, and its acknowledgement follows when this returns 1. */
static int on_message(void *context, char *topic, int topic_length, MQTTAsync_message *message) {
  struct dashboard *dashboard = context;
  (void)topic_length;
  long most = dashboard->arguments.count;
  if (most == 0 || dashboard->printed < most) {
    printf("%s %.*s", topic, message->payloadlen, (const char *)message->payload);
    for (int i = 0; i < message->properties.count; i++) {
      const MQTTProperty *property = &message->properties.array[i];
      if (property->identifier != MQTTPROPERTY_CODE_USER_PROPERTY) continue;
      printf(" %.*s=%.*s", property->value.data.len, property->value.data.data, property->value.value.len,
             property->value.value.data);
    }
    putchar('\n');
    fflush(stdout);
    dashboard->printed++;
  }
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  if (dashboard->printed == most) announce(&dashboard->done);
  return 1;
}

int main(int count, char **texts) {
  static struct dashboard dashboard; /* outlives main for Paho's threads */
  dashboard.arguments = parse_arguments(count, texts, usage);
  if (dashboard.arguments.client_id == NULL || dashboard.arguments.client_id[0] == '\0') {
    fprintf(stderr, "-i is missing\n%s", usage);
    return 2;
  }
  dashboard.client = connect_client(&dashboard.arguments, on_connected, on_message, &dashboard, NULL);
  announce(&dashboard.ready);
  while (!wait_until(&dashboard.done, 3600000)) continue;
  MQTTAsync_disconnectOptions disconnect = MQTTAsync_disconnectOptions_initializer;
  disconnect.timeout = 5000; /* for acknowledgements that are on their way */
  MQTTAsync_disconnect(dashboard.client, &disconnect);
  struct timespec pause = {0, 20000000};
  while (MQTTAsync_isConnected(dashboard.client)) nanosleep(&pause, NULL);
  MQTTAsync_destroy(&dashboard.client);
  return 0;
}
