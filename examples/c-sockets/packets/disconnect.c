#include "disconnect.h"

bool decode_disconnect(const struct frame *frame) {
  return decode_empty(frame, MQTT_DISCONNECT);
}

size_t encode_disconnect(uint8_t *buffer, size_t size) {
  return encode_empty(buffer, size, MQTT_DISCONNECT);
}
