/* PUBCOMP: the receiver has forgotten the Packet Identifier: the flow of QoS 2 is complete (section 3.7). */
#ifndef PUBCOMP_H
#define PUBCOMP_H

#include "../wire.h"

struct pubcomp {
  uint16_t packet_id;
};

/* Returns false when the packet is malformed. */
bool decode_pubcomp(const struct frame *frame, struct pubcomp *pubcomp);
/* Returns the length of the packet, or 0 when the buffer is too small. */
size_t encode_pubcomp(uint8_t *buffer, size_t size, struct pubcomp pubcomp);

#endif
