#include "pingreq.h"

bool decode_pingreq(const struct frame *frame) {
  return decode_empty(frame, MQTT_PINGREQ);
}

size_t encode_pingreq(uint8_t *buffer, size_t size) {
  return encode_empty(buffer, size, MQTT_PINGREQ);
}
