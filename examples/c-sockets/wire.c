#include "wire.h"

#include <string.h>

struct bytes bytes_of(const char *text) {
  return (struct bytes){(const uint8_t *)text, strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

enum frame_status frame_next(const uint8_t *data, size_t length, size_t packet_size_max, struct frame *frame) {
  uint32_t remaining = 0;
  size_t at = 1;
  for (;; at++) {
    if (at >= length) return FRAME_INCOMPLETE;
    remaining |= (uint32_t)(data[at] & 0x7f) << (7 * (at - 1));
    if ((data[at] & 0x80) == 0) break;
    if (at == 4) return FRAME_MALFORMED; /* a fifth byte [MQTT-2.2.3] */
  }
  at++;
  if (at + remaining > packet_size_max) return FRAME_TOO_LARGE;
  if (length - at < remaining) return FRAME_INCOMPLETE;
  frame->type = data[0] >> 4;
  frame->flags = data[0] & 0x0f;
  frame->body = (struct bytes){data + at, remaining};
  frame->length = at + remaining;
  return FRAME_READY;
}

struct reader read_body(const struct frame *frame) {
  return (struct reader){frame->body.data, frame->body.data + frame->body.length, false};
}

size_t bytes_left(const struct reader *reader) {
  return (size_t)(reader->end - reader->at);
}

/* Returns `length` bytes and goes on behind them, or NULL when there are fewer. */
static const uint8_t *take(struct reader *reader, size_t length) {
  if (reader->malformed || bytes_left(reader) < length) {
    reader->malformed = true;
    return NULL;
  }
  const uint8_t *taken = reader->at;
  reader->at += length;
  return taken;
}

uint8_t read_byte(struct reader *reader) {
  const uint8_t *taken = take(reader, 1);
  return taken == NULL ? 0 : taken[0];
}

uint16_t read_integer(struct reader *reader) {
  const uint8_t *taken = take(reader, 2);
  if (taken == NULL) return 0;
  return (uint16_t)(taken[0] << 8 | taken[1]); /* big-endian (section 1.5.2) */
}

struct bytes read_binary(struct reader *reader) {
  size_t length = read_integer(reader);
  const uint8_t *taken = take(reader, length);
  return taken == NULL ? (struct bytes){NULL, 0} : (struct bytes){taken, length};
}

struct bytes read_string(struct reader *reader) {
  struct bytes text = read_binary(reader);
  if (!is_utf8(text)) reader->malformed = true; /* [MQTT-1.5.3-1], [MQTT-1.5.3-2] */
  return text;
}

uint16_t read_packet_id(struct reader *reader) {
  uint16_t packet_id = read_integer(reader);
  if (packet_id == 0) reader->malformed = true; /* [MQTT-2.3.1-1] */
  return packet_id;
}

struct bytes read_rest(struct reader *reader) {
  size_t length = reader->malformed ? 0 : bytes_left(reader);
  const uint8_t *taken = take(reader, length);
  return (struct bytes){taken, taken == NULL ? 0 : length};
}

bool read_whole(const struct reader *reader) {
  return !reader->malformed && reader->at == reader->end;
}

size_t encode_remaining_length(uint32_t value, uint8_t out[4]) {
  if (value > MQTT_REMAINING_LENGTH_MAX) return 0;
  size_t count = 0;
  do {
    uint8_t digit = value & 0x7f;
    value >>= 7;
    out[count++] = value > 0 ? digit | 0x80 : digit;
  } while (value > 0);
  return count;
}

struct writer begin_packet(uint8_t *buffer, size_t size, enum packet_type type, uint8_t flags, size_t body_length) {
  struct writer writer = {buffer, buffer, buffer + size, body_length > MQTT_REMAINING_LENGTH_MAX};
  if (writer.full) return writer;
  uint8_t digits[4];
  size_t count = encode_remaining_length((uint32_t)body_length, digits);
  if (size < 1 + count + body_length) {
    writer.full = true;
    return writer;
  }
  write_byte(&writer, (uint8_t)(type << 4 | flags));
  write_raw(&writer, (struct bytes){digits, count});
  return writer;
}

void write_raw(struct writer *writer, struct bytes value) {
  if (writer->full || (size_t)(writer->end - writer->at) < value.length) {
    writer->full = true;
    return;
  }
  if (value.length > 0) memcpy(writer->at, value.data, value.length);
  writer->at += value.length;
}

void write_byte(struct writer *writer, uint8_t value) {
  write_raw(writer, (struct bytes){&value, 1});
}

void write_integer(struct writer *writer, uint16_t value) {
  uint8_t pair[2] = {(uint8_t)(value >> 8), (uint8_t)(value & 0xff)};
  write_raw(writer, (struct bytes){pair, 2});
}

void write_binary(struct writer *writer, struct bytes value) {
  if (value.length > UINT16_MAX) {
    writer->full = true;
    return;
  }
  write_integer(writer, (uint16_t)value.length);
  write_raw(writer, value);
}

size_t end_packet(const struct writer *writer) {
  return writer->full ? 0 : (size_t)(writer->at - writer->start);
}

/* Number of continuation bytes after this first byte of a character, or -1 when no character begins so. */
static int continuation_bytes(uint8_t first) {
  if (first < 0x80) return 0;
  if (first >= 0xc2 && first <= 0xdf) return 1;
  if (first >= 0xe0 && first <= 0xef) return 2;
  if (first >= 0xf0 && first <= 0xf4) return 3;
  return -1; /* a continuation byte, an overlong form of ASCII, or above U+10FFFF */
}

bool is_utf8(struct bytes text) {
  for (size_t i = 0; i < text.length; i++) {
    uint8_t first = text.data[i];
    if (first == 0) return false;
    int more = continuation_bytes(first);
    if (more < 0 || text.length - i <= (size_t)more) return false;
    for (int k = 1; k <= more; k++) {
      uint8_t next = text.data[i + (size_t)k];
      uint8_t least = 0x80;
      uint8_t most = 0xbf;
      if (k == 1 && first == 0xe0) least = 0xa0; /* overlong */
      if (k == 1 && first == 0xed) most = 0x9f;  /* surrogates U+D800 to U+DFFF */
      if (k == 1 && first == 0xf0) least = 0x90; /* overlong */
      if (k == 1 && first == 0xf4) most = 0x8f;  /* above U+10FFFF */
      if (next < least || next > most) return false;
    }
    i += (size_t)more;
  }
  return true;
}

bool is_topic_name(struct bytes topic) {
  if (topic.length == 0) return false;
  return memchr(topic.data, '#', topic.length) == NULL && memchr(topic.data, '+', topic.length) == NULL;
}

bool is_topic_filter(struct bytes filter) {
  if (filter.length == 0) return false;
  for (size_t i = 0; i < filter.length; i++) {
    uint8_t here = filter.data[i];
    if (here != '#' && here != '+') continue;
    bool begins_level = i == 0 || filter.data[i - 1] == '/';
    bool ends_level = i + 1 == filter.length || filter.data[i + 1] == '/';
    if (!begins_level || !ends_level) return false;
    if (here == '#' && i + 1 != filter.length) return false;
  }
  return true;
}

bool decode_packet_id_only(const struct frame *frame, enum packet_type type, uint8_t flags, uint16_t *packet_id) {
  struct reader reader = read_body(frame);
  *packet_id = read_packet_id(&reader);
  return frame->type == type && frame->flags == flags && read_whole(&reader);
}

size_t encode_packet_id_only(uint8_t *buffer, size_t size, enum packet_type type, uint8_t flags, uint16_t packet_id) {
  struct writer writer = begin_packet(buffer, size, type, flags, 2);
  write_integer(&writer, packet_id);
  return end_packet(&writer);
}

bool decode_empty(const struct frame *frame, enum packet_type type) {
  return frame->type == type && frame->flags == 0 && frame->body.length == 0;
}

size_t encode_empty(uint8_t *buffer, size_t size, enum packet_type type) {
  struct writer writer = begin_packet(buffer, size, type, 0, 0);
  return end_packet(&writer);
}
