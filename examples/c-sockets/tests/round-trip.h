/* Decodes a packet of any type and encodes what was decoded; 0 when it is malformed. */
#ifndef ROUND_TRIP_H
#define ROUND_TRIP_H

#include "../wire.h"

size_t round_trip(const struct frame *frame, uint8_t *encoded, size_t size);

#endif
