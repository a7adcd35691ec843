/* Runs the sketch as a program: `setup` once, then `loop` until SIGTERM. */
#include <netdb.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "WiFi.h"

HostSerial Serial;
HostWiFi WiFi;

unsigned long millis()
{
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (unsigned long)now.tv_sec * 1000 + (unsigned long)now.tv_nsec / 1000000;
}

void delay(unsigned long ms) { usleep((useconds_t)ms * 1000); }
float temperatureRead() { return 21.5f; }

void HostSerial::begin(unsigned long) {}
void HostSerial::println(const char *text)
{
  puts(text);
  fflush(stdout);
}

int WiFiClient::connect(const char *host, uint16_t port)
{
  stop();
  char service[8];
  snprintf(service, sizeof service, "%u", port);
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host, service, &hints, &found) != 0) return 0;
  for (addrinfo *each = found; each != nullptr && socket_ < 0; each = each->ai_next) {
    socket_ = socket(each->ai_family, each->ai_socktype, 0);
    if (socket_ >= 0 && ::connect(socket_, each->ai_addr, each->ai_addrlen) != 0) stop();
  }
  freeaddrinfo(found);
  return socket_ >= 0;
}

size_t WiFiClient::write(const uint8_t *bytes, size_t length)
{
  ssize_t sent = send(socket_, bytes, length, MSG_NOSIGNAL);
  return sent < 0 ? 0 : (size_t)sent;
}

int WiFiClient::available()
{
  int bytes = 0;
  return socket_ >= 0 && ioctl(socket_, FIONREAD, &bytes) == 0 ? bytes : 0;
}

int WiFiClient::read(uint8_t *bytes, size_t size) { return (int)recv(socket_, bytes, size, MSG_DONTWAIT); }

uint8_t WiFiClient::connected()
{
  uint8_t byte;
  if (socket_ < 0) return 0;
  if (recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) return 1;
  return 0;
}

void WiFiClient::stop()
{
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

int main()
{
  setup();
  for (;;) loop();
}
