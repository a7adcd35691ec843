/*
 * Paho C (the MQTTClient interface), driven by lines: the client side of packages/testkit/src/peers/agent.ts.
 *
 * Reads one command per line from standard input, `verb key=value ...`, where a value is a decimal number or the hex of
 * a string's bytes. Answers each, in order, with `ok key=value ...` or `fail text=HEX`. Between answers it writes
 * events: `message ...` for each message and `closed reason=N` when the broker ended the connection (N is -1 with no
 * DISCONNECT). Callbacks come on Paho's own thread; each line is written whole under one lock.
 *
 * Build: cc -o paho_agent paho_agent.c -lpaho-mqtt3c -lpthread
 */
#include <MQTTClient.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 18000 /* less than the driver's own bound, so that the failure is told here */
#define PAIRS_MAX 64
#define PENDING_MAX 256

struct pair {
  char *key;
  char *value;
};

struct command {
  char *verb;
  int count;
  struct pair pairs[PAIRS_MAX];
};

static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;
static MQTTClient client;
static int version;
static int closed_told; /* a DISCONNECT is told by two callbacks, the driver wants one event */
static struct command connect_command;
static char *connect_line;
static MQTTClient_deliveryToken pending[PENDING_MAX];
static int pending_count;

/* Out. The caller holds out_lock. */

static void put_hex(const char *key, const void *data, size_t length) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *bytes = data;
  char *text = malloc(2 * length + 1);
  for (size_t i = 0; i < length; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  text[2 * length] = 0;
  printf(" %s=%s", key, text);
  free(text);
}

static void put_end(void) {
  putchar('\n');
  fflush(stdout);
}

static void answer_ok(void) {
  pthread_mutex_lock(&out_lock);
  fputs("ok", stdout);
  put_end();
  pthread_mutex_unlock(&out_lock);
}

static void answer_fail(const char *format, ...) {
  char text[500];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  pthread_mutex_lock(&out_lock);
  fputs("fail", stdout);
  put_hex("text", text, strlen(text));
  put_end();
  pthread_mutex_unlock(&out_lock);
}

static void tell_closed(int reason) {
  pthread_mutex_lock(&out_lock);
  if (!closed_told) {
    closed_told = 1;
    printf("closed reason=%d", reason);
    put_end();
  }
  pthread_mutex_unlock(&out_lock);
}

/* In. */

static void parse_command(char *line, struct command *command) {
  char *rest = line;
  command->verb = strsep(&rest, " ");
  command->count = 0;
  char *token;
  while ((token = strsep(&rest, " ")) != NULL && command->count < PAIRS_MAX) {
    char *value = strchr(token, '=');
    if (value == NULL) continue;
    *value++ = 0;
    command->pairs[command->count].key = token;
    command->pairs[command->count++].value = value;
  }
}

static const char *get_raw(const struct command *command, const char *key) {
  for (int i = 0; i < command->count; i++)
    if (strcmp(command->pairs[i].key, key) == 0) return command->pairs[i].value;
  return NULL;
}

static int get_number(const struct command *command, const char *key, int otherwise) {
  const char *value = get_raw(command, key);
  return value == NULL ? otherwise : atoi(value);
}

static int hex_digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* Decodes `hex_length` digits into memory that is never freed: an agent lives for one test. */
static char *from_hex(const char *hex, size_t hex_length, int *length) {
  size_t n = hex_length / 2;
  char *bytes = malloc(n + 1);
  for (size_t i = 0; i < n; i++) bytes[i] = (char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
  bytes[n] = 0;
  if (length != NULL) *length = (int)n;
  return bytes;
}

static char *get_data(const struct command *command, const char *key, int *length) {
  const char *value = get_raw(command, key);
  if (value == NULL) value = "";
  return from_hex(value, strlen(value), length);
}

static char *get_text(const struct command *command, const char *key) { return get_data(command, key, NULL); }

/* Properties. */

static void add_number(MQTTProperties *properties, enum MQTTPropertyCodes code, int value) {
  MQTTProperty property;
  memset(&property, 0, sizeof property);
  property.identifier = code;
  switch (MQTTProperty_getType(code)) {
    case MQTTPROPERTY_TYPE_TWO_BYTE_INTEGER: property.value.integer2 = (unsigned short)value; break;
    case MQTTPROPERTY_TYPE_BYTE: property.value.byte = (unsigned char)value; break;
    default: property.value.integer4 = (unsigned int)value; break;
  }
  MQTTProperties_add(properties, &property);
}

static void add_data(MQTTProperties *properties, enum MQTTPropertyCodes code, char *data, int length) {
  MQTTProperty property;
  memset(&property, 0, sizeof property);
  property.identifier = code;
  property.value.data.data = data;
  property.value.data.len = length;
  MQTTProperties_add(properties, &property);
}

static void add_message_properties(const struct command *command, MQTTProperties *properties) {
  int length;
  char *data;
  if (get_raw(command, "expiry"))
    add_number(properties, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, get_number(command, "expiry", 0));
  if (get_raw(command, "topic_alias"))
    add_number(properties, MQTTPROPERTY_CODE_TOPIC_ALIAS, get_number(command, "topic_alias", 0));
  if (get_raw(command, "content_type")) {
    data = get_data(command, "content_type", &length);
    add_data(properties, MQTTPROPERTY_CODE_CONTENT_TYPE, data, length);
  }
  if (get_raw(command, "response_topic")) {
    data = get_data(command, "response_topic", &length);
    add_data(properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC, data, length);
  }
  if (get_raw(command, "correlation")) {
    data = get_data(command, "correlation", &length);
    add_data(properties, MQTTPROPERTY_CODE_CORRELATION_DATA, data, length);
  }
  for (int i = 0; i < command->count; i++) {
    if (strcmp(command->pairs[i].key, "user") != 0) continue;
    char *value = command->pairs[i].value;
    char *colon = strchr(value, ':');
    MQTTProperty property;
    memset(&property, 0, sizeof property);
    property.identifier = MQTTPROPERTY_CODE_USER_PROPERTY;
    property.value.data.data = from_hex(value, (size_t)(colon - value), &property.value.data.len);
    property.value.value.data = from_hex(colon + 1, strlen(colon + 1), &property.value.value.len);
    MQTTProperties_add(properties, &property);
  }
}

static void put_message_properties(const MQTTProperties *properties) {
  for (int i = 0; i < properties->count; i++) {
    const MQTTProperty *p = &properties->array[i];
    switch ((int)p->identifier) {
      case MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL: printf(" expiry=%u", p->value.integer4); break;
      case MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER: printf(" subscription_id=%u", p->value.integer4); break;
      case MQTTPROPERTY_CODE_CONTENT_TYPE: put_hex("content_type", p->value.data.data, p->value.data.len); break;
      case MQTTPROPERTY_CODE_RESPONSE_TOPIC: put_hex("response_topic", p->value.data.data, p->value.data.len); break;
      case MQTTPROPERTY_CODE_CORRELATION_DATA: put_hex("correlation", p->value.data.data, p->value.data.len); break;
      case MQTTPROPERTY_CODE_USER_PROPERTY: {
        put_hex("user", p->value.data.data, p->value.data.len);
        /* " user=LEFT" has been written; the right half follows as ":RIGHT". */
        putchar(':');
        for (int j = 0; j < p->value.value.len; j++) printf("%02x", (unsigned char)p->value.value.data[j]);
        break;
      }
      default: break;
    }
  }
}

/* Callbacks, on Paho's thread. */

static int on_message(void *context, char *topic, int topic_length, MQTTClient_message *message) {
  (void)context;
  pthread_mutex_lock(&out_lock);
  fputs("message", stdout);
  /* Paho gives a length only when the topic has a NUL inside. */
  put_hex("topic", topic, topic_length > 0 ? (size_t)topic_length : strlen(topic));
  put_hex("payload", message->payload, (size_t)message->payloadlen);
  printf(" qos=%d retain=%d", message->qos, message->retained);
  put_message_properties(&message->properties);
  put_end();
  pthread_mutex_unlock(&out_lock);
  MQTTClient_freeMessage(&message);
  MQTTClient_free(topic);
  return 1;
}

static void on_connection_lost(void *context, char *cause) {
  (void)context;
  (void)cause;
  tell_closed(-1);
}

static void on_disconnected(void *context, MQTTProperties *properties, enum MQTTReasonCodes reason) {
  (void)context;
  (void)properties;
  tell_closed((int)reason);
}

/* Commands, on the main thread. */

/* First and later connections: the same options, but only the first may ask for a clean start. */
static void connect_now(int first) {
  const struct command *command = &connect_command;
  MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
  MQTTClient_connectOptions options5 = MQTTClient_connectOptions_initializer5;
  MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
  MQTTProperties properties = MQTTProperties_initializer;
  MQTTProperties will_properties = MQTTProperties_initializer;
  MQTTClient_connectOptions *o = version == 5 ? &options5 : &options;
  int clean = first && get_number(command, "clean", 1);
  int rc;
  char *assigned = NULL;
  int assigned_length = 0;

  o->MQTTVersion = version;
  o->keepAliveInterval = get_number(command, "keep_alive", 60);
  o->connectTimeout = WAIT_MS / 1000;
  o->maxInflightMessages = 20;
  if (get_raw(command, "will_topic")) {
    o->will = &will;
    will.topicName = get_text(command, "will_topic");
    will.struct_version = 1;
    will.payload.data = get_data(command, "will_payload", &will.payload.len);
    will.qos = get_number(command, "will_qos", 0);
    will.retained = get_number(command, "will_retain", 0);
    if (get_raw(command, "will_delay"))
      add_number(&will_properties, MQTTPROPERTY_CODE_WILL_DELAY_INTERVAL, get_number(command, "will_delay", 0));
  }
  pthread_mutex_lock(&out_lock);
  closed_told = 0;
  pthread_mutex_unlock(&out_lock);
  if (version == 5) {
    o->cleanstart = clean;
    o->cleansession = 0;
    add_number(&properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, get_number(command, "session_expiry", 0));
    if (get_raw(command, "receive_maximum"))
      add_number(&properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, get_number(command, "receive_maximum", 0));
    MQTTResponse response = MQTTClient_connect5(client, o, &properties, o->will == NULL ? NULL : &will_properties);
    rc = response.reasonCode;
    if (rc == 0 && response.properties != NULL) {
      MQTTProperty *property =
          MQTTProperties_getProperty(response.properties, MQTTPROPERTY_CODE_ASSIGNED_CLIENT_IDENTIFER);
      if (property != NULL) {
        assigned_length = property->value.data.len;
        assigned = malloc((size_t)assigned_length + 1);
        memcpy(assigned, property->value.data.data, (size_t)assigned_length);
      }
    }
    MQTTResponse_free(response);
  } else {
    o->cleansession = get_number(command, "clean", 1);
    rc = MQTTClient_connect(client, o);
  }
  if (rc != 0) {
    answer_fail("connect: %d", rc);
    return;
  }
  pthread_mutex_lock(&out_lock);
  fputs("ok", stdout);
  /* Paho C 1.3.12 fills this in for MQTT 3.1.1 only. */
  if (version != 5) printf(" session_present=%d", o->returned.sessionPresent);
  if (assigned != NULL) put_hex("assigned", assigned, (size_t)assigned_length);
  put_end();
  pthread_mutex_unlock(&out_lock);
}

static void do_connect(const struct command *command) {
  char uri[200];
  MQTTClient_createOptions options = MQTTClient_createOptions_initializer;
  version = get_number(command, "version", 4);
  options.MQTTVersion = version;
  snprintf(uri, sizeof uri, "tcp://%s:%d", get_text(command, "host"), get_number(command, "port", 1883));
  int rc = MQTTClient_createWithOptions(&client, uri, get_text(command, "client_id"), MQTTCLIENT_PERSISTENCE_NONE, NULL,
                                        &options);
  if (rc == 0) rc = MQTTClient_setCallbacks(client, NULL, on_connection_lost, on_message, NULL);
  if (rc == 0 && version == 5) rc = MQTTClient_setDisconnected(client, NULL, on_disconnected);
  if (rc != 0) {
    answer_fail("create: %d", rc);
    return;
  }
  connect_now(1);
}

static void do_subscribe(const struct command *command) {
  char *filter = get_text(command, "filter");
  int qos = get_number(command, "qos", 0);
  int code = qos;
  if (version == 5) {
    MQTTSubscribe_options options = MQTTSubscribe_options_initializer;
    MQTTProperties properties = MQTTProperties_initializer;
    options.noLocal = (unsigned char)get_number(command, "no_local", 0);
    options.retainAsPublished = (unsigned char)get_number(command, "retain_as_published", 0);
    options.retainHandling = (unsigned char)get_number(command, "retain_handling", 0);
    if (get_raw(command, "subscription_id"))
      add_number(&properties, MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER, get_number(command, "subscription_id", 0));
    MQTTResponse response = MQTTClient_subscribe5(client, filter, qos, &options, &properties);
    code = response.reasonCode;
    MQTTResponse_free(response);
    if (code < 0) {
      answer_fail("subscribe: %d", code);
      return;
    }
  } else {
    /* Paho keeps the granted QoS to itself; it returns SUBSCRIBE_FAILURE (0x80) or an error below 0. */
    int rc = MQTTClient_subscribe(client, filter, qos);
    if (rc < 0) {
      answer_fail("subscribe: %d", rc);
      return;
    }
    if (rc > 2) code = rc;
  }
  pthread_mutex_lock(&out_lock);
  printf("ok code=%d", code);
  put_end();
  pthread_mutex_unlock(&out_lock);
}

static void do_unsubscribe(const struct command *command) {
  char *filter = get_text(command, "filter");
  int rc;
  if (version == 5) {
    MQTTResponse response = MQTTClient_unsubscribe5(client, filter, NULL);
    rc = response.reasonCode;
    MQTTResponse_free(response);
  } else {
    rc = MQTTClient_unsubscribe(client, filter);
  }
  if (rc == 0)
    answer_ok();
  else
    answer_fail("unsubscribe: %d", rc);
}

static void do_publish(const struct command *command) {
  MQTTClient_message message = MQTTClient_message_initializer;
  MQTTClient_deliveryToken token = 0;
  char *topic = get_text(command, "topic");
  int rc;
  message.struct_version = 1;
  message.payload = get_data(command, "payload", &message.payloadlen);
  message.qos = get_number(command, "qos", 0);
  message.retained = get_number(command, "retain", 0);
  if (version == 5) {
    add_message_properties(command, &message.properties);
    MQTTResponse response = MQTTClient_publishMessage5(client, topic, &message, &token);
    rc = response.reasonCode;
    MQTTResponse_free(response);
  } else {
    rc = MQTTClient_publishMessage(client, topic, &message, &token);
  }
  free(message.payload);
  if (rc == 0 && get_number(command, "wait", 1) == 0) {
    if (message.qos > 0 && pending_count < PENDING_MAX) pending[pending_count++] = token;
  } else if (rc == 0 && message.qos > 0) {
    rc = MQTTClient_waitForCompletion(client, token, WAIT_MS);
  }
  if (rc == 0)
    answer_ok();
  else
    answer_fail("publish: %d", rc);
}

static void do_flush(void) {
  for (int i = 0; i < pending_count; i++) {
    int rc = MQTTClient_waitForCompletion(client, pending[i], WAIT_MS);
    if (rc != 0) {
      answer_fail("flush: %d", rc);
      return;
    }
  }
  pending_count = 0;
  answer_ok();
}

static void do_disconnect(void) {
  pthread_mutex_lock(&out_lock);
  closed_told = 1; /* our own doing: no event */
  pthread_mutex_unlock(&out_lock);
  int rc = version == 5 ? MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_NORMAL_DISCONNECTION, NULL)
                        : MQTTClient_disconnect(client, 1000);
  if (rc == 0)
    answer_ok();
  else
    answer_fail("disconnect: %d", rc);
}

int main(void) {
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  while ((length = getline(&line, &capacity, stdin)) > 0) {
    struct command command;
    if (line[length - 1] == '\n') line[length - 1] = 0;
    if (strncmp(line, "connect ", 8) == 0) {
      connect_line = strdup(line);
      parse_command(connect_line, &connect_command);
      do_connect(&connect_command);
      continue;
    }
    parse_command(line, &command);
    if (strcmp(command.verb, "reconnect") == 0)
      connect_now(0);
    else if (strcmp(command.verb, "subscribe") == 0)
      do_subscribe(&command);
    else if (strcmp(command.verb, "unsubscribe") == 0)
      do_unsubscribe(&command);
    else if (strcmp(command.verb, "publish") == 0)
      do_publish(&command);
    else if (strcmp(command.verb, "flush") == 0)
      do_flush();
    else if (strcmp(command.verb, "disconnect") == 0)
      do_disconnect();
    else
      answer_fail("no such command: %s", command.verb);
  }
  return 0;
}
