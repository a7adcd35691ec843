/* Input of the test programs, here and in ../arm64-assembly: random numbers that a seed repeats, lines of digits. */
#ifndef INPUT_H
#define INPUT_H

#include <stddef.h>
#include <stdint.h>

/* Begins another series of random numbers; each seed has its own. */
void seed_random(uint64_t seed);

/* Returns a number from 0 to below - 1. */
uint32_t random_below(uint32_t below);

/*
 * Reads a line of hexadecimal digits from standard input into at most `size` bytes. Returns their number; -1 at the end
 * of the input, for another character, and for a line that is too long.
 */
long read_hexadecimal_line(uint8_t *bytes, size_t size);

#endif
