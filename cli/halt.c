/* halt: see halt.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/halt.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/report.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/sock.h"

int halt_pidfd(int pid)
{
	return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1; /* always CLOEXEC */
}

/*
 * The pid that the daemon gives, when it is one of our pid namespace: then the kernel says the same
 * of the socket's maker. A socket that systemd made (its maker is init) is connectable whether
 * aictld lives or not.
 */
static int daemon_pidfd(struct client *client)
{
	_cleanup_close_ int fd = -1;
	_cleanup_reply_ struct reply d = {0};
	struct sock_peer peer;
	int pid;

	if (sock_connect(client_socket(client), 1000, &fd, NULL) < 0 || sock_peer(fd, &peer) < 0)
		return -1;
	client_get(client, "/v1/daemon", &d);
	pid = (int)js_int(d.json, "pid", 0);
	return peer.pid == pid || peer.pid == 1 ? halt_pidfd(pid) : -1;
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
