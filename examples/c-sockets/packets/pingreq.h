/* PINGREQ: the client asks whether the server is still there, at the latest when Keep Alive has passed (section 3.12). The whole packet is two bytes. */
#ifndef PINGREQ_H
#define PINGREQ_H

#include "../wire.h"

/* Returns false when the packet is malformed. */
bool decode_pingreq(const struct frame *frame);
/* Returns 2, or 0 when the buffer is too small. */
size_t encode_pingreq(uint8_t *buffer, size_t size);

#endif
