/* CONNACK: the server's answer to CONNECT (section 3.2). */
#ifndef CONNACK_H
#define CONNACK_H

#include "../wire.h"

struct connack {
  bool session_present;
  uint8_t return_code; /* 0 accepted, 1 to 5 refused (table 3.1) */
};

/* Returns false when the packet is malformed. */
bool decode_connack(const struct frame *frame, struct connack *connack);
/* Returns 4, or 0 when the buffer is too small. */
size_t encode_connack(uint8_t *buffer, size_t size, struct connack connack);
/* Text of a return code, for people. */
const char *connack_text(uint8_t return_code);

#endif
