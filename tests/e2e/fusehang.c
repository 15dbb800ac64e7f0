/*
 * fusehang: mounts a file system that never answers, for tests of what a hung network mount does to
 * a supervisor. No libfuse: INIT is answered by hand, nothing after it.
 *
 *   fusehang DIR unread   requests stay in the queue: whoever waits can still be killed
 *   fusehang DIR read     requests are read and never answered: not even SIGKILL ends the wait
 *   fusehang DIR fail     each request is answered with EIO
 *   fusehang DIR close    DIR has files of any name that are opened and written to. Writing back is
 *                         not answered: the last close of one that has been written to never ends, nor
 *                         by SIGKILL
 *   fusehang DIR store FROM TRIGGER
 *                         DIR is what the directory FROM is; writing fails while there is a file
 *                         TRIGGER (fusestore.h)
 *
 * Prints "mounted" when DIR is ready. When this process dies the kernel aborts the connection:
 * everybody who waits gets ECONNABORTED. Needs root.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/e2e/fusestore.h"

struct init_reply {
	struct fuse_out_header head;
	struct fuse_init_out body;
};

static int answer_init(int fd, bool cached, char *buf, size_t size)
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
	reply.body.flags = cached ? FUSE_WRITEBACK_CACHE : 0;
	return write(fd, &reply, sizeof(reply)) == (ssize_t)sizeof(reply) ? 0 : -1;
}

/* ---- close ---- */

struct any_reply {
	struct fuse_out_header head;
	union {
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
	} body;
};

static struct fuse_attr attr_of(uint64_t node)
{
	return (struct fuse_attr){.ino = node,
				  .mode = node == FUSE_ROOT_ID ? S_IFDIR | 0777 : S_IFREG | 0666,
				  .nlink = 1};
}

/* How much of the body is answered; -1 = nothing at all. */
static int fill(const struct fuse_in_header *in, const char *name, struct any_reply *out)
{
	switch (in->opcode) {
	case FUSE_LOOKUP: /* a file is known by its last character */
		out->body.entry.nodeid = 2 + (unsigned char)name[strlen(name) - 1];
		out->body.entry.attr = attr_of(out->body.entry.nodeid);
		out->body.entry.entry_valid = out->body.entry.attr_valid = 1000;
		return sizeof(out->body.entry);
	case FUSE_GETATTR:
		out->body.attr.attr = attr_of(in->nodeid);
		out->body.attr.attr_valid = 1000;
		return sizeof(out->body.attr);
	case FUSE_OPEN:
		out->body.open.fh = in->nodeid;
		return sizeof(out->body.open);
	case FUSE_WRITE:
	case FUSE_SETATTR:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return -1;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return 0;
	default:
		out->head.error = -ENOSYS;
		return 0;
	}
}

static void answer(int fd, char *buf, size_t size)
{
	struct fuse_in_header in;

	while (read(fd, buf, size) >= (ssize_t)sizeof(in)) {
		struct any_reply out = {0};
		int n;

		memcpy(&in, buf, sizeof(in));
		n = fill(&in, buf + sizeof(in), &out);
		if (n < 0)
			continue;
		out.head.len = (uint32_t)sizeof(out.head) + (uint32_t)n;
		out.head.unique = in.unique;
		if (write(fd, &out, out.head.len) < 0 && errno != ENOENT)
			return;
	}
}

static void fail_all(int fd, char *buf, size_t size)
{
	struct fuse_in_header *in = (struct fuse_in_header *)buf;

	while (read(fd, buf, size) >= (ssize_t)sizeof(*in)) {
		struct fuse_out_header out = {
			.len = sizeof(out), .error = -EIO, .unique = in->unique};

		if (in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET &&
		    in->opcode != FUSE_INTERRUPT && write(fd, &out, sizeof(out)) < 0)
			perror("answer");
	}
}

int main(int argc, char **argv)
{
	static char buf[1 << 17] __attribute__((aligned(8)));
	char options[96];
	int fd;

	if (argc != 3 && (argc != 5 || strcmp(argv[2], "store") != 0))
		return 2;
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror("/dev/fuse");
		return 1;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 fd);
	if (mount("fusehang", argv[1], "fuse.fusehang", MS_NOSUID | MS_NODEV, options) < 0 ||
	    answer_init(fd, strcmp(argv[2], "close") == 0, buf, sizeof(buf)) < 0) {
		perror(argv[1]);
		return 1;
	}
	puts("mounted");
	fflush(stdout);
	if (strcmp(argv[2], "close") == 0)
		answer(fd, buf, sizeof(buf));
	if (argc == 5)
		fusestore(fd, argv[3], argv[4], buf, sizeof(buf));
	if (strcmp(argv[2], "fail") == 0)
		fail_all(fd, buf, sizeof(buf));
	while (strcmp(argv[2], "read") == 0 && read(fd, buf, sizeof(buf)) > 0)
		;
	for (;;)
		pause();
}
