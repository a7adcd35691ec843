#include "pubrel.h"

bool decode_pubrel(const struct frame *frame, struct pubrel *pubrel) {
  return decode_packet_id_only(frame, MQTT_PUBREL, 2, &pubrel->packet_id);
}

size_t encode_pubrel(uint8_t *buffer, size_t size, struct pubrel pubrel) {
  return encode_packet_id_only(buffer, size, MQTT_PUBREL, 2, pubrel.packet_id);
}
