/* CONNECT: the first packet of a connection, from the client (section 3.1). */
#ifndef CONNECT_H
#define CONNECT_H

#include "../wire.h"

struct connect {
  bool clean_session;
  uint16_t keep_alive_seconds;
  struct bytes client_id;
  bool has_will;
  struct {
    struct bytes topic;
    struct bytes payload;
    uint8_t qos;
    bool retain;
  } will;
  bool has_username;
  struct bytes username;
  bool has_password;
  struct bytes password;
};

/* Returns false when the packet is malformed, or is not MQTT 3.1.1 (Protocol Level 4). */
bool decode_connect(const struct frame *frame, struct connect *connect);
/* Returns the length of the packet, or 0 when the buffer is too small or the fields contradict each other. */
size_t encode_connect(uint8_t *buffer, size_t size, const struct connect *connect);

#endif
