/*
 * logview: see logview.h. Merges the tracks (logtrack.h) that logfind finds.
 *
 * Tracks with a line wait in a heap ordered by its time; those not begun yet wait there with the
 * time in their name, and open nothing before it is their turn. The track whose line was given
 * stays at the top until the next call: mostly its next line is the next one, too. A track that
 * gave all it has is in no heap: following asks it again when inotify (or, without it, the caller's
 * timer) says so.
 *
 * Names of incarnations rise even when the clock is set back. One whose first line is older than
 * its name therefore began after such a step, and waits until those before it have given all they
 * have, whatever their times.
 *
 * The last n lines are found from the end of each track, counted there, and then read forward with
 * the surplus skipped, so that the merge decides which lines are the last ones. Where lines are
 * left out (a pattern, a stream) it begins as much further back as it takes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/logview.h"

#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/logfind.h"
#include "lib/logtrack.h"
#include "lib/mem.h"

#define LIVE 2		   /* incarnations of a replica that may still be written */
#define FILES_MAX 256	   /* tracks with open files */
#define MEMORY (16U << 20) /* of all blocks together, beyond the smallest */
#define SWEEP_MS 5000	   /* all tracks are asked so often, told of or not */
#define MOMENT_MS 2
#define FURTHER 8 /* times as many lines back at the next try */

struct place {
	int64_t key;
	struct logtrack *track;
};

struct logview {
	struct logfind find;
	char *log_dir, *service, *incarnation, *first_incarnation;
	uint64_t told_gone; /* segments that a reader was told of */
	int64_t tail, since_ms, until_ms, swept_mono_ms;
	uint32_t streams;
	bool follow, raw;
	bool dry;	       /* all that came was given */
	bool given;	       /* the line of the track at the top is with the caller */
	bool joined;	       /* it belongs to the one before it */
	struct logtrack *held; /* the rest of its traceback is waited for, until then */
	int64_t hold_until_mono_ms;
	struct place *heap;
	size_t n_heap, cap_heap;
	int (*filter)(void *user, const char *text, size_t n, struct err **reterr);
	void *filter_user;
	const bool *stop;
	uint64_t skip; /* lines of the merge before the ones asked for */
	size_t n_open, files_max, hand;
};

/* ---- the heap ---- */

static int64_t key_of(const struct logtrack *t)
{
	if (t->has_line)
		return t->wall_ms;
	return t->early ? INT64_MIN : logidx_incarnation_ms(t->incarnation);
}

static bool is_before(const struct place *a, const struct place *b)
{
	if (a->key != b->key)
		return a->key < b->key;
	if (a->track->index != b->track->index)
		return a->track->index < b->track->index;
	return strcmp(a->track->incarnation, b->track->incarnation) < 0;
}

static int push_at(struct logview *v, struct logtrack *t, int64_t key)
{
	const struct place p = {key, t};
	size_t i = v->n_heap;

	if (mem_grow(&v->heap, &v->cap_heap, i + 1, sizeof(*v->heap)) < 0)
		return -ERR_NOMEM;
	v->n_heap++;
	while (i > 0 && is_before(&p, &v->heap[(i - 1) / 2])) {
		v->heap[i] = v->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	v->heap[i] = p;
	t->queued = true;
	return 0;
}

static int push(struct logview *v, struct logtrack *t)
{
	return push_at(v, t, key_of(t));
}

/* p belongs at the top or further down; heap[0] is free. */
static void sink(struct logview *v, struct place p)
{
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= v->n_heap)
			break;
		if (child + 1 < v->n_heap && is_before(&v->heap[child + 1], &v->heap[child]))
			child++;
		if (!is_before(&v->heap[child], &p))
			break;
		v->heap[i] = v->heap[child];
		i = child;
	}
	v->heap[i] = p;
}

static void drop_top(struct logview *v)
{
	v->heap[0].track->queued = false;
	v->n_heap--;
	if (v->n_heap > 0)
		sink(v, v->heap[v->n_heap]);
}

static int on_found(void *user, struct logtrack *t)
{
	struct logview *v = user;

	if (v->streams)
		t->streams = v->streams;
	if ((v->incarnation && strcmp(t->incarnation, v->incarnation) != 0) ||
	    (v->first_incarnation && strcmp(t->incarnation, v->first_incarnation) < 0)) {
		logtrack_finish(t);
		return 0;
	}
	return 0;
}

/*
 * Those that were found since. Where a name is that of the one before and a moment, the clock may
 * have been set back: then it says nothing, and is looked behind at once.
 */
static int queue_new(struct logview *v, struct err **reterr)
{
	for (size_t i = 0; i < v->find.n_tracks; i++) {
		struct logtrack *t = v->find.tracks[i], *before = i ? v->find.tracks[i - 1] : NULL;

		if (t->begun || t->queued || t->done)
			continue;
		t->early = before && before->index == t->index &&
			   logidx_incarnation_ms(t->incarnation) -
					   logidx_incarnation_ms(before->incarnation) <=
				   MOMENT_MS;
		if (push(v, t) < 0)
			return err_nomem(reterr);
	}
	return 0;
}

/* ---- asking tracks ---- */

/* Keeps the number of open files within bounds, going round. */
static void close_another(struct logview *v, const struct logtrack *than)
{
	for (size_t i = 0; i < v->find.n_tracks; i++) {
		struct logtrack *t = v->find.tracks[v->hand++ % v->find.n_tracks];

		if (t == than || !logseg_is_open(&t->seg))
			continue;
		logtrack_rest(t);
		v->n_open--;
		return;
	}
}

static void set_block_max(struct logview *v)
{
	size_t n = v->find.n_tracks ? v->find.n_tracks : 1, max = MEMORY / n;

	max = max > LOGTRACK_BLOCK_MAX ? LOGTRACK_BLOCK_MAX : max;
	max = max < LOGTRACK_BLOCK || v->follow ? LOGTRACK_BLOCK : max;
	for (size_t i = 0; i < v->find.n_tracks; i++)
		v->find.tracks[i]->block_max = (uint32_t)max;
}

/* Does its line have to be shown? */
static int is_wanted(const struct logview *v, const struct logtrack *t, struct err **reterr)
{
	size_t n = t->len;

	if (t->wall_ms < v->since_ms || t->wall_ms > v->until_ms)
		return 0;
	if (!v->filter)
		return 1;
	if (v->raw && n > 0 && t->text[n - 1] == '\n')
		n--;
	return v->filter(v->filter_user, t->text, n, reterr);
}

/* The next line of a track that is wanted. As logtrack_next. */
static int next_of(struct logview *v, struct logtrack *t, struct err **reterr)
{
	bool was_open = logseg_is_open(&t->seg);
	int r, wanted;

	do {
		wanted = 1;
		if (v->stop && __atomic_load_n(v->stop, __ATOMIC_RELAXED))
			return err_set(reterr, ERR_BUSY, "told to stop");
		r = logtrack_next(t, v->find.dir_fd, !v->follow, reterr);
		if (r == 1)
			wanted = is_wanted(v, t, reterr);
	} while (wanted == 0);
	if (wanted < 0)
		return wanted;
	if (logseg_is_open(&t->seg) == was_open)
		return r;
	v->n_open += was_open ? (size_t)-1 : 1;
	if (v->n_open > v->files_max)
		close_another(v, t);
	return r;
}

/* The one of the same replica before t that has not given all it has, or NULL. */
static struct logtrack *unfinished_before(const struct logview *v, const struct logtrack *t)
{
	size_t at = logfind_first(&v->find, t->index);
	struct logtrack *found = NULL;

	for (; at < v->find.n_tracks && v->find.tracks[at] != t; at++)
		if (v->find.tracks[at]->queued && !v->find.tracks[at]->waiter)
			found = v->find.tracks[at];
	return found;
}

/* The top has a line, its first one: must it wait for another? Then it is out of the heap. */
static bool made_wait(struct logview *v)
{
	struct logtrack *t = v->heap[0].track, *before;

	if (t->wall_ms >= logidx_incarnation_ms(t->incarnation))
		return false;
	before = unfinished_before(v, t);
	if (!before)
		return false;
	drop_top(v);
	t->queued = true; /* others may wait for it in turn */
	before->waiter = t;
	return true;
}

/* Does the line of a track belong to the one that it gave before? */
static bool is_joined(const struct logview *v, struct logtrack *t)
{
	size_t n = t->len;

	if (v->raw && n > 0 && t->text[n - 1] == '\n')
		n--;
	return logblock_next(&t->given, t->stream, t->text, n, t->wall_ms);
}

/* The track has no more at the moment, but the rest of a traceback would come any moment. */
static void hold(struct logview *v, struct logtrack *t)
{
	int64_t last_ms, age_ms;

	if (!v->follow || t->done || !logblock_expects(&t->given, &last_ms))
		return;
	age_ms = clock_wall_ms() - last_ms;
	if (age_ms < 0 || age_ms >= LOGVIEW_HOLD_MS)
		return;
	v->held = t;
	v->hold_until_mono_ms = clock_mono_ms() + LOGVIEW_HOLD_MS - age_ms;
}

/* The top has given all it has: out of the heap; in comes who waited for it. */
static int retire_top(struct logview *v)
{
	struct logtrack *t = v->heap[0].track, *waiter = t->waiter;

	hold(v, t);
	drop_top(v);
	t->waiter = NULL;
	return waiter ? push(v, waiter) : 0;
}

/* Asks the top for its next line and puts it where it belongs. */
static int advance_top(struct logview *v, struct err **reterr)
{
	struct logtrack *t = v->heap[0].track;
	bool first = !t->begun;
	int r;

	t->begun = true;
	r = next_of(v, t, reterr);
	if (r < 0)
		return r;
	if (r == 0)
		return retire_top(v) < 0 ? err_nomem(reterr) : 0;
	if (first && made_wait(v))
		return 0;
	v->joined = is_joined(v, t);
	if (!v->joined) /* else it stays at the top, whatever its time */
		sink(v, (struct place){t->wall_ms, t});
	return 0;
}

/* A track that had run dry has a line. */
static int rejoin(struct logview *v, struct logtrack *t)
{
	bool joined = is_joined(v, t);

	if (v->held != t)
		return push(v, t);
	v->held = NULL;
	v->joined = joined;
	return push_at(v, t, joined ? INT64_MIN : t->wall_ms);
}

/* Following: what came since the view ran dry. */
static int refresh(struct logview *v, struct err **reterr)
{
	int64_t now = clock_mono_ms();
	bool all = v->find.notify_fd < 0 || now - v->swept_mono_ms >= SWEEP_MS;
	int r = logfind_refresh(&v->find, reterr);

	if (r == 0)
		r = queue_new(v, reterr);
	v->dry = false;
	if (all)
		v->swept_mono_ms = now;
	/* new tracks are in the heap already, the others are not */
	for (size_t i = 0; r == 0 && i < v->find.n_tracks; i++) {
		struct logtrack *t = v->find.tracks[i];

		if (t->done || !t->begun || t->queued || !(t->touched || (all && !t->resting)))
			continue;
		t->touched = false;
		r = next_of(v, t, reterr);
		if (r == 1)
			r = rejoin(v, t) < 0 ? err_nomem(reterr) : 0;
	}
	return r;
}

int logview_holds_ms(const struct logview *v)
{
	int64_t left = v->held ? v->hold_until_mono_ms - clock_mono_ms() : 0;

	return left > 0 ? (int)left : 0;
}

uint64_t logview_lost(const struct logview *v)
{
	uint64_t n = v->find.lost;

	for (size_t i = 0; i < v->find.n_tracks; i++)
		n += v->find.tracks[i]->lost + v->find.tracks[i]->seg.gap.n;
	return n;
}

/* Rotation went past a slow reader. */
static bool warn_of_gone(struct logview *v, char *text, size_t size)
{
	uint64_t gone = 0, n;

	for (size_t i = 0; i < v->find.n_tracks; i++)
		gone += v->find.tracks[i]->lost;
	n = gone > v->told_gone ? gone - v->told_gone : 0;
	v->told_gone = gone;
	snprintf(text, size, "lines are missing: %llu file%s gone before the reader came to %s",
		 (unsigned long long)n, n == 1 ? " was" : "s were", n == 1 ? "it" : "them");
	return n > 0;
}

bool logview_warning(struct logview *v, char *text, size_t size)
{
	for (size_t i = 0; i < v->find.n_tracks; i++) {
		struct logtrack *t = v->find.tracks[i];
		uint32_t seq = loggap_tell(&t->seg.gap);
		char name[LOGIDX_NAME_SIZE];

		if (seq == 0)
			continue;
		snprintf(text, size, "lines are missing: %s/%s/%u/%s is damaged", v->log_dir,
			 v->service, t->index, logidx_name(name, t->incarnation, seq, LOGIDX_ZST));
		return true;
	}
	return warn_of_gone(v, text, size);
}

static void give(struct logview *v, struct logview_line *line)
{
	const struct logtrack *t = v->heap[0].track;

	v->given = true;
	line->text = t->text;
	line->len = t->len;
	line->wall_ms = t->wall_ms;
	line->stream = t->stream;
	line->index = t->index;
	line->incarnation = t->incarnation;
	line->cut = t->cut;
	line->joined = v->joined;
}

int logview_next(struct logview *v, struct logview_line *line, struct err **reterr)
{
	int r = 0;

	v->joined = false;
	if (v->given)
		r = advance_top(v, reterr);
	else if (v->dry)
		r = refresh(v, reterr);
	v->given = false;
	while (r == 0 && v->n_heap > 0) {
		if (v->held && logview_holds_ms(v) > 0)
			break;
		v->held = NULL;
		if (v->heap[0].track->has_line) {
			if (v->skip == 0) {
				give(v, line);
				return 1;
			}
			v->skip--;
		}
		r = advance_top(v, reterr);
	}
	v->dry = v->follow;
	return r;
}

/* ---- where to begin ---- */

/* Counts what a track has from pos on and goes back there. */
static int count_lines(struct logview *v, struct logtrack *t, const struct logtrack_pos *pos,
		       uint64_t *n, struct err **reterr)
{
	int r;

	*n = 0;
	logtrack_seek(t, pos);
	while ((r = next_of(v, t, reterr)) == 1)
		(*n)++;
	if (logseg_is_open(&t->seg))
		v->n_open--;
	logtrack_seek(t, pos);
	return r;
}

/* Goes where a track's last lines begin. *n: how many that are. */
static int seek_back(struct logview *v, struct logtrack *t, uint64_t *n, struct err **reterr)
{
	uint64_t back = (uint64_t)v->tail;
	struct logtrack_pos pos, since = {0};
	int r = 0, some = 1;

	if (v->since_ms > INT64_MIN)
		some = logtrack_find_since(t, v->find.dir_fd, v->since_ms, &since, reterr);
	if (some < 0)
		return some;
	for (;;) {
		bool bound;

		r = logtrack_find_tail(t, v->find.dir_fd, some ? back : 0, &pos, reterr);
		if (r < 0)
			return r;
		bound = some && logtrack_is_later(&since, &pos);
		r = count_lines(v, t, bound ? &since : &pos, n, reterr);
		if (r < 0 || bound || !some || *n >= (uint64_t)v->tail || pos.seq == 0 ||
		    (!v->filter && !v->streams && !v->raw))
			return r;
		back *= FURTHER;
	}
}

/* A track of which nothing is wanted that is there. Following, more may come. */
static int pass_over(struct logview *v, struct logtrack *t, struct err **reterr)
{
	struct logtrack_pos pos;
	int r;

	if (!v->follow) {
		logtrack_finish(t);
		return 0;
	}
	r = logtrack_find_tail(t, v->find.dir_fd, 0, &pos, reterr);
	if (r == 0)
		logtrack_seek(t, &pos);
	return r;
}

/* Positions the tracks of one replica, which end before tracks[end]; newest first. */
static int seek_replica(struct logview *v, size_t end, size_t *begin, uint64_t *total,
			struct err **reterr)
{
	uint32_t index = v->find.tracks[end - 1]->index;
	uint64_t have = 0, n = 0;
	size_t i;

	for (i = end; i > 0 && v->find.tracks[i - 1]->index == index; i--) {
		struct logtrack *t = v->find.tracks[i - 1];
		int r;

		if (t->done)
			continue;
		if (have < (uint64_t)v->tail || end - i < LIVE)
			r = seek_back(v, t, &n, reterr);
		else
			r = pass_over(v, t, reterr);
		if (r < 0)
			return r;
		have += n;
		n = 0;
	}
	*total += have;
	*begin = i;
	return 0;
}

static int seek_tail(struct logview *v, struct err **reterr)
{
	uint64_t total = 0;
	int r;

	for (size_t end = v->find.n_tracks; end > 0;) {
		r = seek_replica(v, end, &end, &total, reterr);
		if (r < 0)
			return r;
	}
	v->skip = total > (uint64_t)v->tail ? total - (uint64_t)v->tail : 0;
	return 0;
}

/* Without a number of lines: only what is old enough to be wanted is passed over. */
static int seek_since(struct logview *v, struct err **reterr)
{
	for (size_t i = 0; i < v->find.n_tracks; i++) {
		struct logtrack *t = v->find.tracks[i];
		struct logtrack_pos pos;
		int r;

		if (t->done)
			continue;
		r = logtrack_find_since(t, v->find.dir_fd, v->since_ms, &pos, reterr);
		if (r == 1)
			logtrack_seek(t, &pos);
		else if (r == 0)
			r = pass_over(v, t, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int seek_until(struct logview *v, struct err **reterr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < v->find.n_tracks; i++)
		if (!v->find.tracks[i]->done)
			r = logtrack_find_until(v->find.tracks[i], v->find.dir_fd, v->until_ms,
						reterr);
	return r;
}

static const struct logview_runs *runs_of(const struct logview_opts *opts, uint32_t index)
{
	for (size_t i = 0; i < opts->n_runs; i++)
		if (opts->runs[i].index == index)
			return &opts->runs[i];
	return NULL;
}

static bool is_previous(const struct logtrack *t, const struct logview_runs *runs, bool newest)
{
	if (runs && runs->previous[0])
		return strcmp(t->incarnation, runs->previous) == 0;
	if (runs && runs->present[0])
		return strcmp(t->incarnation, runs->present) < 0;
	return !newest;
}

/* Leaves of each replica only the incarnation before the present one. */
static void choose_previous(struct logview *v, const struct logview_opts *opts)
{
	const struct logtrack *chosen = NULL;

	for (size_t i = v->find.n_tracks; i-- > 0;) {
		struct logtrack *t = v->find.tracks[i];
		bool newest = i + 1 == v->find.n_tracks || v->find.tracks[i + 1]->index != t->index;

		if (newest)
			chosen = NULL;
		if (!chosen && is_previous(t, runs_of(opts, t->index), newest))
			chosen = t;
		if (t != chosen)
			logtrack_finish(t);
	}
}

/* ---- life ---- */

static bool is_plain_name(const char *s)
{
	return s[0] != '\0' && s[0] != '.' && !strchr(s, '/');
}

/* Finds what there is and goes where the view begins. */
static int begin(struct logview *v, const struct logview_opts *opts, struct err **reterr)
{
	int r = logfind_look(&v->find, reterr);

	if (r < 0)
		return r;
	if (opts->previous)
		choose_previous(v, opts);
	if (opts->until_ms)
		r = seek_until(v, reterr);
	if (r == 0 && v->tail >= 0)
		r = seek_tail(v, reterr);
	else if (r == 0 && opts->since_ms)
		r = seek_since(v, reterr);
	set_block_max(v);
	return r < 0 ? r : queue_new(v, reterr);
}

static int init(struct logview *v, const struct logview_opts *opts, struct err **reterr)
{
	v->tail = opts->tail;
	v->since_ms = opts->since_ms ? opts->since_ms : INT64_MIN;
	v->until_ms = opts->until_ms ? opts->until_ms : INT64_MAX;
	v->streams = opts->streams;
	v->follow = opts->follow;
	v->raw = opts->raw;
	v->stop = opts->stop;
	v->files_max = opts->files_max ? opts->files_max : FILES_MAX;
	v->log_dir = mem_strdup(opts->log_dir);
	v->service = mem_strdup(opts->service);
	v->incarnation = opts->incarnation ? mem_strdup(opts->incarnation) : NULL;
	v->first_incarnation = opts->first_incarnation ? mem_strdup(opts->first_incarnation) : NULL;
	v->find = (struct logfind){.log_dir = v->log_dir,
				   .service = v->service,
				   .index = opts->index,
				   .raw = opts->raw,
				   .found = on_found,
				   .user = v};
	logfind_init(&v->find, v->follow);
	if (!v->log_dir || !v->service || (opts->incarnation && !v->incarnation) ||
	    (opts->first_incarnation && !v->first_incarnation))
		return err_nomem(reterr);
	v->filter = opts->filter;
	v->filter_user = opts->filter_user;
	return 0;
}

int logview_open(const struct logview_opts *opts, struct logview **ret, struct err **reterr)
{
	struct logview *v;
	int r;

	if (!is_plain_name(opts->service))
		return err_set(reterr, ERR_INVALID, "\"%s\" is no service name", opts->service);
	v = mem_alloc(sizeof(*v));
	if (!v)
		return err_nomem(reterr);
	r = init(v, opts, reterr);
	if (r == 0)
		r = begin(v, opts, reterr);
	if (r < 0) {
		logview_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

bool logview_is_empty(const struct logview *v)
{
	return v->find.n_tracks == 0;
}

int logview_fd(const struct logview *v)
{
	return v->find.notify_fd;
}

struct logview *logview_free(struct logview *v)
{
	if (!v)
		return NULL;
	logfind_done(&v->find);
	mem_free(v->heap);
	mem_free(v->log_dir);
	mem_free(v->service);
	mem_free(v->incarnation);
	mem_free(v->first_incarnation);
	mem_free(v);
	return NULL;
}
