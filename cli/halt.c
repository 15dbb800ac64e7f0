/* halt: see halt.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/halt.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/sock.h"

int halt_pidfd(int pid)
{
	return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1; /* always CLOEXEC */
}

static int parent_of(int pid)
{
	_cleanup_free_ char *path = x_printf("/proc/%d/status", pid);
	_cleanup_free_ char *text = NULL;
	int64_t parent = 0;
	char *at, *end;
	size_t len;

	if (fs_read_file(path, 16 << 10, &text, &len, NULL) < 0)
		return 0;
	at = strstr(text, "\nPPid:\t");
	if (!at)
		return 0;
	at += strlen("\nPPid:\t");
	end = strchrnul(at, '\n');
	*end = '\0';
	parse_i64(at, 0, INT32_MAX, &parent, NULL);
	return (int)parent;
}

/* The maker of the socket: aictld, or the service manager that is its parent. 0 = hidden. */
static int maker(const struct client *client)
{
	_cleanup_close_ int fd = -1;
	struct sock_peer peer;

	if (sock_connect(client_socket(client), 1000, &fd, NULL) < 0 || sock_peer(fd, &peer) < 0)
		return 0;
	return peer.pid;
}

bool halt_is_activated(const struct client *client, int pid)
{
	int made_by = maker(client);

	return pid > 0 && made_by > 0 && made_by == parent_of(pid);
}

/*
 * The pid that the daemon gives, when it means the same in our pid namespace: then the kernel says
 * that this process, or its parent, made the socket. One that a service manager made can be
 * connected to whether aictld lives or not.
 */
static int daemon_pidfd(struct client *client)
{
	_cleanup_reply_ struct reply d = {0};
	int made_by = maker(client), pid;

	if (made_by <= 0)
		return -1;
	client_get(client, "/v1/daemon", &d);
	pid = (int)js_int(d.json, "pid", 0);
	return pid > 0 && (made_by == pid || made_by == parent_of(pid)) ? halt_pidfd(pid) : -1;
}

/* Where the pid is hidden (another pid namespace): until nobody listens any more. */
static bool gone(const struct client *client, int pidfd, int64_t wait_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int fd = -1;

	if (pidfd >= 0)
		return poll(&p, 1, (int)wait_ms) > 0;
	if (sock_connect(client_socket(client), 1000, &fd, NULL) < 0)
		return true;
	close(fd);
	poll(NULL, 0, wait_ms < 100 ? (int)wait_ms : 100);
	return false;
}

int halt_wait(struct client *client, const char *path, int64_t timeout_ms)
{
	int64_t deadline = clock_add(clock_mono_ms(), timeout_ms), left;
	_cleanup_close_ int pidfd = daemon_pidfd(client);
	_cleanup_reply_ struct reply r = {0};

	client_post(client, path, NULL, &r);
	if (timeout_ms == 0)
		return CODE_OK;
	intr_change();
	while ((left = deadline - clock_mono_ms()) > 0) {
		if (gone(client, pidfd, left < 1000 ? left : 1000))
			return CODE_OK;
	}
	return CODE_TIMEOUT;
}

int halt_daemon(struct client *client, int64_t timeout_ms)
{
	int code = halt_wait(client, "/v1/daemon/stop", timeout_ms);

	if (code == CODE_TIMEOUT)
		report_plain("timed out: the daemon is still stopping its services");
	return code;
}
