#include "publish.h"

bool decode_publish(const struct frame *frame, struct publish *publish) {
  *publish = (struct publish){0};
  if (frame->type != MQTT_PUBLISH) return false;
  publish->dup = (frame->flags & PUBLISH_DUP) != 0;
  publish->qos = (frame->flags >> PUBLISH_QOS_SHIFT) & 3;
  publish->retain = (frame->flags & PUBLISH_RETAIN) != 0;
  if (publish->qos == 3) return false;                     /* [MQTT-3.3.1-4] */
  if (publish->qos == 0 && publish->dup) return false;     /* [MQTT-3.3.1-2] */
  struct reader reader = read_body(frame);
  publish->topic = read_string(&reader);
  if (publish->qos > 0) publish->packet_id = read_packet_id(&reader);
  publish->payload = read_rest(&reader);
  return read_whole(&reader) && is_topic_name(publish->topic); /* [MQTT-3.3.2-2] */
}

size_t publish_size(const struct publish *publish) {
  return 5 + 2 + publish->topic.length + 2 + publish->payload.length;
}

size_t encode_publish(uint8_t *buffer, size_t size, const struct publish *publish) {
  if (publish->qos > 2 || !is_topic_name(publish->topic) || publish->topic.length > UINT16_MAX) return 0;
  if ((publish->qos > 0) != (publish->packet_id != 0) || (publish->qos == 0 && publish->dup)) return 0;
  uint8_t flags = (uint8_t)(publish->qos << PUBLISH_QOS_SHIFT);
  if (publish->dup) flags |= PUBLISH_DUP;
  if (publish->retain) flags |= PUBLISH_RETAIN;
  size_t length = 2 + publish->topic.length + (publish->qos > 0 ? 2 : 0) + publish->payload.length;
  struct writer writer = begin_packet(buffer, size, MQTT_PUBLISH, flags, length);
  write_binary(&writer, publish->topic);
  if (publish->qos > 0) write_integer(&writer, publish->packet_id);
  write_raw(&writer, publish->payload);
  return end_packet(&writer);
}
