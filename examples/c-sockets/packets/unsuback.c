#include "unsuback.h"

bool decode_unsuback(const struct frame *frame, struct unsuback *unsuback) {
  return decode_packet_id_only(frame, MQTT_UNSUBACK, 0, &unsuback->packet_id);
}

size_t encode_unsuback(uint8_t *buffer, size_t size, struct unsuback unsuback) {
  return encode_packet_id_only(buffer, size, MQTT_UNSUBACK, 0, unsuback.packet_id);
}
