/* logfind: see logfind.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/logfind.h"

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
#define NO_REPLICA UINT32_MAX
#define LIVE 2 /* incarnations of a replica that may still be written: the old one drains */

void logfind_init(struct logfind *f, bool follow)
{
	f->dir_fd = -1;
	f->notify_fd = follow ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
}

void logfind_done(struct logfind *f)
{
	for (size_t i = 0; i < f->n_tracks; i++)
		logtrack_free(f->tracks[i]);
	mem_free(f->tracks);
	mem_free(f->watches);
	mem_closep(&f->dir_fd);
	mem_closep(&f->notify_fd);
}

/* ---- tracks ---- */

static int compare_track(const struct logtrack *t, uint32_t index, const char *incarnation)
{
	if (t->index != index)
		return t->index < index ? -1 : 1;
	return strcmp(t->incarnation, incarnation);
}

static size_t place(const struct logfind *f, uint32_t index, const char *incarnation)
{
	size_t low = 0, high = f->n_tracks;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_track(f->tracks[mid], index, incarnation) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t logfind_first(const struct logfind *f, uint32_t index)
{
	return place(f, index, "");
}

/* The track, made when it is new. NULL: out of memory. */
static struct logtrack *track_of(struct logfind *f, uint32_t index, const char *incarnation)
{
	size_t at = place(f, index, incarnation);
	struct logtrack *t = at < f->n_tracks ? f->tracks[at] : NULL;

	if (t && compare_track(t, index, incarnation) == 0)
		return t;
	if (mem_grow(&f->tracks, &f->cap_tracks, f->n_tracks + 1, sizeof(*f->tracks)) < 0)
		return NULL;
	t = logtrack_new(incarnation, index, f->raw);
	if (!t || f->found(f->user, t) < 0)
		return logtrack_free(t);
	memmove(f->tracks + at + 1, f->tracks + at, (f->n_tracks - at) * sizeof(*f->tracks));
	f->tracks[at] = t;
	f->n_tracks++;
	return t;
}

/* Forgets finished tracks whose files are gone, and sees who may still be written. */
static void sort_out(struct logfind *f)
{
	size_t out = 0, newer = 0;

	for (size_t i = 0; i < f->n_tracks; i++) {
		struct logtrack *t = f->tracks[i];

		if ((t->done || t->resting) && !t->seen && !t->queued && !t->has_line) {
			f->lost += t->lost + t->seg.gap.n;
			logtrack_free(t);
		} else {
			f->tracks[out++] = t;
		}
	}
	f->n_tracks = out;
	for (size_t i = out; i-- > 0;) {
		newer = i + 1 < out && f->tracks[i + 1]->index == f->tracks[i]->index ? newer + 1
										      : 0;
		f->tracks[i]->over = newer >= LIVE;
	}
}

/* ---- inotify ---- */

static size_t watch_place(const struct logfind *f, int wd)
{
	size_t low = 0, high = f->n_watches;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->watches[mid].wd < wd)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct logfind_watch *find_watch(const struct logfind *f, int wd)
{
	size_t at = watch_place(f, wd);

	return at < f->n_watches && f->watches[at].wd == wd ? &f->watches[at] : NULL;
}

/* What cannot be watched makes every look a full one. */
static void watch(struct logfind *f, int dir_fd, uint32_t index)
{
	struct logfind_watch *w;
	char path[32];
	size_t at;
	int wd;

	if (f->notify_fd < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	wd = inotify_add_watch(f->notify_fd, path, WATCH);
	w = wd < 0 ? NULL : find_watch(f, wd);
	if (w) {
		w->index = index;
		return;
	}
	if (wd < 0 ||
	    mem_grow(&f->watches, &f->cap_watches, f->n_watches + 1, sizeof(*f->watches)) < 0) {
		mem_closep(&f->notify_fd);
		return;
	}
	at = watch_place(f, wd);
	memmove(f->watches + at + 1, f->watches + at, (f->n_watches - at) * sizeof(*f->watches));
	f->watches[at] = (struct logfind_watch){.wd = wd, .index = index};
	f->n_watches++;
}

static void touch(struct logfind *f, uint32_t index)
{
	for (size_t i = logfind_first(f, index); i < f->n_tracks && f->tracks[i]->index == index;
	     i++)
		f->tracks[i]->touched = true;
}

static void take_event(struct logfind *f, const struct inotify_event *e)
{
	struct logfind_watch *w = find_watch(f, e->wd);

	if (w && (e->mask & IN_IGNORED)) { /* the directory is gone */
		size_t at = (size_t)(w - f->watches);

		f->n_watches--;
		memmove(w, w + 1, (f->n_watches - at) * sizeof(*w));
		w = NULL;
	}
	if (!w || w->index == NO_REPLICA) {
		f->stale |= (e->mask & ~(uint32_t)IN_MODIFY) != 0;
		return;
	}
	w->changed |= (e->mask & ~(uint32_t)IN_MODIFY) != 0;
	touch(f, w->index);
}

/* Reads all that inotify has to say. */
static void read_events(struct logfind *f)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while (f->notify_fd >= 0 && (n = read(f->notify_fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			take_event(f, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
}

/* ---- directories ---- */

static int denied(const struct logfind *f, struct err **reterr)
{
	return err_set(reterr, ERR_PERM, "no permission to read the logs of %s in %s", f->service,
		       f->log_dir);
}

/* A directory below; -1 = not there. Negative codes only for what the user must know. */
static int open_below(struct logfind *f, int at, const char *name, int *ret, struct err **reterr)
{
	*ret = openat(at, name, OPEN_DIR);
	if (*ret < 0 && (errno == EACCES || errno == EPERM))
		return denied(f, reterr);
	if (*ret < 0 && (errno == EMFILE || errno == ENFILE))
		return err_sys(reterr, errno, "cannot open a log directory");
	return 0;
}

static int scan_replica(struct logfind *f, const char *name, uint32_t index, struct err **reterr)
{
	_cleanup_free_ struct logidx_segment *segments = NULL;
	_cleanup_close_ int fd = -1;
	size_t n = 0;
	int r = open_below(f, f->dir_fd, name, &fd, reterr);

	if (r < 0 || fd < 0)
		return r;
	watch(f, fd, index);
	r = logidx_scan(fd, false, &segments, &n, reterr);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct logtrack *t;

		/* the index is made first: the log comes in a moment */
		if (!segments[i].has_log && !segments[i].has_zst)
			continue;
		t = track_of(f, index, segments[i].incarnation);
		if (!t || logtrack_learn(t, segments[i].seq) < 0)
			return err_nomem(reterr);
		t->seen = true;
	}
	return r;
}

static int open_service(struct logfind *f, struct err **reterr)
{
	_cleanup_close_ int log_fd = open(f->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (log_fd < 0 && (errno == EACCES || errno == EPERM)) /* not listing is enough */
		log_fd = open(f->log_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (log_fd < 0)
		return errno == EACCES ? denied(f, reterr) : 0;
	watch(f, log_fd, NO_REPLICA);
	return open_below(f, log_fd, f->service, &f->dir_fd, reterr);
}

static int scan_service(struct logfind *f, struct err **reterr)
{
	int fd = openat(f->dir_fd, ".", OPEN_DIR), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		mem_closep(&fd);
		return denied(f, reterr);
	}
	while (r == 0 && (e = readdir(d))) {
		int64_t index;

		if (parse_i64(e->d_name, 0, INDEX_MAX, &index, NULL) == 0 &&
		    (f->index < 0 || f->index == index))
			r = scan_replica(f, e->d_name, (uint32_t)index, reterr);
	}
	closedir(d);
	return r;
}

int logfind_look(struct logfind *f, struct err **reterr)
{
	struct stat st;
	int r = 0;

	f->stale = false;
	for (size_t i = 0; i < f->n_watches; i++)
		f->watches[i].changed = false;
	for (size_t i = 0; i < f->n_tracks; i++) {
		f->tracks[i]->seen = false;
		f->tracks[i]->touched = true;
	}
	if (f->dir_fd >= 0 && (fstat(f->dir_fd, &st) < 0 || st.st_nlink == 0))
		mem_closep(&f->dir_fd); /* removed; it may be there again */
	if (f->dir_fd < 0)
		r = open_service(f, reterr);
	if (r < 0 || f->dir_fd < 0)
		return r;
	watch(f, f->dir_fd, NO_REPLICA);
	r = scan_service(f, reterr);
	sort_out(f);
	return r;
}

/* Looks at the replicas where names came or went. */
static int look_at_changed(struct logfind *f, struct err **reterr)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->n_watches; i++) {
		uint32_t index = f->watches[i].index;
		char name[16];

		if (!f->watches[i].changed)
			continue;
		f->watches[i].changed = false;
		any = true;
		for (size_t k = logfind_first(f, index);
		     k < f->n_tracks && f->tracks[k]->index == index; k++)
			f->tracks[k]->seen = false;
		(void)snprintf(name, sizeof(name), "%u", index);
		r = scan_replica(f, name, index, reterr);
	}
	if (any)
		sort_out(f);
	return r;
}

int logfind_refresh(struct logfind *f, struct err **reterr)
{
	read_events(f);
	if (f->stale || f->notify_fd < 0 || f->dir_fd < 0)
		return logfind_look(f, reterr);
	return look_at_changed(f, reterr);
}
