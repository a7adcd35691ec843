/* SUBSCRIBE: Topic Filters and the largest QoS that the client takes for each (section 3.8). */
#ifndef SUBSCRIBE_H
#define SUBSCRIBE_H

#include "../wire.h"

enum { SUBSCRIPTIONS_MAX = 64 };

struct subscribe {
  uint16_t packet_id;
  size_t count;
  struct {
    struct bytes filter;
    uint8_t qos;
  } subscriptions[SUBSCRIPTIONS_MAX];
};

/* Returns false when the packet is malformed, or has more than SUBSCRIPTIONS_MAX filters. */
bool decode_subscribe(const struct frame *frame, struct subscribe *subscribe);
/* Returns the length of the packet, or 0 when the buffer is too small or a field is wrong. */
size_t encode_subscribe(uint8_t *buffer, size_t size, const struct subscribe *subscribe);

#endif
