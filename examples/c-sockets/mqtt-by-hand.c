/* The program: publishes or subscribes with the client of client.h. See usage(). */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "packets/suback.h"

enum { THREADS_MAX = 64, TOPIC_MAX = 256, PAYLOAD_MAX = 512 };

struct program {
  struct client_options client;
  const char *topic;
  const char *message;
  long qos;
  long count;   /* messages to publish, or to receive; 0 without end */
  long threads; /* publishers at once */
  bool retain;
  bool verbose;
};

static const char *const usage_text =
    "Usage: mqtt-by-hand pub -t TOPIC -m MESSAGE [-q QOS] [-r] [-n COUNT] [-j THREADS] [OPTIONS]\n"
    "       mqtt-by-hand sub -t FILTER [-q QOS] [-n COUNT] [OPTIONS]\n"
    "\n"
    "  -t TOPIC     Topic Name to publish to, or Topic Filter to subscribe to\n"
    "  -m MESSAGE   payload; with -n or -j above 1, THREAD/NUMBER is appended\n"
    "  -q QOS       0 (default), 1 or 2\n"
    "  -r           publish with RETAIN\n"
    "  -n COUNT     publish this many messages per thread (default 1), or end after receiving this many (default: never)\n"
    "  -j THREADS   publish from this many threads at once, over one connection (default 1, at most 64)\n"
    "  -h HOST      default localhost\n"
    "  -p PORT      default 1883\n"
    "  -i ID        Client Identifier; without it the server chooses one\n"
    "  -c           keep the session when the connection ends (Clean Session 0); needs -i\n"
    "  -k SECONDS   Keep Alive, default 30\n"
    "  -u NAME, -P PASSWORD\n"
    "  -W TOPIC, -w MESSAGE   Will, retained, at QoS 1\n"
    "  -v           say on standard error when the connection is made or lost\n";

static struct program program = {.count = -1, .threads = 1};
static struct client *client;
static volatile sig_atomic_t interrupted;
static atomic_long received;

static void on_signal(int signal) {
  (void)signal;
  interrupted = 1;
}

static void on_event(void *context, const char *text) {
  (void)context;
  fprintf(stderr, "mqtt-by-hand: %s\n", text);
}

static void on_message(void *context, const struct publish *message) {
  (void)context;
  if (program.count > 0 && atomic_load(&received) >= program.count) return;
  fwrite(message->topic.data, 1, message->topic.length, stdout);
  putchar(' ');
  if (message->payload.length > 0) fwrite(message->payload.data, 1, message->payload.length, stdout);
  putchar('\n');
  fflush(stdout); /* before it is acknowledged */
  atomic_fetch_add(&received, 1);
}

static void *publish_some(void *argument) {
  long thread = *(long *)argument;
  bool single = program.count == 1 && program.threads == 1;
  for (long i = 0; i < program.count && !interrupted; i++) {
    char payload[PAYLOAD_MAX];
    if (single) snprintf(payload, sizeof payload, "%s", program.message);
    else snprintf(payload, sizeof payload, "%s%ld/%ld", program.message, thread, i);
    if (!client_publish(client, bytes_of(program.topic), bytes_of(payload), (uint8_t)program.qos, program.retain)) {
      return "failed";
    }
  }
  return NULL;
}

static int publish_all(void) {
  pthread_t threads[THREADS_MAX];
  long numbers[THREADS_MAX];
  long started = 0;
  bool failed = false;
  for (; started < program.threads; started++) {
    numbers[started] = started;
    if (pthread_create(&threads[started], NULL, publish_some, &numbers[started]) != 0) break;
  }
  failed = started < program.threads;
  for (long i = 0; i < started; i++) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    failed = failed || result != NULL;
  }
  if (failed) fprintf(stderr, "mqtt-by-hand: not every message was published\n");
  return failed ? 1 : 0;
}

static int subscribe_and_wait(void) {
  int granted = client_subscribe(client, program.topic, (uint8_t)program.qos);
  if (granted < 0 || granted == SUBACK_FAILURE) {
    fprintf(stderr, "mqtt-by-hand: the subscription to '%s' was refused\n", program.topic);
    return 1;
  }
  if (program.client.on_event != NULL) fprintf(stderr, "mqtt-by-hand: subscribed at QoS %d\n", granted);
  while (!interrupted && (program.count <= 0 || atomic_load(&received) < program.count)) {
    struct timespec pause = {0, 5000000};
    nanosleep(&pause, NULL);
  }
  return 0;
}

static void usage(FILE *to) {
  fputs(usage_text, to);
}

static void fail(const char *what, const char *value) {
  fprintf(stderr, "mqtt-by-hand: %s%s\nTry 'mqtt-by-hand --help'.\n", what, value);
  exit(2);
}

static long number(const char *option, const char *text, long least, long most) {
  char *end = NULL;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
    fprintf(stderr, "mqtt-by-hand: %s must be a number from %ld to %ld, not '%s'\n", option, least, most, text);
    exit(2);
  }
  return value;
}

int main(int count, char **arguments) {
  if (count >= 2 && strcmp(arguments[1], "--help") == 0) {
    usage(stdout);
    return 0;
  }
  bool is_pub = count >= 2 && strcmp(arguments[1], "pub") == 0;
  if (!is_pub && !(count >= 2 && strcmp(arguments[1], "sub") == 0)) fail("the first argument must be pub or sub", "");
  program.client = (struct client_options){
      .host = "localhost", .port = "1883", .client_id = "", .clean_session = true, .keep_alive_seconds = 30,
      .will_qos = 1, .will_retain = true, .on_message = on_message,
  };
  optind = 2;
  for (int option; (option = getopt(count, arguments, ":t:m:q:rn:j:h:p:i:ck:u:P:W:w:v")) != -1;) {
    switch (option) {
      case 't': program.topic = optarg; break;
      case 'm': program.message = optarg; break;
      case 'q': program.qos = number("-q", optarg, 0, 2); break;
      case 'r': program.retain = true; break;
      case 'n': program.count = number("-n", optarg, 1, 1000000000); break;
      case 'j': program.threads = number("-j", optarg, 1, THREADS_MAX); break;
      case 'h': program.client.host = optarg; break;
      case 'p': program.client.port = optarg; break;
      case 'i': program.client.client_id = optarg; break;
      case 'c': program.client.clean_session = false; break;
      case 'k': program.client.keep_alive_seconds = (uint16_t)number("-k", optarg, 0, 65535); break;
      case 'u': program.client.username = optarg; break;
      case 'P': program.client.password = optarg; break;
      case 'W': program.client.will_topic = optarg; break;
      case 'w': program.client.will_payload = optarg; break;
      case 'v': program.client.on_event = on_event; break;
      case ':': fail("an option lacks its value: -", (char[]){(char)optopt, '\0'}); break;
      default: fail("there is no option -", (char[]){(char)optopt, '\0'});
    }
  }
  if (optind < count) fail("unexpected argument: ", arguments[optind]);
  if (program.topic == NULL) fail("-t is missing", "");
  if (is_pub && program.message == NULL) fail("-m is missing", "");
  if (is_pub && strlen(program.message) > PAYLOAD_MAX - 48) fail("-m is too long: at most 464 bytes", "");
  if (is_pub ? !is_topic_name(bytes_of(program.topic)) : !is_topic_filter(bytes_of(program.topic))) {
    fail(is_pub ? "not a Topic Name: " : "not a Topic Filter: ", program.topic);
  }
  if (!program.client.clean_session && program.client.client_id[0] == '\0') fail("-c needs -i", "");
  if (program.client.password != NULL && program.client.username == NULL) fail("-P needs -u", "");
  if (is_pub && program.count < 0) program.count = 1;

  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  client = client_open(&program.client);
  if (client == NULL) {
    perror("mqtt-by-hand");
    return 1;
  }
  int status = is_pub ? publish_all() : subscribe_and_wait();
  client_close(client);
  return status;
}
