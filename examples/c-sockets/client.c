#define _POSIX_C_SOURCE 200809L
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "packets/connack.h"
#include "packets/disconnect.h"
#include "packets/pingreq.h"
#include "packets/pingresp.h"
#include "packets/puback.h"
#include "packets/pubcomp.h"
#include "packets/pubrec.h"
#include "packets/pubrel.h"
#include "packets/suback.h"
#include "packets/subscribe.h"
#include "packets/unsuback.h"
#include "packets/unsubscribe.h"

enum {
  FLIGHTS_MAX = 32,                /* messages that wait for an acknowledgement at once */
  FILTERS_MAX = 64,                /* subscriptions of a client */
  OUTPUT_BYTES_MAX = 1 << 20,      /* waiting output, above which publishers wait and nothing more is read */
  CONNECT_MS_MAX = 5000,           /* for the TCP connection, and again for CONNACK */
  CLOSE_MS_MAX = 2000,             /* for the output that remains at the end */
  RETRY_MS_LEAST = 50,
  RETRY_MS_MOST = 5000,
};

/* A PUBLISH at QoS 1 or 2 on its way. */
struct flight {
  enum { FREE, WAITS_FOR_PUBACK, WAITS_FOR_PUBREC, WAITS_FOR_PUBCOMP, DONE } state;
  uint16_t packet_id;
  uint64_t sequence; /* order of the first sending, which is the order of sending again [MQTT-4.6.0-1] */
  uint8_t *packet;
  size_t length;
};

/* A subscription, or one that is being ended. */
struct filter {
  enum { UNUSED, WAITS_FOR_SUBACK, GRANTED, REFUSED, WAITS_FOR_UNSUBACK } state;
  uint16_t packet_id;
  uint8_t qos;
  char *text;
};

struct buffer {
  uint8_t *data;
  size_t length;
  size_t capacity;
};

struct client {
  struct client_options options;
  pthread_t thread;
  pthread_mutex_t lock;   /* guards everything below */
  pthread_cond_t changed; /* signalled whenever somebody who waits might go on */
  int wake[2];            /* a pipe: a byte in it ends the poll() of the client's thread */
  bool connected;         /* CONNACK is there */
  bool closing;
  bool refused;           /* the server will not have us: no further tries */
  unsigned lost;
  struct buffer output;
  struct flight flights[FLIGHTS_MAX];
  struct filter filters[FILTERS_MAX];
  uint64_t sequence;
  uint16_t last_packet_id;
  uint8_t received[65536 / 8]; /* Packet Identifiers of QoS 2 messages that were delivered and not released yet */
};

/* --- small helpers -------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now); /* a clock that nobody sets */
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns a number from 0 to `most` that two clients hardly share: nanoseconds of the clock. */
static int64_t chance(int64_t most) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_nsec / 1000 % (most + 1);
}

static void say(struct client *client, const char *text) {
  if (client->options.on_event != NULL) client->options.on_event(client->options.context, text);
}

static bool buffer_reserve(struct buffer *buffer, size_t more) {
  if (buffer->capacity - buffer->length >= more) return true;
  size_t capacity = buffer->capacity == 0 ? 4096 : buffer->capacity;
  while (capacity - buffer->length < more) capacity *= 2;
  uint8_t *data = realloc(buffer->data, capacity);
  if (data == NULL) return false;
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}

static void buffer_drop_front(struct buffer *buffer, size_t count) {
  memmove(buffer->data, buffer->data + count, buffer->length - count);
  buffer->length -= count;
}

static bool wake(struct client *client) {
  /* A full pipe wakes as well as a byte more. */
  return write(client->wake[1], "", 1) == 1 || errno == EAGAIN;
}

/* Takes out the bytes that ended poll(). */
static void drain_wakes(struct client *client) {
  char drained[64];
  while (read(client->wake[0], drained, sizeof drained) > 0) continue;
}

/* Appends a packet to the output. Without memory the connection cannot go on: false. */
static bool send_packet(struct client *client, const uint8_t *packet, size_t length) {
  if (length == 0 || !buffer_reserve(&client->output, length)) return false;
  memcpy(client->output.data + client->output.length, packet, length);
  client->output.length += length;
  return wake(client);
}

static bool is_received(const struct client *client, uint16_t packet_id) {
  return (client->received[packet_id / 8] & 1 << packet_id % 8) != 0;
}

static void set_received(struct client *client, uint16_t packet_id, bool received) {
  uint8_t bit = (uint8_t)(1 << packet_id % 8);
  if (received) client->received[packet_id / 8] |= bit;
  else client->received[packet_id / 8] &= (uint8_t)~bit;
}

static struct flight *find_flight(struct client *client, uint16_t packet_id) {
  for (size_t i = 0; i < FLIGHTS_MAX; i++) {
    struct flight *flight = &client->flights[i];
    if (flight->state != FREE && flight->state != DONE && flight->packet_id == packet_id) return flight;
  }
  return NULL;
}

static struct filter *find_filter(struct client *client, uint16_t packet_id, int state) {
  for (size_t i = 0; i < FILTERS_MAX; i++) {
    struct filter *filter = &client->filters[i];
    if ((int)filter->state == state && filter->packet_id == packet_id) return filter;
  }
  return NULL;
}

/* Returns a Packet Identifier that is not in use: 1 to 65535, one after the other (section 2.3.1). */
static uint16_t next_packet_id(struct client *client) {
  for (;;) {
    client->last_packet_id = client->last_packet_id == UINT16_MAX ? 1 : (uint16_t)(client->last_packet_id + 1);
    uint16_t packet_id = client->last_packet_id;
    bool used = find_flight(client, packet_id) != NULL;
    for (size_t i = 0; i < FILTERS_MAX && !used; i++) {
      const struct filter *filter = &client->filters[i];
      used = (filter->state == WAITS_FOR_SUBACK || filter->state == WAITS_FOR_UNSUBACK) && filter->packet_id == packet_id;
    }
    if (!used) return packet_id;
  }
}

static bool is_over(const struct client *client) {
  return client->closing || client->refused;
}

/* --- packets that are sent ------------------------------------------------------------------------------------------- */

static bool send_connect(struct client *client) {
  const struct client_options *options = &client->options;
  struct connect connect = {
      .clean_session = options->clean_session,
      .keep_alive_seconds = options->keep_alive_seconds,
      .client_id = bytes_of(options->client_id),
      .has_username = options->username != NULL,
      .has_password = options->password != NULL,
  };
  if (options->username != NULL) connect.username = bytes_of(options->username);
  if (options->password != NULL) connect.password = bytes_of(options->password);
  if (options->will_topic != NULL) {
    connect.has_will = true;
    connect.will.topic = bytes_of(options->will_topic);
    connect.will.payload = bytes_of(options->will_payload == NULL ? "" : options->will_payload);
    connect.will.qos = options->will_qos;
    connect.will.retain = options->will_retain;
  }
  size_t size = 64 + connect.client_id.length + connect.will.topic.length + connect.will.payload.length +
                connect.username.length + connect.password.length;
  uint8_t *packet = malloc(size);
  if (packet == NULL) return false;
  bool sent = send_packet(client, packet, encode_connect(packet, size, &connect));
  free(packet);
  return sent;
}

static bool send_filter(struct client *client, struct filter *filter) {
  size_t size = strlen(filter->text) + 16;
  uint8_t *packet = malloc(size);
  if (packet == NULL) return false;
  size_t length;
  if (filter->state == WAITS_FOR_UNSUBACK) {
    struct unsubscribe unsubscribe = {.packet_id = filter->packet_id, .count = 1, .filters = {bytes_of(filter->text)}};
    length = encode_unsubscribe(packet, size, &unsubscribe);
  } else {
    struct subscribe subscribe = {.packet_id = filter->packet_id, .count = 1};
    subscribe.subscriptions[0].filter = bytes_of(filter->text);
    subscribe.subscriptions[0].qos = filter->qos;
    length = encode_subscribe(packet, size, &subscribe);
  }
  bool sent = send_packet(client, packet, length);
  free(packet);
  return sent;
}

static bool send_flight(struct client *client, struct flight *flight, bool again) {
  if (flight->state == WAITS_FOR_PUBCOMP) {
    uint8_t packet[4];
    return send_packet(client, packet, encode_pubrel(packet, sizeof packet, (struct pubrel){flight->packet_id}));
  }
  if (again) flight->packet[0] |= PUBLISH_DUP; /* [MQTT-3.3.1-1] */
  else flight->packet[0] &= (uint8_t)~PUBLISH_DUP;
  return send_packet(client, flight->packet, flight->length);
}

/* Takes up the session after CONNACK (section 4.4). */
static bool resume(struct client *client, bool session_present) {
  if (!session_present) memset(client->received, 0, sizeof client->received);
  for (size_t i = 0; i < FILTERS_MAX; i++) {
    struct filter *filter = &client->filters[i];
    if (filter->state == GRANTED && !session_present) {
      filter->state = WAITS_FOR_SUBACK;
      filter->packet_id = next_packet_id(client);
    }
    if ((filter->state == WAITS_FOR_SUBACK || filter->state == WAITS_FOR_UNSUBACK) && !send_filter(client, filter)) return false;
  }
  uint64_t after = 0;
  for (;;) {
    struct flight *next = NULL;
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
      struct flight *flight = &client->flights[i];
      if (flight->state == FREE || flight->state == DONE || flight->sequence <= after) continue;
      if (next == NULL || flight->sequence < next->sequence) next = flight;
    }
    if (next == NULL) return true;
    after = next->sequence;
    if (!session_present && next->state == WAITS_FOR_PUBCOMP) {
      next->state = DONE; /* The server had the message, and has lost the session with its Packet Identifier. */
    } else if (!send_flight(client, next, session_present)) {
      return false;
    }
  }
}

/* --- packets that come in ---------------------------------------------------------------------------------------------- */

static bool handle_publish(struct client *client, const struct frame *frame) {
  struct publish message;
  if (!decode_publish(frame, &message)) return false;
  /* A QoS 2 message whose Packet Identifier is known came before: acknowledged again, not delivered again [MQTT-4.3.3-2]. */
  bool is_new = message.qos < 2 || !is_received(client, message.packet_id);
  if (is_new && client->options.on_message != NULL) {
    pthread_mutex_unlock(&client->lock);
    client->options.on_message(client->options.context, &message);
    pthread_mutex_lock(&client->lock);
  }
  uint8_t answer[4];
  if (message.qos == 1) {
    return send_packet(client, answer, encode_puback(answer, sizeof answer, (struct puback){message.packet_id}));
  }
  if (message.qos == 2) {
    set_received(client, message.packet_id, true);
    return send_packet(client, answer, encode_pubrec(answer, sizeof answer, (struct pubrec){message.packet_id}));
  }
  return true;
}

static bool handle_puback(struct client *client, const struct frame *frame) {
  struct puback puback;
  if (!decode_puback(frame, &puback)) return false;
  struct flight *flight = find_flight(client, puback.packet_id);
  if (flight != NULL && flight->state == WAITS_FOR_PUBACK) flight->state = DONE;
  return true;
}

static bool handle_pubrec(struct client *client, const struct frame *frame) {
  struct pubrec pubrec;
  if (!decode_pubrec(frame, &pubrec)) return false;
  struct flight *flight = find_flight(client, pubrec.packet_id);
  if (flight != NULL && flight->state == WAITS_FOR_PUBREC) flight->state = WAITS_FOR_PUBCOMP;
  /* PUBREL is owed also for an identifier that is not known: the server waits for it. */
  uint8_t answer[4];
  return send_packet(client, answer, encode_pubrel(answer, sizeof answer, (struct pubrel){pubrec.packet_id}));
}

static bool handle_pubrel(struct client *client, const struct frame *frame) {
  struct pubrel pubrel;
  if (!decode_pubrel(frame, &pubrel)) return false;
  set_received(client, pubrel.packet_id, false);
  uint8_t answer[4];
  return send_packet(client, answer, encode_pubcomp(answer, sizeof answer, (struct pubcomp){pubrel.packet_id}));
}

static bool handle_pubcomp(struct client *client, const struct frame *frame) {
  struct pubcomp pubcomp;
  if (!decode_pubcomp(frame, &pubcomp)) return false;
  struct flight *flight = find_flight(client, pubcomp.packet_id);
  if (flight != NULL && flight->state == WAITS_FOR_PUBCOMP) flight->state = DONE;
  return true;
}

static bool handle_suback(struct client *client, const struct frame *frame) {
  struct suback suback;
  if (!decode_suback(frame, &suback) || suback.return_codes.length != 1) return false;
  struct filter *filter = find_filter(client, suback.packet_id, WAITS_FOR_SUBACK);
  if (filter == NULL) return true;
  filter->state = suback.return_codes.data[0] == SUBACK_FAILURE ? REFUSED : GRANTED;
  if (filter->state == GRANTED) filter->qos = suback.return_codes.data[0];
  return true;
}

static bool handle_unsuback(struct client *client, const struct frame *frame) {
  struct unsuback unsuback;
  if (!decode_unsuback(frame, &unsuback)) return false;
  struct filter *filter = find_filter(client, unsuback.packet_id, WAITS_FOR_UNSUBACK);
  if (filter == NULL) return true;
  free(filter->text);
  filter->text = NULL;
  filter->state = UNUSED;
  return true;
}

static bool handle_connack(struct client *client, const struct frame *frame) {
  struct connack connack;
  if (!decode_connack(frame, &connack)) return false;
  if (connack.return_code != 0) {
    if (connack.return_code != 3) client->refused = true; /* only "not available" may become better */
    say(client, connack_text(connack.return_code));
    return false;
  }
  client->connected = true;
  say(client, connack.session_present ? "connected, session present" : "connected, new session");
  return resume(client, connack.session_present);
}

/* Returns false when the packet is malformed or may not come here: the connection ends. */
static bool handle_packet(struct client *client, const struct frame *frame, bool *waits_for_pingresp) {
  if (!client->connected) return frame->type == MQTT_CONNACK && handle_connack(client, frame);
  switch (frame->type) {
    case MQTT_PUBLISH: return handle_publish(client, frame);
    case MQTT_PUBACK: return handle_puback(client, frame);
    case MQTT_PUBREC: return handle_pubrec(client, frame);
    case MQTT_PUBREL: return handle_pubrel(client, frame);
    case MQTT_PUBCOMP: return handle_pubcomp(client, frame);
    case MQTT_SUBACK: return handle_suback(client, frame);
    case MQTT_UNSUBACK: return handle_unsuback(client, frame);
    case MQTT_PINGRESP: *waits_for_pingresp = false; return decode_pingresp(frame);
    default: return false; /* a second CONNACK, a packet that only clients send, or a reserved type */
  }
}

/* --- the connection ------------------------------------------------------------------------------------------------------ */

/* Waits until `fd` is ready for `events`; false after `ms`, or when the client is woken to close. */
static bool wait_for(struct client *client, int fd, short events, int64_t ms) {
  int64_t deadline = now_ms() + ms;
  for (;;) {
    int64_t left = deadline - now_ms();
    if (left <= 0) return false;
    struct pollfd polled[2] = {{client->wake[0], POLLIN, 0}, {fd, events, 0}};
    int ready = poll(polled, fd < 0 ? 1 : 2, (int)left);
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0 && (polled[0].revents & POLLIN) != 0) {
      drain_wakes(client);
      pthread_mutex_lock(&client->lock);
      bool closing = client->closing;
      pthread_mutex_unlock(&client->lock);
      if (closing) return false;
    }
    if (ready > 0 && fd >= 0 && polled[1].revents != 0) return true;
  }
}

/* Connects to the first address that answers. Returns a socket that does not block, or -1. */
static int dial(struct client *client) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *addresses = NULL;
  int failed = getaddrinfo(client->options.host, client->options.port, &hints, &addresses);
  if (failed != 0) {
    say(client, gai_strerror(failed));
    return -1;
  }
  int connected = -1;
  for (struct addrinfo *address = addresses; address != NULL && connected < 0; address = address->ai_next) {
    int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (fd < 0) continue;
    int on = 1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* an acknowledgement does not wait for the next packet */
    int error = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      socklen_t size = sizeof error;
      if (!wait_for(client, fd, POLLOUT, CONNECT_MS_MAX)) error = ETIMEDOUT;
      else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    }
    if (error == 0) {
      connected = fd;
    } else {
      close(fd);
      say(client, strerror(error));
    }
  }
  freeaddrinfo(addresses);
  return connected;
}

/* Handles the whole packets at the front of `input`. */
static bool handle_input(struct client *client, struct buffer *input, bool *waits_for_pingresp) {
  size_t at = 0;
  bool good = true;
  while (good && at < input->length) {
    struct frame frame;
    enum frame_status status = frame_next(input->data + at, input->length - at, client->options.packet_size_max, &frame);
    if (status == FRAME_INCOMPLETE) break;
    good = status == FRAME_READY && handle_packet(client, &frame, waits_for_pingresp);
    if (good) at += frame.length;
    else if (!client->refused && client->connected) say(client, "the server sent a packet that is malformed or not allowed");
  }
  buffer_drop_front(input, at);
  pthread_cond_broadcast(&client->changed);
  return good;
}

static bool write_output(struct client *client, int fd) {
  while (client->output.length > 0) {
    ssize_t count = send(fd, client->output.data, client->output.length, MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    buffer_drop_front(&client->output, (size_t)count);
  }
  pthread_cond_broadcast(&client->changed);
  return true;
}

static bool read_input(int fd, struct buffer *input) {
  if (!buffer_reserve(input, 65536)) return false;
  ssize_t count = recv(fd, input->data + input->length, input->capacity - input->length, 0);
  if (count > 0) input->length += (size_t)count;
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

/* Serves one connection until it ends. The caller holds the lock; it is released while nothing is to be done. */
static void serve(struct client *client, int fd) {
  struct buffer input = {0};
  bool waits_for_pingresp = false;
  int64_t keep_alive_ms = (int64_t)client->options.keep_alive_seconds * 1000;
  int64_t connack_deadline = now_ms() + CONNECT_MS_MAX;
  int64_t last_sent = now_ms();
  int64_t ping_sent = 0;
  int64_t close_deadline = 0;
  for (bool good = true; good;) {
    if (client->closing) {
      if (client->output.length == 0 || !client->connected) break;
      if (close_deadline == 0) close_deadline = now_ms() + CLOSE_MS_MAX;
      if (now_ms() >= close_deadline) break; /* the server does not read */
    }
    int64_t wait = 60000;
    if (client->closing) wait = close_deadline - now_ms();
    else if (!client->connected) wait = connack_deadline - now_ms();
    else if (waits_for_pingresp) wait = ping_sent + keep_alive_ms - now_ms();
    else if (keep_alive_ms > 0) wait = last_sent + keep_alive_ms - now_ms();
    short events = client->output.length < OUTPUT_BYTES_MAX ? POLLIN : 0;
    if (client->output.length > 0) events |= POLLOUT;
    struct pollfd polled[2] = {{client->wake[0], POLLIN, 0}, {fd, events, 0}};
    pthread_mutex_unlock(&client->lock);
    int ready = poll(polled, 2, wait < 0 ? 0 : wait > 60000 ? 60000 : (int)wait);
    int error = errno;
    if (ready > 0 && (polled[0].revents & POLLIN) != 0) drain_wakes(client);
    pthread_mutex_lock(&client->lock);
    if (ready < 0 && error != EINTR) break;
    if (ready > 0 && (polled[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      good = read_input(fd, &input) && handle_input(client, &input, &waits_for_pingresp);
    }
    if (good && client->output.length > 0) {
      last_sent = now_ms();
      good = write_output(client, fd);
    }
    if (!good) break;
    if (!client->connected) {
      if (now_ms() >= connack_deadline) break;
    } else if (waits_for_pingresp) {
      if (now_ms() >= ping_sent + keep_alive_ms) {
        say(client, "the server does not answer PINGREQ");
        break;
      }
    } else if (keep_alive_ms > 0 && now_ms() >= last_sent + keep_alive_ms) {
      uint8_t packet[2];
      good = send_packet(client, packet, encode_pingreq(packet, sizeof packet)); /* [MQTT-3.1.2-23] */
      waits_for_pingresp = true;
      ping_sent = now_ms();
    }
  }
  if (client->connected && !client->closing) {
    client->lost++;
    say(client, "connection lost");
  }
  client->connected = false;
  client->output.length = 0; /* what matters of it is in `flights` and `filters`, and is sent again */
  free(input.data);
}

static void *run(void *argument) {
  struct client *client = argument;
  int64_t retry_ms = RETRY_MS_LEAST;
  pthread_mutex_lock(&client->lock);
  while (!is_over(client)) {
    pthread_mutex_unlock(&client->lock);
    int fd = dial(client);
    pthread_mutex_lock(&client->lock);
    unsigned lost = client->lost;
    if (fd >= 0) {
      if (send_connect(client)) serve(client, fd);
      close(fd);
      if (client->lost > lost) retry_ms = RETRY_MS_LEAST; /* that try was a success */
    }
    if (is_over(client)) break;
    pthread_mutex_unlock(&client->lock);
    /* Half of the pause is left to chance, so that a thousand clients do not come back at the same moment. */
    wait_for(client, -1, 0, retry_ms / 2 + chance(retry_ms / 2));
    retry_ms = retry_ms * 2 > RETRY_MS_MOST ? RETRY_MS_MOST : retry_ms * 2;
    pthread_mutex_lock(&client->lock);
  }
  pthread_cond_broadcast(&client->changed);
  pthread_mutex_unlock(&client->lock);
  return NULL;
}

/* --- what the application calls -------------------------------------------------------------------------------------------- */

struct client *client_open(const struct client_options *options) {
  struct client *client = calloc(1, sizeof *client);
  if (client == NULL) return NULL;
  client->options = *options;
  if (client->options.packet_size_max == 0) client->options.packet_size_max = 1 << 20;
  if (pipe(client->wake) != 0) {
    free(client);
    return NULL;
  }
  for (int i = 0; i < 2; i++) {
    fcntl(client->wake[i], F_SETFD, FD_CLOEXEC);
    fcntl(client->wake[i], F_SETFL, O_NONBLOCK);
  }
  pthread_mutex_init(&client->lock, NULL);
  pthread_cond_init(&client->changed, NULL);
  if (pthread_create(&client->thread, NULL, run, client) != 0) {
    close(client->wake[0]);
    close(client->wake[1]);
    free(client);
    return NULL;
  }
  return client;
}

static bool publish_at_qos_0(struct client *client, struct publish *message) {
  size_t size = publish_size(message);
  uint8_t *packet = malloc(size);
  if (packet == NULL) return false;
  pthread_mutex_lock(&client->lock);
  while (!is_over(client) && (!client->connected || client->output.length >= OUTPUT_BYTES_MAX)) {
    pthread_cond_wait(&client->changed, &client->lock);
  }
  bool sent = !is_over(client) && send_packet(client, packet, encode_publish(packet, size, message));
  pthread_mutex_unlock(&client->lock);
  free(packet);
  return sent;
}

bool client_publish(struct client *client, struct bytes topic, struct bytes payload, uint8_t qos, bool retain) {
  struct publish message = {.qos = qos, .retain = retain, .topic = topic, .payload = payload};
  if (qos > 2 || !is_topic_name(topic) || !is_utf8(topic) || topic.length > UINT16_MAX) return false;
  if (qos == 0) return publish_at_qos_0(client, &message);
  size_t size = publish_size(&message);
  uint8_t *packet = malloc(size);
  if (packet == NULL) return false;
  pthread_mutex_lock(&client->lock);
  struct flight *flight = NULL;
  while (!is_over(client) && flight == NULL) {
    for (size_t i = 0; i < FLIGHTS_MAX && flight == NULL; i++) {
      if (client->flights[i].state == FREE) flight = &client->flights[i];
    }
    if (flight == NULL) pthread_cond_wait(&client->changed, &client->lock);
  }
  bool done = false;
  if (!is_over(client)) {
    message.packet_id = next_packet_id(client);
    flight->packet_id = message.packet_id;
    flight->packet = packet;
    flight->length = encode_publish(packet, size, &message);
    flight->sequence = ++client->sequence;
    flight->state = qos == 1 ? WAITS_FOR_PUBACK : WAITS_FOR_PUBREC;
    /* Before CONNACK nothing is sent: `resume` sends it then. */
    if (client->connected) send_flight(client, flight, false);
    while (!is_over(client) && flight->state != DONE) pthread_cond_wait(&client->changed, &client->lock);
    done = flight->state == DONE;
    flight->packet = NULL;
    flight->state = FREE;
    pthread_cond_broadcast(&client->changed);
  }
  pthread_mutex_unlock(&client->lock);
  free(packet);
  return done;
}

static struct filter *filter_with_text(struct client *client, const char *text) {
  for (size_t i = 0; i < FILTERS_MAX; i++) {
    if (client->filters[i].state != UNUSED && strcmp(client->filters[i].text, text) == 0) return &client->filters[i];
  }
  return NULL;
}

/* Returns the filter's place, a new one if there is none; NULL when all are taken. */
static struct filter *place_for_filter(struct client *client, const char *text) {
  struct filter *filter = filter_with_text(client, text);
  for (size_t i = 0; i < FILTERS_MAX && filter == NULL; i++) {
    if (client->filters[i].state != UNUSED) continue;
    filter = &client->filters[i];
    filter->text = strdup(text);
    if (filter->text == NULL) return NULL;
  }
  return filter;
}

int client_subscribe(struct client *client, const char *text, uint8_t qos) {
  if (qos > 2 || !is_topic_filter(bytes_of(text)) || !is_utf8(bytes_of(text)) || strlen(text) > UINT16_MAX) return -1;
  pthread_mutex_lock(&client->lock);
  struct filter *filter = place_for_filter(client, text);
  int granted = -1;
  if (filter != NULL) {
    filter->state = WAITS_FOR_SUBACK;
    filter->packet_id = next_packet_id(client);
    filter->qos = qos;
    if (client->connected) send_filter(client, filter);
    while (!is_over(client) && filter->state == WAITS_FOR_SUBACK) pthread_cond_wait(&client->changed, &client->lock);
    if (filter->state == GRANTED) {
      granted = filter->qos;
    } else if (filter->state == REFUSED) {
      granted = SUBACK_FAILURE;
      free(filter->text);
      filter->text = NULL;
      filter->state = UNUSED;
    }
  }
  pthread_mutex_unlock(&client->lock);
  return granted;
}

bool client_unsubscribe(struct client *client, const char *text) {
  pthread_mutex_lock(&client->lock);
  struct filter *filter = filter_with_text(client, text);
  bool done = false;
  if (filter != NULL) {
    filter->state = WAITS_FOR_UNSUBACK;
    filter->packet_id = next_packet_id(client);
    if (client->connected) send_filter(client, filter);
    while (!is_over(client) && filter->state != UNUSED) pthread_cond_wait(&client->changed, &client->lock);
    done = filter->state == UNUSED;
  }
  pthread_mutex_unlock(&client->lock);
  return done;
}

unsigned client_lost_connections(struct client *client) {
  pthread_mutex_lock(&client->lock);
  unsigned lost = client->lost;
  pthread_mutex_unlock(&client->lock);
  return lost;
}

void client_close(struct client *client) {
  pthread_mutex_lock(&client->lock);
  if (client->connected) {
    uint8_t packet[2];
    send_packet(client, packet, encode_disconnect(packet, sizeof packet)); /* without it the Will would be published */
  }
  client->closing = true;
  pthread_cond_broadcast(&client->changed);
  wake(client);
  pthread_mutex_unlock(&client->lock);
  pthread_join(client->thread, NULL);
  for (size_t i = 0; i < FILTERS_MAX; i++) free(client->filters[i].text);
  free(client->output.data);
  close(client->wake[0]);
  close(client->wake[1]);
  pthread_cond_destroy(&client->changed);
  pthread_mutex_destroy(&client->lock);
  free(client);
}
