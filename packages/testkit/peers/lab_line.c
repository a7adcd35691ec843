/*
 * The line of the network laboratory: carries IP packets between a TUN device in each of two network namespaces, and
 * does to them what a bad network does. Started by packages/testkit/src/lab/line.ts.
 *
 *     lab_line SEED NAMESPACE DEVICE NAMESPACE DEVICE
 *
 * The first pair is the client's host, the second the server's; "up" is from the first to the second. It prints
 * "ready" when both devices exist. Commands on standard input, one a line:
 *
 *     line up|down|both KEY=NUMBER ...
 *         delay, jitter   milliseconds; the jitter is drawn evenly from -jitter to +jitter, and keeps the order
 *         loss, dup       percent of the packets, each by itself
 *         reorder         percent of the packets that pass by those that wait
 *         rate, queue     bits in a second, and bytes that may wait for them (0: no limit of the rate)
 *         mtu, icmp       bytes of the largest packet, and whether its sender is told (RFC 1191) or not
 *         cut, dns        1: nothing passes; 1: no packet of UDP port 53 passes
 *     nat MILLISECONDS    a flow without a packet for so long is forgotten, and then dropped without a word; 0: never
 *     forget              the NAT forgets all flows now
 *     count               answers "count up_packets=N up_bytes=N down_packets=N down_bytes=N dropped=N"
 *
 * Packets are counted as their sender has sent them, whatever becomes of them. The program ends with its input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_MAX = 2048, WAITING_MAX = 4096, FLOWS_MAX = 256, COMMAND_MAX = 512 };
enum { IP_HEADER = 20, ICMP_HEADER = 8, PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, DNS_PORT = 53 };

typedef struct {
    uint64_t due_us, number;
    uint16_t size;
    uint8_t to;
    uint8_t bytes[PACKET_MAX];
} packet;

typedef struct {
    double delay, jitter, loss, dup, reorder, rate, queue, mtu, icmp, cut, dns;
    uint64_t free_us, last_due_us, packets, bytes;
} direction;

typedef struct {
    uint16_t near, far;
    uint8_t protocol;
    uint64_t last_us;
} flow;

static direction directions[2] = {{.queue = 32768}, {.queue = 32768}};
static int tuns[2];
static packet *waiting[WAITING_MAX];
static int waiting_count;
static uint64_t next_number, dropped, nat_us;
static flow flows[FLOWS_MAX];
static uint64_t random_state;

static void fail(const char *what, const char *which)
{
    fprintf(stderr, "lab_line: %s %s: %s\n", what, which, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Returns a number from 0 to 1 (splitmix64). */
static double draw(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static int happens(double percent) { return percent > 0 && draw() * 100 < percent; }

static int open_tun(const char *space, const char *device)
{
    char path[128];
    snprintf(path, sizeof path, "/var/run/netns/%s", space);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) fail("network namespace", space);
    close(fd);
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun < 0) fail("open", "/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    if (ioctl(tun, TUNSETIFF, &request) != 0) fail("TUN device", device);
    return tun;
}

/* --- Packets that wait: a heap, the next one at its top ----------------------------------------------------------- */

static int is_before(const packet *a, const packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void wait_until_due(packet *p)
{
    if (waiting_count == WAITING_MAX) {
        dropped++;
        free(p);
        return;
    }
    int i = waiting_count++;
    for (; i > 0 && is_before(p, waiting[(i - 1) / 2]); i = (i - 1) / 2) waiting[i] = waiting[(i - 1) / 2];
    waiting[i] = p;
}

static packet *take_first(void)
{
    packet *first = waiting[0], *last = waiting[--waiting_count];
    int i = 0;
    for (int child; (child = 2 * i + 1) < waiting_count; i = child) {
        if (child + 1 < waiting_count && is_before(waiting[child + 1], waiting[child])) child++;
        if (!is_before(waiting[child], last)) break;
        waiting[i] = waiting[child];
    }
    waiting[i] = last;
    return first;
}

static void deliver(packet *p)
{
    /* A device that is gone or full loses the packet, as a network card does. */
    if (write(tuns[p->to], p->bytes, p->size) < 0) dropped++;
    free(p);
}

/* --- What the line knows of IP ------------------------------------------------------------------------------------ */

static uint16_t read16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static void write16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < size; i += 2) sum += read16(bytes + i);
    if (size % 2) sum += (uint32_t)bytes[size - 1] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static size_t header_size(const uint8_t *bytes) { return (size_t)(bytes[0] & 15) * 4; }

/* Returns the ports of a TCP or UDP packet, or NULL. */
static const uint8_t *ports_of(const uint8_t *bytes, size_t size)
{
    size_t header = header_size(bytes);
    int has_ports = bytes[9] == PROTOCOL_TCP || bytes[9] == PROTOCOL_UDP;
    return has_ports && size >= header + 20 - (bytes[9] == PROTOCOL_UDP ? 12 : 0) ? bytes + header : NULL;
}

/* Tells the sender that its packet does not fit: "fragmentation needed", with the size that does. */
static void refuse_size(int from, const uint8_t *bytes, size_t size, uint16_t mtu)
{
    packet *p = calloc(1, sizeof *p);
    if (p == NULL) fail("memory", "");
    size_t quoted = header_size(bytes) + 8;
    if (quoted > size) quoted = size;
    uint8_t *ip = p->bytes, *icmp = ip + IP_HEADER;
    p->size = (uint16_t)(IP_HEADER + ICMP_HEADER + quoted);
    p->to = (uint8_t)from;
    ip[0] = 0x45;
    write16(ip + 2, p->size);
    ip[8] = 64;
    ip[9] = PROTOCOL_ICMP;
    memcpy(ip + 12, bytes + 16, 4); /* as if from the other host */
    memcpy(ip + 16, bytes + 12, 4);
    write16(ip + 10, checksum(ip, IP_HEADER));
    icmp[0] = 3;
    icmp[1] = 4;
    write16(icmp + 6, mtu);
    memcpy(icmp + ICMP_HEADER, bytes, quoted);
    write16(icmp + 2, checksum(icmp, ICMP_HEADER + quoted));
    deliver(p);
}

/* Returns whether the NAT still knows the packet's flow. Flows begin at the client's host: with a SYN, or by UDP. */
static int passes_nat(int from, const uint8_t *bytes, size_t size, uint64_t now)
{
    const uint8_t *ports = ports_of(bytes, size);
    if (nat_us == 0 || ports == NULL) return 1;
    uint16_t near = read16(ports + (from == 0 ? 0 : 2)), far = read16(ports + (from == 0 ? 2 : 0));
    flow *oldest = flows;
    for (flow *f = flows; f < flows + FLOWS_MAX; f++) {
        if (f->near == near && f->far == far && f->protocol == bytes[9] && now - f->last_us < nat_us) {
            f->last_us = now;
            return 1;
        }
        if (f->last_us < oldest->last_us) oldest = f;
    }
    int begins = from == 0 && (bytes[9] == PROTOCOL_UDP || (ports[13] & 0x12) == 0x02);
    if (begins) *oldest = (flow){near, far, bytes[9], now};
    return begins;
}

/* --- The line ----------------------------------------------------------------------------------------------------- */

static void enqueue(int from, const uint8_t *bytes, size_t size, uint64_t due_us)
{
    packet *p = malloc(sizeof *p);
    if (p == NULL) fail("memory", "");
    p->due_us = due_us;
    p->number = next_number++;
    p->size = (uint16_t)size;
    p->to = (uint8_t)!from;
    memcpy(p->bytes, bytes, size);
    wait_until_due(p);
}

static void pass(int from, const uint8_t *bytes, size_t size)
{
    if (size < IP_HEADER || bytes[0] >> 4 != 4) return;
    direction *d = &directions[from];
    uint64_t now = now_us();
    d->packets++;
    d->bytes += size;
    const uint8_t *ports = ports_of(bytes, size);
    int is_dns = ports != NULL && bytes[9] == PROTOCOL_UDP && read16(ports + (from == 0 ? 2 : 0)) == DNS_PORT;
    if (d->mtu > 0 && size > d->mtu) {
        if (d->icmp && !d->cut) refuse_size(from, bytes, size, (uint16_t)d->mtu);
        dropped++;
        return;
    }
    if (d->cut || (d->dns && is_dns) || happens(d->loss) || !passes_nat(from, bytes, size, now)) {
        dropped++;
        return;
    }
    uint64_t due = now;
    if (d->rate > 0) {
        uint64_t begins = d->free_us > now ? d->free_us : now;
        if ((double)(begins - now) * d->rate / 8e6 > d->queue) {
            dropped++;
            return;
        }
        d->free_us = due = begins + (uint64_t)((double)size * 8e6 / d->rate);
    }
    if (happens(d->reorder)) {
        enqueue(from, bytes, size, due);
        return;
    }
    double late_ms = d->delay + d->jitter * (2 * draw() - 1);
    if (late_ms > 0) due += (uint64_t)(late_ms * 1000);
    if (due < d->last_due_us) due = d->last_due_us;
    d->last_due_us = due;
    enqueue(from, bytes, size, due);
    if (happens(d->dup)) enqueue(from, bytes, size, due);
}

static void read_packets(int from)
{
    uint8_t bytes[PACKET_MAX];
    ssize_t size;
    while ((size = read(tuns[from], bytes, sizeof bytes)) > 0) pass(from, bytes, (size_t)size);
}

static double *setting(direction *d, const char *key)
{
    struct { const char *key; double *value; } all[] = {
        {"delay", &d->delay}, {"jitter", &d->jitter}, {"loss", &d->loss}, {"dup", &d->dup},
        {"reorder", &d->reorder}, {"rate", &d->rate}, {"queue", &d->queue}, {"mtu", &d->mtu},
        {"icmp", &d->icmp}, {"cut", &d->cut}, {"dns", &d->dns},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].key, key) == 0) return all[i].value;
    return NULL;
}

static void refuse_command(const char *word)
{
    fprintf(stderr, "lab_line: unknown: %s\n", word);
    exit(2);
}

static void obey(char *command)
{
    char *rest = command, *word = strsep(&rest, " ");
    if (strcmp(word, "count") == 0) {
        printf("count up_packets=%ju up_bytes=%ju down_packets=%ju down_bytes=%ju dropped=%ju\n",
               (uintmax_t)directions[0].packets, (uintmax_t)directions[0].bytes, (uintmax_t)directions[1].packets,
               (uintmax_t)directions[1].bytes, (uintmax_t)dropped);
        return;
    }
    if (strcmp(word, "forget") == 0) {
        memset(flows, 0, sizeof flows);
        return;
    }
    if (strcmp(word, "nat") == 0 && rest != NULL) {
        nat_us = strtoull(rest, NULL, 10) * 1000;
        return;
    }
    if (strcmp(word, "line") != 0 || rest == NULL) refuse_command(word);
    char *which = strsep(&rest, " ");
    int up = strcmp(which, "down") != 0, down = strcmp(which, "up") != 0;
    while ((word = strsep(&rest, " ")) != NULL) {
        char *value = word, *key = strsep(&value, "=");
        for (int i = 0; i < 2; i++) {
            if (!(i == 0 ? up : down)) continue;
            double *place = setting(&directions[i], key);
            if (place == NULL || value == NULL) refuse_command(key);
            *place = strtod(value, NULL);
        }
    }
}

/* Returns 0 when the input has ended. */
static int read_commands(void)
{
    static char text[COMMAND_MAX];
    static size_t size;
    ssize_t got = read(0, text + size, sizeof text - 1 - size);
    if (got <= 0) return 0;
    size += (size_t)got;
    char *end;
    while ((end = memchr(text, '\n', size)) != NULL) {
        *end = 0;
        obey(text);
        size -= (size_t)(end + 1 - text);
        memmove(text, end + 1, size);
    }
    if (size == sizeof text - 1) refuse_command("a command without an end");
    fflush(stdout);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: lab_line SEED NAMESPACE DEVICE NAMESPACE DEVICE\n");
        return 2;
    }
    random_state = strtoull(argv[1], NULL, 10);
    tuns[0] = open_tun(argv[2], argv[3]);
    tuns[1] = open_tun(argv[4], argv[5]);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct timespec rest = {0}, *limit = NULL;
        if (waiting_count > 0) {
            uint64_t now = now_us(), due = waiting[0]->due_us;
            if (due > now) rest = (struct timespec){(time_t)((due - now) / 1000000), (long)((due - now) % 1000000 * 1000)};
            limit = &rest;
        }
        struct pollfd polled[] = {{tuns[0], POLLIN, 0}, {tuns[1], POLLIN, 0}, {0, POLLIN, 0}};
        if (ppoll(polled, 3, limit, NULL) < 0 && errno != EINTR) fail("ppoll", "");
        for (int i = 0; i < 2; i++)
            if (polled[i].revents & POLLIN) read_packets(i);
        if (polled[2].revents != 0 && !read_commands()) return 0;
        while (waiting_count > 0 && waiting[0]->due_us <= now_us()) deliver(take_first());
    }
}
