/*
 * Decodes packets and encodes them again, for a test that has the bytes and knows the answer.
 *
 * Each line of standard input is a packet in hexadecimal digits. Each line of standard output is what the packet encodes
 * to, or "malformed", or "incomplete".
 */
#include <stdio.h>

#include "input.h"
#include "round-trip.h"

enum { BYTES_MAX = 1 << 20 };

static uint8_t packet[BYTES_MAX];
static uint8_t encoded[BYTES_MAX + 8];

int main(void) {
  for (long length; (length = read_hexadecimal_line(packet, sizeof packet)) >= 0;) {
    struct frame frame;
    enum frame_status status = frame_next(packet, (size_t)length, BYTES_MAX, &frame);
    if (status == FRAME_INCOMPLETE) {
      puts("incomplete");
      continue;
    }
    size_t written = status == FRAME_READY ? round_trip(&frame, encoded, sizeof encoded) : 0;
    if (written == 0) puts("malformed");
    for (size_t i = 0; i < written; i++) printf("%02x%s", encoded[i], i + 1 == written ? "\n" : "");
  }
  return 0;
}
