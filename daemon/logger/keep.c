/* keep: see keep.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/keep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daemon/logger/compress.h"
#include "daemon/logger/keep_age.h"
#include "daemon/logger/store.h"
#include "daemon/wire/wire.h"
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
#define BUDGET_PARTS 64	 /* one of it may be written until it is looked at again, */
#define BUDGET_STEP_MIN (256 << 10) /* or so many bytes */
#define SEGMENTS_MAX (1U << 18)
#define POLICIES_MAX 4096
#define RECALL_AT_ONCE 64 /* services whose max_age is looked for in one step, */
#define AGE_AT_ONCE 16	  /* and those whose segments are */
#define SOON 1 /* a time that has passed; not 0, which capture_keep has for "arm it anew" */

/* What one service wants. */
struct keep_policy {
	char *service;
	int64_t max_age_ms;
	int64_t stored_ms; /* the same in its file; -1 = not known */
	int64_t due_wall_ms;
	SLIST_ENTRY(keep_policy) all;
};

/* ---- looking at many ---- */

struct place {
	char *service, *index;
	uint64_t bytes; /* that may be deleted */
	size_t first;	/* its oldest item that is still there */
	size_t n;	/* items of it from there on */
};

struct item {
	size_t place;
	bool used, gone;
	struct logidx_segment s;
};

struct list {
	struct place *places;
	struct item *items; /* by place, oldest first */
	size_t n_places, cap_places, n, cap;
	uint64_t bytes; /* of all that are there */
	bool failed;	/* out of memory: it is not complete */
};

static void list_done(struct list *l)
{
	for (size_t i = 0; i < l->n_places; i++) {
		mem_free(l->places[i].service);
		mem_free(l->places[i].index);
	}
	mem_free(l->places);
	mem_free(l->items);
}

static bool add_place(struct list *l, const char *service, const char *index)
{
	struct place p = {
		.service = mem_strdup(service), .index = mem_strdup(index), .first = l->n};

	if (!p.service || !p.index ||
	    mem_grow(&l->places, &l->cap_places, l->n_places + 1, sizeof(*l->places)) < 0) {
		mem_free(p.service);
		mem_free(p.index);
		l->failed = true;
		return false;
	}
	l->places[l->n_places++] = p;
	return true;
}

static void look_at_replica(struct store *st, int service_fd, const char *service,
			    const char *index, struct list *l)
{
	_cleanup_close_ int fd = store_open_dir(service_fd, index, false);
	_cleanup_free_ struct logidx_segment *v = NULL;
	struct place *p;
	size_t n;

	if (fd < 0 || logidx_scan(fd, true, &v, &n, NULL) < 0 || !add_place(l, service, index))
		return;
	if (l->n + n > SEGMENTS_MAX ||
	    mem_grow(&l->items, &l->cap, l->n + n, sizeof(*l->items)) < 0) {
		l->failed = true;
		return;
	}
	p = &l->places[l->n_places - 1];
	for (size_t i = 0; i < n; i++) {
		struct item t = {.place = l->n_places - 1, .s = v[i]};

		t.used = store_is_in_use(st, v[i].incarnation, v[i].seq);
		if (!t.used)
			p->bytes += v[i].bytes;
		l->bytes += v[i].bytes;
		l->items[l->n++] = t;
	}
	p->n = n;
}

static void look_at_service(struct store *st, const char *service, struct list *l)
{
	DIR *d = store_list_service(st, service);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			look_at_replica(st, dirfd(d), service, e->d_name, l);
	if (d)
		closedir(d);
}

/* service: of that one; NULL: of all. list_done afterwards. */
static void look(struct store *st, const char *service, struct list *l)
{
	struct dirent *e;
	DIR *d;

	*l = (struct list){0};
	if (service || st->only) {
		look_at_service(st, service ? service : st->only, l);
		return;
	}
	d = store_list(st);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			look_at_service(st, e->d_name, l);
	if (d)
		closedir(d);
}

/* ---- deleting ---- */

/* The bytes first: an index alone is small and the next prune finds it. */
static int delete_segment(int dir_fd, const struct logidx_segment *s)
{
	static const enum logidx_kind kinds[] = {LOGIDX_LOG, LOGIDX_ZST, LOGIDX_IDX};
	char name[LOGIDX_NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		logidx_name(name, s->incarnation, s->seq, kinds[i]);
		if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* An open descriptor or -errno. */
static int open_place(struct store *st, const struct place *p)
{
	_cleanup_close_ int service_fd = store_open_service(st, p->service, false);

	return service_fd < 0 ? service_fd : store_open_dir(service_fd, p->index, false);
}

/* Once, whether it works or not. */
static int delete_item(struct store *st, struct list *l, struct item *t)
{
	_cleanup_close_ int fd = open_place(st, &l->places[t->place]);
	int r = fd < 0 ? fd : delete_segment(fd, &t->s);

	t->gone = true;
	l->places[t->place].bytes -= t->s.bytes;
	if (r == 0)
		l->bytes -= t->s.bytes;
	return r;
}

static bool may_go(const struct item *t)
{
	return !t->used && !t->gone;
}

/* The oldest of the replica with the largest total, or NULL. */
static struct item *next_to_go(struct list *l)
{
	struct place *best = NULL;

	for (size_t i = 0; i < l->n_places; i++)
		if (l->places[i].bytes > 0 && (!best || l->places[i].bytes > best->bytes))
			best = &l->places[i];
	while (best && best->n > 0 && !may_go(&l->items[best->first])) {
		best->first++;
		best->n--;
	}
	return best && best->n > 0 ? &l->items[best->first] : NULL;
}

/* False when there is nothing more to delete. A disk that is full is worth a warning, a budget that
 * does what it is for is not. */
static bool delete_next(struct store *st, struct list *l, enum log_level level, const char *reason)
{
	struct item *t = next_to_go(l);
	const struct place *p;

	if (!t)
		return false;
	p = &l->places[t->place];
	if (delete_item(st, l, t) == 0)
		log_at_(level,
			"service=%s/%s incarnation=%s seq=%u reason=%s old log segment deleted",
			p->service, p->index, t->s.incarnation, t->s.seq, reason);
	return true;
}

/* ---- of a replica and a service ---- */

static struct keep_policy *find_policy(struct store *st, const char *service)
{
	struct keep_policy *p;

	SLIST_FOREACH(p, &st->policies, all)
	if (strcmp(p->service, service) == 0)
		return p;
	if (st->n_policies >= POLICIES_MAX)
		return NULL;
	p = mem_alloc(sizeof(*p));
	if (!p)
		return NULL;
	p->service = mem_strdup(service);
	if (!p->service) {
		mem_free(p);
		return NULL;
	}
	p->stored_ms = -1;
	p->due_wall_ms = KEEP_NEVER;
	SLIST_INSERT_HEAD(&st->policies, p, all);
	st->n_policies++;
	return p;
}

void keep_done(struct store *st)
{
	struct keep_policy *p;

	while ((p = SLIST_FIRST(&st->policies))) {
		SLIST_REMOVE_HEAD(&st->policies, all);
		mem_free(p->service);
		mem_free(p);
	}
	st->n_policies = 0;
}

static bool is_aged(const struct logidx_segment *s, int64_t max_age_ms, int64_t now)
{
	return max_age_ms > 0 && now - s->wall_ms >= max_age_ms;
}

/* What was written to last then will be too old. */
static void is_due_with(struct store *st, struct keep_policy *p, int64_t wall_ms)
{
	if (p->max_age_ms == 0)
		return;
	if (wall_ms + p->max_age_ms < p->due_wall_ms)
		p->due_wall_ms = wall_ms + p->max_age_ms;
	if (p->due_wall_ms < st->due_wall_ms)
		st->due_wall_ms = p->due_wall_ms;
}

static bool is_current(const struct keep_limits *l, const struct logidx_segment *s)
{
	return s->seq == l->seq && strcmp(s->incarnation, l->incarnation) == 0;
}

/* For those who come after this process. */
static void store_age(struct store *st, struct keep_policy *p)
{
	_cleanup_close_ int fd = -1;

	if (p->stored_ms == p->max_age_ms)
		return;
	fd = store_open_service(st, p->service, false);
	if (fd < 0)
		return;
	if (p->stored_ms < 0)
		p->stored_ms = keep_age_read(fd);
	if (p->stored_ms != p->max_age_ms && keep_age_write(fd, p->max_age_ms))
		p->stored_ms = p->max_age_ms;
}

static struct keep_policy *learn(struct store *st, const struct keep_limits *l)
{
	struct keep_policy *p = find_policy(st, l->service);

	if (p) {
		p->max_age_ms = l->max_age_ms;
		store_age(st, p);
	}
	if (l->compress && st->compress)
		compress_add(st->compress, l->service, l->index);
	return p;
}

int keep_prune(struct store *st, int dir_fd, const struct keep_limits *l, uint64_t *others)
{
	_cleanup_free_ struct logidx_segment *v = NULL;
	struct keep_policy *p = learn(st, l);
	uint64_t limit = l->max_size * l->max_files, sum = 0;
	size_t n, left, files = l->max_files > FILES_MIN ? l->max_files : FILES_MIN;
	int64_t now = clock_wall_ms();

	*others = 0;
	if (logidx_scan(dir_fd, true, &v, &n, NULL) < 0)
		return -EIO;
	for (size_t i = 0; i < n; i++)
		if (!is_current(l, &v[i]))
			sum += v[i].bytes;
	left = n;
	for (size_t i = 0; i < n; i++) {
		bool over =
			sum + l->size > limit || left > files || is_aged(&v[i], l->max_age_ms, now);

		if (is_current(l, &v[i]) || store_is_in_use(st, v[i].incarnation, v[i].seq))
			continue;
		if (!over || delete_segment(dir_fd, &v[i]) < 0) {
			if (p)
				is_due_with(st, p, v[i].wall_ms);
			continue;
		}
		sum -= v[i].bytes;
		left--;
	}
	*others = sum;
	if (l->max_total > 0)
		keep_total(st, l->service, l->max_total);
	return 0;
}

void keep_closed(struct store *st, const struct keep_limits *l)
{
	struct keep_policy *p = learn(st, l);

	if (p)
		is_due_with(st, p, clock_wall_ms());
	if (l->max_total > 0)
		keep_total(st, l->service, l->max_total);
}

static int by_age(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return (x->s.wall_ms > y->s.wall_ms) - (x->s.wall_ms < y->s.wall_ms);
}

void keep_total(struct store *st, const char *service, uint64_t max_total)
{
	struct list l;

	look(st, service, &l);
	if (l.bytes > max_total && l.n > 0) {
		qsort(l.items, l.n, sizeof(l.items[0]), by_age);
		for (size_t i = 0; i < l.n && l.bytes > max_total; i++)
			if (may_go(&l.items[i]))
				delete_item(st, &l, &l.items[i]);
	}
	list_done(&l);
}

/* Has the service's directory nothing but its max_age? */
static bool is_left_alone(struct store *st, const char *service)
{
	DIR *d = store_list_service(st, service);
	struct dirent *e;
	bool others = !d;

	while (d && (e = readdir(d)))
		others |= strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			  strcmp(e->d_name, KEEP_AGE_NAME) != 0;
	if (d)
		closedir(d);
	return !others;
}

/* What is empty now is not needed: whoever writes makes it again. */
static void remove_empty(struct store *st, const struct place *p)
{
	_cleanup_close_ int service_fd = store_open_service(st, p->service, false);
	struct keep_policy *policy;

	if (service_fd >= 0)
		unlinkat(service_fd, p->index, AT_REMOVEDIR);
	if (st->only || service_fd < 0 || !is_left_alone(st, p->service))
		return;
	keep_age_write(service_fd, 0);
	unlinkat(st->dir_fd, p->service, AT_REMOVEDIR);
	SLIST_FOREACH(policy, &st->policies, all)
	if (strcmp(policy->service, p->service) == 0)
		policy->stored_ms = 0;
}

static void age(struct store *st, struct keep_policy *p, int64_t now)
{
	size_t left = 0;
	struct list l;

	p->due_wall_ms = KEEP_NEVER;
	if (p->max_age_ms == 0)
		return;
	look(st, p->service, &l);
	for (size_t i = 0; i < l.n; i++) {
		if (may_go(&l.items[i]) && is_aged(&l.items[i].s, p->max_age_ms, now) &&
		    delete_item(st, &l, &l.items[i]) == 0)
			continue;
		left++;
		if (may_go(&l.items[i]))
			is_due_with(st, p, l.items[i].s.wall_ms);
	}
	for (size_t i = 0; left == 0 && !l.failed && i < l.n_places; i++)
		remove_empty(st, &l.places[i]);
	list_done(&l);
}

static void recall_service(struct store *st, const char *service)
{
	bool elsewhere = !st->only && st->is_elsewhere && st->is_elsewhere(st->user, service);
	_cleanup_close_ int fd = elsewhere ? -1 : store_open_service(st, service, false);
	int64_t max_age_ms = fd < 0 ? 0 : keep_age_read(fd);
	struct keep_policy *p = max_age_ms > 0 ? find_policy(st, service) : NULL;

	if (!p || p->max_age_ms > 0) /* learned since */
		return;
	p->max_age_ms = p->stored_ms = max_age_ms;
	p->due_wall_ms = SOON;
}

/* What is there since before this process. */
static void recall(struct store *st)
{
	struct dirent *e = NULL;

	if (st->only)
		recall_service(st, st->only);
	else if (!st->recall)
		st->recall = store_list(st);
	for (int i = 0; st->recall && i < RECALL_AT_ONCE && (e = readdir(st->recall)); i++)
		if (e->d_name[0] != '.')
			recall_service(st, e->d_name);
	if (e) { /* the rest soon */
		st->due_wall_ms = SOON;
		return;
	}
	if (st->recall)
		closedir(st->recall);
	st->recall = NULL;
	st->recalled = true;
}

void keep_aged(struct store *st)
{
	int64_t now = clock_wall_ms();
	struct keep_policy *p;
	int n = 0;

	st->due_wall_ms = KEEP_NEVER;
	if (!st->recalled)
		recall(st);
	SLIST_FOREACH(p, &st->policies, all)
	{
		if (p->due_wall_ms <= now && n++ < AGE_AT_ONCE)
			age(st, p, now);
		if (p->due_wall_ms < st->due_wall_ms)
			st->due_wall_ms = p->due_wall_ms;
	}
}

/* ---- of the store ---- */

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
	if (st->keep_free)
		floor = st->keep_free;
	return s.f_blocks > 0 && s.f_bavail * unit < floor;
}

static void free_to_floor(struct store *st)
{
	struct list l;

	look(st, NULL, &l);
	for (int i = 0;
	     i < FLOOR_DELETES && st->below && delete_next(st, &l, LOG_LVL_WARN, "disk_space"); i++)
		st->below = is_below(st);
	list_done(&l);
}

static void keep_budget(struct store *st)
{
	struct list l;

	look(st, NULL, &l);
	while (l.bytes > st->budget && delete_next(st, &l, LOG_LVL_INFO, "log_budget"))
		;
	list_done(&l);
}

/* The budget is looked at again after so many bytes. */
static uint64_t budget_step(const struct store *st)
{
	uint64_t step = st->budget / BUDGET_PARTS;

	return step > BUDGET_STEP_MIN ? step : BUDGET_STEP_MIN;
}

void keep_wrote(struct store *st, uint64_t n)
{
	st->since_check += n;
	st->since_budget += n;
}

int keep_check(struct store *st)
{
	int64_t now = clock_mono_ms();

	if (store_open(st) < 0)
		return st->below ? -ENOSPC : 0;
	if (st->budget > 0 && (!st->budgeted || st->since_budget >= budget_step(st))) {
		st->since_budget = 0;
		st->budgeted = true;
		keep_budget(st);
	}
	if (now - st->checked_mono_ms < CHECK_EVERY_MS && st->since_check < CHECK_EVERY_BYTES)
		return st->below ? -ENOSPC : 0;
	st->checked_mono_ms = now;
	st->since_check = 0;
	st->below = is_below(st);
	if (st->below)
		free_to_floor(st);
	return st->below ? -ENOSPC : 0;
}

/* ---- by hand ---- */

static bool is_asked_for(const struct place *p, const struct wire_log_work *o)
{
	char text[24];

	for (uint32_t i = 0; i < o->n_stay; i++) {
		snprintf(text, sizeof(text), "%u", o->stay[i]);
		if (strcmp(p->index, text) == 0)
			return false;
	}
	snprintf(text, sizeof(text), "%lld", (long long)o->index);
	return o->index < 0 || strcmp(p->index, text) == 0;
}

static void count(const struct item *t, bool goes, struct wire_log_done *f)
{
	if (goes) {
		f->files++;
		f->bytes += t->s.bytes;
	} else {
		f->kept++;
		f->kept_bytes += t->s.bytes;
	}
}

static void prune_place(struct store *st, struct list *l, struct place *p,
			const struct wire_log_work *o, struct wire_log_done *f)
{
	size_t from = p->first, to = p->first + p->n;
	int64_t now = clock_wall_ms();
	uint64_t closed = 0;

	for (size_t i = from; i < to; i++)
		closed += !l->items[i].used;
	for (size_t i = from; i < to; i++) {
		struct item *t = &l->items[i];
		bool goes = !t->used && closed > o->keep && now - t->s.wall_ms >= o->older_than_ms;

		closed -= !t->used;
		if (goes && !o->dry_run && delete_item(st, l, t) < 0) {
			f->failed++;
			goes = false;
		}
		count(t, goes, f);
	}
}

void keep_by_hand(struct store *st, const struct wire_log_work *o, struct wire_log_done *ret)
{
	struct list l;
	int r = store_open(st);

	ret->err = r == -ENOENT ? 0 : -r;
	if (r < 0)
		return;
	look(st, o->service, &l);
	for (size_t i = 0; i < l.n_places; i++) {
		struct place *p = &l.places[i];

		if (!is_asked_for(p, o)) {
			for (size_t j = p->first; j < p->first + p->n; j++)
				count(&l.items[j], false, ret);
			continue;
		}
		prune_place(st, &l, p, o, ret);
		if (!o->dry_run)
			remove_empty(st, p);
	}
	ret->err = l.failed ? ENOMEM : 0;
	list_done(&l);
}
