/*
 * logview: see logview.h. Finds the tracks (logtrack.h) of a service and merges them.
 *
 * Tracks with a line wait in a heap ordered by its time; those not begun yet wait there with the
 * time in their name, and open nothing before it is their turn. A track that gave all it has is in
 * no heap: following asks it again when inotify (or, without it, the caller's timer) says so.
 *
 * The last n lines are found from the end of each track, counted there, and then read forward with
 * the surplus skipped, so that the merge decides which lines are the last ones.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/logview.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/logidx.h"
#include "lib/logtrack.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define WATCH (IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVED_TO | IN_ONLYDIR)
#define INDEX_MAX 1000000
#define LIVE 2 /* incarnations of a replica that may still be written: the old one drains */

struct logview {
	char *log_dir, *service;
	int64_t index, tail;
	bool follow, raw;
	int dir_fd; /* of the service; -1 = there is none yet */
	int notify_fd;
	bool rescan, dry;
	struct logtrack **tracks; /* by index, then incarnation */
	size_t n_tracks, cap_tracks;
	struct logtrack **heap;
	size_t n_heap, cap_heap;
	struct logtrack *given; /* its line is with the caller */
	uint64_t skip;		/* lines of the merge before the ones asked for */
};

/* ---- the heap ---- */

static int64_t key_of(const struct logtrack *t)
{
	return t->has_line ? t->wall_ms : logidx_incarnation_ms(t->incarnation);
}

static bool is_before(const struct logtrack *a, const struct logtrack *b)
{
	int64_t x = key_of(a), y = key_of(b);

	if (x != y)
		return x < y;
	if (a->index != b->index)
		return a->index < b->index;
	return strcmp(a->incarnation, b->incarnation) < 0;
}

static int push(struct logview *v, struct logtrack *t)
{
	size_t i = v->n_heap;

	if (mem_grow(&v->heap, &v->cap_heap, i + 1, sizeof(struct logtrack *)) < 0)
		return -ERR_NOMEM;
	v->n_heap++;
	while (i > 0 && is_before(t, v->heap[(i - 1) / 2])) {
		v->heap[i] = v->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	v->heap[i] = t;
	return 0;
}

static struct logtrack *pop(struct logview *v)
{
	struct logtrack *top = v->heap[0], *last = v->heap[--v->n_heap];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= v->n_heap)
			break;
		if (child + 1 < v->n_heap && is_before(v->heap[child + 1], v->heap[child]))
			child++;
		if (!is_before(v->heap[child], last))
			break;
		v->heap[i] = v->heap[child];
		i = child;
	}
	v->heap[i] = last;
	return top;
}

/* ---- finding tracks ---- */

static int compare_track(const struct logtrack *t, uint32_t index, const char *incarnation)
{
	if (t->index != index)
		return t->index < index ? -1 : 1;
	return strcmp(t->incarnation, incarnation);
}

/* The track, made when it is new. NULL: out of memory. */
static struct logtrack *track_of(struct logview *v, uint32_t index, const char *incarnation)
{
	size_t low = 0, high = v->n_tracks;
	struct logtrack *t;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = compare_track(v->tracks[mid], index, incarnation);

		if (c == 0)
			return v->tracks[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (mem_grow(&v->tracks, &v->cap_tracks, v->n_tracks + 1, sizeof(struct logtrack *)) < 0)
		return NULL;
	t = logtrack_new(incarnation, index, v->raw);
	if (!t || push(v, t) < 0)
		return logtrack_free(t);
	memmove(v->tracks + low + 1, v->tracks + low, (v->n_tracks - low) * sizeof(*v->tracks));
	v->tracks[low] = t;
	v->n_tracks++;
	return t;
}

static void watch(struct logview *v, int dir_fd)
{
	char path[32];

	if (v->notify_fd < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	if (inotify_add_watch(v->notify_fd, path, WATCH) < 0)
		mem_closep(&v->notify_fd); /* then every look is a full one */
}

static int denied(const struct logview *v, struct err **reterr)
{
	return err_set(reterr, ERR_PERM, "no permission to read the logs of %s in %s", v->service,
		       v->log_dir);
}

/* A directory below; -1 = not there. Negative codes only for what the user must know. */
static int open_below(struct logview *v, int at, const char *name, int *ret, struct err **reterr)
{
	*ret = openat(at, name, OPEN_DIR);
	if (*ret < 0 && (errno == EACCES || errno == EPERM))
		return denied(v, reterr);
	if (*ret < 0 && (errno == EMFILE || errno == ENFILE))
		return err_sys(reterr, errno, "cannot open a log directory");
	return 0;
}

static int scan_replica(struct logview *v, const char *name, uint32_t index, struct err **reterr)
{
	_cleanup_free_ struct logidx_segment *segments = NULL;
	_cleanup_close_ int fd = -1;
	size_t n = 0;
	int r = open_below(v, v->dir_fd, name, &fd, reterr);

	if (r < 0 || fd < 0)
		return r;
	watch(v, fd);
	r = logidx_scan(fd, false, &segments, &n, reterr);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct logtrack *t;

		if (!segments[i].has_log) /* the index is made first: it comes in a moment */
			continue;
		t = track_of(v, index, segments[i].incarnation);
		if (!t || logtrack_learn(t, segments[i].seq) < 0)
			return err_nomem(reterr);
		t->seen = true;
	}
	return r;
}

static int open_service(struct logview *v, struct err **reterr)
{
	_cleanup_close_ int log_fd = open(v->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (log_fd < 0 && (errno == EACCES || errno == EPERM)) /* not listing is enough */
		log_fd = open(v->log_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (log_fd < 0)
		return errno == EACCES ? denied(v, reterr) : 0;
	watch(v, log_fd);
	return open_below(v, log_fd, v->service, &v->dir_fd, reterr);
}

/* Forgets finished tracks whose files are gone, and sees who may still be written. */
static void sort_out(struct logview *v)
{
	size_t out = 0, newer = 0;

	for (size_t i = 0; i < v->n_tracks; i++) {
		struct logtrack *t = v->tracks[i];

		if (t->done && !t->seen && t != v->given)
			logtrack_free(t);
		else
			v->tracks[out++] = t;
	}
	v->n_tracks = out;
	for (size_t i = out; i-- > 0;) {
		newer = i + 1 < out && v->tracks[i + 1]->index == v->tracks[i]->index ? newer + 1
										      : 0;
		v->tracks[i]->over = newer >= LIVE;
	}
}

static int discover(struct logview *v, struct err **reterr)
{
	struct dirent *e;
	struct stat st;
	int r = 0, fd;
	DIR *d;

	v->rescan = false;
	for (size_t i = 0; i < v->n_tracks; i++)
		v->tracks[i]->seen = false;
	if (v->dir_fd >= 0 && (fstat(v->dir_fd, &st) < 0 || st.st_nlink == 0))
		mem_closep(&v->dir_fd); /* removed; it may be there again */
	if (v->dir_fd < 0)
		r = open_service(v, reterr);
	if (r < 0 || v->dir_fd < 0)
		return r;
	watch(v, v->dir_fd);
	fd = openat(v->dir_fd, ".", OPEN_DIR);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		mem_closep(&fd);
		return denied(v, reterr);
	}
	while (r == 0 && (e = readdir(d))) {
		int64_t index;

		if (parse_i64(e->d_name, 0, INDEX_MAX, &index, NULL) == 0 &&
		    (v->index < 0 || v->index == index))
			r = scan_replica(v, e->d_name, (uint32_t)index, reterr);
	}
	closedir(d);
	sort_out(v);
	return r;
}

/* ---- the last n lines ---- */

/* Counts what a track has from pos on and goes back there. */
static int count_lines(struct logview *v, struct logtrack *t, const struct logtrack_pos *pos,
		       uint64_t *n, struct err **reterr)
{
	int r;

	*n = 0;
	logtrack_seek(t, pos);
	while ((r = logtrack_next(t, v->dir_fd, !v->follow, reterr)) == 1)
		(*n)++;
	logtrack_seek(t, pos);
	return r;
}

/* Positions the tracks of one replica, which end before tracks[end]; newest first. */
static int seek_replica(struct logview *v, size_t end, size_t *begin, uint64_t *total,
			struct err **reterr)
{
	uint32_t index = v->tracks[end - 1]->index;
	uint64_t have = 0, n = 0;
	size_t i;

	for (i = end; i > 0 && v->tracks[i - 1]->index == index; i--) {
		struct logtrack *t = v->tracks[i - 1];
		struct logtrack_pos pos;
		int r;

		if (have >= (uint64_t)v->tail && end - i >= LIVE) {
			logtrack_finish(t);
			continue;
		}
		r = logtrack_find_tail(t, v->dir_fd, (uint64_t)v->tail, &pos, reterr);
		if (r == 0)
			r = count_lines(v, t, &pos, &n, reterr);
		if (r < 0)
			return r;
		have += n;
	}
	*total += have;
	*begin = i;
	return 0;
}

static int seek_tail(struct logview *v, struct err **reterr)
{
	uint64_t total = 0;
	int r;

	for (size_t end = v->n_tracks; end > 0;) {
		r = seek_replica(v, end, &end, &total, reterr);
		if (r < 0)
			return r;
	}
	v->skip = total > (uint64_t)v->tail ? total - (uint64_t)v->tail : 0;
	return 0;
}

/* ---- the merge ---- */

/* Reads all that inotify has to say. */
static void read_events(struct logview *v)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	if (v->notify_fd < 0)
		v->rescan = true;
	while (v->notify_fd >= 0 && (n = read(v->notify_fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			if (e->mask & ~(uint32_t)IN_MODIFY)
				v->rescan = true;
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
}

/* Asks a track for its next line and puts it where it belongs. */
static int advance(struct logview *v, struct logtrack *t, struct err **reterr)
{
	int r = logtrack_next(t, v->dir_fd, !v->follow, reterr);

	if (r == 1 && push(v, t) < 0)
		return err_nomem(reterr);
	return r < 0 ? r : 0;
}

/* Following: what came since the view ran dry. */
static int refresh(struct logview *v, struct err **reterr)
{
	int r = 0;

	v->dry = false;
	read_events(v);
	if (v->rescan || v->dir_fd < 0)
		r = discover(v, reterr);
	/* new tracks are in the heap already, the others are not */
	for (size_t i = 0; r == 0 && i < v->n_tracks; i++)
		if (!v->tracks[i]->done && v->tracks[i]->begun)
			r = advance(v, v->tracks[i], reterr);
	return r;
}

int logview_next(struct logview *v, struct logview_line *line, struct err **reterr)
{
	struct logtrack *t = v->given;
	int r = 0;

	v->given = NULL;
	if (t)
		r = advance(v, t, reterr);
	else if (v->dry)
		r = refresh(v, reterr);
	while (r == 0 && v->n_heap > 0) {
		t = pop(v);
		t->begun = true;
		if (!t->has_line) {
			r = advance(v, t, reterr);
		} else if (v->skip > 0) {
			v->skip--;
			r = advance(v, t, reterr);
		} else {
			v->given = t;
			*line = (struct logview_line){.text = t->text,
						      .len = t->len,
						      .wall_ms = t->wall_ms,
						      .stream = t->stream,
						      .index = t->index,
						      .incarnation = t->incarnation,
						      .cut = t->cut};
			return 1;
		}
	}
	v->dry = v->follow;
	return r;
}

/* ---- life ---- */

static bool is_plain_name(const char *s)
{
	return s[0] != '\0' && s[0] != '.' && !strchr(s, '/');
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
	v->index = opts->index;
	v->tail = opts->tail;
	v->follow = opts->follow;
	v->raw = opts->raw;
	v->dir_fd = -1;
	v->notify_fd = v->follow ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
	v->log_dir = mem_strdup(opts->log_dir);
	v->service = mem_strdup(opts->service);
	r = v->log_dir && v->service ? discover(v, reterr) : err_nomem(reterr);
	if (r == 0 && v->tail >= 0)
		r = seek_tail(v, reterr);
	if (r < 0) {
		logview_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

int logview_fd(const struct logview *v)
{
	return v->notify_fd;
}

struct logview *logview_free(struct logview *v)
{
	if (!v)
		return NULL;
	for (size_t i = 0; i < v->n_tracks; i++)
		logtrack_free(v->tracks[i]);
	mem_free(v->tracks);
	mem_free(v->heap);
	mem_closep(&v->dir_fd);
	mem_closep(&v->notify_fd);
	mem_free(v->log_dir);
	mem_free(v->service);
	mem_free(v);
	return NULL;
}
