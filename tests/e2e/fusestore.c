/* fusestore: see fusestore.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/e2e/fusestore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define NODES_MAX 65536
#define DATA_MAX (1 << 17)

/* What the kernel knows is never forgotten: an open file keeps its number. */
struct node {
	int fd; /* O_PATH */
	int io; /* or -1 */
	dev_t dev;
	ino_t ino;
};

struct reply {
	struct fuse_out_header head;
	union {
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		struct fuse_write_out write;
		struct fuse_statfs_out statfs;
		struct {
			struct fuse_entry_out entry;
			struct fuse_open_out open;
		} made;
		char data[DATA_MAX];
	} body;
};

static struct node nodes[NODES_MAX]; /* number FUSE_ROOT_ID is the first */
static size_t n_nodes;
static struct reply out;

static struct node *node_of(uint64_t id)
{
	return &nodes[id - FUSE_ROOT_ID];
}

static const char *link_of(uint64_t id, char *buf, size_t size)
{
	snprintf(buf, size, "/proc/self/fd/%d", node_of(id)->fd);
	return buf;
}

static int io_of(uint64_t id)
{
	struct node *n = node_of(id);
	char path[32];

	if (n->io < 0)
		n->io = open(link_of(id, path, sizeof(path)), O_RDWR | O_CLOEXEC);
	return n->io;
}

static struct fuse_attr attr_of(uint64_t id, const struct stat *st)
{
	return (struct fuse_attr){.ino = id,
				  .size = (uint64_t)st->st_size,
				  .blocks = (uint64_t)st->st_blocks,
				  .atime = (uint64_t)st->st_atim.tv_sec,
				  .mtime = (uint64_t)st->st_mtim.tv_sec,
				  .ctime = (uint64_t)st->st_ctim.tv_sec,
				  .atimensec = (uint32_t)st->st_atim.tv_nsec,
				  .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
				  .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
				  .mode = st->st_mode,
				  .nlink = (uint32_t)st->st_nlink,
				  .uid = st->st_uid,
				  .gid = st->st_gid,
				  .blksize = 4096};
}

/* Owns fd. 0 = it cannot be known. */
static uint64_t know(int fd, const struct stat *st)
{
	size_t i = 0;

	while (i < n_nodes && (nodes[i].ino != st->st_ino || nodes[i].dev != st->st_dev))
		i++;
	if (i < n_nodes) {
		close(fd);
	} else if (n_nodes == NODES_MAX) {
		close(fd);
		return 0;
	} else {
		nodes[n_nodes++] =
			(struct node){.fd = fd, .io = -1, .dev = st->st_dev, .ino = st->st_ino};
	}
	return i + FUSE_ROOT_ID;
}

/* Each of these: the size of the body, or -errno. */
static int look_up(uint64_t parent, const char *name)
{
	int fd = openat(node_of(parent)->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct fuse_entry_out *e = &out.body.made.entry;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*e = (struct fuse_entry_out){.nodeid = know(fd, &st)};
	e->attr = attr_of(e->nodeid, &st);
	return e->nodeid ? (int)sizeof(*e) : -ENOMEM;
}

static int get_attr(uint64_t id)
{
	struct stat st;

	if (fstat(node_of(id)->fd, &st) < 0)
		return -errno;
	out.body.attr = (struct fuse_attr_out){.attr = attr_of(id, &st)};
	return sizeof(out.body.attr);
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now, uint64_t s, uint32_t ns)
{
	return (struct timespec){.tv_sec = (time_t)s,
				 .tv_nsec = valid & now	  ? UTIME_NOW
					    : valid & set ? (long)ns
							  : UTIME_OMIT};
}

static int set_attr(uint64_t id, const struct fuse_setattr_in *in)
{
	const struct timespec times[2] = {
		time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
		time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec)};
	char path[32];

	link_of(id, path, sizeof(path));
	if ((in->valid & FATTR_SIZE && ftruncate(io_of(id), (off_t)in->size) < 0) ||
	    (in->valid & FATTR_MODE && chmod(path, in->mode & 07777) < 0) ||
	    (in->valid & (FATTR_UID | FATTR_GID) &&
	     chown(path, in->valid & FATTR_UID ? in->uid : (uid_t)-1,
		   in->valid & FATTR_GID ? in->gid : (gid_t)-1) < 0) ||
	    utimensat(AT_FDCWD, path, times, 0) < 0)
		return -errno;
	return get_attr(id);
}

static int make_dir(const struct fuse_in_header *h, const struct fuse_mkdir_in *in)
{
	const char *name = (const char *)(in + 1);
	int dir = node_of(h->nodeid)->fd;

	if (mkdirat(dir, name, in->mode & ~in->umask & 07777) < 0 ||
	    fchownat(dir, name, h->uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return look_up(h->nodeid, name);
}

static int create(const struct fuse_in_header *h, const struct fuse_create_in *in)
{
	const char *name = (const char *)(in + 1);
	int fd, r;

	fd = openat(node_of(h->nodeid)->fd, name,
		    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC |
			    (int)(in->flags & (O_EXCL | O_TRUNC)),
		    in->mode & ~in->umask & 07777);
	if (fd < 0)
		return -errno;
	r = fchown(fd, h->uid, (gid_t)-1) < 0 ? -errno : look_up(h->nodeid, name);
	close(fd);
	if (r < 0)
		return r;
	out.body.made.open = (struct fuse_open_out){0};
	return sizeof(out.body.made);
}

static int read_some(uint64_t id, const struct fuse_read_in *in)
{
	ssize_t n = pread(io_of(id), out.body.data, in->size < DATA_MAX ? in->size : DATA_MAX,
			  (off_t)in->offset);

	return n < 0 ? -errno : (int)n;
}

/* Until the trigger says something else, or is gone. */
static void hang(const char *trigger)
{
	const struct timespec nap = {.tv_nsec = 10000000};
	char word[8];
	bool hangs;
	FILE *f;

	do {
		f = fopen(trigger, "re");
		hangs = f && fscanf(f, "%7s", word) == 1 && strcmp(word, "hang") == 0;
		if (f)
			fclose(f);
		if (hangs)
			nanosleep(&nap, NULL);
	} while (hangs);
}

static int write_some(uint64_t id, const struct fuse_write_in *in, const char *trigger)
{
	size_t n = in->size, stored = 0;
	int error = 0;
	FILE *f;

	hang(trigger);
	f = fopen(trigger, "re");
	if (f) {
		if (fscanf(f, "%d %zu", &error, &stored) == 2 && error > 0 && stored < n)
			n = stored;
		fclose(f);
	}
	if (n > 0 && pwrite(io_of(id), in + 1, n, (off_t)in->offset) != (ssize_t)n)
		return -errno;
	if (error > 0)
		return -error;
	out.body.write = (struct fuse_write_out){.size = (uint32_t)n};
	return sizeof(out.body.write);
}

/* The offset of an entry is its number. */
static int list(uint64_t id, const struct fuse_read_in *in)
{
	int fd = openat(node_of(id)->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	size_t len = 0;

	if (!d)
		return -errno;
	for (uint64_t i = 0; (e = readdir(d)); i++) {
		struct fuse_dirent *to = (struct fuse_dirent *)(out.body.data + len);
		size_t name = strlen(e->d_name),
		       size = FUSE_DIRENT_ALIGN(offsetof(struct fuse_dirent, name) + name);

		if (i < in->offset)
			continue;
		if (len + size > in->size || len + size > DATA_MAX)
			break;
		memset(to, 0, size);
		*to = (struct fuse_dirent){.ino = e->d_ino,
					   .off = i + 1,
					   .namelen = (uint32_t)name,
					   .type = e->d_type};
		memcpy(to->name, e->d_name, name);
		len += size;
	}
	closedir(d);
	return (int)len;
}

static int rename_to(uint64_t parent, uint64_t new_parent, const char *name)
{
	return renameat(node_of(parent)->fd, name, node_of(new_parent)->fd,
			name + strlen(name) + 1) < 0
		       ? -errno
		       : 0;
}

static int stat_fs(void)
{
	struct statvfs v;

	if (fstatvfs(nodes[0].fd, &v) < 0)
		return -errno;
	out.body.statfs = (struct fuse_statfs_out){.st = {.blocks = v.f_blocks,
							  .bfree = v.f_bfree,
							  .bavail = v.f_bavail,
							  .files = v.f_files,
							  .ffree = v.f_ffree,
							  .bsize = (uint32_t)v.f_bsize,
							  .namelen = (uint32_t)v.f_namemax,
							  .frsize = (uint32_t)v.f_frsize}};
	return sizeof(out.body.statfs);
}

static int fill(const struct fuse_in_header *h, const void *in, const char *trigger)
{
	switch (h->opcode) {
	case FUSE_LOOKUP:
		return look_up(h->nodeid, in);
	case FUSE_GETATTR:
		return get_attr(h->nodeid);
	case FUSE_SETATTR:
		return set_attr(h->nodeid, in);
	case FUSE_MKDIR:
		return make_dir(h, in);
	case FUSE_CREATE:
		return create(h, in);
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		out.body.open = (struct fuse_open_out){0};
		return sizeof(out.body.open);
	case FUSE_READ:
		return read_some(h->nodeid, in);
	case FUSE_WRITE:
		return write_some(h->nodeid, in, trigger);
	case FUSE_READDIR:
		return list(h->nodeid, in);
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		return unlinkat(node_of(h->nodeid)->fd, in,
				h->opcode == FUSE_RMDIR ? AT_REMOVEDIR : 0) < 0
			       ? -errno
			       : 0;
	case FUSE_RENAME:
		return rename_to(h->nodeid, ((const struct fuse_rename_in *)in)->newdir,
				 (const char *)in + sizeof(struct fuse_rename_in));
	case FUSE_RENAME2:
		return rename_to(h->nodeid, ((const struct fuse_rename2_in *)in)->newdir,
				 (const char *)in + sizeof(struct fuse_rename2_in));
	case FUSE_STATFS:
		return stat_fs();
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		return 0;
	default:
		return -ENOSYS;
	}
}

static void answer(int fd, const struct fuse_in_header *h, const char *trigger)
{
	int n;

	if (h->opcode == FUSE_FORGET || h->opcode == FUSE_BATCH_FORGET ||
	    h->opcode == FUSE_INTERRUPT)
		return;
	n = fill(h, h + 1, trigger);
	out.head = (struct fuse_out_header){.len = (uint32_t)sizeof(out.head) +
						   (n > 0 ? (uint32_t)n : 0),
					    .error = n < 0 ? n : 0,
					    .unique = h->unique};
	if (write(fd, &out, out.head.len) < 0 && errno != ENOENT)
		perror("answer");
}

void fusestore(int fd, const char *dir, const char *trigger, char *buf, size_t size)
{
	const struct rlimit files = {NODES_MAX, NODES_MAX};
	struct stat st;
	int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	setrlimit(RLIMIT_NOFILE, &files);
	if (root < 0 || fstat(root, &st) < 0 || know(root, &st) != FUSE_ROOT_ID) {
		perror(dir);
		return;
	}
	for (;;) {
		ssize_t n = read(fd, buf, size);

		if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			return;
		answer(fd, (const struct fuse_in_header *)buf, trigger);
	}
}
