/*
 * Paho C (the MQTTAsync interface) and a burst: subscribes, publishes COUNT messages to itself without waiting, and wants all of
 * them back. MQTTAsync reads one packet each time that its socket is readable, which is what this is about.
 *
 * Usage: paho_burst URL QOS COUNT. Prints how many came. Build: cc -o paho_burst paho_burst.c -lpaho-mqtt3a -lpthread
 */
#include <MQTTAsync.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TENTHS_MAX 150

static MQTTAsync client;
static int qos, count;
static volatile int received, failed;

static void on_failure(void *context, MQTTAsync_failureData *data) { failed = 1; }

static int on_message(void *context, char *topic, int length, MQTTAsync_message *message) {
  received++;
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

static void on_subscribed(void *context, MQTTAsync_successData *data) {
  for (int i = 0; i < count; i++) {
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    if (MQTTAsync_send(client, "burst", 5, "hello", qos, 0, &options) != MQTTASYNC_SUCCESS) failed = 1;
  }
}

static void on_connected(void *context, MQTTAsync_successData *data) {
  MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
  options.onSuccess = on_subscribed;
  options.onFailure = on_failure;
  if (MQTTAsync_subscribe(client, "burst", qos, &options) != MQTTASYNC_SUCCESS) failed = 1;
}

int main(int argc, char **argv) {
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
  if (argc != 4) return 2;
  qos = atoi(argv[2]);
  count = atoi(argv[3]);
  if (MQTTAsync_create(&client, argv[1], "burst", MQTTCLIENT_PERSISTENCE_NONE, NULL) != MQTTASYNC_SUCCESS) return 2;
  MQTTAsync_setCallbacks(client, NULL, NULL, on_message, NULL);
  options.maxInflight = 1000;
  options.onSuccess = on_connected;
  options.onFailure = on_failure;
  if (MQTTAsync_connect(client, &options) != MQTTASYNC_SUCCESS) return 2;
  for (int i = 0; i < TENTHS_MAX && !failed && received < count; i++) usleep(100000);
  printf("%d\n", received);
  return 0;
}
