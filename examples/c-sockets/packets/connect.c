#include "connect.h"

/* Bits of Connect Flags (section 3.1.2.3). */
enum {
  RESERVED = 0x01,
  CLEAN_SESSION = 0x02,
  WILL_FLAG = 0x04,
  WILL_QOS_SHIFT = 3,
  WILL_RETAIN = 0x20,
  PASSWORD_FLAG = 0x40,
  USERNAME_FLAG = 0x80,
};

static const uint8_t protocol_level = 4;

bool decode_connect(const struct frame *frame, struct connect *connect) {
  *connect = (struct connect){0};
  if (frame->type != MQTT_CONNECT || frame->flags != 0) return false;
  struct reader reader = read_body(frame);
  struct bytes name = read_string(&reader);
  uint8_t level = read_byte(&reader);
  uint8_t flags = read_byte(&reader);
  if (reader.malformed || !bytes_equal(name, bytes_of("MQTT")) || level != protocol_level) return false;
  uint8_t will_qos = (flags >> WILL_QOS_SHIFT) & 3;
  connect->clean_session = (flags & CLEAN_SESSION) != 0;
  connect->has_will = (flags & WILL_FLAG) != 0;
  connect->has_username = (flags & USERNAME_FLAG) != 0;
  connect->has_password = (flags & PASSWORD_FLAG) != 0;
  if ((flags & RESERVED) != 0) return false;                                         /* [MQTT-3.1.2-3] */
  if (!connect->has_will && (will_qos != 0 || (flags & WILL_RETAIN) != 0)) return false; /* [MQTT-3.1.2-11] */
  if (will_qos == 3) return false;                                                   /* [MQTT-3.1.2-14] */
  if (connect->has_password && !connect->has_username) return false;                 /* [MQTT-3.1.2-22] */
  connect->keep_alive_seconds = read_integer(&reader);
  connect->client_id = read_string(&reader);
  if (connect->has_will) {
    connect->will.qos = will_qos;
    connect->will.retain = (flags & WILL_RETAIN) != 0;
    connect->will.topic = read_string(&reader);
    connect->will.payload = read_binary(&reader);
    if (!is_topic_name(connect->will.topic)) return false;
  }
  if (connect->has_username) connect->username = read_string(&reader);
  if (connect->has_password) connect->password = read_binary(&reader);
  return read_whole(&reader);
}

size_t encode_connect(uint8_t *buffer, size_t size, const struct connect *connect) {
  if (connect->has_password && !connect->has_username) return 0;
  if (connect->has_will && (connect->will.qos > 2 || !is_topic_name(connect->will.topic))) return 0;
  /* A server may refuse an empty Client Identifier, and must when the session is to be kept [MQTT-3.1.3-8]. */
  if (connect->client_id.length == 0 && !connect->clean_session) return 0;
  uint8_t flags = 0;
  size_t length = 10 + 2 + connect->client_id.length;
  if (connect->clean_session) flags |= CLEAN_SESSION;
  if (connect->has_will) {
    flags |= (uint8_t)(WILL_FLAG | connect->will.qos << WILL_QOS_SHIFT | (connect->will.retain ? WILL_RETAIN : 0));
    length += 4 + connect->will.topic.length + connect->will.payload.length;
  }
  if (connect->has_username) {
    flags |= USERNAME_FLAG;
    length += 2 + connect->username.length;
  }
  if (connect->has_password) {
    flags |= PASSWORD_FLAG;
    length += 2 + connect->password.length;
  }
  struct writer writer = begin_packet(buffer, size, MQTT_CONNECT, 0, length);
  write_binary(&writer, bytes_of("MQTT"));
  write_byte(&writer, protocol_level);
  write_byte(&writer, flags);
  write_integer(&writer, connect->keep_alive_seconds);
  write_binary(&writer, connect->client_id);
  if (connect->has_will) {
    write_binary(&writer, connect->will.topic);
    write_binary(&writer, connect->will.payload);
  }
  if (connect->has_username) write_binary(&writer, connect->username);
  if (connect->has_password) write_binary(&writer, connect->password);
  return end_packet(&writer);
}
