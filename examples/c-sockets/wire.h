/*
 * Parts that all MQTT 3.1.1 packets are made of: bytes, two-byte integers, strings, Remaining Length (sections 1.5, 2.2).
 *
 * A reader walks over the body of one packet and a writer over a buffer. Neither ever touches a byte outside: a reader
 * that is asked for too much turns `malformed` and answers zeros, a writer that has no room turns `full`. So a packet's
 * code reads straight down, and looks once, at its end.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest Remaining Length: 256 MiB less one byte, four bytes of seven bits each (section 2.2.3). */
#define MQTT_REMAINING_LENGTH_MAX 268435455u

enum packet_type {
  MQTT_CONNECT = 1,
  MQTT_CONNACK = 2,
  MQTT_PUBLISH = 3,
  MQTT_PUBACK = 4,
  MQTT_PUBREC = 5,
  MQTT_PUBREL = 6,
  MQTT_PUBCOMP = 7,
  MQTT_SUBSCRIBE = 8,
  MQTT_SUBACK = 9,
  MQTT_UNSUBSCRIBE = 10,
  MQTT_UNSUBACK = 11,
  MQTT_PINGREQ = 12,
  MQTT_PINGRESP = 13,
  MQTT_DISCONNECT = 14,
};

/* Bytes of somebody else's buffer, valid as long as that buffer is. Not terminated by zero. */
struct bytes {
  const uint8_t *data;
  size_t length;
};

struct bytes bytes_of(const char *text);

/* One whole packet in a receive buffer. */
struct frame {
  uint8_t type;  /* enum packet_type, or 0 or 15, which are reserved */
  uint8_t flags; /* low four bits of the first byte */
  struct bytes body;
  size_t length; /* bytes of the whole packet, fixed header included */
};

enum frame_status { FRAME_READY, FRAME_INCOMPLETE, FRAME_MALFORMED, FRAME_TOO_LARGE };

/* Finds the first packet in `length` bytes. A packet of more than `packet_size_max` bytes is FRAME_TOO_LARGE as soon as its
 * Remaining Length is known, before its body has to be kept. */
enum frame_status frame_next(const uint8_t *data, size_t length, size_t packet_size_max, struct frame *frame);

struct reader {
  const uint8_t *at;
  const uint8_t *end;
  bool malformed;
};

struct reader read_body(const struct frame *frame);
uint8_t read_byte(struct reader *reader);
uint16_t read_integer(struct reader *reader);
struct bytes read_binary(struct reader *reader);
/* Reads a UTF-8 Encoded String: well-formed, without U+0000 (section 1.5.3). */
struct bytes read_string(struct reader *reader);
/* Reads a Packet Identifier, which is never 0 [MQTT-2.3.1-1]. */
uint16_t read_packet_id(struct reader *reader);
size_t bytes_left(const struct reader *reader);
struct bytes read_rest(struct reader *reader);
/* True when every byte was read and none was missing. */
bool read_whole(const struct reader *reader);

struct writer {
  uint8_t *start;
  uint8_t *at;
  uint8_t *end;
  bool full;
};

/* Begins a packet: first byte and Remaining Length. `body_length` is the number of bytes that follow. */
struct writer begin_packet(uint8_t *buffer, size_t size, enum packet_type type, uint8_t flags, size_t body_length);
void write_byte(struct writer *writer, uint8_t value);
void write_integer(struct writer *writer, uint16_t value);
void write_binary(struct writer *writer, struct bytes value);
void write_raw(struct writer *writer, struct bytes value);
/* Returns the length of the packet, or 0 when the buffer was too small or a field too long. */
size_t end_packet(const struct writer *writer);

/* Encodes a Remaining Length in 1 to 4 bytes; returns how many, or 0 when it is too large. */
size_t encode_remaining_length(uint32_t value, uint8_t out[4]);

bool is_utf8(struct bytes text);
/* True for a Topic Name: at least one character, no wildcard (section 4.7). */
bool is_topic_name(struct bytes topic);
/* True for a Topic Filter: `#` only as the last level, `+` only as a whole level (section 4.7.1). */
bool is_topic_filter(struct bytes filter);
bool bytes_equal(struct bytes a, struct bytes b);

/* Decodes a packet that is fixed header and Packet Identifier only: PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK. */
bool decode_packet_id_only(const struct frame *frame, enum packet_type type, uint8_t flags, uint16_t *packet_id);
size_t encode_packet_id_only(uint8_t *buffer, size_t size, enum packet_type type, uint8_t flags, uint16_t packet_id);
/* Decodes a packet without a body: PINGREQ, PINGRESP, DISCONNECT. */
bool decode_empty(const struct frame *frame, enum packet_type type);
size_t encode_empty(uint8_t *buffer, size_t size, enum packet_type type);

#endif
