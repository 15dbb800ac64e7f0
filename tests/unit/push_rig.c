/* push_rig: see push_rig.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/push_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"

/* Sends text; with barrier a pipe's write end comes along, and we wait for its end. */
int push_rig_say(const char *path, const char *text, size_t len, bool barrier)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (char *)(uintptr_t)text, .iov_len = len};
	struct msghdr msg = {
		.msg_name = &addr, .msg_namelen = sizeof(addr), .msg_iov = &iov, .msg_iovlen = 1};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), ends[2];
	struct pollfd p = {0};
	ssize_t n;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (barrier && pipe2(ends, O_CLOEXEC) == 0) {
		struct cmsghdr *c;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &ends[1], sizeof(int));
		p.fd = ends[0];
	}
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	close(fd);
	if (!barrier)
		return n < 0 ? -errno : 0;
	close(ends[1]);
	if (n < 0 || poll(&p, 1, 10000) != 1 || !(p.revents & POLLHUP))
		return -ETIMEDOUT;
	close(ends[0]);
	return 0;
}

/* As fast as it goes, for two seconds. */
static int flood(const char *path)
{
	char text[64];

	for (int64_t n = 0, end = clock_mono_ms() + 2000; clock_mono_ms() < end; n++) {
		int len = snprintf(text, sizeof(text), "STATUS=%lld", (long long)n);

		push_rig_say(path, text, (size_t)len, false);
	}
	return 0;
}

int push_rig_say_main(int n, char **words)
{
	for (int i = 0; i < n; i++) {
		bool barrier = strcmp(words[i], "BARRIER=1") == 0;

		if (strcmp(words[i], "flood") == 0)
			return flood(getenv("NOTIFY_SOCKET"));

		if (push_rig_say(getenv("NOTIFY_SOCKET"), words[i], strlen(words[i]), barrier) < 0)
			return 1;
	}
	return 0;
}

const char *push_rig_self(void)
{
	static char path[4096];

	if (!path[0])
		assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	return path;
}

void push_rig_spawn(struct rig *r, const struct wire_key *key, struct wire_spawn m,
		    const char *script)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
	char *const paths[] = {(char *)"/bin/sh", NULL};
	char say[4200];
	char *const envp[] = {say, (char *)"PATH=/usr/bin:/bin", (char *)"NOTIFY_SOCKET=/nowhere",
			      (char *)"WATCHDOG_PID=1", NULL};

	snprintf(say, sizeof(say), "SAY=%s say", push_rig_self());
	m.key = *key;
	m.stop_signal = m.stop_signal ? m.stop_signal : SIGTERM;
	m.grace_ms = m.grace_ms ? m.grace_ms : 2000;
	m.logs.max_size = 1 << 20;
	m.logs.max_files = 2;
	m.child = (struct wire_child){
		.cwd = "/", .paths = paths, .argv = argv, .envp = envp, .umask = 022};
	rig_spawn(r, &m);
}

/* What is known of it; all 0 = nothing. */
const struct wire_push *push_rig_levels(struct rig *r, const struct wire_key *k)
{
	static const struct wire_push none;
	const struct rig_slot *s = rig_slot(r, k);

	return s && s->m.has_push && strcmp(s->m.key.incarnation, k->incarnation) == 0 ? &s->m.push
										       : &none;
}

pid_t push_rig_pid(struct rig *r, const struct wire_key *k)
{
	const struct rig_slot *s = rig_slot(r, k);

	return s ? s->m.pid : 0;
}

bool push_rig_has(struct rig *r, const struct wire_key *k, uint8_t flags)
{
	return (push_rig_levels(r, k)->flags & flags) == flags;
}

void push_rig_touch(const struct rig *r, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}
