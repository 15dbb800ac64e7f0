/* logseg: see logseg.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/logseg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/logzst.h"
#include "lib/mem.h"

#define COARSE_MS                                                                                  \
	1000 /* files' times are behind by up to a tick of the kernel; and more for luck */
#define OPEN_FILE (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* ---- files ---- */

static int open_file(const struct logseg *s, int index_fd, enum logidx_kind kind)
{
	char name[LOGIDX_NAME_SIZE];
	struct stat st;
	int fd = openat(index_fd, logidx_name(name, s->incarnation, s->seq, kind), OPEN_FILE);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

/* The log, or what stands in for it. 0 or -errno. */
static int open_log(struct logseg *s, int index_fd)
{
	_cleanup_err_ struct err *e = NULL;
	int r = s->log_fd = open_file(s, index_fd, LOGIDX_LOG);

	if (r != -ENOENT)
		return r < 0 ? r : 0;
	r = s->log_fd = open_file(s, index_fd, LOGIDX_ZST);
	if (r < 0)
		return r;
	r = logzst_open(s->log_fd, &s->zst, &e);
	if (r == 0 || r == -ERR_NOMEM)
		return r == 0 ? 0 : -ENOMEM;
	loggap_note(&s->gap, s->seq);
	return -ENOENT; /* as if it was not there */
}

/* 0 or -errno; without an index it is 0, too. */
static int open_files(struct logseg *s)
{
	_cleanup_close_ int index_fd = -1;
	char dir[16];
	int r;

	snprintf(dir, sizeof(dir), "%u", s->index);
	index_fd = openat(s->dir_fd, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (index_fd < 0)
		return -errno;
	r = open_log(s, index_fd);
	if (r < 0)
		return r;
	r = s->idx_fd = open_file(s, index_fd, LOGIDX_IDX);
	return r >= 0 || r == -ENOENT || r == -ELOOP ? 0 : r;
}

bool logseg_is_open(const struct logseg *s)
{
	return s->log_fd >= 0;
}

void logseg_rest(struct logseg *s)
{
	s->zst = logzst_close(s->zst);
	mem_closep(&s->log_fd);
	mem_closep(&s->idx_fd);
}

void logseg_park(struct logseg *s)
{
	logseg_rest(s);
	mem_free(s->entries);
	s->entries = NULL;
	s->n_entries = 0;
}

void logseg_close(struct logseg *s)
{
	logseg_park(s);
	s->there = s->damaged = false;
	s->error = 0;
}

bool logseg_is_younger(const struct logseg *s, uint32_t seq, int64_t since_ms)
{
	char name[LOGIDX_NAME_SIZE], path[LOGIDX_NAME_SIZE + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%u/%s", s->index,
		 logidx_name(name, s->incarnation, seq, LOGIDX_IDX));
	if (fstatat(s->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	return (int64_t)st.st_mtim.tv_sec * 1000 >= since_ms - COARSE_MS;
}

/* Errors that say nothing about the segment but much about us. */
static bool is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

int logseg_open(struct logseg *s, uint32_t seq, struct err **reterr)
{
	int r;

	logseg_rest(s);
	s->n_entries = 0;
	s->there = s->damaged = false;
	s->error = 0;
	s->seq = seq;
	r = open_files(s);
	if (r == -EACCES || r == -EPERM)
		return err_set(reterr, ERR_PERM, "no permission to read the log of replica %u",
			       s->index);
	if (is_ours(-r))
		return err_sys(reterr, -r, "cannot open the log of replica %u", s->index);
	s->there = r == 0;
	if (!s->there)
		logseg_rest(s);
	return s->there;
}

/* Opens again what rests. */
static bool is_ready(struct logseg *s)
{
	int r;

	if (s->log_fd >= 0)
		return true;
	if (!s->there)
		return false;
	r = open_files(s);
	if (r == 0)
		return true;
	logseg_rest(s);
	s->error = is_ours(-r) ? -r : 0;
	return false;
}

ssize_t logseg_read(struct logseg *s, void *buf, size_t n, uint64_t offset)
{
	_cleanup_err_ struct err *e = NULL;
	ssize_t got;

	if (!is_ready(s))
		return -1;
	if (!s->zst)
		return pread(s->log_fd, buf, n, (off_t)offset);
	got = logzst_pread(s->zst, buf, n, offset, &e);
	if (got < 0 && got != -ERR_NOMEM)
		loggap_note(&s->gap, s->seq);
	return got;
}

uint64_t logseg_size(struct logseg *s)
{
	struct stat st;

	if (!is_ready(s))
		return 0;
	if (s->zst)
		return logzst_size(s->zst);
	return fstat(s->log_fd, &st) < 0 || st.st_size < 0 ? 0 : (uint64_t)st.st_size;
}

uint64_t logseg_solid_size(struct logseg *s)
{
	uint64_t size = logseg_size(s);
	uint8_t block[4096];

	if (size == 0 || logseg_read(s, block, 1, size - 1) != 1 || block[0] != 0)
		return size;
	while (size > 0) {
		size_t n = size < sizeof(block) ? (size_t)size : sizeof(block);

		if (logseg_read(s, block, n, size - n) != (ssize_t)n)
			return size;
		while (n > 0 && block[n - 1] == 0) {
			n--;
			size--;
		}
		if (n > 0)
			break;
	}
	return size;
}

int64_t logseg_changed_ms(struct logseg *s)
{
	struct stat st;

	if (!is_ready(s) || fstat(s->log_fd, &st) < 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

/* ---- entries ---- */

static ssize_t read_index(struct logseg *s, void *buf, size_t n, uint64_t offset)
{
	return is_ready(s) && s->idx_fd >= 0 ? pread(s->idx_fd, buf, n, (off_t)offset) : -1;
}

static size_t load(struct logseg *s, uint64_t first)
{
	ssize_t n;

	if (!s->entries)
		s->entries = mem_alloc(LOGSEG_ENTRIES * LOGIDX_ENTRY_SIZE);
	if (!s->entries)
		s->error = ENOMEM;
	n = !s->entries ? 0
			: read_index(s, s->entries, LOGSEG_ENTRIES * LOGIDX_ENTRY_SIZE,
				     LOGIDX_HEADER_SIZE + first * LOGIDX_ENTRY_SIZE);
	s->entries_first = first;
	s->n_entries = n > 0 ? (size_t)n / LOGIDX_ENTRY_SIZE : 0;
	return s->n_entries;
}

/* A header that is not there yet is no damage. */
static bool has_header(struct logseg *s)
{
	uint8_t raw[LOGIDX_HEADER_SIZE];
	struct logidx_header h;

	if (read_index(s, raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return false;
	s->damaged |= logidx_decode_header(raw, &h) < 0;
	return !s->damaged;
}

bool logseg_entry(struct logseg *s, uint64_t number, struct logidx_entry *e)
{
	if (number == 0) { /* with the header */
		s->n_entries = 0;
		if (!has_header(s))
			return false;
	}
	if (number < s->entries_first || number >= s->entries_first + s->n_entries)
		if (load(s, number) == 0)
			return false;
	return logidx_decode_entry(s->entries + (number - s->entries_first) * LOGIDX_ENTRY_SIZE,
				   e) == 0;
}

bool logseg_entry_back(struct logseg *s, uint64_t number, struct logidx_entry *e)
{
	if (s->n_entries == 0 || number < s->entries_first)
		load(s, number < LOGSEG_ENTRIES ? 0 : number - LOGSEG_ENTRIES + 1);
	return logseg_entry(s, number, e);
}

void logseg_reload(struct logseg *s)
{
	s->n_entries = 0;
}

/* One entry, past the cache. */
static bool peek(struct logseg *s, uint64_t number, struct logidx_entry *e)
{
	uint8_t raw[LOGIDX_ENTRY_SIZE];

	return read_index(s, raw, sizeof(raw), LOGIDX_HEADER_SIZE + number * LOGIDX_ENTRY_SIZE) ==
		       (ssize_t)sizeof(raw) &&
	       logidx_decode_entry(raw, e) == 0;
}

void logseg_index_end(struct logseg *s, uint64_t *n, uint64_t *end)
{
	struct logidx_entry e;
	struct stat st;

	*n = *end = 0;
	if (!is_ready(s) || s->idx_fd < 0 || fstat(s->idx_fd, &st) < 0 ||
	    st.st_size < LOGIDX_HEADER_SIZE)
		return;
	s->n_entries = 0;
	for (*n = ((uint64_t)st.st_size - LOGIDX_HEADER_SIZE) / LOGIDX_ENTRY_SIZE; *n > 0; (*n)--) {
		uint64_t size;

		if (!logseg_entry_back(s, *n - 1, &e) || e.stream == LOGIDX_END)
			continue;
		size = logseg_size(s);
		*end = e.offset + e.length < size ? e.offset + e.length : size;
		return;
	}
}

uint64_t logseg_find_byte(struct logseg *s, uint64_t n, uint64_t at, struct logidx_entry *e)
{
	uint64_t low = 0, high = n;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (!peek(s, mid, e) || e->offset + e->length > at)
			high = mid;
		else
			low = mid + 1;
	}
	return low < n && !peek(s, low, e) ? n : low;
}

uint64_t logseg_find_time(struct logseg *s, uint64_t n, int64_t wall_ms, struct logidx_entry *e)
{
	uint64_t low = 0, high = n;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (!peek(s, mid, e) || e->wall_ms >= wall_ms)
			high = mid;
		else
			low = mid + 1;
	}
	return low < n && !peek(s, low, e) ? n : low;
}

void logseg_span(struct logseg *s, int64_t *first_ms, int64_t *last_ms)
{
	struct logidx_entry first, last;
	uint64_t n, end;

	logseg_index_end(s, &n, &end);
	*first_ms = *last_ms = logseg_changed_ms(s);
	if (n > 0 && peek(s, 0, &first))
		*first_ms = first.wall_ms;
	if (n > 0 && logseg_size(s) <= end && peek(s, n - 1, &last))
		*last_ms = last.wall_ms;
}
