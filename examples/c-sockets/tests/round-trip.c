#include "round-trip.h"

#include "../packets/connack.h"
#include "../packets/connect.h"
#include "../packets/disconnect.h"
#include "../packets/pingreq.h"
#include "../packets/pingresp.h"
#include "../packets/puback.h"
#include "../packets/pubcomp.h"
#include "../packets/publish.h"
#include "../packets/pubrec.h"
#include "../packets/pubrel.h"
#include "../packets/suback.h"
#include "../packets/subscribe.h"
#include "../packets/unsuback.h"
#include "../packets/unsubscribe.h"

/* A packet that is decoded into a struct of its name. */
#define BY_VALUE(name)                                                        \
  {                                                                           \
    struct name name;                                                         \
    return decode_##name(frame, &name) ? encode_##name(encoded, size, name) : 0; \
  }
#define BY_POINTER(name)                                                       \
  {                                                                            \
    struct name name;                                                          \
    return decode_##name(frame, &name) ? encode_##name(encoded, size, &name) : 0; \
  }
#define EMPTY(name) return decode_##name(frame) ? encode_##name(encoded, size) : 0;

size_t round_trip(const struct frame *frame, uint8_t *encoded, size_t size) {
  switch (frame->type) {
    case MQTT_CONNECT: BY_POINTER(connect)
    case MQTT_CONNACK: BY_VALUE(connack)
    case MQTT_PUBLISH: BY_POINTER(publish)
    case MQTT_PUBACK: BY_VALUE(puback)
    case MQTT_PUBREC: BY_VALUE(pubrec)
    case MQTT_PUBREL: BY_VALUE(pubrel)
    case MQTT_PUBCOMP: BY_VALUE(pubcomp)
    case MQTT_SUBSCRIBE: BY_POINTER(subscribe)
    case MQTT_SUBACK: BY_VALUE(suback)
    case MQTT_UNSUBSCRIBE: BY_POINTER(unsubscribe)
    case MQTT_UNSUBACK: BY_VALUE(unsuback)
    case MQTT_PINGREQ: EMPTY(pingreq)
    case MQTT_PINGRESP: EMPTY(pingresp)
    case MQTT_DISCONNECT: EMPTY(disconnect)
    default: return 0;
  }
}
