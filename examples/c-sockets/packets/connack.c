#include "connack.h"

static const char *const texts[] = {
    "accepted",
    "refused: the server does not speak MQTT 3.1.1",
    "refused: the server does not take this Client Identifier",
    "refused: the server is not available",
    "refused: wrong user name or password",
    "refused: not authorized",
};

bool decode_connack(const struct frame *frame, struct connack *connack) {
  struct reader reader = read_body(frame);
  uint8_t flags = read_byte(&reader);
  connack->session_present = (flags & 1) != 0;
  connack->return_code = read_byte(&reader);
  if (frame->type != MQTT_CONNACK || frame->flags != 0 || (flags & 0xfe) != 0 || !read_whole(&reader)) return false;
  if (connack->return_code > 5) return false;                             /* reserved (table 3.1) */
  return connack->return_code == 0 || !connack->session_present;          /* [MQTT-3.2.2-4] */
}

size_t encode_connack(uint8_t *buffer, size_t size, struct connack connack) {
  struct writer writer = begin_packet(buffer, size, MQTT_CONNACK, 0, 2);
  write_byte(&writer, connack.session_present ? 1 : 0);
  write_byte(&writer, connack.return_code);
  return end_packet(&writer);
}

const char *connack_text(uint8_t return_code) {
  return return_code < sizeof texts / sizeof *texts ? texts[return_code] : "refused: unknown return code";
}
