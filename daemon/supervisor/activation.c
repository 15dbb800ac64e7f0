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
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define FIRST_FD 3
#define FDS_MAX 64
#define OWN_NAME "aictl.sock" /* we bound it ourselves before a reexec */
#define FOREIGN_NAME "aictld.socket"

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

static bool first_name_is(const char *names, const char *name)
{
	size_t len = strlen(name);

	return names && strncmp(names, name, len) == 0 && (names[len] == '\0' || names[len] == ':');
}

static int get_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static int move_up(int fd, int *ret_fd, struct err **reterr)
{
	int flags;

	if (get_option(fd, SO_DOMAIN) != AF_UNIX || get_option(fd, SO_TYPE) != SOCK_STREAM ||
	    get_option(fd, SO_ACCEPTCONN) != 1)
		return err_set(reterr, ERR_INVALID,
			       "LISTEN_FDS: descriptor %d is no listening Unix stream socket", fd);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(reterr, errno, "LISTEN_FDS: descriptor %d", fd);
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
	if (*ret_fd < 0)
		return err_sys(reterr, errno, "LISTEN_FDS: descriptor %d", fd);
	return 0;
}

static void forget(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int activation_take(int *ret_fd, bool *ret_foreign, struct err **reterr)
{
	int n = number_of_fds(), r = 0;

	*ret_fd = -1;
	*ret_foreign = n > 0 && !first_name_is(getenv("LISTEN_FDNAMES"), OWN_NAME);
	forget();
	if (n > 0)
		r = move_up(FIRST_FD, ret_fd, reterr);
	if (n > 1)
		log_warn("LISTEN_FDS=%d: only the first is used, ignoring", n);
	for (int i = 0; i < n; i++)
		close(FIRST_FD + i);
	return r;
}

int activation_export(int fd, bool foreign)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (dup3(fd, FIRST_FD, O_CLOEXEC) < 0 || fcntl(FIRST_FD, F_SETFD, 0) < 0 ||
	    setenv("LISTEN_PID", pid, 1) < 0 || setenv("LISTEN_FDS", "1", 1) < 0 ||
	    setenv("LISTEN_FDNAMES", foreign ? FOREIGN_NAME : OWN_NAME, 1) < 0)
		return -errno;
	return 0;
}
