#include "pubrec.h"

bool decode_pubrec(const struct frame *frame, struct pubrec *pubrec) {
  return decode_packet_id_only(frame, MQTT_PUBREC, 0, &pubrec->packet_id);
}

size_t encode_pubrec(uint8_t *buffer, size_t size, struct pubrec pubrec) {
  return encode_packet_id_only(buffer, size, MQTT_PUBREC, 0, pubrec.packet_id);
}
