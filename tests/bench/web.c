/*
 * web: what the metrics http, http-large, tcp, socket and sse ask, and who opens the streams. No more HTTP
 * than the proxies that are measured need.
 *
 *   web serve PORT     answers GET: / with 128 bytes, /large with 1 MiB, /sse with a head, after
 *                      EVENT_MS one event, and nothing more
 *   web take FD        the same at a listening socket that was handed over
 *   web first PORT N   opens N streams, one after the other: a line each, the nanoseconds from the
 *                      server's write to our read: of the head's first byte, and of the event
 *   web hold PORT N    opens N streams at once, says "open" when each has its event, and cuts them
 *                      when standard input ends
 *   web slow PORT N    keeps N requests open whose heads never end, a byte a second each, says "open"
 *                      when all have begun; the same end
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/parse.h"

#define SMALL 128
#define LARGE (1 << 20)
#define HEAD_ROOM 256
#define EVENT_MS 20
#define PATIENCE_S 10 /* of a client */
#define EVENTS 256
#define SLOW_STEPS 100 /* of a second: in each as many of the slow ones say something */

struct conn {
	char in[1024]; /* a head that is not complete */
	size_t n_in;
	const char *out; /* not sent yet */
	size_t left;
	bool polled_out;
	int64_t event_at; /* 0 = none is due */
};

struct server {
	int epoll, listener;
	struct conn *conns; /* by descriptor */
	size_t n_conns;
	int *due; /* descriptors in the order of their event_at; a ring of n_conns */
	size_t due_first, due_n;
	char *small, *large; /* whole answers */
	size_t small_n, large_n;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t raise_files(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return 256;
	lim.rlim_cur = lim.rlim_max < 1 << 18 ? lim.rlim_max : 1 << 18;
	setrlimit(RLIMIT_NOFILE, &lim);
	return lim.rlim_cur;
}

/* ---- the server ---- */

static size_t build_answer(char **ret, size_t body)
{
	char *b = malloc(body + HEAD_ROOM);
	size_t n;

	if (!b)
		return 0;
	n = (size_t)snprintf(b, HEAD_ROOM,
			     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
			     "Content-Length: %zu\r\n\r\n",
			     body);
	memset(b + n, 'x', body);
	*ret = b;
	return n + body;
}

static void drop(struct server *s, int fd)
{
	memset(&s->conns[fd], 0, sizeof(s->conns[fd]));
	close(fd);
}

static void poll_out(struct server *s, int fd, bool on)
{
	struct epoll_event e = {.events = on ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.fd = fd};

	if (s->conns[fd].polled_out != on)
		epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &e);
	s->conns[fd].polled_out = on;
}

/* What is left of an answer. */
static void push(struct server *s, int fd)
{
	struct conn *c = &s->conns[fd];

	while (c->left > 0) {
		ssize_t n = send(fd, c->out, c->left, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			drop(s, fd);
			return;
		}
		c->out += n;
		c->left -= (size_t)n;
	}
	poll_out(s, fd, c->left > 0);
}

/* Small enough for the kernel to take at once. */
static void say(struct server *s, int fd, const char *text, int n)
{
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		drop(s, fd);
}

static void begin_stream(struct server *s, int fd)
{
	char head[HEAD_ROOM];
	int64_t now = now_ns();

	if (s->due_n == s->n_conns) {
		drop(s, fd);
		return;
	}
	s->due[(s->due_first + s->due_n++) % s->n_conns] = fd;
	s->conns[fd].event_at = now + EVENT_MS * 1000000LL;
	say(s, fd, head,
	    snprintf(head, sizeof(head),
		     "HTTP/1.1 200 OK\r\nX-Stamp: %" PRId64
		     "\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
		     now));
}

/* Sends the events that are due; milliseconds to the next one, or -1. */
static int send_events(struct server *s)
{
	while (s->due_n > 0) {
		int fd = s->due[s->due_first];
		int64_t at = s->conns[fd].event_at, now = now_ns();
		char event[64], chunk[96];

		if (at > now)
			return (int)((at - now) / 1000000) + 1;
		s->due_first = (s->due_first + 1) % s->n_conns;
		s->due_n--;
		if (at == 0)
			continue;
		s->conns[fd].event_at = 0;
		snprintf(event, sizeof(event), "data: %" PRId64 "\n\n", now);
		say(s, fd, chunk,
		    snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(event), event));
	}
	return -1;
}

static void answer(struct server *s, int fd)
{
	struct conn *c = &s->conns[fd];

	if (strncmp(c->in, "GET /sse ", 9) == 0) {
		begin_stream(s, fd);
	} else if (strncmp(c->in, "GET /large ", 11) == 0) {
		c->out = s->large;
		c->left = s->large_n;
		push(s, fd);
	} else {
		c->out = s->small;
		c->left = s->small_n;
		push(s, fd);
	}
}

static void take(struct server *s, int fd)
{
	struct conn *c = &s->conns[fd];
	ssize_t n = recv(fd, c->in + c->n_in, sizeof(c->in) - 1 - c->n_in, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(s, fd);
		return;
	}
	c->n_in += (size_t)n;
	c->in[c->n_in] = '\0';
	if (c->n_in < 4 || memcmp(c->in + c->n_in - 4, "\r\n\r\n", 4) != 0)
		return;
	c->n_in = 0; /* nobody sends the next one before the answer */
	answer(s, fd);
}

static void accept_all(struct server *s)
{
	for (;;) {
		struct epoll_event e = {.events = EPOLLIN};
		int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

		if (fd < 0)
			return;
		if ((size_t)fd >= s->n_conns) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		e.data.fd = fd;
		epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
	}
}

static int open_listener(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 4096) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool begin(struct server *s)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = s->listener};

	s->n_conns = raise_files();
	s->conns = calloc(s->n_conns, sizeof(*s->conns));
	s->due = calloc(s->n_conns, sizeof(*s->due));
	s->small_n = build_answer(&s->small, SMALL);
	s->large_n = build_answer(&s->large, LARGE);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	return s->conns && s->due && s->small_n > 0 && s->large_n > 0 && s->epoll >= 0 &&
	       s->listener >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e) == 0;
}

static int serve(int listener)
{
	struct epoll_event events[EVENTS];
	struct server s = {.listener = listener};

	if (!begin(&s)) {
		perror("web: serve");
		return 1;
	}
	for (;;) {
		int n = epoll_wait(s.epoll, events, EVENTS, send_events(&s));

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == s.listener)
				accept_all(&s);
			else if (s.conns[fd].left > 0)
				push(&s, fd);
			else
				take(&s, fd);
		}
	}
}

/* ---- clients ---- */

static const char stream[] = "GET /sse HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char endless[] = "GET / HTTP/1.1\r\nHost: bench\r\nX-Slow: ";

/* A connection that has said that; -1: said why. */
static int ask(uint16_t port, const char *request)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		perror("web: socket");
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
		return fd;
	perror("web: connect");
	close(fd);
	return -1;
}

/* The server's time behind a word, or 0. */
static int64_t stamp(const char *text, const char *word)
{
	const char *at = strstr(text, word), *end;
	char digits[24];
	int64_t ns = 0;

	if (!at)
		return 0;
	at += strlen(word);
	end = at + strspn(at, "0123456789");
	if (*end == '\0' || (size_t)(end - at) >= sizeof(digits))
		return 0; /* not whole yet */
	snprintf(digits, sizeof(digits), "%.*s", (int)(end - at), at);
	return parse_i64(digits, 1, INT64_MAX, &ns, NULL) < 0 ? 0 : ns;
}

/* Reads up to the event: how long the head's first byte and the event were on their way. */
static bool take_event(int fd, int64_t *ret_head, int64_t *ret_event)
{
	char text[2048];
	size_t n = 0;
	int64_t first = 0;

	for (;;) {
		ssize_t k = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		int64_t now = now_ns(), at;

		if (k <= 0)
			return false;
		first = first ? first : now;
		n += (size_t)k;
		text[n] = '\0';
		at = stamp(text, "data: ");
		if (at == 0)
			continue;
		*ret_head = first - stamp(text, "tamp: "); /* of either case */
		*ret_event = now - at;
		return true;
	}
}

static int first(uint16_t port, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t head, event;
		int fd = ask(port, stream);

		if (fd < 0 || !take_event(fd, &head, &event)) {
			fprintf(stderr, "web: stream %" PRId64 " did not come\n", i);
			return 1;
		}
		close(fd);
		printf("%" PRId64 " %" PRId64 "\n", head, event);
	}
	return 0;
}

static int *room_for(int64_t n)
{
	int *fds = raise_files() < (size_t)n + 16 ? NULL : calloc((size_t)n, sizeof(*fds));

	if (!fds)
		fprintf(stderr, "web: %" PRId64 " are more than can be open\n", n);
	return fds;
}

static int hold(uint16_t port, int64_t n)
{
	int *fds = room_for(n);
	int64_t head, event;
	char c;

	if (!fds)
		return 1;
	for (int64_t i = 0; i < n; i++) {
		fds[i] = ask(port, stream);
		if (fds[i] < 0)
			break;
	}
	for (int64_t i = 0; i < n; i++) {
		if (fds[i] > 0 && take_event(fds[i], &head, &event))
			continue;
		fprintf(stderr, "web: stream %" PRId64 " did not come\n", i);
		free(fds);
		return 1;
	}
	puts("open");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	free(fds); /* the kernel cuts them */
	return 0;
}

/* A byte more; who is closed comes again. */
static void say_slowly(uint16_t port, int *fd)
{
	if (*fd >= 0 && send(*fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
		return;
	if (*fd >= 0)
		close(*fd);
	*fd = ask(port, endless);
}

static int slow(uint16_t port, int64_t n)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	int *fds = room_for(n);

	if (!fds)
		return 1;
	for (int64_t i = 0; i < n; i++)
		fds[i] = ask(port, endless);
	puts("open");
	fflush(stdout);
	for (int64_t step = 0; poll(&input, 1, 1000 / SLOW_STEPS) == 0; step++)
		for (int64_t i = step % SLOW_STEPS; i < n; i += SLOW_STEPS)
			say_slowly(port, &fds[i]);
	free(fds);
	return 0;
}

int main(int argc, char **argv)
{
	int64_t port, n = 1;

	if (argc < 3 || argc > 4 || parse_i64(argv[2], 1, 65535, &port, NULL) < 0 ||
	    (argc == 4 && parse_i64(argv[3], 1, 1000000, &n, NULL) < 0)) {
		fprintf(stderr,
			"usage: web serve PORT | web take FD | web first|hold|slow PORT N\n");
		return 2;
	}
	if (strcmp(argv[1], "serve") == 0)
		return serve(open_listener((uint16_t)port));
	if (strcmp(argv[1], "take") == 0)
		return serve((int)port);
	if (strcmp(argv[1], "slow") == 0)
		return slow((uint16_t)port, n);
	return strcmp(argv[1], "first") == 0 ? first((uint16_t)port, n) : hold((uint16_t)port, n);
}
