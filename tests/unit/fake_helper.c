/*
 * fake_helper: stands in for aictl-controller and aictl-logger in the tests of aictld. It hands its
 * end of aictld's socket (descriptor 3) to the test, which then speaks the wire itself, and lives
 * until the test closes the connection or kills it.
 *
 * The test listens at $AICTL_FAKE_SOCKET; the packet is "NAME PID" with the descriptor. A path that
 * the test sends is connected to in our name, and the socket goes back the same way.
 */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int send_fd(int sock, const char *text, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -1 : fd;
}

int main(int argc, char **argv)
{
	const char *path = getenv("AICTL_FAKE_SOCKET");
	char text[256];
	ssize_t n;
	int sock;

	if (argc < 1 || !path)
		return 2;
	sock = connect_to(path);
	if (sock < 0)
		return 3;
	snprintf(text, sizeof(text), "%s %d", argv[0], (int)getpid());
	if (send_fd(sock, text, 3) < 0)
		return 4;
	close(3);
	while ((n = read(sock, text, sizeof(text) - 1)) > 0) {
		int fd;

		text[n] = '\0';
		fd = connect_to(text);
		if (send_fd(sock, fd < 0 ? "no" : "yes", fd < 0 ? sock : fd) < 0)
			return 6;
		close(fd);
	}
	return n < 0 ? 5 : 0;
}
