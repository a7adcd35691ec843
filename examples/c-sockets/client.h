/*
 * An MQTT 3.1.1 client over Berkeley sockets: one connection, one thread for its input and output, any number of threads
 * that call it.
 *
 * The client connects again by itself when the connection is lost, and takes up the session where it was: what was not
 * acknowledged is sent again in its order, with DUP (section 4.4). The state of the flows is in memory, so it survives a
 * lost connection and a restart of the server, and not the end of this process.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "packets/connect.h"
#include "packets/publish.h"

struct client;

struct client_options {
  const char *host;
  const char *port;
  const char *client_id;       /* "" lets the server choose one; then clean_session must be true */
  const char *username;        /* NULL: none */
  const char *password;        /* NULL: none */
  bool clean_session;          /* the session ends with each connection; a QoS 2 message may then arrive twice */
  uint16_t keep_alive_seconds; /* 0 turns it off */
  size_t packet_size_max;      /* larger packets from the server end the connection; 0 stands for 1 MiB */
  const char *will_topic;      /* NULL: no Will */
  const char *will_payload;
  uint8_t will_qos;
  bool will_retain;
  /* Called on the client's own thread for each message; acknowledged when it returns. It must not call functions of the
   * client that wait (all of them below). The bytes are valid during the call. */
  void (*on_message)(void *context, const struct publish *message);
  /* Called on the client's own thread with a line for people: connected, lost, refused. NULL: not wanted. */
  void (*on_event)(void *context, const char *text);
  void *context;
};

/* Starts connecting, and returns at once. The texts of `options` must live as long as the client. NULL: no memory. */
struct client *client_open(const struct client_options *options);

/* Sends a message. QoS 0 returns when the message is in the buffer of a connection, QoS 1 and 2 when the server has
 * acknowledged it, however many connections that takes. False: refused by the server, closed, or not a valid message. */
bool client_publish(struct client *client, struct bytes topic, struct bytes payload, uint8_t qos, bool retain);

/* Subscribes, and waits for SUBACK. Returns the granted QoS, SUBACK_FAILURE, or -1 as client_publish's false. A server that
 * has lost the session is asked again. */
int client_subscribe(struct client *client, const char *filter, uint8_t qos);

/* Unsubscribes, and waits for UNSUBACK. */
bool client_unsubscribe(struct client *client, const char *filter);

/* Number of connections that were lost so far. */
unsigned client_lost_connections(struct client *client);

/* Sends DISCONNECT when everything before it is sent, ends the connection, wakes whoever waits, and frees the client. No
 * other thread may call the client any more. */
void client_close(struct client *client);

#endif
