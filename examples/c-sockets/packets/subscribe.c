#include "subscribe.h"

bool decode_subscribe(const struct frame *frame, struct subscribe *subscribe) {
  subscribe->count = 0;
  struct reader reader = read_body(frame);
  subscribe->packet_id = read_packet_id(&reader);
  if (frame->type != MQTT_SUBSCRIBE || frame->flags != 2) return false; /* [MQTT-3.8.1-1] */
  while (!reader.malformed && bytes_left(&reader) > 0) {
    if (subscribe->count == SUBSCRIPTIONS_MAX) return false;
    struct bytes filter = read_string(&reader);
    uint8_t qos = read_byte(&reader);
    if (reader.malformed || !is_topic_filter(filter) || qos > 2) return false; /* [MQTT-3.8.3-4] */
    subscribe->subscriptions[subscribe->count].filter = filter;
    subscribe->subscriptions[subscribe->count].qos = qos;
    subscribe->count++;
  }
  return read_whole(&reader) && subscribe->count > 0; /* [MQTT-3.8.3-3] */
}

size_t encode_subscribe(uint8_t *buffer, size_t size, const struct subscribe *subscribe) {
  if (subscribe->packet_id == 0 || subscribe->count == 0 || subscribe->count > SUBSCRIPTIONS_MAX) return 0;
  size_t length = 2;
  for (size_t i = 0; i < subscribe->count; i++) {
    struct bytes filter = subscribe->subscriptions[i].filter;
    if (!is_topic_filter(filter) || !is_utf8(filter) || subscribe->subscriptions[i].qos > 2) return 0;
    length += 2 + filter.length + 1;
  }
  struct writer writer = begin_packet(buffer, size, MQTT_SUBSCRIBE, 2, length);
  write_integer(&writer, subscribe->packet_id);
  for (size_t i = 0; i < subscribe->count; i++) {
    write_binary(&writer, subscribe->subscriptions[i].filter);
    write_byte(&writer, subscribe->subscriptions[i].qos);
  }
  return end_packet(&writer);
}
