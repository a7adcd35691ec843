/*
 * Fuzz target: any bytes are decoded without a fault, and a packet that is accepted encodes to a packet that decodes to the
 * same bytes again.
 *
 * With libFuzzer (`make fuzz`) the library brings `main`. Without it (`make fuzz-standalone`, any compiler) the program
 * mutates well-formed packets by a pseudo-random number generator: `fuzz-standalone RUNS [SEED]`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "round-trip.h"

enum { INPUT_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t first[INPUT_MAX + 8];
  static uint8_t second[INPUT_MAX + 8];
  size_t at = 0;
  while (at < size) {
    struct frame frame;
    if (frame_next(data + at, size - at, INPUT_MAX, &frame) != FRAME_READY) return 0;
    size_t length = round_trip(&frame, first, sizeof first);
    if (length > 0) {
      struct frame again;
      if (frame_next(first, length, sizeof first, &again) != FRAME_READY || again.length != length) abort();
      if (round_trip(&again, second, sizeof second) != length || memcmp(first, second, length) != 0) abort();
    }
    at += frame.length;
  }
  return 0;
}

#ifdef STANDALONE
#define SEED(text) {text, sizeof(text) - 1}
static const struct {
  const char *packet;
  size_t length;
} seeds[] = {
    SEED("\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test"),
    SEED("\x10\x1d\x00\x04MQTT\x04\xc6\x00\x3c\x00\x01" "a\x00\x01w\x00\x02" "hi\x00\x01u\x00\x04pass"),
    SEED("\x20\x02\x01\x00"),
    SEED("\x30\x07\x00\x03" "a/bhi"),
    SEED("\x34\x09\x00\x03" "a/b\x00\x07hi"),
    SEED("\x40\x02\x00\x07"),
    SEED("\x62\x02\x00\x07"),
    SEED("\x82\x0c\x00\x01\x00\x03" "a/+\x01\x00\x01#\x00"),
    SEED("\x90\x04\x00\x01\x01\x80"),
    SEED("\xa2\x07\x00\x01\x00\x03" "a/+"),
    SEED("\xc0\x00"),
};

int main(int count, char **arguments) {
  long runs = count > 1 ? strtol(arguments[1], NULL, 10) : 100000;
  if (count > 2) seed_random(strtoul(arguments[2], NULL, 10));
  for (long run = 0; run < runs; run++) {
    uint8_t input[INPUT_MAX];
    size_t length = 0;
    for (uint32_t packets = 1 + random_below(3); packets > 0; packets--) {
      uint32_t which = random_below(sizeof seeds / sizeof *seeds);
      memcpy(input + length, seeds[which].packet, seeds[which].length);
      length += seeds[which].length;
    }
    for (uint32_t changes = random_below(6); changes > 0; changes--) input[random_below((uint32_t)length)] = (uint8_t)random_below(256);
    if (random_below(4) == 0) length = random_below((uint32_t)length + 1);
    /* A copy of just that size, so that a sanitizer sees each read behind its end. */
    uint8_t *copy = malloc(length > 0 ? length : 1);
    if (copy == NULL) return 1;
    memcpy(copy, input, length);
    LLVMFuzzerTestOneInput(copy, length);
    free(copy);
  }
  printf("%ld runs\n", runs);
  return 0;
}
#endif
