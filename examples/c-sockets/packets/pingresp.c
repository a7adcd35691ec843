#include "pingresp.h"

bool decode_pingresp(const struct frame *frame) {
  return decode_empty(frame, MQTT_PINGRESP);
}

size_t encode_pingresp(uint8_t *buffer, size_t size) {
  return encode_empty(buffer, size, MQTT_PINGRESP);
}
