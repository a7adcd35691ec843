/* UNSUBSCRIBE: Topic Filters that the client no longer wants, character for character (section 3.10). */
#ifndef UNSUBSCRIBE_H
#define UNSUBSCRIBE_H

#include "subscribe.h"

struct unsubscribe {
  uint16_t packet_id;
  size_t count;
  struct bytes filters[SUBSCRIPTIONS_MAX];
};

/* Returns false when the packet is malformed, or has more than SUBSCRIPTIONS_MAX filters. */
bool decode_unsubscribe(const struct frame *frame, struct unsubscribe *unsubscribe);
/* Returns the length of the packet, or 0 when the buffer is too small or a field is wrong. */
size_t encode_unsubscribe(uint8_t *buffer, size_t size, const struct unsubscribe *unsubscribe);

#endif
