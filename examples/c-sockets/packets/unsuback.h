/* UNSUBACK: answers UNSUBSCRIBE. In MQTT 3.1.1 it has no Reason Codes (section 3.11). */
#ifndef UNSUBACK_H
#define UNSUBACK_H

#include "../wire.h"

struct unsuback {
  uint16_t packet_id;
};

/* Returns false when the packet is malformed. */
bool decode_unsuback(const struct frame *frame, struct unsuback *unsuback);
/* Returns the length of the packet, or 0 when the buffer is too small. */
size_t encode_unsuback(uint8_t *buffer, size_t size, struct unsuback unsuback);

#endif
