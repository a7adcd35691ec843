/* PUBREC: the receiver of a PUBLISH at QoS 2 has it (section 3.5). */
#ifndef PUBREC_H
#define PUBREC_H

#include "../wire.h"

struct pubrec {
  uint16_t packet_id;
};

/* Returns false when the packet is malformed. */
bool decode_pubrec(const struct frame *frame, struct pubrec *pubrec);
/* Returns the length of the packet, or 0 when the buffer is too small. */
size_t encode_pubrec(uint8_t *buffer, size_t size, struct pubrec pubrec);

#endif
