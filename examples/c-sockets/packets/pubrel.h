/* PUBREL: the sender of a PUBLISH at QoS 2 has forgotten the message. Its flags are 0010 [MQTT-3.6.1-1] (section 3.6). */
#ifndef PUBREL_H
#define PUBREL_H

#include "../wire.h"

struct pubrel {
  uint16_t packet_id;
};

/* Returns false when the packet is malformed. */
bool decode_pubrel(const struct frame *frame, struct pubrel *pubrel);
/* Returns the length of the packet, or 0 when the buffer is too small. */
size_t encode_pubrel(uint8_t *buffer, size_t size, struct pubrel pubrel);

#endif
