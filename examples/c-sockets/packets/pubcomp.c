#include "pubcomp.h"

bool decode_pubcomp(const struct frame *frame, struct pubcomp *pubcomp) {
  return decode_packet_id_only(frame, MQTT_PUBCOMP, 0, &pubcomp->packet_id);
}

size_t encode_pubcomp(uint8_t *buffer, size_t size, struct pubcomp pubcomp) {
  return encode_packet_id_only(buffer, size, MQTT_PUBCOMP, 0, pubcomp.packet_id);
}
