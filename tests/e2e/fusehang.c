/*
 * fusehang: mounts a file system that never answers, for tests of what a hung network mount does to
 * a supervisor. No libfuse: INIT is answered by hand, nothing after it.
 *
 *   fusehang DIR unread   requests stay in the queue: whoever waits can still be killed
 *   fusehang DIR read     requests are read and never answered: not even SIGKILL ends the wait
 *
 * Prints "mounted" when DIR is ready. When this process dies the kernel aborts the connection:
 * everybody who waits gets ECONNABORTED. Needs root.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

struct init_reply {
	struct fuse_out_header head;
	struct fuse_init_out body;
};

static int answer_init(int fd, char *buf, size_t size)
{
	struct fuse_in_header head;
	struct fuse_init_in in;
	struct init_reply reply = {0};

	if (read(fd, buf, size) < (ssize_t)(sizeof(head) + sizeof(in)))
		return -1;
	memcpy(&head, buf, sizeof(head));
	memcpy(&in, buf + sizeof(head), sizeof(in));
	reply.head.len = sizeof(reply);
	reply.head.unique = head.unique;
	reply.body.major = FUSE_KERNEL_VERSION;
	reply.body.minor =
		in.minor < FUSE_KERNEL_MINOR_VERSION ? in.minor : FUSE_KERNEL_MINOR_VERSION;
	reply.body.max_write = 4096;
	return write(fd, &reply, sizeof(reply)) == (ssize_t)sizeof(reply) ? 0 : -1;
}

int main(int argc, char **argv)
{
	static char buf[1 << 17];
	char options[96];
	int fd;

	if (argc != 3)
		return 2;
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror("/dev/fuse");
		return 1;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 fd);
	if (mount("fusehang", argv[1], "fuse.fusehang", MS_NOSUID | MS_NODEV, options) < 0 ||
	    answer_init(fd, buf, sizeof(buf)) < 0) {
		perror(argv[1]);
		return 1;
	}
	puts("mounted");
	fflush(stdout);
	while (strcmp(argv[2], "read") == 0 && read(fd, buf, sizeof(buf)) > 0)
		;
	for (;;)
		pause();
}
