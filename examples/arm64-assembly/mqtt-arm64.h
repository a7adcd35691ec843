/*
 * Four routines of the client in ../c-sockets, written in AArch64 assembly. Each has the behaviour of a C function of
 * ../c-sockets/wire.h or packets/publish.h, so that both can be compared call by call.
 */
#ifndef MQTT_ARM64_H
#define MQTT_ARM64_H

#include "../c-sockets/packets/publish.h"

/* As encode_remaining_length: returns the number of bytes, 1 to 4, or 0 when the value is too large. */
size_t asm_encode_remaining_length(uint32_t value, uint8_t out[4]);

/* Decodes a Remaining Length: returns its number of bytes, 0 when `length` bytes do not hold all of it, -1 when a fifth
 * byte would follow. */
long asm_decode_remaining_length(const uint8_t *data, size_t length, uint32_t *value);

struct packet_place {
  uint64_t start;  /* offset in the buffer */
  uint64_t length; /* bytes, fixed header included */
};

/* Finds whole packets in a receive buffer, at most `places_max`. Returns their number. `status` is FRAME_READY when places
 * ran out or the buffer ended with a packet, else why the rest is no packet, as frame_next says it. */
size_t asm_find_packets(const uint8_t *data, size_t length, size_t packet_size_max, struct packet_place *places,
                        size_t places_max, enum frame_status *status);

/* As encode_publish. */
size_t asm_encode_publish(uint8_t *buffer, size_t size, const struct publish *publish);

/* As is_utf8: 16 bytes at a time with NEON while they are ASCII. */
bool asm_is_utf8(struct bytes text);

#endif
