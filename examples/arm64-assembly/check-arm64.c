/*
 * Compares the assembly with the C of ../c-sockets.
 *
 *   check-arm64 wire < LINES     each line a packet in hexadecimal digits; prints what it encodes to, or what is wrong
 *   check-arm64 random RUNS [SEED]
 *   check-arm64 loop ROUTINE c|asm COUNT     calls one routine COUNT times: for counting instructions
 */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../c-sockets/tests/input.h"
#include "mqtt-arm64.h"

static_assert(offsetof(struct publish, dup) == 0 && offsetof(struct publish, qos) == 1, "layout of struct publish");
static_assert(offsetof(struct publish, retain) == 2 && offsetof(struct publish, topic) == 8, "layout of struct publish");
static_assert(offsetof(struct publish, packet_id) == 24 && offsetof(struct publish, payload) == 32, "layout of struct publish");

enum { BYTES_MAX = 1 << 16, PLACES_MAX = 64 };

static void fail(const char *routine) {
  fprintf(stderr, "check-arm64: %s differs from C\n", routine);
  exit(1);
}

static void compare_remaining_length(uint32_t value) {
  uint8_t expected[4] = {0};
  uint8_t found[4] = {0};
  size_t length = encode_remaining_length(value, expected);
  if (asm_encode_remaining_length(value, found) != length || memcmp(expected, found, 4) != 0) fail("encode_remaining_length");
  if (length == 0) return;
  uint32_t decoded = 0;
  for (size_t part = 0; part < length; part++) {
    if (asm_decode_remaining_length(found, part, &decoded) != 0) fail("decode_remaining_length of a part");
  }
  if (asm_decode_remaining_length(found, length, &decoded) != (long)length || decoded != value) fail("decode_remaining_length");
}

static void compare_find_packets(const uint8_t *data, size_t length, size_t packet_size_max) {
  struct packet_place places[PLACES_MAX];
  enum frame_status status;
  size_t count = asm_find_packets(data, length, packet_size_max, places, PLACES_MAX, &status);
  size_t at = 0;
  struct frame frame;
  for (size_t i = 0; i < count; i++) {
    if (frame_next(data + at, length - at, packet_size_max, &frame) != FRAME_READY) fail("find_packets");
    if (places[i].start != at || places[i].length != frame.length) fail("find_packets");
    at += frame.length;
  }
  if (at == length || count == PLACES_MAX) {
    if (status != FRAME_READY) fail("find_packets at the end");
  } else if (frame_next(data + at, length - at, packet_size_max, &frame) != status) {
    fail("find_packets behind the last packet");
  }
}

static void compare_publish(const struct publish *publish, size_t size) {
  static uint8_t expected[BYTES_MAX * 2];
  static uint8_t found[BYTES_MAX * 2];
  memset(expected, 0xaa, size + 32);
  memset(found, 0xaa, size + 32); /* the 32 bytes behind the buffer must stay as they are */
  size_t length = encode_publish(expected, size, publish);
  if (asm_encode_publish(found, size, publish) != length) fail("encode_publish");
  if (memcmp(found, expected, length > 0 ? length : 0) != 0) fail("encode_publish");
  for (size_t i = length > 0 ? length : 0; i < size + 32; i++) {
    if (found[i] != 0xaa && (length > 0 || i >= size)) fail("encode_publish, behind the packet");
  }
}

static void compare_utf8(const uint8_t *data, size_t length) {
  struct bytes text = {data, length};
  if (asm_is_utf8(text) != is_utf8(text)) fail("is_utf8");
}

/* A buffer of exactly this size at the end of an allocation, so that valgrind or a sanitizer sees each read behind it. */
static uint8_t *copy_of(const uint8_t *data, size_t length) {
  uint8_t *copy = malloc(length > 0 ? length : 1);
  if (copy == NULL) exit(2);
  if (length > 0) memcpy(copy, data, length);
  return copy;
}

static void random_runs(long runs) {
  static const char *const characters[] = {"a", "/", "+", "#", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\xa1", "\xed\xa0\x80", "\xc0\x80", "\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80"};
  static uint8_t bytes[BYTES_MAX];
  for (long run = 0; run < runs; run++) {
    compare_remaining_length(random_below(UINT32_MAX) >> random_below(32));
    size_t length = 0;
    size_t most = random_below(4) == 0 ? random_below(400) : random_below(40);
    while (length < most) {
      /* Mostly ASCII, so that NEON has whole blocks of it. */
      const char *character = random_below(20) == 0 ? characters[random_below(12)] : characters[random_below(2)];
      memcpy(bytes + length, character, strlen(character));
      length += strlen(character);
    }
    if (random_below(8) == 0 && length > 0) bytes[random_below((uint32_t)length)] = (uint8_t)random_below(256);
    uint8_t *text = copy_of(bytes, length);
    compare_utf8(text, length);
    struct publish publish = {
        .dup = random_below(3) == 0, .qos = (uint8_t)random_below(4), .retain = random_below(2) == 0, .topic = {text, length},
        .packet_id = random_below(4) == 0 ? 0 : (uint16_t)random_below(65536), .payload = {text, random_below((uint32_t)length + 1)},
    };
    size_t needed = publish_size(&publish);
    compare_publish(&publish, random_below(3) == 0 ? random_below((uint32_t)needed + 1) : needed);
    free(text);
    size_t stream = 0;
    for (uint32_t packets = random_below(6); packets > 0; packets--) {
      uint8_t digits[4];
      uint32_t body = random_below(10) == 0 ? random_below(300) : random_below(12);
      size_t count = encode_remaining_length(random_below(40) == 0 ? body + 100000 : body, digits);
      bytes[stream++] = (uint8_t)random_below(256);
      memcpy(bytes + stream, digits, count);
      stream += count + body;
    }
    if (stream > 0 && random_below(6) == 0) memset(bytes + random_below((uint32_t)stream), 0xff, 5);
    size_t there = stream > 0 ? stream - random_below((uint32_t)(random_below(2) == 0 ? 1 : stream)) : 0;
    uint8_t *buffer = copy_of(bytes, there);
    compare_find_packets(buffer, there, random_below(4) == 0 ? 20 : BYTES_MAX);
    free(buffer);
  }
  for (uint32_t value = 0; value < 70000; value++) compare_remaining_length(value);
  printf("%ld runs\n", runs);
}

/* Prints for each packet the bytes that the assembly encodes it to, when it is a PUBLISH that C accepts. */
static void wire(void) {
  static uint8_t bytes[BYTES_MAX];
  static uint8_t encoded[BYTES_MAX + 8];
  for (long length; (length = read_hexadecimal_line(bytes, sizeof bytes)) >= 0;) {
    uint8_t *packet = copy_of(bytes, (size_t)length);
    compare_find_packets(packet, (size_t)length, BYTES_MAX);
    struct packet_place place;
    enum frame_status status;
    size_t found = asm_find_packets(packet, (size_t)length, BYTES_MAX, &place, 1, &status);
    struct frame frame;
    struct publish publish;
    size_t written = 0;
    if (found == 1 && frame_next(packet, (size_t)length, BYTES_MAX, &frame) == FRAME_READY && decode_publish(&frame, &publish) &&
        asm_is_utf8(publish.topic)) {
      written = asm_encode_publish(encoded, sizeof encoded, &publish);
    }
    if (written == 0) puts(found == 1 ? "no PUBLISH" : "no packet");
    for (size_t i = 0; i < written; i++) printf("%02x%s", encoded[i], i + 1 == written ? "\n" : "");
    free(packet);
  }
}

enum routine { NOTHING, ENCODE_REMAINING_LENGTH, FIND_32_PACKETS, ENCODE_PUBLISH, IS_UTF8_ASCII, IS_UTF8_SPANISH, ROUTINES };
static const char *const routine_names[ROUTINES] = {
    "nothing", "encode_remaining_length", "find_32_packets", "encode_publish", "is_utf8_ascii", "is_utf8_spanish",
};

static int loop(const char *name, bool in_assembly, long count) {
  static uint8_t buffer[2048];
  static uint8_t stream[2048];
  struct packet_place places[PLACES_MAX];
  enum frame_status status;
  struct frame frame;
  struct publish publish = {.qos = 1, .packet_id = 7, .topic = bytes_of("casa/sala/temperatura"), .payload = bytes_of("25.5")};
  struct bytes ascii = bytes_of("casa/piso-2/habitacion-de-los-ninos/sensores/temperatura/celsius");
  struct bytes spanish = bytes_of("casa/habitaci\xc3\xb3n-de-los-ni\xc3\xb1os/temperatura/\xc2\xb0" "C");
  size_t packet = encode_publish(stream, sizeof stream, &publish);
  for (size_t i = 1; i < 32; i++) memcpy(stream + i * packet, stream, packet);
  int routine = 0;
  while (routine < ROUTINES && strcmp(routine_names[routine], name) != 0) routine++;
  uint8_t digits[4];
  size_t sum = 0; /* keeps the calls: a result that nobody uses is optimized away */
  for (long i = 0; i < count; i++) {
    switch (routine) {
      case NOTHING: break;
      case ENCODE_REMAINING_LENGTH:
        sum += in_assembly ? asm_encode_remaining_length(2097151, digits) : encode_remaining_length(2097151, digits);
        break;
      case FIND_32_PACKETS:
        if (in_assembly) {
          sum += asm_find_packets(stream, 32 * packet, 65536, places, PLACES_MAX, &status);
        } else {
          for (size_t at = 0; at < 32 * packet; at += frame.length) sum += (size_t)frame_next(stream + at, 32 * packet - at, 65536, &frame);
        }
        break;
      case ENCODE_PUBLISH:
        sum += in_assembly ? asm_encode_publish(buffer, sizeof buffer, &publish) : encode_publish(buffer, sizeof buffer, &publish);
        break;
      case IS_UTF8_ASCII: sum += in_assembly ? asm_is_utf8(ascii) : is_utf8(ascii); break;
      case IS_UTF8_SPANISH: sum += in_assembly ? asm_is_utf8(spanish) : is_utf8(spanish); break;
      default: fprintf(stderr, "check-arm64: no routine %s\n", name); return 2;
    }
  }
  printf("%zu\n", sum);
  return 0;
}

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "wire") == 0) {
    wire();
    return 0;
  }
  if (count >= 3 && strcmp(arguments[1], "random") == 0) {
    if (count > 3) seed_random(strtoul(arguments[3], NULL, 10));
    random_runs(strtol(arguments[2], NULL, 10));
    return 0;
  }
  if (count == 5 && strcmp(arguments[1], "loop") == 0) {
    return loop(arguments[2], strcmp(arguments[3], "asm") == 0, strtol(arguments[4], NULL, 10));
  }
  fprintf(stderr, "Usage: check-arm64 wire | random RUNS [SEED] | loop ROUTINE c|asm COUNT\n");
  return 2;
}
