/*
 * fake_helper: stands in for aictl-controller and aictl-logger in the tests of aictld. It hands its
 * end of aictld's socket (descriptor 3) to the test, which then speaks the wire itself, and lives
 * until the test closes the connection or kills it.
 *
 * The test listens at $AICTL_FAKE_SOCKET; the packet is "NAME PID" with the descriptor.
 */
/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *path = getenv("AICTL_FAKE_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char text[128], junk[16];
	struct iovec iov = {.iov_base = text};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control.space)};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), passed = 3;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (argc < 1 || !path || sock < 0 || strlen(path) >= sizeof(addr.sun_path))
		return 2;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return 3;
	iov.iov_len = (size_t)snprintf(text, sizeof(text), "%s %d", argv[0], (int)getpid());
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed, sizeof(passed));
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		return 4;
	close(passed);
	return read(sock, junk, sizeof(junk)) < 0 ? 5 : 0;
}
