#include "input.h"

#include <stdio.h>
#include <string.h>

#define START UINT64_C(88172645463325252)
static uint64_t state = START;

void seed_random(uint64_t seed) { state = START + seed; }

uint32_t random_below(uint32_t below) {
  state ^= state << 13; /* xorshift64 */
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 33) % below;
}

long read_hexadecimal_line(uint8_t *bytes, size_t size) {
  static const char hexadecimal[] = "0123456789abcdef";
  size_t digits = 0;
  for (int c; (c = getchar()) != '\n';) {
    const char *digit = c == EOF || c == '\0' ? NULL : strchr(hexadecimal, c);
    if (digit == NULL || digits / 2 >= size) return -1;
    uint8_t value = (uint8_t)(digit - hexadecimal);
    if (digits % 2 == 0) bytes[digits / 2] = (uint8_t)(value << 4);
    else bytes[digits / 2] |= value;
    digits++;
  }
  return (long)(digits / 2);
}
