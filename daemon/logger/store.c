/* store: see store.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/logidx.h"
#include "lib/mem.h"

#define FLOOR_MAX (UINT64_C(256) << 20)
#define CHECK_EVERY_MS 1000
#define CHECK_EVERY_BYTES (UINT64_C(32) << 20)
#define FILES_MIN 64	 /* max_files below this does not limit the number, only the sum */
#define FLOOR_DELETES 32 /* segments deleted at once for the floor */
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int store_init(struct store *st, const char *path)
{
	*st = (struct store){.path = path, .dir_fd = -1, .scratch = {-1, -1}};
	st->checked_mono_ms = INT64_MIN / 2;
	st->bounce = mem_alloc(STORE_BOUNCE);
	if (!st->bounce)
		return -ENOMEM;
	if (pipe2(st->scratch, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	st->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return st->dir_fd < 0 ? -errno : 0;
}

bool store_is_usable(const struct store *st)
{
	return st->bounce && st->scratch[0] >= 0;
}

void store_done(struct store *st)
{
	mem_closep(&st->dir_fd);
	mem_closep(&st->scratch[0]);
	mem_closep(&st->scratch[1]);
	mem_free(st->bounce);
	st->bounce = NULL;
}

static int open_dir(int at, const char *name, bool create)
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

static int open_replica(struct store *st, const char *service, uint32_t index, bool create)
{
	_cleanup_close_ int service_fd = -1;
	char name[16];

	if (st->dir_fd < 0)
		st->dir_fd = open(st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (st->dir_fd < 0)
		return -errno;
	service_fd = open_dir(st->dir_fd, service, create);
	if (service_fd < 0)
		return service_fd;
	snprintf(name, sizeof(name), "%u", index);
	return open_dir(service_fd, name, create);
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

int store_newest(int dir_fd, const char *incarnation, uint32_t *seq)
{
	_cleanup_free_ struct logidx_segment *v = NULL;
	size_t n;

	*seq = 0;
	if (logidx_scan(dir_fd, false, &v, &n, NULL) < 0)
		return -EIO;
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].incarnation, incarnation) == 0)
			*seq = v[i].seq;
	return 0;
}

/* The bytes first: an index alone is small and the next prune finds it. */
static int delete_segment(int dir_fd, const struct logidx_segment *s)
{
	static const enum logidx_kind kinds[] = {LOGIDX_LOG, LOGIDX_IDX};
	char name[LOGIDX_NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		logidx_name(name, s->incarnation, s->seq, kinds[i]);
		if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static bool is_in_use(const struct store *st, const struct logidx_segment *s)
{
	return st->in_use && st->in_use(st->user, s->incarnation, s->seq);
}

int store_prune(struct store *st, int dir_fd, const struct store_limits *l, uint64_t *others)
{
	_cleanup_free_ struct logidx_segment *v = NULL;
	uint64_t limit = l->max_size * l->max_files, sum = 0;
	size_t n, left, files = l->max_files > FILES_MIN ? l->max_files : FILES_MIN;

	*others = 0;
	if (logidx_scan(dir_fd, true, &v, &n, NULL) < 0)
		return -EIO;
	for (size_t i = 0; i < n; i++)
		if (v[i].seq != l->seq || strcmp(v[i].incarnation, l->incarnation) != 0)
			sum += v[i].bytes;
	left = n;
	for (size_t i = 0; i < n && (sum + l->size > limit || left > files); i++) {
		if (is_in_use(st, &v[i]) ||
		    (v[i].seq == l->seq && strcmp(v[i].incarnation, l->incarnation) == 0))
			continue;
		if (delete_segment(dir_fd, &v[i]) < 0)
			continue;
		sum -= v[i].bytes;
		left--;
	}
	*others = sum;
	return 0;
}

/* ---- the floor ---- */

struct largest {
	char service[NAME_MAX + 1], index[NAME_MAX + 1];
	uint64_t bytes; /* that may be deleted */
	struct logidx_segment oldest;
};

static void look_at_replica(struct store *st, int service_fd, const char *service,
			    const char *index, struct largest *best)
{
	_cleanup_close_ int fd = openat(service_fd, index, OPEN_DIR);
	_cleanup_free_ struct logidx_segment *v = NULL;
	const struct logidx_segment *oldest = NULL;
	uint64_t bytes = 0;
	size_t n;

	if (fd < 0 || logidx_scan(fd, true, &v, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (is_in_use(st, &v[i]))
			continue;
		bytes += v[i].bytes;
		if (!oldest)
			oldest = &v[i];
	}
	if (!oldest || bytes <= best->bytes)
		return;
	best->bytes = bytes;
	best->oldest = *oldest;
	snprintf(best->service, sizeof(best->service), "%s", service);
	snprintf(best->index, sizeof(best->index), "%s", index);
}

static DIR *open_list(int at, const char *name)
{
	int fd = openat(at, name, OPEN_DIR);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

static void look_at_service(struct store *st, const char *service, struct largest *best)
{
	DIR *d = open_list(st->dir_fd, service);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			look_at_replica(st, dirfd(d), service, e->d_name, best);
	if (d)
		closedir(d);
}

/* Deletes the oldest segment of the replica with the largest total. False when there is none. */
static bool delete_one(struct store *st)
{
	struct largest best = {.bytes = 0};
	_cleanup_close_ int service_fd = -1;
	_cleanup_close_ int fd = -1;
	DIR *d = open_list(st->dir_fd, ".");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			look_at_service(st, e->d_name, &best);
	if (d)
		closedir(d);
	if (best.bytes == 0)
		return false;
	service_fd = openat(st->dir_fd, best.service, OPEN_DIR);
	fd = service_fd < 0 ? -1 : openat(service_fd, best.index, OPEN_DIR);
	if (fd < 0 || delete_segment(fd, &best.oldest) < 0)
		return false;
	log_warn("service=%s/%s incarnation=%s seq=%u reason=disk_space old log segment deleted",
		 best.service, best.index, best.oldest.incarnation, best.oldest.seq);
	return true;
}

static bool is_below(const struct store *st)
{
	struct statvfs s;
	uint64_t unit, floor;

	if (fstatvfs(st->dir_fd, &s) < 0)
		return false; /* what goes wrong shows when writing */
	unit = s.f_frsize ? s.f_frsize : s.f_bsize;
	floor = s.f_blocks / 20 * unit;
	if (floor > FLOOR_MAX)
		floor = FLOOR_MAX;
	if (st->floor_test)
		floor = st->floor_test;
	return s.f_blocks > 0 && s.f_bavail * unit < floor;
}

int store_check_floor(struct store *st, uint64_t n)
{
	int64_t now = clock_mono_ms();

	st->since_check += n;
	if (st->dir_fd < 0 ||
	    (now - st->checked_mono_ms < CHECK_EVERY_MS && st->since_check < CHECK_EVERY_BYTES))
		return st->below ? -ENOSPC : 0;
	st->checked_mono_ms = now;
	st->since_check = 0;
	st->below = is_below(st);
	for (int i = 0; i < FLOOR_DELETES && st->below; i++) {
		if (!delete_one(st))
			break;
		st->below = is_below(st);
	}
	return st->below ? -ENOSPC : 0;
}
