#include "unsubscribe.h"

bool decode_unsubscribe(const struct frame *frame, struct unsubscribe *unsubscribe) {
  unsubscribe->count = 0;
  struct reader reader = read_body(frame);
  unsubscribe->packet_id = read_packet_id(&reader);
  if (frame->type != MQTT_UNSUBSCRIBE || frame->flags != 2) return false; /* [MQTT-3.10.1-1] */
  while (!reader.malformed && bytes_left(&reader) > 0) {
    if (unsubscribe->count == SUBSCRIPTIONS_MAX) return false;
    struct bytes filter = read_string(&reader);
    if (reader.malformed || !is_topic_filter(filter)) return false;
    unsubscribe->filters[unsubscribe->count++] = filter;
  }
  return read_whole(&reader) && unsubscribe->count > 0; /* [MQTT-3.10.3-2] */
}

size_t encode_unsubscribe(uint8_t *buffer, size_t size, const struct unsubscribe *unsubscribe) {
  if (unsubscribe->packet_id == 0 || unsubscribe->count == 0 || unsubscribe->count > SUBSCRIPTIONS_MAX) return 0;
  size_t length = 2;
  for (size_t i = 0; i < unsubscribe->count; i++) {
    if (!is_topic_filter(unsubscribe->filters[i])) return 0;
    length += 2 + unsubscribe->filters[i].length;
  }
  struct writer writer = begin_packet(buffer, size, MQTT_UNSUBSCRIBE, 2, length);
  write_integer(&writer, unsubscribe->packet_id);
  for (size_t i = 0; i < unsubscribe->count; i++) write_binary(&writer, unsubscribe->filters[i]);
  return end_packet(&writer);
}
