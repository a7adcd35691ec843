/*
 * Failed logins at a rate: opens a connection, sends a CONNECT with a wrong password, reads the CONNACK, closes.
 *
 *   loginflood PORT PER-SECOND SECONDS
 *
 * In C, for whoever measures what others feel must not compete with it for the CPU: 60 us a login, where Node takes 150.
 * Half of the logins are of a user who is there ("ada"). Of those that wait for their answer there are never more than OPEN_MAX; what would
 * be more is not tried, and counted. Prints one line of JSON: what was tried and how each was answered.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_MAX = 4000, FD_MAX = 8192, BURST_MAX = 50, EVENTS = 512 };

static struct { long tried, held_back, refused, busy, accepted, unanswered; } counts;
static long number_of[FD_MAX]; /* of the login on this socket */
static char has_sent[FD_MAX];
static int open_now;
static int poller;

static double seconds_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void watch(int operation, int fd, unsigned events) {
	struct epoll_event event = {.events = events, .data.fd = fd};
	epoll_ctl(poller, operation, fd, &event);
}

static void begin(const struct sockaddr_in *address, long number) {
	if (open_now >= OPEN_MAX) {
		counts.held_back++;
		return;
	}
	counts.tried++;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || fd >= FD_MAX) {
		if (fd >= 0) close(fd);
		counts.unanswered++;
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno != EINPROGRESS) {
		close(fd);
		counts.unanswered++;
		return;
	}
	open_now++;
	number_of[fd] = number;
	has_sent[fd] = 0;
	watch(EPOLL_CTL_ADD, fd, EPOLLOUT);
}

static unsigned char *field(unsigned char *at, const char *text) {
	size_t length = strlen(text);
	*at++ = length >> 8;
	*at++ = length & 0xff;
	memcpy(at, text, length);
	return at + length;
}

static void send_connect(int fd) {
	long number = number_of[fd];
	char user[32] = "ada", password[32];
	if (number % 2 != 0) snprintf(user, sizeof user, "nobody%ld", number % 1000);
	snprintf(password, sizeof password, "guess %ld", number);
	unsigned char packet[128], *at = packet + 2;
	at = field(at, "MQTT");
	memcpy(at, "\x04\xc2\x00\x3c", 4); /* 3.1.1, user name and password, clean; keep alive 60 s */
	at = field(at + 4, "");
	at = field(field(at, user), password);
	packet[0] = 0x10;
	packet[1] = at - packet - 2;
	/* What does not go through is an unanswered login. */
	if (send(fd, packet, at - packet, MSG_NOSIGNAL) < 0) shutdown(fd, SHUT_RDWR);
	has_sent[fd] = 1;
	watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void end(int fd) {
	unsigned char answer[64];
	ssize_t length = recv(fd, answer, sizeof answer, 0);
	if (length < 4) counts.unanswered++;
	else if (answer[3] == 0) counts.accepted++;
	else if (answer[3] == 3) counts.busy++;
	else counts.refused++;
	close(fd);
	open_now--;
}

int main(int argc, char **argv) {
	if (argc != 4) {
		fprintf(stderr, "loginflood PORT PER-SECOND SECONDS\n");
		return 2;
	}
	double per_second = atof(argv[2]), seconds = atof(argv[3]);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	poller = epoll_create1(0);
	double start = seconds_now(), elapsed;
	for (long issued = 0; (elapsed = seconds_now() - start) < seconds;) {
		long due = elapsed * per_second;
		for (int burst = 0; issued < due && burst < BURST_MAX; burst++) begin(&address, issued++);
		struct epoll_event events[EVENTS];
		int count = epoll_wait(poller, events, EVENTS, 1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			if (!has_sent[fd] && (events[i].events & EPOLLOUT) && !(events[i].events & (EPOLLERR | EPOLLHUP))) send_connect(fd);
			else end(fd);
		}
	}
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	printf("{\"tried\":%ld,\"heldBack\":%ld,\"refused\":%ld,\"busy\":%ld,\"accepted\":%ld,\"unanswered\":%ld,"
	       "\"perSecond\":%.0f,\"cpuPercent\":%.0f}\n",
	       counts.tried, counts.held_back, counts.refused, counts.busy, counts.accepted, counts.unanswered,
	       counts.tried / elapsed, 100 * cpu / elapsed);
	return 0;
}
