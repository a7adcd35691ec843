/* PINGRESP: the server answers PINGREQ (section 3.13). The whole packet is two bytes. */
#ifndef PINGRESP_H
#define PINGRESP_H

#include "../wire.h"

/* Returns false when the packet is malformed. */
bool decode_pingresp(const struct frame *frame);
/* Returns 2, or 0 when the buffer is too small. */
size_t encode_pingresp(uint8_t *buffer, size_t size);

#endif
