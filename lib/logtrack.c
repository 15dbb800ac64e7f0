/* logtrack: see logtrack.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/logtrack.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/logview.h"
#include "lib/mem.h"

#define SETTLED_MS 5000	     /* bytes without an entry for so long will not get one any more */
#define PREFIX_ENTRIES 65536 /* how far back an unfinished line is looked for */

struct logtrack *logtrack_new(const char *incarnation, uint32_t index, bool raw)
{
	struct logtrack *t = mem_alloc(sizeof(*t));

	if (!t)
		return NULL;
	memcpy(t->incarnation, incarnation, sizeof(t->incarnation) - 1);
	t->index = index;
	t->raw = raw;
	t->streams = raw ? LOGTRACK_ALL & ~(1U << LOGIDX_NOTE) : LOGTRACK_ALL;
	t->until_ms = INT64_MAX;
	t->block_max = LOGTRACK_BLOCK;
	t->seg = (struct logseg){
		.incarnation = t->incarnation, .index = index, .log_fd = -1, .idx_fd = -1};
	return t;
}

static void close_files(struct logtrack *t)
{
	logseg_close(&t->seg);
	t->block_len = 0;
	t->current.length = 0;
}

static void forget_parts(struct logtrack *t)
{
	for (int i = 0; i < LOGIDX_STREAMS; i++) {
		buf_done(&t->parts[i].text);
		t->parts[i] = (struct logtrack_part){0};
	}
	t->used = NULL;
	t->has_line = false;
}

static void free_block(struct logtrack *t)
{
	mem_free(t->block);
	t->block = NULL;
	t->block_size = t->block_len = 0;
}

void logtrack_finish(struct logtrack *t)
{
	close_files(t);
	forget_parts(t);
	free_block(t);
	t->done = true;
}

struct logtrack *logtrack_free(struct logtrack *t)
{
	if (t) {
		logtrack_finish(t);
		loggap_done(&t->seg.gap);
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

static int make_block(struct logtrack *t, struct err **reterr)
{
	if (t->block)
		return 0;
	t->block = mem_alloc(LOGTRACK_BLOCK);
	t->block_size = t->block ? LOGTRACK_BLOCK : 0;
	return t->block ? 0 : err_nomem(reterr);
}

/* Opens segment seq at its beginning. As logseg_open. */
static int open_segment(struct logtrack *t, uint32_t seq, struct err **reterr)
{
	int r = make_block(t, reterr);

	close_files(t);
	t->entry = t->end = t->begin_at = 0;
	t->limit = UINT64_MAX;
	t->has_end = false;
	if (r == 0)
		r = logseg_open(&t->seg, seq, reterr);
	if (r == 1)
		t->read_seq = seq;
	return r;
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
	struct logseg *s = &t->seg;
	struct logidx_entry after;

	logseg_reload(s);
	if (logseg_entry(s, t->entry + 1, &after) || s->n_entries > 0) {
		logseg_reload(s);
		if (logseg_entry(s, t->entry, e) && e->stream != LOGIDX_END)
			return false;
		s->damaged = true;
	}
	logseg_reload(s); /* look again next time */
	return true;
}

/* Is a line begun that its writer has not ended? */
static bool in_line(const struct logtrack *t)
{
	for (int i = 0; i < LOGIDX_STREAMS; i++)
		if (t->parts[i].started || t->parts[i].skipping)
			return true;
	return false;
}

/* Nothing from here on is asked for. */
static bool is_beyond(const struct logtrack *t, const struct logidx_entry *e)
{
	return t->stop_seq && t->seg.seq >= t->stop_seq && (!e || e->wall_ms > t->until_ms) &&
	       !in_line(t);
}

static uint64_t size_of(struct logtrack *t)
{
	uint64_t size = logseg_size(&t->seg);

	return size < t->limit ? size : t->limit;
}

/* Makes the next entry current. False: there is none, or none that makes sense. */
static bool next_entry(struct logtrack *t)
{
	struct logseg *s = &t->seg;
	struct logidx_entry e;

	t->has_end = false;
	if (s->damaged || !logseg_entry(s, t->entry, &e)) {
		s->damaged |= s->n_entries > 0; /* it is there and makes no sense */
		return false;
	}
	if (e.stream == LOGIDX_END && is_end(t, &e)) {
		t->has_end = !s->damaged;
		return false;
	}
	if (is_beyond(t, &e)) {
		t->has_end = true;
		return false;
	}
	if (e.offset == t->end) {
		t->current = e;
		t->entry++;
	} else if (e.offset > t->end && e.offset <= logseg_size(s)) { /* an entry got lost */
		t->current = make_entry(t->end, e.offset, e.wall_ms);
	} else {
		s->damaged = true;
		return false;
	}
	t->at = t->current.offset + t->begin_at;
	t->begin_at = 0;
	t->end = t->current.offset + t->current.length;
	if (!(t->streams & 1U << t->current.stream))
		t->current.length = 0;
	return true;
}

/* Bytes that nobody indexed, and nobody will: shown as stdout. */
static bool adopt_tail(struct logtrack *t, bool complete)
{
	uint64_t size = size_of(t);
	int64_t changed_ms;

	if (size <= t->end)
		return false;
	changed_ms = logseg_changed_ms(&t->seg);
	if (!complete && !t->seg.damaged && clock_wall_ms() - changed_ms < SETTLED_MS)
		return false;
	t->current = make_entry(t->end, size, changed_ms);
	t->at = t->end;
	t->end += t->current.length;
	if (!(t->streams & 1U << LOGIDX_STDOUT))
		t->current.length = 0;
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

/* Whoever takes all that a block can hold gets a larger one. */
static void grow_block(struct logtrack *t)
{
	uint32_t size = 4 * t->block_size < t->block_max ? 4 * t->block_size : t->block_max;
	char *block;

	if (t->block_len < t->block_size || size <= t->block_size)
		return;
	block = mem_realloc(t->block, size, 1);
	if (!block)
		return;
	t->block = block;
	t->block_size = size;
}

static void read_block(struct logtrack *t)
{
	ssize_t n;

	grow_block(t);
	n = logseg_read(&t->seg, t->block, t->block_size, t->at);
	t->block_offset = t->at;
	t->block_len = n > 0 ? (uint32_t)n : 0;
}

/* Makes the block hold the byte at t->at; how many bytes of the current entry it has from there. */
static size_t load_block(struct logtrack *t)
{
	uint64_t left = t->current.offset + t->current.length - t->at, have;

	if (t->at >= t->limit)
		return 0;
	if (left > t->limit - t->at)
		left = t->limit - t->at;
	if (t->at < t->block_offset || t->at >= t->block_offset + t->block_len)
		read_block(t);
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

/* Gives a line that will not be completed any more. 0 = there is none. */
static int give_unfinished(struct logtrack *t, struct err **reterr)
{
	for (int i = 0; i < LOGIDX_STREAMS; i++) {
		struct logtrack_part *p = &t->parts[i];
		bool some = p->started && !p->skipping && p->text.len > 0;

		p->started = p->skipping = false;
		if (some)
			return give_part(t, p, false, reterr);
	}
	return 0;
}

/* Goes through the current entry. 1 = a line; 0 = the entry is used up. */
static int take_entry(struct logtrack *t, struct err **reterr)
{
	while (t->current.length > 0) {
		size_t n = load_block(t);
		const char *bytes = t->block + (t->at - t->block_offset), *newline;
		int r;

		if (n == 0) { /* the segment is shorter than its index: lines end there */
			t->current.length = 0;
			return t->seg.error ? 0 : give_unfinished(t, reterr);
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
		ssize_t n = logseg_read(&t->seg, t->block, want, end - want);
		const char *p = n > 0 ? memrchr(t->block, '\n', (size_t)n) : NULL;

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
	ssize_t n = to ? logseg_read(&t->seg, to, (size_t)(end - at), at) : 0;

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

		if (!logseg_entry_back(&t->seg, i, &e))
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
	for (uint64_t i = first; i < number && logseg_entry(&t->seg, i, &e); i++)
		if (e.stream == stream)
			append_bytes(t, &x->text, i == first ? at : e.offset, e.offset + e.length);
}

/* The same at the end of the segment before the open one, if it is there. */
static int collect_before(struct logtrack *t, uint32_t stream, struct prefix *x,
			  struct err **reterr)
{
	uint32_t seq = t->seg.seq;
	uint64_t n, end;
	int r = open_segment(t, seq - 1, reterr);

	if (r < 0)
		return r;
	if (r > 0) {
		logseg_index_end(&t->seg, &n, &end);
		collect_prefix(t, n, stream, x);
	}
	return open_segment(t, seq, reterr);
}

/*
 * Reading begins where a stream may be in the middle of a line: gets its beginning. Too long or
 * too far away: the rest of that line is passed over. What open_segment says.
 */
static int load_prefix(struct logtrack *t, uint32_t stream, struct err **reterr)
{
	struct logtrack_part *p = part_of(t, stream);
	struct prefix before = {0}, x = {0};
	int r = 1;

	collect_prefix(t, t->start.entry, stream, &x);
	if (!x.complete && !x.too_long && t->seg.seq > 1)
		r = collect_before(t, stream, &before, reterr);
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
static int go_on_with(struct logtrack *t, uint32_t seq, bool settled, struct err **reterr)
{
	bool begin = t->seg.seq == 0 && seq == t->start.seq;
	int r = open_segment(t, seq, reterr);

	for (uint32_t i = LOGIDX_STDOUT; r > 0 && begin && i <= LOGIDX_STDERR; i++)
		if (t->start.in_middle & t->streams & 1U << i)
			r = load_prefix(t, i, reterr);
	if (r < 0)
		return r;
	if (r > 0 && begin) {
		t->entry = t->start.entry;
		t->end = t->start.end;
		t->begin_at = t->start.at;
	}
	if (r > 0 && settled && !t->raw) {
		uint64_t solid = logseg_solid_size(&t->seg);

		t->limit = solid < logseg_size(&t->seg) ? solid : UINT64_MAX;
	}
	return 1;
}

/*
 * Nothing comes any more, most likely: its logger died, or is stuck and stores what is in the pipe
 * one day. So its last line is given, and it costs nothing until its files change.
 */
static int give_rest(struct logtrack *t, struct err **reterr)
{
	int r;

	if (clock_wall_ms() - logseg_changed_ms(&t->seg) < SETTLED_MS)
		return 0;
	r = give_unfinished(t, reterr);
	if (r == 0)
		logtrack_park(t);
	t->resting = r == 0;
	return r;
}

/*
 * The current segment gives nothing more. 1 = a line or another segment (t->has_line tells), 0 =
 * that was all for now.
 */
static int next_segment(struct logtrack *t, bool last, struct err **reterr)
{
	uint32_t seq = t->seg.seq;
	uint32_t next = seq_after(t, seq ? seq : t->start.seq ? t->start.seq - 1 : 0);
	int r;

	if (is_beyond(t, NULL)) {
		next = 0;
		last = true;
	} else if (t->seg.there && (next > 0 || last || t->over || t->seg.damaged) &&
		   adopt_tail(t, next > 0)) {
		return 1;
	}
	if (next > 0) {
		if (next != t->read_seq + 1) { /* what is between was deleted */
			if (t->read_seq > 0 && next > t->read_seq)
				t->lost += next - t->read_seq - 1 -
					   loggap_within(&t->seg.gap, t->read_seq + 1, next - 1);
			t->read_seq = next - 1;
			r = give_unfinished(t, reterr);
			if (r != 0)
				return r;
		}
		return go_on_with(t, next, last || seq_after(t, next) > 0, reterr);
	}
	if (!last && !t->has_end)
		return t->over ? give_rest(t, reterr) : 0;
	r = give_unfinished(t, reterr);
	if (r == 0)
		logtrack_finish(t);
	return r;
}

void logtrack_rest(struct logtrack *t)
{
	logseg_rest(&t->seg);
}

void logtrack_park(struct logtrack *t)
{
	empty_used(t);
	logseg_park(&t->seg);
	for (int i = 0; i < LOGIDX_STREAMS; i++)
		if (t->parts[i].text.len == 0)
			buf_done(&t->parts[i].text);
	free_block(t);
}

int logtrack_next(struct logtrack *t, int dir_fd, bool last, struct err **reterr)
{
	int r = 0;

	empty_used(t);
	t->resting = false;
	t->seg.dir_fd = dir_fd;
	if (!t->done)
		r = make_block(t, reterr);
	while (r >= 0 && !t->done) {
		r = take_entry(t, reterr);
		if (r != 0)
			return r;
		if (t->seg.there && next_entry(t))
			continue;
		if (t->seg.error)
			return err_sys(reterr, t->seg.error, "cannot open the log of replica %u",
				       t->index);
		r = next_segment(t, last, reterr);
		if (r <= 0 || t->has_line)
			return r;
	}
	return r < 0 ? r : 0;
}

/* ---- places ---- */

/*
 * Counts newlines backwards from end. True: *at is behind the one that made *left 0; false: the
 * segment has not so many.
 */
static bool count_back(struct logtrack *t, uint64_t end, uint64_t *left, uint64_t *at)
{
	while (end > 0) {
		size_t want = end < LOGTRACK_BLOCK ? (size_t)end : LOGTRACK_BLOCK;
		ssize_t n = logseg_read(&t->seg, t->block, want, end - want);
		const char *p;

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

/* pos = byte `at` of the open segment, which follows a newline. */
static void make_pos(struct logtrack *t, uint64_t n, uint64_t end, uint64_t at,
		     struct logtrack_pos *pos)
{
	struct logidx_entry e = {0}, before = {0};
	uint64_t number = logseg_find_byte(&t->seg, n, at, &e);

	*pos = (struct logtrack_pos){.seq = t->seg.seq};
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
	logseg_find_byte(&t->seg, n, at - 1, &before); /* this stream has just ended a line */
	pos->in_middle = LOGTRACK_ALL;
	if (before.stream <= LOGIDX_NOTE) /* else the index is damaged there */
		pos->in_middle &= ~(1U << before.stream);
}

/* What of the open segment is asked for: so many entries, up to that byte. */
static void wanted_end(struct logtrack *t, uint64_t *n, uint64_t *end)
{
	struct logidx_entry e;
	uint64_t number;

	logseg_index_end(&t->seg, n, end);
	if (t->seg.seq != t->stop_seq || t->until_ms == INT64_MAX)
		return;
	number = logseg_find_time(&t->seg, *n, t->until_ms + 1, &e);
	if (number < *n) {
		*n = number;
		*end = e.offset;
	}
}

static void leave(struct logtrack *t)
{
	close_files(t);
	t->seg.seq = 0;
}

int logtrack_find_tail(struct logtrack *t, int dir_fd, uint64_t n, struct logtrack_pos *ret,
		       struct err **reterr)
{
	uint64_t left = n + 1; /* the newline before the first of them */

	*ret = (struct logtrack_pos){0};
	t->seg.dir_fd = dir_fd;
	for (size_t i = t->n_seqs; i-- > 0;) {
		uint64_t entries, end, at;
		int r;

		if (t->stop_seq && t->seqs[i] > t->stop_seq)
			continue;
		r = open_segment(t, t->seqs[i], reterr);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		wanted_end(t, &entries, &end);
		if (count_back(t, end, &left, &at)) {
			make_pos(t, entries, end, at, ret);
			break;
		}
	}
	leave(t);
	return 0;
}

int logtrack_find_since(struct logtrack *t, int dir_fd, int64_t since_ms, struct logtrack_pos *ret,
			struct err **reterr)
{
	int r = 0;

	*ret = (struct logtrack_pos){0};
	t->seg.dir_fd = dir_fd;
	for (size_t i = 0; r == 0 && i < t->n_seqs; i++) {
		int64_t first_ms, last_ms;
		struct logidx_entry e;
		uint64_t n, end;

		if (!logseg_is_younger(&t->seg, t->seqs[i], since_ms))
			continue;
		r = open_segment(t, t->seqs[i], reterr);
		if (r <= 0)
			continue;
		logseg_span(&t->seg, &first_ms, &last_ms);
		r = last_ms >= since_ms;
		if (!r)
			continue;
		logseg_index_end(&t->seg, &n, &end);
		ret->seq = t->seg.seq;
		ret->entry = logseg_find_time(&t->seg, n, since_ms, &e);
		ret->end = ret->entry < n ? e.offset : end;
		ret->in_middle = t->raw ? 0 : LOGTRACK_ALL;
	}
	leave(t);
	return r;
}

int logtrack_find_until(struct logtrack *t, int dir_fd, int64_t until_ms, struct err **reterr)
{
	bool any_later = false;
	uint32_t stop = 0;

	t->until_ms = until_ms;
	t->seg.dir_fd = dir_fd;
	t->seg.gap.mute = true;
	for (size_t i = t->n_seqs; i-- > 0 && stop == 0;) {
		int64_t first_ms, last_ms;
		int r = open_segment(t, t->seqs[i], reterr);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		logseg_span(&t->seg, &first_ms, &last_ms);
		any_later |= last_ms > until_ms;
		if (first_ms <= until_ms)
			stop = t->seg.seq;
	}
	leave(t);
	t->seg.gap.mute = false;
	if (any_later && stop == 0)
		logtrack_finish(t);
	else if (any_later)
		t->stop_seq = stop;
	return 0;
}

bool logtrack_is_later(const struct logtrack_pos *a, const struct logtrack_pos *b)
{
	return a->seq != b->seq ? a->seq > b->seq : a->end + a->at > b->end + b->at;
}

void logtrack_seek(struct logtrack *t, const struct logtrack_pos *pos)
{
	forget_parts(t);
	close_files(t);
	free_block(t);
	t->done = false;
	t->start = *pos;
	t->seg.seq = t->read_seq = 0;
}
