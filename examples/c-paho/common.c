#define _POSIX_C_SOURCE 200809L
#include "common.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t announced = PTHREAD_COND_INITIALIZER;

void fail(const char *what, int code) {
  const char *reason = MQTTAsync_strerror(code);
  fprintf(stderr, "%s: %s (%d)\n", what, reason == NULL ? "refused by the broker" : reason, code);
  exit(1);
}

void announce(bool *flag) {
  pthread_mutex_lock(&lock);
  *flag = true;
  pthread_cond_broadcast(&announced);
  pthread_mutex_unlock(&lock);
}

bool wait_until(const bool *done, long ms) {
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_sec += ms / 1000;
  deadline.tv_nsec += ms % 1000 * 1000000;
  if (deadline.tv_nsec >= 1000000000) {
    deadline.tv_sec++;
    deadline.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&lock);
  int waited = 0;
  while (!*done && waited == 0) waited = pthread_cond_timedwait(&announced, &lock, &deadline);
  bool result = *done;
  pthread_mutex_unlock(&lock);
  return result;
}

static long number(const char *option, const char *text, long least, long most) {
  char *end = NULL;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
    fprintf(stderr, "%s must be a number from %ld to %ld, not '%s'\n", option, least, most, text);
    exit(2);
  }
  return value;
}

struct arguments parse_arguments(int count, char **texts, const char *usage) {
  struct arguments arguments = {
      .uri = "tcp://localhost:1883", .topic = "casa/sala/temperatura", .store = ".", .version = 5, .qos = 1, .pause_ms = 1000,
  };
  if (count == 2 && strcmp(texts[1], "--help") == 0) {
    fputs(usage, stdout);
    exit(0);
  }
  for (int option; (option = getopt(count, texts, ":u:i:t:S:A:C:K:V:q:n:p:")) != -1;) {
    switch (option) {
      case 'u': arguments.uri = optarg; break;
      case 'i': arguments.client_id = optarg; break;
      case 't': arguments.topic = optarg; break;
      case 'S': arguments.store = optarg; break;
      case 'A': arguments.ca = optarg; break;
      case 'C': arguments.certificate = optarg; break;
      case 'K': arguments.key = optarg; break;
      case 'V': arguments.version = number("-V", optarg, 4, 5); break;
      case 'q': arguments.qos = number("-q", optarg, 1, 2); break;
      case 'n': arguments.count = number("-n", optarg, 1, 100000); break;
      case 'p': arguments.pause_ms = number("-p", optarg, 0, 3600000); break;
      default: fprintf(stderr, "option -%c is unknown or lacks its value\n%s", optopt, usage); exit(2);
    }
  }
  if (optind < count) {
    fprintf(stderr, "unexpected argument: %s\n%s", texts[optind], usage);
    exit(2);
  }
  if ((arguments.certificate == NULL) != (arguments.key == NULL)) {
    fprintf(stderr, "-C needs -K: give both, or neither\n");
    exit(2);
  }
  return arguments;
}

struct connecting {
  bool over;
  int code; /* of the failure; 0 when connected */
};

static void succeed(struct connecting *connecting, int code) {
  connecting->code = code;
  announce(&connecting->over);
}

static void on_success(void *context, MQTTAsync_successData *data) {
  (void)data;
  succeed(context, 0);
}
static void on_success5(void *context, MQTTAsync_successData5 *data) {
  (void)data;
  succeed(context, 0);
}
static void on_failure(void *context, MQTTAsync_failureData *data) {
  succeed(context, data->code == 0 ? MQTTASYNC_FAILURE : data->code);
}
static void on_failure5(void *context, MQTTAsync_failureData5 *data) {
  int code = data->reasonCode != 0 ? (int)data->reasonCode : data->code;
  succeed(context, code == 0 ? MQTTASYNC_FAILURE : code);
}

static void on_lost(void *context, char *cause) {
  (void)context;
  fprintf(stderr, "connection lost%s%s\n", cause == NULL ? "" : ": ", cause == NULL ? "" : cause);
}

MQTTAsync connect_client(const struct arguments *arguments, MQTTAsync_connected *on_connected,
                         MQTTAsync_messageArrived *on_message, void *context, MQTTAsync_willOptions *will) {
  bool is_v5 = arguments->version == 5;
  MQTTAsync client = NULL;
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
  create.MQTTVersion = is_v5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
  create.sendWhileDisconnected = 1; /* what is sent while the line is down waits in the store */
  create.allowDisconnectedSendAtAnyTime = 1;
  create.maxBufferedMessages = 100000;
  int code = MQTTAsync_createWithOptions(&client, arguments->uri, arguments->client_id, MQTTCLIENT_PERSISTENCE_DEFAULT,
                                         (void *)arguments->store, &create);
  if (code != MQTTASYNC_SUCCESS) fail("The client cannot be made (is the folder of -S writable?)", code);
  MQTTAsync_setCallbacks(client, context, on_lost, on_message, NULL);
  MQTTAsync_setConnected(client, context, on_connected);

  /* A new one for each connection of this example; static, because Paho keeps it for connecting again. */
  static MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  static MQTTProperties properties = MQTTProperties_initializer;
  struct connecting connecting = {0};
  MQTTAsync_connectOptions options5 = MQTTAsync_connectOptions_initializer5;
  MQTTAsync_connectOptions options4 = MQTTAsync_connectOptions_initializer;
  MQTTAsync_connectOptions options = is_v5 ? options5 : options4;
  options.keepAliveInterval = 20;
  options.automaticReconnect = 1;
  options.minRetryInterval = 1;
  options.maxRetryInterval = 4;
  options.maxInflight = 20;
  options.will = will;
  options.context = &connecting;
  if (is_v5) {
    /* Without a Session Expiry Interval the session would end with the connection, whatever Clean Start says. */
    MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = 24 * 3600};
    MQTTProperties_add(&properties, &expiry);
    options.cleanstart = 0;
    options.connectProperties = &properties;
    options.onSuccess5 = on_success5;
    options.onFailure5 = on_failure5;
  } else {
    options.cleansession = 0;
    options.onSuccess = on_success;
    options.onFailure = on_failure;
  }
  if (strncmp(arguments->uri, "ssl://", 6) == 0 || strncmp(arguments->uri, "wss://", 6) == 0) {
    tls.trustStore = arguments->ca;
    tls.keyStore = arguments->certificate;
    tls.privateKey = arguments->key;
    tls.verify = 1; /* the name in the certificate must be the host's */
    tls.enableServerCertAuth = 1;
    options.ssl = &tls;
  }
  code = MQTTAsync_connect(client, &options);
  if (code != MQTTASYNC_SUCCESS) fail("Connecting cannot begin", code);
  if (!wait_until(&connecting.over, 30000)) fail("No connection within 30 s", MQTTASYNC_FAILURE);
  if (connecting.code != 0) fail("No connection", connecting.code);
  return client;
}
