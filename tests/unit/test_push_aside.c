/*
 * test_push_aside: what services send to their notify sockets with descriptors, and who waits for the
 * closing of those. The services are this program itself.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"
#include "tests/unit/push_rig.h"

/* Sends a connection whose last close waits for a minute, when there is a file go, and makes the file
 * sent. */
static int linger_main(const char *go, const char *sent)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct linger minute = {.l_onoff = 1, .l_linger = 60};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	char much[4096] = "STATUS=lingers";
	struct iovec iov = {.iov_base = much, .iov_len = strlen(much)};
	struct msghdr msg = {.msg_name = &addr, .msg_namelen = sizeof(addr), .msg_iov = &iov};
	socklen_t size = sizeof(to);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct cmsghdr *c;

	if (bind(listener, (struct sockaddr *)&to, size) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&to, &size) < 0 ||
	    connect(out, (struct sockaddr *)&to, size) < 0 ||
	    setsockopt(out, SOL_SOCKET, SO_LINGER, &minute, sizeof(minute)) < 0)
		return 1;
	while (send(out, much, sizeof(much), MSG_DONTWAIT) > 0)
		;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", getenv("NOTIFY_SOCKET"));
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &out, sizeof(int));
	while (access(go, F_OK) < 0)
		poll(NULL, 0, 20);
	for (int i = 0; i < 3; i++)
		if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
			return 1;
	close(out);
	close(open(sent, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (;;)
		pause();
}

/* Sends a descriptor of the file what, twice, when there is a file go, and makes the file sent. */
static int send_main(const char *what, const char *go, const char *sent)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	char text[] = "STATUS=sent";
	struct iovec iov = {.iov_base = text, .iov_len = strlen(text)};
	struct msghdr msg = {.msg_name = &addr,
			     .msg_namelen = sizeof(addr),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (!c)
		return 1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", getenv("NOTIFY_SOCKET"));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	while (access(go, F_OK) < 0)
		poll(NULL, 0, 20);
	for (int i = 0; i < 2; i++) {
		int out = open(what, O_RDWR | O_CLOEXEC), r;

		memcpy(CMSG_DATA(c), &out, sizeof(int));
		r = (int)sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (out < 0 || r < 0)
			return 1;
		close(out);
	}
	close(open(sent, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (;;)
		pause();
}

/* Closing what a service sends along may take long: not for us. */
static void a_lingering_descriptor_hangs_nobody(void **state)
{
	char script[4400], go[96], sent[96];
	struct wire_key k;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(go, sizeof(go), "%s/go%u", r.dir, i);
		snprintf(sent, sizeof(sent), "%s/sent%u", r.dir, i);
		snprintf(script, sizeof(script), "exec %s linger %s %s", push_rig_self(), go, sent);
		k = rig_key(&r, "a", 0);
		push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true}, script);
		rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
		kill(r.pid, SIGSTOP); /* so that it has the last one, not the sender */
		push_rig_touch(&r, i ? "go1" : "go0");
		for (int n = 0; access(sent, F_OK) < 0; n++) {
			assert_true(n < 500);
			poll(NULL, 0, 20);
		}
		kill(r.pid, SIGCONT);
		RIG_UNTIL(&r, strcmp(push_rig_levels(&r, &k)->status, "lingers") == 0);
		rig_stop_key(&r, &k, SIGKILL, 0);
		rig_wait_swept(&r, &k);
	}
	k = rig_key(&r, "a", 0);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true},
		       "$SAY STATUS=next BARRIER=1 READY=1; exec sleep 1000");
	RIG_UNTIL(&r, push_rig_has(&r, &k, WIRE_PUSH_READY));
	rig_clean_stop(&r);
}

static unsigned count_children(pid_t pid)
{
	char path[64], list[8192];
	unsigned n = 0;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = read(fd, list, sizeof(list));
	close(fd);
	for (ssize_t i = 0; i < len; i++)
		n += list[i] == ' ';
	return n;
}

/* From now on no last close of it ends. Who has written does not end before the server either. */
static void write_to(const char *path)
{
	char byte = 0;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	if (fork() == 0) {
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (write(fd, "x", 1) == 1 && write(p[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(p[1]);
	assert_int_equal(read(p[0], &byte, 1), 1);
	close(p[0]);
}

/* One life of a service that sends what cannot be closed. */
static void send_what_hangs(struct rig *r, const char *dir, unsigned i)
{
	char script[4600], go[96], sent[96], what[96], name[16];
	struct wire_key k = rig_key(r, "a", 0);

	snprintf(name, sizeof(name), "go%u", i);
	snprintf(go, sizeof(go), "%s/%s", r->dir, name);
	snprintf(sent, sizeof(sent), "%s/sent%u", r->dir, i);
	snprintf(what, sizeof(what), "%s/%u", dir, i);
	snprintf(script, sizeof(script), "exec %s send %s %s %s", push_rig_self(), what, go, sent);
	push_rig_spawn(r, &k, (struct wire_spawn){.notify = true}, script);
	rig_wait_state(r, &k, WIRE_SLOT_RUNNING);
	kill(r->pid, SIGSTOP); /* so that it has the last one, not the sender */
	push_rig_touch(r, name);
	for (int n = 0; access(sent, F_OK) < 0; n++) {
		assert_true(n < 500);
		poll(NULL, 0, 20);
	}
	write_to(what);
	kill(r->pid, SIGCONT);
	RIG_UNTIL(r, strcmp(push_rig_levels(r, &k)->status, "sent") == 0);
	rig_stop_key(r, &k, SIGKILL, 0);
	rig_wait_swept(r, &k);
}

static bool runs(struct rig *r, const struct wire_key *k)
{
	const struct rig_slot *s = rig_slot(r, k);

	return s && s->m.state == WIRE_SLOT_RUNNING &&
	       strcmp(s->m.key.incarnation, k->incarnation) == 0;
}

/* Not one process more for each restart: a start that would leave more behind is refused, until what
 * hangs ends. */
static void what_cannot_be_closed_is_bounded(void **state)
{
	unsigned before, n = 0;
	pid_t server = 0;
	struct wire_key k;
	struct rig r;
	char dir[64];

	(void)state;
	if (!rig_hang("close", dir, sizeof(dir), &server))
		skip();
	rig_start(&r, NULL);
	before = count_children(r.pid);
	for (bool refused = false; !refused; n++) {
		assert_true(n < 6);
		send_what_hangs(&r, dir, n);
		k = rig_key(&r, "a", 0);
		push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true}, "exec sleep 1000");
		RIG_UNTIL(&r, rig_exit(&r, &k) || runs(&r, &k));
		refused = rig_exit(&r, &k);
		if (!refused) {
			rig_stop_key(&r, &k, SIGKILL, 0);
			rig_wait_swept(&r, &k);
		}
	}
	assert_true(n > 1);
	assert_int_equal(rig_exit(&r, &k)->what, WIRE_WHAT_NOTIFY);
	assert_int_equal(rig_exit(&r, &k)->err, EBUSY);
	assert_in_range(count_children(r.pid) - before, 2, 6);
	rig_unhang(dir, server);
	RIG_UNTIL(&r, count_children(r.pid) <= before);
	k = rig_key(&r, "a", 0);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true},
		       "$SAY STATUS=next BARRIER=1 READY=1; exec sleep 1000");
	RIG_UNTIL(&r, push_rig_has(&r, &k, WIRE_PUSH_READY));
	rig_clean_stop(&r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lingering_descriptor_hangs_nobody),
		cmocka_unit_test(what_cannot_be_closed_is_bounded),
	};

	if (argc > 1 && strcmp(argv[1], "say") == 0)
		return push_rig_say_main(argc - 2, argv + 2);
	if (argc == 4 && strcmp(argv[1], "linger") == 0)
		return linger_main(argv[2], argv[3]);
	if (argc == 5 && strcmp(argv[1], "send") == 0)
		return send_main(argv[2], argv[3], argv[4]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
