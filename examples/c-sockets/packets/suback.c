#include "suback.h"

bool decode_suback(const struct frame *frame, struct suback *suback) {
  struct reader reader = read_body(frame);
  suback->packet_id = read_packet_id(&reader);
  suback->return_codes = read_rest(&reader);
  if (frame->type != MQTT_SUBACK || frame->flags != 0 || !read_whole(&reader)) return false;
  for (size_t i = 0; i < suback->return_codes.length; i++) {
    uint8_t code = suback->return_codes.data[i];
    if (code > 2 && code != SUBACK_FAILURE) return false; /* [MQTT-3.9.3-2] */
  }
  return suback->return_codes.length > 0;
}

size_t encode_suback(uint8_t *buffer, size_t size, struct suback suback) {
  struct writer writer = begin_packet(buffer, size, MQTT_SUBACK, 0, 2 + suback.return_codes.length);
  write_integer(&writer, suback.packet_id);
  write_raw(&writer, suback.return_codes);
  return end_packet(&writer);
}
