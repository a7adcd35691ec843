/*
 * The device of the network laboratory with Paho C (MQTTAsync): packages/testkit/src/lab/devices.ts starts it.
 *
 *     lab_device HOST PORT CA|- ID QOS KEEP_ALIVE TOPIC
 *
 * Connects with a session that is kept and a Will at TOPIC/gone, subscribes TOPIC/down, and publishes to TOPIC/up the
 * lines of its standard input. It connects again by itself, as the library does when it is asked to. It prints
 * "connected", "subscribed", "lost" and "got PAYLOAD".
 */
#include <MQTTAsync.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 16384, TOPIC_MAX = 256 };

static MQTTAsync client;
static MQTTAsync_connectOptions connect_options = MQTTAsync_connectOptions_initializer;
static char topic_up[TOPIC_MAX], topic_down[TOPIC_MAX], topic_gone[TOPIC_MAX];
static int qos;
static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

static void print(const char *word, const char *text, int size)
{
    pthread_mutex_lock(&output);
    printf("%s%s%.*s\n", word, size > 0 ? " " : "", size, text);
    fflush(stdout);
    pthread_mutex_unlock(&output);
}

static void check(int code, const char *what)
{
    if (code == MQTTASYNC_SUCCESS) return;
    fprintf(stderr, "%s: %s (%d)\n", what, MQTTAsync_strerror(code), code);
    exit(1);
}

static void on_subscribed(void *context, MQTTAsync_successData *response)
{
    (void)context, (void)response;
    print("subscribed", "", 0);
}

static void on_connected(void *context, char *cause)
{
    (void)context, (void)cause;
    static int was_connected;
    print("connected", "", 0);
    /* The session is kept, and the subscription with it. */
    if (was_connected) return;
    was_connected = 1;
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.onSuccess = on_subscribed;
    check(MQTTAsync_subscribe(client, topic_down, qos, &options), "subscribe");
}

static void on_refused(void *context, MQTTAsync_failureData *response)
{
    (void)context, (void)response;
    /* The library tries again by itself only after a first success. */
    sleep(1);
    check(MQTTAsync_connect(client, &connect_options), "connect");
}

static void on_lost(void *context, char *cause)
{
    (void)context, (void)cause;
    print("lost", "", 0);
}

static int on_message(void *context, char *topic, int topic_size, MQTTAsync_message *message)
{
    (void)context, (void)topic_size;
    print("got", message->payload, message->payloadlen);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: lab_device HOST PORT CA|- ID QOS KEEP_ALIVE TOPIC\n");
        return 2;
    }
    int has_tls = strcmp(argv[3], "-") != 0;
    char url[TOPIC_MAX];
    snprintf(url, sizeof url, "%s://%s:%s", has_tls ? "ssl" : "tcp", argv[1], argv[2]);
    qos = atoi(argv[5]);
    snprintf(topic_up, sizeof topic_up, "%s/up", argv[7]);
    snprintf(topic_down, sizeof topic_down, "%s/down", argv[7]);
    snprintf(topic_gone, sizeof topic_gone, "%s/gone", argv[7]);

    MQTTAsync_createOptions create_options = MQTTAsync_createOptions_initializer;
    create_options.sendWhileDisconnected = 1;
    create_options.maxBufferedMessages = 1000;
    check(MQTTAsync_createWithOptions(&client, url, argv[4], MQTTCLIENT_PERSISTENCE_NONE, NULL, &create_options),
          "create");
    check(MQTTAsync_setCallbacks(client, NULL, on_lost, on_message, NULL), "callbacks");
    check(MQTTAsync_setConnected(client, NULL, on_connected), "callbacks");
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    will.topicName = topic_gone;
    will.message = "gone";
    will.qos = 1;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    tls.trustStore = argv[3];
    tls.verify = 1;
    connect_options.keepAliveInterval = atoi(argv[6]);
    connect_options.cleansession = 0;
    connect_options.MQTTVersion = MQTTVERSION_3_1_1;
    connect_options.automaticReconnect = 1;
    connect_options.will = &will;
    connect_options.onFailure = on_refused;
    if (has_tls) connect_options.ssl = &tls;
    check(MQTTAsync_connect(client, &connect_options), "connect");

    static char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t size = strcspn(line, "\n");
        check(MQTTAsync_send(client, topic_up, (int)size, line, qos, 0, NULL), "publish");
    }
    return 0;
}
