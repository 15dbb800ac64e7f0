/* store: see store.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/compress.h"
#include "daemon/logger/keep.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/logidx.h"
#include "lib/mem.h"

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int store_init(struct store *st, const char *path)
{
	*st = (struct store){.path = path, .dir_fd = -1, .scratch = {-1, -1}};
	st->checked_mono_ms = INT64_MIN / 2;
	st->due_wall_ms = clock_wall_ms() + KEEP_RECALL_MS;
	st->compress = compress_new(st);
	st->bounce = mem_alloc(STORE_BOUNCE);
	if (!st->bounce)
		return -ENOMEM;
	return pipe2(st->scratch, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
}

bool store_is_usable(const struct store *st)
{
	return st->bounce && st->scratch[0] >= 0;
}

void store_done(struct store *st)
{
	st->compress = compress_free(st->compress);
	keep_done(st);
	if (st->recall)
		closedir(st->recall);
	st->recall = NULL;
	mem_closep(&st->dir_fd);
	mem_closep(&st->scratch[0]);
	mem_closep(&st->scratch[1]);
	mem_free(st->bounce);
	st->bounce = NULL;
}

int store_open(struct store *st)
{
	if (st->dir_fd < 0)
		st->dir_fd = open(st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return st->dir_fd < 0 ? -errno : 0;
}

int store_open_dir(int at, const char *name, bool create)
{
	int fd = openat(at, name, OPEN_DIR);

	if (fd < 0 && errno == ENOENT && create) {
		/* setgid comes from the parent */
		if (mkdirat(at, name, 0750) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(at, name, OPEN_DIR);
	}
	return fd < 0 ? -errno : fd;
}

int store_open_service(struct store *st, const char *service, bool create)
{
	int r = store_open(st);

	return r < 0 ? r : store_open_dir(st->dir_fd, st->only ? "." : service, create);
}

static int open_replica(struct store *st, const char *service, uint32_t index, bool create)
{
	_cleanup_close_ int service_fd = -1;
	char name[16];

	snprintf(name, sizeof(name), "%u", index);
	service_fd = store_open_service(st, service, create);
	return service_fd < 0 ? service_fd : store_open_dir(service_fd, name, create);
}

int store_open_replica(struct store *st, const char *service, uint32_t index, bool create,
		       int *ret_fd)
{
	int fd = open_replica(st, service, index, create);

	if (fd == -ENOENT && create) { /* the log directory itself was removed and made again */
		mem_closep(&st->dir_fd);
		fd = open_replica(st, service, index, create);
	}
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

int store_newest(int dir_fd, const char *incarnation, uint32_t *seq, bool *compressed)
{
	_cleanup_free_ struct logidx_segment *v = NULL;
	size_t n;

	*seq = 0;
	*compressed = false;
	if (logidx_scan(dir_fd, false, &v, &n, NULL) < 0)
		return -EIO;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].incarnation, incarnation) != 0)
			continue;
		*seq = v[i].seq;
		*compressed = v[i].has_zst;
	}
	return 0;
}

bool store_is_in_use(const struct store *st, const char *incarnation, uint32_t seq)
{
	return st->in_use && st->in_use(st->user, incarnation, seq);
}

static DIR *open_list(int fd)
{
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

DIR *store_list(struct store *st)
{
	return store_open(st) < 0 ? NULL : open_list(store_open_dir(st->dir_fd, ".", false));
}

DIR *store_list_service(struct store *st, const char *service)
{
	if (st->is_elsewhere && st->is_elsewhere(st->user, service))
		return NULL;
	return open_list(store_open_service(st, service, false));
}
