/* PUBLISH: an Application Message, in either direction (section 3.3). */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "../wire.h"

struct publish {
  bool dup;
  uint8_t qos;
  bool retain;
  struct bytes topic;
  uint16_t packet_id; /* 0 at QoS 0 */
  struct bytes payload;
};

/* Bits of the first byte. */
enum { PUBLISH_RETAIN = 0x01, PUBLISH_QOS_SHIFT = 1, PUBLISH_DUP = 0x08 };

/* Returns false when the packet is malformed. */
bool decode_publish(const struct frame *frame, struct publish *publish);
/* Returns the length of the packet, or 0 when the buffer is too small or the fields contradict each other. */
size_t encode_publish(uint8_t *buffer, size_t size, const struct publish *publish);
/* Number of bytes that encode_publish needs at most. */
size_t publish_size(const struct publish *publish);

#endif
