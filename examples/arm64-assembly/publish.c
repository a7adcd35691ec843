/* Publishes one message at QoS 1 to a broker on this machine: sockets in C, the packet encoded by the assembly. */
#define _POSIX_C_SOURCE 200809L
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../c-sockets/packets/connack.h"
#include "../c-sockets/packets/connect.h"
#include "../c-sockets/packets/disconnect.h"
#include "../c-sockets/packets/puback.h"
#include "mqtt-arm64.h"

static int fail(const char *what) {
  fprintf(stderr, "publish-arm64: %s\n", what);
  return 1;
}

static bool send_all(int fd, const uint8_t *data, size_t length) {
  while (length > 0) {
    ssize_t count = send(fd, data, length, MSG_NOSIGNAL);
    if (count <= 0) return false;
    data += count;
    length -= (size_t)count;
  }
  return length == 0;
}

/* Reads until one whole packet is there. Both packets that are awaited here come alone. */
static bool receive(int fd, uint8_t *buffer, size_t size, struct frame *frame) {
  for (size_t length = 0; length < size;) {
    ssize_t count = recv(fd, buffer + length, size - length, 0);
    if (count <= 0) return false;
    length += (size_t)count;
    struct packet_place place;
    enum frame_status status;
    if (asm_find_packets(buffer, length, size, &place, 1, &status) == 1) {
      return frame_next(buffer, length, size, frame) == FRAME_READY;
    }
    if (status != FRAME_INCOMPLETE) return false;
  }
  return false;
}

int main(int count, char **arguments) {
  if (count != 5) return fail("Usage: publish-arm64 HOST PORT TOPIC MESSAGE");
  struct bytes topic = bytes_of(arguments[3]);
  if (!asm_is_utf8(topic)) return fail("the topic is not UTF-8");
  struct publish publish = {.qos = 1, .packet_id = 1, .topic = topic, .payload = bytes_of(arguments[4])};
  uint8_t packet[4096];
  size_t length = asm_encode_publish(packet, sizeof packet, &publish);
  if (length == 0) return fail("not a Topic Name, or a message above 4 KiB");

  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *address = NULL;
  if (getaddrinfo(arguments[1], arguments[2], &hints, &address) != 0) return fail("the host has no address");
  int fd = socket(address->ai_family, SOCK_STREAM, 0);
  int connected = fd < 0 ? -1 : connect(fd, address->ai_addr, address->ai_addrlen);
  freeaddrinfo(address);
  if (connected != 0) {
    if (fd >= 0) close(fd);
    return fail("no connection: is the broker running?");
  }
  struct timeval limit = {10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);

  uint8_t buffer[256];
  struct frame frame;
  struct connack connack;
  struct puback puback;
  struct connect hello = {.clean_session = true, .keep_alive_seconds = 30, .client_id = bytes_of("")};
  const char *failure = NULL;
  if (!send_all(fd, buffer, encode_connect(buffer, sizeof buffer, &hello)) || !receive(fd, buffer, sizeof buffer, &frame) ||
      !decode_connack(&frame, &connack) || connack.return_code != 0) {
    failure = "the broker did not accept the connection";
  } else if (!send_all(fd, packet, length) || !receive(fd, buffer, sizeof buffer, &frame) || !decode_puback(&frame, &puback) ||
             puback.packet_id != publish.packet_id) {
    failure = "the broker did not acknowledge the message";
  } else {
    send_all(fd, buffer, encode_disconnect(buffer, sizeof buffer));
  }
  close(fd);
  return failure == NULL ? 0 : fail(failure);
}
