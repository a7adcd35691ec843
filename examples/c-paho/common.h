/* Parts that sensor and dashboard share: their arguments, the connection, and the wait for an event. */
#ifndef COMMON_H
#define COMMON_H

#include <MQTTAsync.h>
#include <stdbool.h>

struct arguments {
  const char *uri;       /* tcp://, ssl://, ws:// or wss:// HOST:PORT */
  const char *client_id;
  const char *topic;
  const char *store;     /* folder for messages that are not acknowledged yet */
  const char *ca;        /* PEM files for TLS; NULL: not given */
  const char *certificate;
  const char *key;
  long version;          /* 4 for MQTT 3.1.1, 5 for MQTT 5.0 */
  long qos;
  long count;
  long pause_ms;
};

/* Parses the arguments; prints `usage` and exits on --help or on a mistake. */
struct arguments parse_arguments(int count, char **texts, const char *usage);

/* Creates the client with a store on disk, and connects. Paho connects again by itself after a lost connection, with the same
 * session. `on_connected` is called on each connection, with `context`. Exits with a message when it cannot begin. */
MQTTAsync connect_client(const struct arguments *arguments, MQTTAsync_connected *on_connected,
                         MQTTAsync_messageArrived *on_message, void *context, MQTTAsync_willOptions *will);

/* Waits until `done` is true, as `announce` tells it, or for `ms`. Returns *done. */
bool wait_until(const bool *done, long ms);
/* Sets *flag and wakes wait_until. Safe on any thread. */
void announce(bool *flag);

void fail(const char *what, int code);

#endif
