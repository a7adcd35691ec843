#include "puback.h"

bool decode_puback(const struct frame *frame, struct puback *puback) {
  return decode_packet_id_only(frame, MQTT_PUBACK, 0, &puback->packet_id);
}

size_t encode_puback(uint8_t *buffer, size_t size, struct puback puback) {
  return encode_packet_id_only(buffer, size, MQTT_PUBACK, 0, puback.packet_id);
}
