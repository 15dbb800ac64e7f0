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
#include "daemon/logger/keep.h"
#include "daemon/logger/share.h"
#include "daemon/logger/store.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define SIZE_MIN 4096		       /* of max_size */
#define SIZE_LIMIT (UINT64_C(1) << 38) /* of max_size: twice that fits an intent */
#define FILES_LIMIT (1 << 16)
#define CHECK_EVERY_MS 1000
#define STEP_BACK_MS 1000
#define UNSEEN_MAX 16 /* rotations without a look at the directory */
#define TOTAL_PARTS 32
#define TOTAL_STEP_MIN (256 << 10)
#define LOOK_BACK 4096 /* entries */
#define CUT_PARTS 8    /* one of max_size is waited for the end of a stream's line */

static void set_size(struct segment *s, uint64_t max_size, uint32_t max_files)
{
	s->max_size = max_size < SIZE_MIN     ? SIZE_MIN
		      : max_size > SIZE_LIMIT ? SIZE_LIMIT
					      : max_size;
	s->max_files = max_files < 1 ? 1 : max_files > FILES_LIMIT ? FILES_LIMIT : max_files;
}

void segment_init(struct segment *s, uint64_t max_size, uint32_t max_files)
{
	set_size(s, max_size, max_files);
	s->step_max = SHARE_STEP_MAX;
	s->log_fd = s->idx_fd = -1;
}

void segment_set_logs(struct segment *s, const struct wire_logs *m)
{
	set_size(s, m->max_size, m->max_files);
	s->max_total = m->max_total;
	s->max_age_ms = m->max_age_ms;
	s->rotate_ms = m->rotate_ms;
	s->compress = m->flags & WIRE_LOGS_ZSTD;
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
	if (r < 0)
		return r;
	s->idx_size += sizeof(raw);
	s->newest_wall_ms = e->wall_ms;
	return 0;
}

/* Of a write that failed a part may be there, whose bytes will come once more. */
static int cut_tail(struct segment *s)
{
	struct stat st;

	if (fstat(s->log_fd, &st) < 0 ||
	    ((uint64_t)st.st_size > s->size && ftruncate(s->log_fd, (off_t)s->size) < 0))
		return -errno;
	s->torn = false;
	return 0;
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

/* -ELOOP: somebody has put a link there, or what is no file. */
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
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		close(fd);
		return -ELOOP;
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
	if (r == 0) {
		s->idx_size = sizeof(raw);
		s->created_wall_ms = h.created_wall_ms;
	}
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
	s->newest_wall_ms = 0;
	if (fstat(s->idx_fd, &st) < 0)
		return -errno;
	if (st.st_size < LOGIDX_HEADER_SIZE)
		return write_header(s);
	if (pread(s->idx_fd, raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return -EIO;
	if (logidx_decode_header(raw, &h) < 0)
		return -EILSEQ;
	s->created_wall_ms = h.created_wall_ms;
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
			s->newest_wall_ms = e.wall_ms;
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
		s->torn = false;
		s->cut = 0;
		if (s->size > end)
			r = adopt_tail(s, end, &st);
	}
	s->checked_mono_ms = clock_mono_ms();
	if (r == -ELOOP) {
		log_warn("service=%s/%u seq=%u a link or no file stands in the place of a log "
			 "segment, leaving it alone",
			 s->service, s->index, s->seq);
		r = -EILSEQ;
	}
	if (r < 0) {
		s->pending.length = 0; /* adopted again by whoever opens it next */
		segment_close(s);
	}
	return r < 0 ? r : 0;
}

static struct keep_limits limits(const struct segment *s)
{
	return (struct keep_limits){.service = s->service,
				    .index = s->index,
				    .max_size = s->max_size,
				    .max_files = s->max_files,
				    .compress = s->compress,
				    .max_total = s->max_total,
				    .max_age_ms = s->max_age_ms,
				    .incarnation = s->incarnation,
				    .seq = s->seq,
				    .size = s->size + s->idx_size};
}

static int prune(struct segment *s, struct store *st, int dir_fd)
{
	struct keep_limits l = limits(s);

	s->since_total = 0;
	s->unseen = 0;
	return keep_prune(st, dir_fd, &l, &s->others);
}

/* Opens the newest segment of the incarnation, or the one after it when `next`. */
static int open_newest(struct segment *s, struct store *st, bool next)
{
	_cleanup_close_ int dir_fd = -1;
	bool compressed;
	uint32_t newest;
	int r;

	r = store_open_replica(st, s->service, s->index, true, &dir_fd);
	if (r == 0)
		r = store_newest(dir_fd, s->incarnation, &newest, &compressed);
	if (r < 0)
		return r;
	compressed &= newest >= s->seq;
	if (newest < s->seq)
		newest = s->seq;
	if (s->seq == 0 || s->seq < newest) /* not looked yet, or the last try failed halfway */
		next = false;
	next |= compressed;
	s->seq = newest + (next || newest == 0);
	s->unseen = UNSEEN_MAX;
	r = open_seq(s, dir_fd);
	if (r == -EILSEQ) {
		s->seq++;
		r = open_seq(s, dir_fd);
	}
	if (r < 0)
		return r;
	s->fresh = false;
	return prune(s, st, dir_fd);
}

/* Is it known without a look at the directory that nothing has to go for one more segment? */
static bool may_rotate_blind(const struct segment *s)
{
	return s->seq > 0 && s->unseen < UNSEEN_MAX && s->max_total == 0 &&
	       s->others + s->size + s->idx_size < s->max_size * s->max_files;
}

/* Opens the one after the present one, which is closed. */
static int open_next(struct segment *s, struct store *st)
{
	const struct keep_limits closed = limits(s);
	_cleanup_close_ int dir_fd = -1;
	uint32_t unseen = s->unseen;
	int r;

	if (!may_rotate_blind(s))
		return open_newest(s, st, true);
	s->unseen = UNSEEN_MAX; /* unless all goes well */
	r = store_open_replica(st, s->service, s->index, true, &dir_fd);
	if (r < 0)
		return r;
	s->seq++;
	r = open_seq(s, dir_fd);
	if (r < 0)
		return r == -EILSEQ ? open_newest(s, st, true) : r;
	s->others += closed.size;
	s->unseen = unseen + 1;
	keep_closed(st, &closed);
	return 0;
}

int segment_recover(struct segment *s, struct store *st)
{
	_cleanup_close_ int dir_fd = -1;
	bool compressed = false;
	uint64_t offset;
	uint32_t stream;
	int r;

	if (!intent_get(s->word, s->incarnation, &stream, &offset))
		return 0;
	r = store_open_replica(st, s->service, s->index, false, &dir_fd);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = store_newest(dir_fd, s->incarnation, &s->seq, &compressed);
	if (r < 0 || s->seq == 0 || compressed)
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

/* The other stream's line may have been cut at max_size: its end is to be in the same file. */
static bool is_full(const struct segment *s)
{
	uint64_t size = s->max_size + (s->cut ? s->max_size / CUT_PARTS : 0);

	return s->size >= 2 * s->max_size || (s->size >= size && ends_with_newline(s));
}

static void note_cut(struct segment *s, uint32_t stream)
{
	if (s->size < s->max_size)
		return;
	if (!ends_with_newline(s))
		s->cut = stream;
	else if (s->cut == stream)
		s->cut = 0;
}

/* It has been written to for long enough; the wall clock, for it may have begun before us. */
static bool is_old(const struct segment *s)
{
	return s->rotate_ms > 0 && s->size > 0 &&
	       clock_wall_ms() - s->created_wall_ms >= s->rotate_ms && ends_with_newline(s);
}

static bool is_later_than_now(const struct segment *s)
{
	return clock_wall_ms() < s->newest_wall_ms - STEP_BACK_MS;
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

void segment_rotate(struct segment *s)
{
	__atomic_store_n(&s->rotate, true, __ATOMIC_RELAXED);
}

/* What was asked for: no file, until there is a byte for the next one. */
static void rotate(struct segment *s, struct store *st)
{
	const struct keep_limits l = limits(s);

	if (!__atomic_exchange_n(&s->rotate, false, __ATOMIC_RELAXED) || s->seq == 0 || s->fresh ||
	    (segment_is_open(s) && s->size == 0))
		return;
	segment_close(s);
	s->seq++;
	s->fresh = true;
	keep_closed(st, &l);
}

/* Makes the segment ready for a byte. 1 = go on; else what segment_take returns. pipe_fd -1: there is
 * a byte. */
static int prepare(struct segment *s, struct store *st, int pipe_fd)
{
	bool next = false;
	int r;

	r = flush_pending(s);
	if (r == 0 && s->torn && segment_is_open(s))
		r = cut_tail(s);
	if (r < 0)
		return r;
	rotate(s, st);
	if (segment_is_open(s)) {
		next = is_full(s) || is_old(s) || is_later_than_now(s) || is_gone(s);
		if (!next)
			return keep_check(st) < 0 ? -ENOSPC : 1;
	}
	r = pipe_fd < 0 ? 1 : has_bytes(pipe_fd);
	if (r <= 0)
		return r;
	r = keep_check(st);
	if (r < 0)
		return r;
	segment_close(s);
	r = next ? open_next(s, st) : open_newest(s, st, false);
	if (r == 0 && (is_full(s) || is_later_than_now(s))) /* resumed one that was over already */
		r = open_newest(s, st, true);
	return r < 0 ? r : 1;
}

ssize_t segment_peek(struct store *st, int pipe_fd, size_t n)
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
		return (ssize_t)(room < s->step_max ? room : s->step_max);
	}
	room = 2 * s->max_size - s->size;
	n = segment_peek(st, pipe_fd, room < STORE_BOUNCE ? (size_t)room : STORE_BOUNCE);
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
	ssize_t n = segment_peek(st, pipe_fd, limit), done, k;

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

/* The service's total is looked at again after so many bytes of one replica. */
static uint64_t total_step(const struct segment *s)
{
	return s->max_total / TOTAL_PARTS > TOTAL_STEP_MIN ? s->max_total / TOTAL_PARTS
							   : TOTAL_STEP_MIN;
}

/* Old segments go when this one has grown by n; never twice for nothing. */
static void keep_limits(struct segment *s, struct store *st, uint64_t n)
{
	_cleanup_close_ int dir_fd = -1;
	uint64_t limit = s->max_size * s->max_files;

	s->since_total += n;
	if (s->max_total > 0 && s->since_total >= total_step(s)) {
		s->since_total = 0;
		keep_total(st, s->service, s->max_total);
	}
	if (s->others == 0 || s->others + s->size + s->idx_size <= limit)
		return;
	if (store_open_replica(st, s->service, s->index, false, &dir_fd) < 0 ||
	    prune(s, st, dir_fd) < 0 || s->others + s->size + s->idx_size > limit)
		s->others = 0;
	if (s->others == 0)
		s->unseen = UNSEEN_MAX;
}

ssize_t segment_take(struct segment *s, struct store *st, int pipe_fd, uint32_t stream)
{
	ssize_t n, limit;
	int r = prepare(s, st, pipe_fd);

	if (r <= 0)
		return r;
	if (s->stop && __atomic_load_n(s->stop, __ATOMIC_RELAXED))
		return -EAGAIN;
	limit = step_limit(s, st, pipe_fd);
	if (limit <= 0)
		return limit;
	intent_set(s->word, s->incarnation, stream, s->size);
	POINT("logger.drain.intent");
	n = move(s, st, pipe_fd, (size_t)limit);
	if (n <= 0) {
		r = n == 0 ? 0 : errno == EINTR ? -EAGAIN : -errno;
		s->torn = r < 0 && r != -EAGAIN;
		if (s->torn)
			cut_tail(s); /* a failure comes back with the next step */
		intent_clear(s->word);
		return r;
	}
	s->pending = (struct logidx_entry){.offset = s->size,
					   .length = (uint32_t)n,
					   .stream = stream,
					   .wall_ms = clock_wall_ms()};
	s->size += (uint64_t)n;
	note_cut(s, stream);
	POINT("logger.drain.moved");
	flush_pending(s); /* a failure comes back with the next step */
	POINT("logger.drain.indexed");
	keep_wrote(st, (uint64_t)n);
	keep_limits(s, st, (uint64_t)n);
	return n;
}

/* Is the last byte of this stream in the segment that of a line? Looks back so far and no further. */
static bool is_in_line(const struct segment *s, uint32_t stream)
{
	uint8_t raw[LOGIDX_ENTRY_SIZE];
	struct logidx_entry e;
	uint64_t at = s->idx_size;
	char c;

	for (int i = 0; i < LOOK_BACK && at >= LOGIDX_HEADER_SIZE + sizeof(raw); i++) {
		at -= sizeof(raw);
		if (pread(s->idx_fd, raw, sizeof(raw), (off_t)at) != (ssize_t)sizeof(raw) ||
		    logidx_decode_entry(raw, &e) < 0)
			return false;
		if (e.stream == stream)
			return pread(s->log_fd, &c, 1, (off_t)(e.offset + e.length - 1)) == 1 &&
			       c != '\n';
	}
	return false;
}

/* Bytes of ours; what is there of them when the disk is full is overwritten by the next try. */
static int put(struct segment *s, const char *text, size_t n, uint32_t stream)
{
	int r;

	intent_set(s->word, s->incarnation, stream, s->size);
	r = write_at(s->log_fd, text, n, s->size);
	if (r < 0) {
		if (ftruncate(s->log_fd, (off_t)s->size) == 0)
			intent_clear(s->word);
		return r;
	}
	s->pending = (struct logidx_entry){.offset = s->size,
					   .length = (uint32_t)n,
					   .stream = stream,
					   .wall_ms = clock_wall_ms()};
	s->size += n;
	flush_pending(s); /* a failure comes back with the next step */
	return 0;
}

int segment_note(struct segment *s, struct store *st, uint32_t stream, const char *line)
{
	int r = prepare(s, st, -1);

	if (r <= 0)
		return r;
	if (s->stop && __atomic_load_n(s->stop, __ATOMIC_RELAXED))
		return -EAGAIN;
	r = is_in_line(s, stream) ? put(s, "\n", 1, stream) : 0;
	if (r == 0)
		r = s->pending.length > 0 ? -ENOSPC : put(s, line, strlen(line), LOGIDX_NOTE);
	return r;
}

void segment_end(struct segment *s, struct store *st)
{
	const struct logidx_entry end = {
		.offset = s->size, .stream = LOGIDX_END, .wall_ms = clock_wall_ms()};
	const struct keep_limits l = limits(s);
	_cleanup_close_ int dir_fd = -1;

	if (!segment_is_open(s) && s->seq > 0 && !s->fresh &&
	    store_open_replica(st, s->service, s->index, false, &dir_fd) == 0)
		open_seq(s, dir_fd);
	if (segment_is_open(s) && flush_pending(s) == 0)
		append_entry(s, &end);
	POINT("logger.drain.end_written");
	segment_close(s);
	keep_closed(st, &l);
}
