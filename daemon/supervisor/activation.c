/* activation: see activation.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/supervisor/spawn.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define FIRST_FD 3
#define FDS_MAX 64
#define OWN_NAME "aictl.sock" /* we bound it ourselves before a reexec */
#define FOREIGN_NAME "aictld.socket"
#define PORT_NAME ":port"

static bool get_number(const char *name, int64_t max, int64_t *ret)
{
	const char *value = getenv(name);

	return value && parse_i64(value, 0, max, ret, NULL) == 0;
}

/* Number of descriptors that are meant for us. */
static int number_of_fds(void)
{
	int64_t pid, n;

	if (!get_number("LISTEN_PID", INT32_MAX, &pid) || pid != getpid() ||
	    !get_number("LISTEN_FDS", FDS_MAX, &n))
		return 0;
	return (int)n;
}

/* Is it the i-th of "a:b:c"? */
static bool name_is(const char *names, int i, const char *name)
{
	size_t len = strlen(name);

	for (; names && i > 0; i--) {
		names = strchr(names, ':');
		names = names ? names + 1 : NULL;
	}
	return names && strncmp(names, name, len) == 0 && (names[len] == '\0' || names[len] == ':');
}

static int get_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static bool listens(int fd, int domain)
{
	return get_option(fd, SO_DOMAIN) == domain && get_option(fd, SO_TYPE) == SOCK_STREAM &&
	       get_option(fd, SO_ACCEPTCONN) == 1;
}

static int move_up(int fd, int *ret_fd, struct err **reterr)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(reterr, errno, "LISTEN_FDS: descriptor %d", fd);
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
	if (*ret_fd < 0)
		return err_sys(reterr, errno, "LISTEN_FDS: descriptor %d", fd);
	return 0;
}

static int take_port(struct activation *a, int fd, struct err **reterr)
{
	int r;

	if (a->n_ports == ACTIVATION_PORTS_MAX) {
		log_warn("LISTEN_FDS: more than %d ports, ignoring descriptor %d",
			 ACTIVATION_PORTS_MAX, fd);
		return 0;
	}
	r = move_up(fd, &a->ports[a->n_ports], reterr);
	if (r == 0)
		a->n_ports++;
	return r;
}

static int take(struct activation *a, int i, struct err **reterr)
{
	int fd = FIRST_FD + i;

	if (listens(fd, AF_INET) || listens(fd, AF_INET6))
		return take_port(a, fd, reterr);
	if (!listens(fd, AF_UNIX))
		return err_set(reterr, ERR_INVALID,
			       "LISTEN_FDS: descriptor %d is no listening Unix stream socket, and "
			       "no TCP one",
			       fd);
	if (a->api_fd >= 0) {
		log_warn("LISTEN_FDS: only the first Unix socket is used, ignoring descriptor %d",
			 fd);
		return 0;
	}
	a->api_foreign = !name_is(getenv("LISTEN_FDNAMES"), i, OWN_NAME);
	return move_up(fd, &a->api_fd, reterr);
}

static void forget(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int activation_take(struct activation *a, struct err **reterr)
{
	int n = number_of_fds(), r = 0;

	*a = (struct activation){.api_fd = -1};
	for (int i = 0; i < n && r == 0; i++)
		r = take(a, i, reterr);
	forget();
	for (int i = 0; i < n; i++)
		close(FIRST_FD + i);
	return r;
}

static int put(int fd, int at)
{
	return dup3(fd, at, O_CLOEXEC) < 0 || fcntl(at, F_SETFD, 0) < 0 ? -errno : 0;
}

static int set_variables(int n, const char *names)
{
	char pid[16], text[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(text, sizeof(text), "%d", n);
	if (setenv("LISTEN_PID", pid, 1) < 0 || setenv("LISTEN_FDS", text, 1) < 0 ||
	    setenv("LISTEN_FDNAMES", names, 1) < 0)
		return -errno;
	return 0;
}

int activation_export(const struct activation *a)
{
	_cleanup_buf_ struct buf names = {0};
	int r = put(a->api_fd, FIRST_FD);

	buf_str(&names, a->api_foreign ? FOREIGN_NAME : OWN_NAME);
	for (int i = 0; i < a->n_ports && r == 0; i++) {
		r = put(a->ports[i], FIRST_FD + 1 + i);
		buf_str(&names, PORT_NAME);
	}
	if (names.failed)
		return -ENOMEM;
	return r < 0 ? r : set_variables(1 + a->n_ports, buf_cstr(&names));
}

void activation_done(struct activation *a)
{
	while (a->n_ports > 0)
		mem_closep(&a->ports[--a->n_ports]);
}
