/* logtrack: see logtrack.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/logtrack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/logview.h"
#include "lib/mem.h"

#define SETTLED_MS 5000	     /* bytes without an entry for so long will not get one any more */
#define PREFIX_ENTRIES 65536 /* how far back an unfinished line is looked for */
#define OPEN_FILE (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

struct logtrack *logtrack_new(const char *incarnation, uint32_t index, bool raw)
{
	struct logtrack *t = mem_alloc(sizeof(*t));

	if (!t)
		return NULL;
	memcpy(t->incarnation, incarnation, sizeof(t->incarnation) - 1);
	t->index = index;
	t->raw = raw;
	t->log_fd = t->idx_fd = -1;
	return t;
}

static void close_files(struct logtrack *t)
{
	mem_closep(&t->log_fd);
	mem_closep(&t->idx_fd);
	t->n_entries = t->block_len = 0;
	t->current.length = 0;
}

static void forget_parts(struct logtrack *t)
{
	for (int i = 0; i < 2; i++) {
		buf_done(&t->parts[i].text);
		t->parts[i] = (struct logtrack_part){0};
	}
	t->used = NULL;
	t->has_line = false;
}

void logtrack_finish(struct logtrack *t)
{
	close_files(t);
	forget_parts(t);
	mem_free(t->entries);
	mem_free(t->block);
	t->entries = t->block = NULL;
	t->done = true;
}

struct logtrack *logtrack_free(struct logtrack *t)
{
	if (t) {
		logtrack_finish(t);
		mem_free(t->seqs);
		mem_free(t);
	}
	return NULL;
}

int logtrack_learn(struct logtrack *t, uint32_t seq)
{
	size_t at = t->n_seqs;

	while (at > 0 && t->seqs[at - 1] > seq)
		at--;
	if (at > 0 && t->seqs[at - 1] == seq)
		return 0;
	if (mem_grow(&t->seqs, &t->cap_seqs, t->n_seqs + 1, sizeof(*t->seqs)) < 0)
		return -ERR_NOMEM;
	memmove(t->seqs + at + 1, t->seqs + at, (t->n_seqs - at) * sizeof(*t->seqs));
	t->seqs[at] = seq;
	t->n_seqs++;
	return 0;
}

/* The smallest known seq above seq, or 0. */
static uint32_t seq_after(const struct logtrack *t, uint32_t seq)
{
	for (size_t i = 0; i < t->n_seqs; i++)
		if (t->seqs[i] > seq)
			return t->seqs[i];
	return 0;
}

/* ---- files ---- */

static int open_file(const struct logtrack *t, int dir_fd, uint32_t seq, enum logidx_kind kind)
{
	char path[LOGIDX_NAME_SIZE + 16], name[LOGIDX_NAME_SIZE], dir[16];
	_cleanup_close_ int index_fd = -1;
	struct stat st;
	int fd;

	snprintf(dir, sizeof(dir), "%u", t->index);
	index_fd = openat(dir_fd, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (index_fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "%s", logidx_name(name, t->incarnation, seq, kind));
	fd = openat(index_fd, path, OPEN_FILE);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

static int alloc_caches(struct logtrack *t, struct err **reterr)
{
	if (!t->entries)
		t->entries = mem_alloc(LOGTRACK_ENTRIES * LOGIDX_ENTRY_SIZE);
	if (!t->block)
		t->block = mem_alloc(LOGTRACK_BLOCK);
	return t->entries && t->block ? 0 : err_nomem(reterr);
}

/*
 * Opens segment seq at its beginning. 1; 0 = it is not there (any more); negative: error. Without
 * an index the segment is there all the same.
 */
static int open_segment(struct logtrack *t, int dir_fd, uint32_t seq, struct err **reterr)
{
	int r = alloc_caches(t, reterr);

	if (r < 0)
		return r;
	close_files(t);
	t->seq = seq;
	t->entry = t->end = t->begin_at = 0;
	t->has_end = t->damaged = false;
	r = t->log_fd = open_file(t, dir_fd, seq, LOGIDX_LOG);
	if (r >= 0)
		r = t->idx_fd = open_file(t, dir_fd, seq, LOGIDX_IDX);
	if (r == -EACCES || r == -EPERM)
		return err_set(reterr, ERR_PERM, "no permission to read the log of replica %u",
			       t->index);
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return err_sys(reterr, -r, "cannot open the log of replica %u", t->index);
	if (t->log_fd < 0)
		return 0;
	t->read_seq = seq;
	return 1;
}

/* Reads entries from number `first` on into the cache. How many. */
static size_t load_entries(struct logtrack *t, uint64_t first)
{
	ssize_t n = pread(t->idx_fd, t->entries, LOGTRACK_ENTRIES * LOGIDX_ENTRY_SIZE,
			  (off_t)(LOGIDX_HEADER_SIZE + first * LOGIDX_ENTRY_SIZE));

	t->entries_first = first;
	t->n_entries = n > 0 ? (size_t)n / LOGIDX_ENTRY_SIZE : 0;
	return t->n_entries;
}

/* A header that is not there yet is no damage. */
static bool has_header(struct logtrack *t)
{
	uint8_t raw[LOGIDX_HEADER_SIZE];
	struct logidx_header h;

	if (pread(t->idx_fd, raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return false;
	t->damaged |= logidx_decode_header(raw, &h) < 0;
	return !t->damaged;
}

static bool get_entry(struct logtrack *t, uint64_t number, struct logidx_entry *e)
{
	t->n_entries = number == 0 ? 0 : t->n_entries; /* with the header */
	if (t->idx_fd < 0 || (number == 0 && !has_header(t)))
		return false;
	if (number < t->entries_first || number >= t->entries_first + t->n_entries)
		if (load_entries(t, number) == 0)
			return false;
	return logidx_decode_entry(t->entries + (number - t->entries_first) * LOGIDX_ENTRY_SIZE,
				   e) == 0;
}

/* For bytes without an entry: they count as stdout. */
static struct logidx_entry make_entry(uint64_t begin, uint64_t end, int64_t wall_ms)
{
	uint64_t n = end - begin;

	return (struct logidx_entry){.offset = begin,
				     .length = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n,
				     .stream = LOGIDX_STDOUT,
				     .wall_ms = wall_ms};
}

/*
 * *e is an end mark. False: a writer that came back has overwritten it in the meantime, *e is what
 * it wrote. With entries behind it the index is damaged.
 */
static bool is_end(struct logtrack *t, struct logidx_entry *e)
{
	struct logidx_entry after;

	t->n_entries = 0;
	if (get_entry(t, t->entry + 1, &after) || t->n_entries > 0) {
		t->n_entries = 0;
		if (get_entry(t, t->entry, e) && e->stream != LOGIDX_END)
			return false;
		t->damaged = true;
	}
	t->n_entries = 0; /* look again next time */
	return true;
}

/* Makes the next entry current. False: there is none, or none that makes sense. */
static bool next_entry(struct logtrack *t)
{
	struct logidx_entry e;
	struct stat st;

	t->has_end = false;
	if (t->damaged || !get_entry(t, t->entry, &e)) {
		t->damaged |= t->n_entries > 0; /* it is there and makes no sense */
		return false;
	}
	if (e.stream == LOGIDX_END && is_end(t, &e)) {
		t->has_end = !t->damaged;
		return false;
	}
	if (e.offset > t->end && fstat(t->log_fd, &st) == 0 &&
	    e.offset <= (uint64_t)st.st_size) { /* an entry got lost */
		t->current = make_entry(t->end, e.offset, e.wall_ms);
	} else if (e.offset == t->end) {
		t->current = e;
		t->entry++;
	} else {
		t->damaged = true;
		return false;
	}
	t->at = t->current.offset + t->begin_at;
	t->begin_at = 0;
	t->end = t->current.offset + t->current.length;
	return true;
}

/* Bytes that nobody indexed, and nobody will: shown as stdout. */
static bool adopt_tail(struct logtrack *t, bool complete)
{
	struct stat st;
	int64_t mtime_ms;

	if (fstat(t->log_fd, &st) < 0 || (uint64_t)st.st_size <= t->end)
		return false;
	mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	if (!complete && !t->damaged && clock_wall_ms() - mtime_ms < SETTLED_MS)
		return false;
	t->current = make_entry(t->end, (uint64_t)st.st_size, mtime_ms);
	t->at = t->end;
	t->end += t->current.length;
	return true;
}

/* ---- lines ---- */

static struct logtrack_part *part_of(struct logtrack *t, uint32_t stream)
{
	return &t->parts[t->raw ? 0 : stream - 1];
}

static int give(struct logtrack *t, const struct logtrack_part *p, const char *text, size_t len)
{
	t->text = text;
	t->len = len;
	t->wall_ms = p->wall_ms;
	t->stream = p->stream;
	t->has_line = true;
	return 1;
}

/* Gives what the part holds; it is emptied with the next step. */
static int give_part(struct logtrack *t, struct logtrack_part *p, bool cut, struct err **reterr)
{
	if (cut && !t->raw) {
		buf_str(&p->text, LOGVIEW_CUT);
		t->cut = true;
		p->skipping = true;
	}
	if (p->text.failed)
		return err_nomem(reterr);
	t->used = p;
	p->started = false;
	return give(t, p, buf_cstr(&p->text), p->text.len);
}

/* Makes the block hold the byte at t->at; how many bytes of the current entry it has from there. */
static size_t load_block(struct logtrack *t)
{
	uint64_t left = t->current.offset + t->current.length - t->at, have;

	if (t->at < t->block_offset || t->at >= t->block_offset + t->block_len) {
		ssize_t n = pread(t->log_fd, t->block, LOGTRACK_BLOCK, (off_t)t->at);

		t->block_offset = t->at;
		t->block_len = n > 0 ? (size_t)n : 0;
	}
	have = t->block_offset + t->block_len - t->at;
	return (size_t)(have < left ? have : left);
}

/* Adds n bytes of the current entry to its line; newline: they end it. 1 = a line is complete. */
static int add_bytes(struct logtrack *t, const char *bytes, size_t n, bool newline,
		     struct err **reterr)
{
	struct logtrack_part *p = part_of(t, t->current.stream);
	size_t keep = n - (newline && !t->raw), room = LOGVIEW_LINE_MAX - p->text.len;

	if (p->skipping) {
		t->at += n;
		p->skipping = !newline;
		return 0;
	}
	if (!p->started) {
		p->started = true;
		p->wall_ms = t->current.wall_ms;
		p->stream = t->current.stream;
	}
	if (keep > room) { /* the line goes on: cut it here, or (raw) give it in pieces */
		buf_append(&p->text, bytes, room);
		t->at += room;
		return give_part(t, p, true, reterr);
	}
	t->at += n;
	if (newline && p->text.len == 0) {
		p->started = false;
		return give(t, p, bytes, keep);
	}
	buf_append(&p->text, bytes, keep);
	if (p->text.failed)
		return err_nomem(reterr);
	return newline ? give_part(t, p, false, reterr) : 0;
}

/* Goes through the current entry. 1 = a line; 0 = the entry is used up. */
static int take_entry(struct logtrack *t, struct err **reterr)
{
	while (t->current.length > 0) {
		size_t n = load_block(t);
		const char *bytes = (const char *)t->block + (t->at - t->block_offset), *newline;
		int r;

		if (n == 0) { /* used up; or the segment is shorter than its index */
			t->current.length = 0;
			break;
		}
		newline = memchr(bytes, '\n', n);
		r = add_bytes(t, bytes, newline ? (size_t)(newline - bytes) + 1 : n, newline,
			      reterr);
		if (t->at >= t->current.offset + t->current.length)
			t->current.length = 0;
		if (r != 0)
			return r;
	}
	return 0;
}

/* Gives a line that will not be completed any more. 0 = there is none. */
static int give_unfinished(struct logtrack *t, struct err **reterr)
{
	for (int i = 0; i < 2; i++) {
		struct logtrack_part *p = &t->parts[i];
		bool some = p->started && !p->skipping && p->text.len > 0;

		p->started = p->skipping = false;
		if (some)
			return give_part(t, p, false, reterr);
	}
	return 0;
}

static void empty_used(struct logtrack *t)
{
	t->has_line = t->cut = false;
	if (!t->used)
		return;
	if (t->used->text.cap > LOGTRACK_BLOCK)
		buf_done(&t->used->text);
	else
		buf_clear(&t->used->text);
	t->used = NULL;
}

/* Reads the end of the index: number of entries (end mark not counted) and the last byte's end. */
static void index_end(struct logtrack *t, uint64_t *n, uint64_t *end)
{
	struct logidx_entry e;
	struct stat st;

	*n = *end = 0;
	if (t->idx_fd < 0 || fstat(t->idx_fd, &st) < 0 || st.st_size < LOGIDX_HEADER_SIZE)
		return;
	*n = ((uint64_t)st.st_size - LOGIDX_HEADER_SIZE) / LOGIDX_ENTRY_SIZE;
	while (*n > 0) {
		if (get_entry(t, *n - 1, &e) && e.stream != LOGIDX_END) {
			*end = e.offset + e.length;
			if (fstat(t->log_fd, &st) == 0 && (uint64_t)st.st_size < *end)
				*end = (uint64_t)st.st_size;
			return;
		}
		(*n)--;
	}
}

/* Loads the batch of entries that ends with `number` unless it is loaded. */
static bool get_entry_back(struct logtrack *t, uint64_t number, struct logidx_entry *e)
{
	if (t->n_entries == 0 || number < t->entries_first)
		load_entries(t, number < LOGTRACK_ENTRIES ? 0 : number - LOGTRACK_ENTRIES + 1);
	return get_entry(t, number, e);
}

/*
 * Looks back in an entry for the newline before its end. Where the line begins that is unfinished
 * at its end: that offset, or the entry's own when it has no newline.
 */
static uint64_t unfinished_in(struct logtrack *t, const struct logidx_entry *e)
{
	uint64_t end = e->offset + e->length, stop = e->offset;

	if (e->length > LOGVIEW_LINE_MAX) /* further back it is too long anyway */
		stop = end - LOGVIEW_LINE_MAX - 1;
	t->block_len = 0;
	while (end > stop) {
		size_t want = end - stop < LOGTRACK_BLOCK ? (size_t)(end - stop) : LOGTRACK_BLOCK;
		ssize_t n = pread(t->log_fd, t->block, want, (off_t)(end - want));
		const uint8_t *p = n > 0 ? memrchr(t->block, '\n', (size_t)n) : NULL;

		if (p)
			return end - want + (uint64_t)(p - t->block) + 1;
		end -= want;
	}
	return e->offset;
}

/* Appends [at, end) of the segment to a text. */
static void append_bytes(struct logtrack *t, struct buf *b, uint64_t at, uint64_t end)
{
	char *to = buf_reserve(b, (size_t)(end - at));
	ssize_t n = to ? pread(t->log_fd, to, (size_t)(end - at), (off_t)at) : 0;

	if (n > 0)
		buf_added(b, (size_t)n);
}

/* The beginning of a line whose rest is read later. */
struct prefix {
	struct buf text;
	int64_t wall_ms;
	bool complete; /* it starts behind a newline */
	bool too_long;
};

/* Collects what `stream` wrote since its last newline before entry `number`. */
static void collect_prefix(struct logtrack *t, uint64_t number, uint32_t stream, struct prefix *x)
{
	uint64_t first = number, at = 0, bytes = 0;
	struct logidx_entry e;

	for (uint64_t i = number; !x->complete && i-- > 0 && number - i < PREFIX_ENTRIES;) {
		uint64_t begin, end;

		if (!get_entry_back(t, i, &e))
			break;
		if (e.stream != stream)
			continue;
		begin = unfinished_in(t, &e);
		end = e.offset + e.length;
		bytes += end - begin;
		x->too_long = bytes > LOGVIEW_LINE_MAX;
		if (x->too_long)
			return;
		if (begin < end) {
			first = i;
			at = begin;
			x->wall_ms = e.wall_ms;
		}
		x->complete = begin > e.offset;
	}
	for (uint64_t i = first; i < number && get_entry(t, i, &e); i++)
		if (e.stream == stream)
			append_bytes(t, &x->text, i == first ? at : e.offset, e.offset + e.length);
}

/* The same at the end of the segment before the open one, if it is there. */
static int collect_before(struct logtrack *t, int dir_fd, uint32_t stream, struct prefix *x,
			  struct err **reterr)
{
	uint32_t seq = t->seq;
	uint64_t n, end;
	int r = open_segment(t, dir_fd, seq - 1, reterr);

	if (r < 0)
		return r;
	if (r > 0) {
		index_end(t, &n, &end);
		collect_prefix(t, n, stream, x);
	}
	return open_segment(t, dir_fd, seq, reterr);
}

/*
 * Reading begins where the other stream may be in the middle of a line: gets its beginning. Too
 * long or too far away: the rest of that line is passed over. What open_segment says.
 */
static int load_prefix(struct logtrack *t, int dir_fd, struct err **reterr)
{
	uint32_t stream = t->start.other;
	struct logtrack_part *p = part_of(t, stream);
	struct prefix before = {0}, x = {0};
	int r = 1;

	collect_prefix(t, t->start.entry, stream, &x);
	if (!x.complete && !x.too_long && t->seq > 1)
		r = collect_before(t, dir_fd, stream, &before, reterr);
	p->skipping =
		x.too_long || before.too_long || before.text.len + x.text.len > LOGVIEW_LINE_MAX;
	if (!p->skipping) {
		buf_append(&p->text, before.text.data, before.text.len);
		buf_append(&p->text, x.text.data, x.text.len);
		p->wall_ms = before.text.len ? before.wall_ms : x.wall_ms;
		p->stream = stream;
		p->started = p->text.len > 0;
	}
	if (before.text.failed || x.text.failed || p->text.failed)
		r = err_nomem(reterr);
	buf_done(&before.text);
	buf_done(&x.text);
	return r;
}

/* Opens the next segment, which may be the one to begin in. 1, or a negative error. */
static int go_on_with(struct logtrack *t, int dir_fd, uint32_t seq, struct err **reterr)
{
	bool begin = t->seq == 0 && seq == t->start.seq;
	int r = open_segment(t, dir_fd, seq, reterr);

	if (r > 0 && begin && t->start.other)
		r = load_prefix(t, dir_fd, reterr);
	if (r < 0)
		return r;
	if (r > 0 && begin) {
		t->entry = t->start.entry;
		t->end = t->start.end;
		t->begin_at = t->start.at;
	}
	return 1;
}

/*
 * The current segment gives nothing more. 1 = a line or another segment (t->has_line tells), 0 =
 * that was all for now.
 */
static int next_segment(struct logtrack *t, int dir_fd, bool last, struct err **reterr)
{
	uint32_t next = seq_after(t, t->seq ? t->seq : t->start.seq ? t->start.seq - 1 : 0);
	int r;

	last = last || t->over;
	if (t->log_fd >= 0 && (next > 0 || last || t->damaged) && adopt_tail(t, next > 0))
		return 1;
	if (next > 0) {
		if (next != t->read_seq + 1) { /* what is between was deleted */
			r = give_unfinished(t, reterr);
			if (r != 0)
				return r;
		}
		return go_on_with(t, dir_fd, next, reterr);
	}
	if (!last && !t->has_end)
		return 0;
	r = give_unfinished(t, reterr);
	if (r == 0)
		logtrack_finish(t);
	return r;
}

int logtrack_next(struct logtrack *t, int dir_fd, bool last, struct err **reterr)
{
	int r;

	empty_used(t);
	while (!t->done) {
		r = take_entry(t, reterr);
		if (r != 0)
			return r;
		if (t->log_fd >= 0 && next_entry(t))
			continue;
		r = next_segment(t, dir_fd, last, reterr);
		if (r <= 0 || t->has_line)
			return r;
	}
	return 0;
}

/* ---- from the end ---- */

/*
 * Counts newlines backwards from end. True: *at is behind the one that made *left 0; false: the
 * segment has not so many.
 */
static bool count_back(struct logtrack *t, uint64_t end, uint64_t *left, uint64_t *at)
{
	while (end > 0) {
		size_t want = end < LOGTRACK_BLOCK ? (size_t)end : LOGTRACK_BLOCK;
		ssize_t n = pread(t->log_fd, t->block, want, (off_t)(end - want));
		const uint8_t *p;

		t->block_len = 0; /* no longer what the parser thinks */
		while (n > 0 && (p = memrchr(t->block, '\n', (size_t)n))) {
			n = p - t->block;
			if (--*left == 0) {
				*at = end - want + (uint64_t)n + 1;
				return true;
			}
		}
		end -= want;
	}
	return false;
}

/* The entry that holds byte `at`; n when it is behind the last. */
static uint64_t find_entry(struct logtrack *t, uint64_t n, uint64_t at, struct logidx_entry *e)
{
	uint64_t low = 0, high = n;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		t->n_entries = 0;
		if (!get_entry(t, mid, e) || e->offset + e->length > at)
			high = mid;
		else
			low = mid + 1;
	}
	if (low < n && !get_entry(t, low, e))
		return n;
	return low;
}

/* pos = byte `at` of the open segment, which follows a newline. */
static void make_pos(struct logtrack *t, uint64_t n, uint64_t end, uint64_t at,
		     struct logtrack_pos *pos)
{
	struct logidx_entry e = {0}, before = {0};
	uint64_t number = find_entry(t, n, at, &e);

	*pos = (struct logtrack_pos){.seq = t->seq};
	if (number == n && at < end) /* no sense in the index: the whole segment */
		return;
	pos->entry = number;
	pos->end = end;
	if (number < n) {
		pos->end = e.offset < at ? e.offset : at; /* later: bytes without an entry */
		pos->at = at - pos->end;
	}
	if (t->raw)
		return;
	find_entry(t, n, at - 1, &before); /* this stream has just ended a line */
	pos->other = before.stream == LOGIDX_STDOUT ? LOGIDX_STDERR : LOGIDX_STDOUT;
}

int logtrack_find_tail(struct logtrack *t, int dir_fd, uint64_t n, struct logtrack_pos *ret,
		       struct err **reterr)
{
	uint64_t left = n + 1; /* the newline before the first of them */

	*ret = (struct logtrack_pos){0};
	for (size_t i = t->n_seqs; i-- > 0;) {
		uint64_t entries, end, at;
		int r = open_segment(t, dir_fd, t->seqs[i], reterr);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		index_end(t, &entries, &end);
		if (count_back(t, end, &left, &at)) {
			make_pos(t, entries, end, at, ret);
			break;
		}
	}
	close_files(t);
	t->seq = 0;
	return 0;
}

void logtrack_seek(struct logtrack *t, const struct logtrack_pos *pos)
{
	forget_parts(t);
	close_files(t);
	mem_free(t->entries);
	mem_free(t->block);
	t->entries = t->block = NULL;
	t->done = false;
	t->start = *pos;
	t->seq = t->read_seq = 0;
}
