/* SUBACK: the QoS that the server grants for each Topic Filter of a SUBSCRIBE (section 3.9). */
#ifndef SUBACK_H
#define SUBACK_H

#include "../wire.h"

enum { SUBACK_FAILURE = 0x80 };

struct suback {
  uint16_t packet_id;
  struct bytes return_codes; /* 0, 1, 2 or SUBACK_FAILURE each, in the order of the filters */
};

/* Returns false when the packet is malformed. */
bool decode_suback(const struct frame *frame, struct suback *suback);
/* Returns the length of the packet, or 0 when the buffer is too small. */
size_t encode_suback(uint8_t *buffer, size_t size, struct suback suback);

#endif
