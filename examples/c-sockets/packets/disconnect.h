/* DISCONNECT: the client ends the connection on purpose, so that its Will is not published (section 3.14). The whole packet is two bytes. */
#ifndef DISCONNECT_H
#define DISCONNECT_H

#include "../wire.h"

/* Returns false when the packet is malformed. */
bool decode_disconnect(const struct frame *frame);
/* Returns 2, or 0 when the buffer is too small. */
size_t encode_disconnect(uint8_t *buffer, size_t size);

#endif
