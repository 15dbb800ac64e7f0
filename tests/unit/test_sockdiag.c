/*
 * test_sockdiag: sockets that are made here, as the kernel's table has them; what it says is held
 * against what really happens to a connection.
 */
/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/controller/sockdiag.h"
#include "daemon/controller/stranger.h"

#define SEEN_MAX 64

struct seen {
	const char *address; /* theirs; others may have that number at another one */
	struct sockdiag_socket list[SEEN_MAX];
	unsigned n;
};

static void add(struct seen *seen, const struct sockdiag_socket *s, const uint8_t *end)
{
	int family = strchr(seen->address, ':') ? AF_INET6 : AF_INET;
	uint8_t wanted[16];

	assert_int_equal(inet_pton(family, seen->address, wanted), 1);
	if (s->family != family || memcmp(end, wanted, family == AF_INET ? 4 : 16) != 0)
		return;
	assert_in_range(seen->n, 0, SEEN_MAX - 1);
	seen->list[seen->n++] = *s;
}

static void see_local(const struct sockdiag_socket *s, void *user)
{
	add(user, s, s->local);
}

static void see_remote(const struct sockdiag_socket *s, void *user)
{
	add(user, s, s->remote);
}

/* Skips where the kernel may not be asked. */
static struct seen look(enum sockdiag_what what, const char *address, uint16_t port)
{
	struct seen seen = {.address = address};
	int r = sockdiag_read(what, port, port, what == SOCKDIAG_LISTENING ? see_local : see_remote,
			      &seen);

	if (r == ENOENT || r == EPERM || r == EACCES || r == EPROTONOSUPPORT) {
		print_message("sock_diag: %s\n", strerror(r));
		skip();
	}
	assert_int_equal(r, 0);
	return seen;
}

static struct seen listening(const char *address, uint16_t port)
{
	return look(SOCKDIAG_LISTENING, address, port);
}

static struct seen connected(uint16_t port)
{
	return look(SOCKDIAG_ESTABLISHED, "127.0.0.1", port);
}

static int make(int family, bool share, bool v6only)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, only = v6only;

	assert_true(fd >= 0);
	if (share)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	if (family == AF_INET6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)), 0);
	return fd;
}

/* At any port where *port is 0, which then is the one. */
static void listen_at(int fd, const char *address, uint16_t *port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(*port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
	bool six = strchr(address, ':');
	const struct sockaddr *a = six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t len = six ? sizeof(v6) : sizeof(v4);

	assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, address,
				   six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr),
			 1);
	assert_int_equal(bind(fd, a, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(
		getsockname(fd, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, &len), 0);
	*port = ntohs(six ? v6.sin6_port : v4.sin_port);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static bool has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static bool tells_cgroups(void)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	assert_int_equal(uname(&u), 0);
	return sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 9));
}

static void test_one(void **state)
{
	int fd = make(AF_INET, false, false), client;
	uint16_t port = 0;
	struct seen seen;

	(void)state;
	listen_at(fd, "127.0.0.1", &port);
	seen = listening("127.0.0.1", port);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.list[0].family, AF_INET);
	assert_int_equal(seen.list[0].local_port, port);
	assert_int_equal(seen.list[0].uid, getuid());
	assert_int_equal(seen.list[0].device, 0);
	assert_true(sockdiag_is_loopback(AF_INET, seen.list[0].local));
	assert_int_equal(stranger_rank(&seen.list[0]), STRANGER_BY_ADDRESS);
	if (!tells_cgroups())
		assert_int_equal(seen.list[0].cgroup, 0);
	/* one that is connected does not listen, and the other way round */
	assert_int_equal(connected(port).n, 0);
	client = connect_to(port);
	seen = connected(port);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.list[0].remote_port, port);
	assert_true(sockdiag_is_loopback(AF_INET, seen.list[0].remote));
	assert_int_equal(listening("127.0.0.1", port).n, 1);
	close(client);
	close(fd);
}

/* The kernel's choice among them is the one that stranger_rank says. */
static void test_rank_is_true(void **state)
{
	static const char *const addresses[] = {
		"0.0.0.0", "127.0.0.1", "::", "::ffff:127.0.0.1", "::1", "127.0.0.2"};
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		bool six = strchr(addresses[i], ':');
		struct sockaddr_in a = {.sin_family = AF_INET};
		uint16_t port = 0;
		struct seen seen;
		int fd, client;

		if (six && !has_ipv6())
			continue;
		fd = make(six ? AF_INET6 : AF_INET, false, false);
		listen_at(fd, addresses[i], &port);
		seen = listening(addresses[i], port);
		assert_int_equal(seen.n, 1);
		a.sin_port = htons(port);
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof(a)) == 0,
				 stranger_rank(&seen.list[0]) != STRANGER_NEVER);
		close(client);
		close(fd);
		n++;
	}
	assert_true(n >= 3);
}

static void test_v6only(void **state)
{
	uint16_t port = 0;
	struct seen seen;
	int fd;

	(void)state;
	if (!has_ipv6())
		skip();
	fd = make(AF_INET6, false, true);
	listen_at(fd, "::", &port);
	seen = listening("::", port);
	assert_int_equal(seen.n, 1);
	assert_true(seen.list[0].v6only);
	assert_int_equal(stranger_rank(&seen.list[0]), STRANGER_NEVER);
	close(fd);
}

/* Who shares a port: all of them are there; and the exact address gets all that is for it. */
static void test_shared(void **state)
{
	int a = make(AF_INET, true, false), b = make(AF_INET, true, false);
	int any = make(AF_INET, true, false);
	uint16_t port = 0;

	(void)state;
	listen_at(a, "127.0.0.1", &port);
	listen_at(b, "127.0.0.1", &port);
	listen_at(any, "0.0.0.0", &port);
	assert_int_equal(listening("127.0.0.1", port).n, 2);
	assert_int_equal(listening("0.0.0.0", port).n, 1);
	for (unsigned i = 0; i < 8; i++)
		close(connect_to(port));
	assert_int_equal(fcntl(any, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(accept4(any, NULL, NULL, SOCK_CLOEXEC), -1);
	assert_int_equal(errno, EAGAIN);
	close(a);
	close(b);
	close(any);
}

/* Bound to the loopback device, where one may do that. */
static void test_device(void **state)
{
	int fd = make(AF_INET, false, false);
	uint16_t port = 0;
	struct seen seen;

	(void)state;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0) {
		close(fd);
		skip();
	}
	listen_at(fd, "0.0.0.0", &port);
	seen = listening("0.0.0.0", port);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.list[0].device, if_nametoindex("lo"));
	assert_int_equal(stranger_rank(&seen.list[0]), STRANGER_BY_ANY);
	close(fd);
}

struct tally {
	const uint16_t *ports;
	unsigned n, found;
	uint16_t low, high;
};

static void tally(const struct sockdiag_socket *s, void *user)
{
	struct tally *t = user;

	assert_in_range(s->local_port, t->low, t->high);
	for (unsigned i = 0; i < t->n; i++)
		t->found += t->ports[i] == s->local_port && stranger_rank(s) == STRANGER_BY_ADDRESS;
}

/* More than fit in one page of the answer; and only those of the range. */
static void test_many(void **state)
{
	enum { MANY = 900 };
	static int fds[MANY];
	static uint16_t ports[MANY];
	struct tally t = {.ports = ports, .n = MANY, .low = UINT16_MAX};

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		fds[i] = make(AF_INET, false, false);
		ports[i] = 0;
		listen_at(fds[i], "127.0.0.1", &ports[i]);
		t.low = ports[i] < t.low ? ports[i] : t.low;
		t.high = ports[i] > t.high ? ports[i] : t.high;
	}
	listening("127.0.0.1", ports[0]); /* or skips */
	assert_int_equal(sockdiag_read(SOCKDIAG_LISTENING, t.low, t.high, tally, &t), 0);
	assert_int_equal(t.found, MANY);
	for (unsigned i = 0; i < MANY; i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),    cmocka_unit_test(test_rank_is_true),
		cmocka_unit_test(test_v6only), cmocka_unit_test(test_shared),
		cmocka_unit_test(test_device), cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
