/* WiFi and WiFiClient of the Arduino core, on Berkeley sockets: only for the test of the sketch. */
#ifndef WIFI_H
#define WIFI_H

#include "Arduino.h"

enum { WIFI_STA = 1, WL_CONNECTED = 3 };

struct HostWiFi {
  void mode(int) {}
  void begin(const char *, const char *) {}
  int status() { return WL_CONNECTED; }
};
extern HostWiFi WiFi;

class WiFiClient {
 public:
  int connect(const char *host, uint16_t port);
  size_t write(const uint8_t *bytes, size_t length);
  int available();
  int read(uint8_t *bytes, size_t size);
  uint8_t connected();
  void stop();

 private:
  int socket_ = -1;
};

#endif
