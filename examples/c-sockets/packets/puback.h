/* PUBACK: answers a PUBLISH at QoS 1 (section 3.4). */
#ifndef PUBACK_H
#define PUBACK_H

#include "../wire.h"

struct puback {
  uint16_t packet_id;
};

/* Returns false when the packet is malformed. */
bool decode_puback(const struct frame *frame, struct puback *puback);
/* Returns the length of the packet, or 0 when the buffer is too small. */
size_t encode_puback(uint8_t *buffer, size_t size, struct puback puback);

#endif
