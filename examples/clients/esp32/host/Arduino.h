/* The part of the Arduino core for ESP32 that the sketch uses, for a host with Berkeley sockets: only for its test. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>

unsigned long millis();
void delay(unsigned long ms);
/* The sensor of the ESP32's own processor. */
float temperatureRead();

struct HostSerial {
  void begin(unsigned long baud);
  void println(const char *text);
};
extern HostSerial Serial;

void setup();
void loop();

#endif
