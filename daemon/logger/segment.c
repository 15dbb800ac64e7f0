/* segment: see segment.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/intent.h"
#include "daemon/logger/store.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define STEP_MAX (1 << 20)	       /* bytes in one step */
#define SIZE_MIN 4096		       /* of max_size */
#define SIZE_LIMIT (UINT64_C(1) << 38) /* of max_size: twice that fits an intent */
#define FILES_LIMIT (1 << 16)
#define CHECK_EVERY_MS 1000

void segment_init(struct segment *s, uint64_t max_size, uint32_t max_files)
{
	s->max_size = max_size < SIZE_MIN     ? SIZE_MIN
		      : max_size > SIZE_LIMIT ? SIZE_LIMIT
					      : max_size;
	s->max_files = max_files < 1 ? 1 : max_files > FILES_LIMIT ? FILES_LIMIT : max_files;
	s->log_fd = s->idx_fd = -1;
}

bool segment_is_open(const struct segment *s)
{
	return s->log_fd >= 0;
}

void segment_close(struct segment *s)
{
	mem_closep(&s->log_fd);
	mem_closep(&s->idx_fd);
}

static int write_at(int fd, const void *p, size_t n, uint64_t at)
{
	ssize_t k;

	do
		k = pwrite(fd, p, n, (off_t)at);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return -errno;
	return (size_t)k == n ? 0 : -ENOSPC;
}

/* Appends an entry; on failure the index is as before (a part of it is overwritten later). */
static int append_entry(struct segment *s, const struct logidx_entry *e)
{
	uint8_t raw[LOGIDX_ENTRY_SIZE];
	int r;

	logidx_encode_entry(e, raw);
	r = write_at(s->idx_fd, raw, sizeof(raw), s->idx_size);
	if (r == 0)
		s->idx_size += sizeof(raw);
	return r;
}

static int flush_pending(struct segment *s)
{
	int r;

	if (s->pending.length == 0)
		return 0;
	r = append_entry(s, &s->pending);
	if (r < 0)
		return r;
	s->pending.length = 0;
	intent_clear(s->word);
	return 0;
}

/* ---- opening ---- */

static int open_file(int dir_fd, const struct segment *s, enum logidx_kind kind)
{
	char name[LOGIDX_NAME_SIZE];
	struct stat st;
	int fd;

	logidx_name(name, s->incarnation, s->seq, kind);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		    0640);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static int write_header(struct segment *s)
{
	struct logidx_header h = {.seq = s->seq, .created_wall_ms = clock_wall_ms()};
	uint8_t raw[LOGIDX_HEADER_SIZE];
	int r;

	memcpy(h.incarnation, s->incarnation, sizeof(h.incarnation) - 1);
	logidx_encode_header(&h, raw);
	r = write_at(s->idx_fd, raw, sizeof(raw), 0);
	if (r == 0)
		s->idx_size = sizeof(raw);
	return r;
}

/*
 * Reads how far the index goes into *end; sets idx_size behind its last whole entry, an end mark
 * not counted. -EILSEQ when it makes no sense.
 */
static int read_index(struct segment *s, uint64_t *end)
{
	uint8_t raw[LOGIDX_HEADER_SIZE];
	struct logidx_header h;
	struct logidx_entry e;
	struct stat st;

	*end = 0;
	if (fstat(s->idx_fd, &st) < 0)
		return -errno;
	if (st.st_size < LOGIDX_HEADER_SIZE)
		return write_header(s);
	if (pread(s->idx_fd, raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return -EIO;
	if (logidx_decode_header(raw, &h) < 0)
		return -EILSEQ;
	s->idx_size = LOGIDX_HEADER_SIZE + ((uint64_t)st.st_size - LOGIDX_HEADER_SIZE) /
						   LOGIDX_ENTRY_SIZE * LOGIDX_ENTRY_SIZE;
	while (s->idx_size > LOGIDX_HEADER_SIZE) {
		if (pread(s->idx_fd, raw, LOGIDX_ENTRY_SIZE,
			  (off_t)(s->idx_size - LOGIDX_ENTRY_SIZE)) != LOGIDX_ENTRY_SIZE)
			return -EIO;
		if (logidx_decode_entry(raw, &e) < 0)
			return -EILSEQ;
		if (e.stream != LOGIDX_END) {
			*end = e.offset + e.length;
			break;
		}
		s->idx_size -= LOGIDX_ENTRY_SIZE;
	}
	return 0;
}

/* The bytes beyond the index become pending; the intent says whose they are. */
static int adopt_tail(struct segment *s, uint64_t end, const struct stat *st)
{
	uint64_t offset, length = (uint64_t)st->st_size - end;
	uint32_t stream;

	if (!intent_get(s->word, s->incarnation, &stream, &offset) || offset != end) {
		log_warn("service=%s/%u seq=%u offset=%ju bytes=%ju nobody says from which stream "
			 "these bytes came, taking stdout",
			 s->service, s->index, s->seq, (uintmax_t)end, (uintmax_t)length);
		stream = LOGIDX_STDOUT;
	}
	s->pending = (struct logidx_entry){
		.offset = end,
		.length = length > UINT32_MAX ? UINT32_MAX : (uint32_t)length,
		.stream = stream,
		.wall_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000};
	return flush_pending(s);
}

/* Opens s->seq, new or not. -EILSEQ: it cannot be continued, take the next number. */
static int open_seq(struct segment *s, int dir_fd)
{
	struct stat st;
	uint64_t end;
	int r;

	segment_close(s);
	r = s->idx_fd = open_file(dir_fd, s, LOGIDX_IDX);
	if (r >= 0)
		r = s->log_fd = open_file(dir_fd, s, LOGIDX_LOG);
	if (r >= 0)
		r = read_index(s, &end);
	if (r == 0 && fstat(s->log_fd, &st) < 0)
		r = -errno;
	if (r == 0 && (uint64_t)st.st_size < end)
		r = -EILSEQ;
	if (r == 0) {
		s->size = (uint64_t)st.st_size;
		if (s->size > end)
			r = adopt_tail(s, end, &st);
	}
	s->checked_mono_ms = clock_mono_ms();
	if (r < 0)
		segment_close(s);
	return r < 0 ? r : 0;
}

static int prune(struct segment *s, struct store *st, int dir_fd)
{
	struct store_limits l = {.max_size = s->max_size,
				 .max_files = s->max_files,
				 .incarnation = s->incarnation,
				 .seq = s->seq,
				 .size = s->size + s->idx_size};

	return store_prune(st, dir_fd, &l, &s->others);
}

/* Opens the newest segment of the incarnation, or the one after it when `next`. */
static int open_newest(struct segment *s, struct store *st, bool next)
{
	_cleanup_close_ int dir_fd = -1;
	uint32_t newest;
	int r;

	r = store_open_replica(st, s->service, s->index, true, &dir_fd);
	if (r == 0)
		r = store_newest(dir_fd, s->incarnation, &newest);
	if (r < 0)
		return r;
	if (newest < s->seq)
		newest = s->seq;
	if (s->seq == 0 || s->seq < newest) /* not looked yet, or the last try failed halfway */
		next = false;
	s->seq = newest + (next || newest == 0);
	r = open_seq(s, dir_fd);
	if (r == -EILSEQ) {
		s->seq++;
		r = open_seq(s, dir_fd);
	}
	if (r < 0)
		return r;
	return prune(s, st, dir_fd);
}

int segment_recover(struct segment *s, struct store *st)
{
	_cleanup_close_ int dir_fd = -1;
	uint64_t offset;
	uint32_t stream;
	int r;

	if (!intent_get(s->word, s->incarnation, &stream, &offset))
		return 0;
	r = store_open_replica(st, s->service, s->index, false, &dir_fd);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = store_newest(dir_fd, s->incarnation, &s->seq);
	if (r < 0 || s->seq == 0)
		return r;
	r = open_seq(s, dir_fd);
	if (r == 0)
		intent_clear(s->word);
	return r == -EILSEQ ? 0 : r;
}

/* ---- storing ---- */

static bool ends_with_newline(const struct segment *s)
{
	char c;

	return s->size == 0 || (pread(s->log_fd, &c, 1, (off_t)s->size - 1) == 1 && c == '\n');
}

static bool is_full(const struct segment *s)
{
	return s->size >= 2 * s->max_size || (s->size >= s->max_size && ends_with_newline(s));
}

/* Somebody removed or truncated the file: what comes now belongs into a new one. */
static bool is_gone(struct segment *s)
{
	int64_t now = clock_mono_ms();
	struct stat st;

	if (now - s->checked_mono_ms < CHECK_EVERY_MS)
		return false;
	s->checked_mono_ms = now;
	return fstat(s->log_fd, &st) == 0 && (st.st_nlink == 0 || (uint64_t)st.st_size != s->size);
}

/* 1 = bytes are there; 0 = end of file; -EAGAIN. So that no file is made for nothing. */
static int has_bytes(int pipe_fd)
{
	struct pollfd p = {.fd = pipe_fd, .events = POLLIN};
	int n = 0;

	if (ioctl(pipe_fd, FIONREAD, &n) == 0 && n > 0)
		return 1;
	/* Once all writers are gone nothing more comes; look again for what came in between. */
	if (poll(&p, 1, 0) == 1 && !(p.revents & POLLIN) && (p.revents & POLLHUP))
		return 0;
	return p.revents & POLLIN ? 1 : -EAGAIN;
}

/* Makes the segment ready for a byte. 1 = go on; else what segment_take returns. */
static int prepare(struct segment *s, struct store *st, int pipe_fd)
{
	bool next = false;
	int r;

	r = flush_pending(s);
	if (r < 0)
		return r;
	if (segment_is_open(s)) {
		next = is_full(s) || is_gone(s);
		if (!next)
			return store_check_floor(st, 0) < 0 ? -ENOSPC : 1;
	}
	r = has_bytes(pipe_fd);
	if (r <= 0)
		return r;
	r = store_check_floor(st, 0);
	if (r < 0)
		return r;
	segment_close(s);
	r = open_newest(s, st, next);
	if (r == 0 && is_full(s)) /* resumed one that was full already */
		r = open_newest(s, st, true);
	return r < 0 ? r : 1;
}

/* Looks at up to n bytes of the pipe in st->bounce without taking them. */
static ssize_t peek(struct store *st, int pipe_fd, size_t n)
{
	ssize_t k = tee(pipe_fd, st->scratch[1], n < STORE_BOUNCE ? n : STORE_BOUNCE,
			SPLICE_F_NONBLOCK);
	ssize_t got = 0;

	while (got < k) {
		ssize_t r = read(st->scratch[0], st->bounce + got, (size_t)(k - got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return -EIO;
		got += r;
	}
	return k < 0 ? -errno : k;
}

/* How many bytes the next step may move: up to max_size, then up to the next newline. */
static ssize_t step_limit(const struct segment *s, struct store *st, int pipe_fd)
{
	uint64_t room;
	const uint8_t *newline;
	ssize_t n;

	if (s->size < s->max_size) {
		room = s->max_size - s->size;
		return room < STEP_MAX ? (ssize_t)room : STEP_MAX;
	}
	room = 2 * s->max_size - s->size;
	n = peek(st, pipe_fd, room < STORE_BOUNCE ? (size_t)room : STORE_BOUNCE);
	if (n <= 0)
		return n;
	newline = memchr(st->bounce, '\n', (size_t)n);
	return newline ? newline - st->bounce + 1 : n;
}

/*
 * For a file system that cannot splice: the bytes leave the pipe after they are in the file, so a
 * death in between doubles instead of losing them.
 */
static ssize_t copy(struct segment *s, struct store *st, int pipe_fd, size_t limit)
{
	ssize_t n = peek(st, pipe_fd, limit), done, k;

	if (n <= 0) {
		errno = (int)-n;
		return n < 0 ? -1 : 0;
	}
	done = pwrite(s->log_fd, st->bounce, (size_t)n, (off_t)s->size);
	for (ssize_t gone = 0; gone < done; gone += k) {
		k = read(pipe_fd, st->bounce, (size_t)(done - gone));
		if (k < 0 && errno == EINTR)
			k = 0;
		else if (k <= 0)
			break;
	}
	return done;
}

static ssize_t move(struct segment *s, struct store *st, int pipe_fd, size_t limit)
{
	loff_t offset = (loff_t)s->size;
	ssize_t n;

	if (!st->copying) {
		n = splice(pipe_fd, NULL, s->log_fd, &offset, limit,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n >= 0 || errno != EINVAL)
			return n;
		st->copying = true;
		log_warn("path=%s this file system cannot splice; if the logger is killed, the "
			 "bytes of that moment may be stored twice",
			 st->path);
	}
	return copy(s, st, pipe_fd, limit);
}

/* Old segments go when this one has grown; never twice for nothing. */
static void keep_limits(struct segment *s, struct store *st)
{
	_cleanup_close_ int dir_fd = -1;
	uint64_t limit = s->max_size * s->max_files;

	if (s->others == 0 || s->others + s->size + s->idx_size <= limit)
		return;
	if (store_open_replica(st, s->service, s->index, false, &dir_fd) < 0 ||
	    prune(s, st, dir_fd) < 0 || s->others + s->size + s->idx_size > limit)
		s->others = 0;
}

ssize_t segment_take(struct segment *s, struct store *st, int pipe_fd, uint32_t stream)
{
	ssize_t n, limit;
	int r = prepare(s, st, pipe_fd);

	if (r <= 0)
		return r;
	limit = step_limit(s, st, pipe_fd);
	if (limit <= 0)
		return limit;
	intent_set(s->word, s->incarnation, stream, s->size);
	POINT("logger.drain.intent");
	n = move(s, st, pipe_fd, (size_t)limit);
	if (n <= 0) {
		r = n == 0 ? 0 : errno == EINTR ? -EAGAIN : -errno;
		intent_clear(s->word);
		return r;
	}
	s->pending = (struct logidx_entry){.offset = s->size,
					   .length = (uint32_t)n,
					   .stream = stream,
					   .wall_ms = clock_wall_ms()};
	s->size += (uint64_t)n;
	POINT("logger.drain.moved");
	flush_pending(s); /* a failure comes back with the next step */
	POINT("logger.drain.indexed");
	st->since_check += (uint64_t)n;
	keep_limits(s, st);
	return n;
}

void segment_end(struct segment *s, struct store *st)
{
	const struct logidx_entry end = {
		.offset = s->size, .stream = LOGIDX_END, .wall_ms = clock_wall_ms()};
	_cleanup_close_ int dir_fd = -1;

	if (!segment_is_open(s) && s->seq > 0 &&
	    store_open_replica(st, s->service, s->index, false, &dir_fd) == 0)
		open_seq(s, dir_fd);
	if (segment_is_open(s) && flush_pending(s) == 0)
		append_entry(s, &end);
	POINT("logger.drain.end_written");
	segment_close(s);
}
