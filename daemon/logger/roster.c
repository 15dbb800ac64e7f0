/* roster: see roster.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/roster.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/logger/capture_drop.h"
#include "daemon/logger/capture_fault.h"
#include "daemon/logger/capture_keep.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define DIR_WAIT_MS 500 /* for the log directory's real name, once */
#define END_WAIT_MS 500 /* for the end of a lane, beyond what it may drain */

/* ---- in a lane ---- */

static void poke(struct roster *r)
{
	eventfd_write(r->poke_fd, 1);
}

static void on_drained(void *user)
{
	poke(((struct roster_place *)user)->all);
}

/* The first step after a while: somebody looks later whether it has come to an end. */
static void watch_lanes(struct roster *r)
{
	int64_t ms =
		__atomic_load_n(&r->any_drop, __ATOMIC_RELAXED) ? ROSTER_SLOW_MS : ROSTER_HUNG_MS;
	const struct itimerspec soon = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};

	if (!__atomic_load_n(&r->watched, __ATOMIC_SEQ_CST) &&
	    !__atomic_exchange_n(&r->watched, true, __ATOMIC_SEQ_CST))
		timerfd_settime(r->watch_fd, 0, &soon, NULL);
}

static void on_step(void *user, bool begins)
{
	struct roster_place *p = user;

	if (begins)
		watch_lanes(p->all);
	lane_step(p->lane, begins);
	if (!begins && p->set.paused)
		poke(p->all);
}

static void on_back(void *user)
{
	poke(((struct roster_lane *)user)->all);
}

static bool may_read(void *user)
{
	struct roster *r = ((struct roster_place *)user)->all;
	int32_t reader = __atomic_load_n(&r->reader, __ATOMIC_RELAXED);

	if (reader == 0 || intent_is_owner(&r->pool.intents, reader))
		return true;
	log_warn("another logger has been started: holding what it reads");
	return false;
}

/* The mount of a service's directory, 0 = none of its own. Of any thread. */
static uint64_t find_mount(struct roster *r, const char *service)
{
	char dir[PATH_MAX];
	uint64_t id;

	pthread_mutex_lock(&r->dir_lock);
	snprintf(dir, sizeof(dir), "%s", r->dir);
	pthread_mutex_unlock(&r->dir_lock);
	pthread_mutex_lock(&r->mounts_lock);
	id = mounts_find(&r->mounts, dir, service);
	pthread_mutex_unlock(&r->mounts_lock);
	return id;
}

static bool is_elsewhere(void *user, const char *service)
{
	struct capture_set *set = user;
	struct roster_place *p = set->user;

	return !p->service && find_mount(p->all, service) != 0;
}

/* The first thing in the first lane: what the log directory is really called. */
static void on_start(void *user)
{
	struct roster *r = user;
	struct roster_place *p = r->places[0];
	char link[32], path[PATH_MAX];
	char *name = NULL;
	ssize_t n = -1;
	int fd = -1;

	on_step(p, true);
	if (store_open(&p->set.store) == 0)
		fd = p->set.store.dir_fd;
	else
		log_error("path=%s error=\"%s\" cannot open the log directory", p->path,
			  strerror(errno));
	on_step(p, false);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (fd >= 0)
		n = readlink(link, path, sizeof(path) - 1);
	if (n > 0)
		name = mem_strndup(path, (size_t)n);
	pthread_mutex_lock(&r->dir_lock);
	if (name) {
		mem_free(r->dir);
		r->dir = name;
	}
	r->dir_known = true;
	pthread_cond_signal(&r->dir_found);
	pthread_mutex_unlock(&r->dir_lock);
}

static void on_stop(void *user)
{
	struct roster_lane *l = user;
	struct roster *r = l->all;

	for (size_t i = 0; i < r->n_places && r->drain_ms > 0; i++)
		if (r->places[i]->lane == &l->lane)
			capture_drain_all(&r->places[i]->set, r->drain_ms);
}

/* ---- lanes and places ---- */

static struct lane *add_lane(struct roster *r)
{
	struct roster_lane *l = mem_alloc(sizeof(*l));
	int err;

	if (!l)
		return NULL;
	l->all = r;
	l->lane.user = l;
	l->lane.on_back = on_back;
	l->lane.on_stop = on_stop;
	r->lanes[r->n_lanes++] = l;
	err = lane_start(&l->lane);
	if (err == 0)
		return &l->lane;
	log_error("error=\"%s\" cannot start a thread", strerror(-err));
	mem_free(l);
	r->lanes[--r->n_lanes] = NULL;
	return NULL;
}

static bool init_place(struct roster *r, struct roster_place *p, const char *service,
		       uint64_t mount)
{
	*p = (struct roster_place){.all = r, .lane = p->lane, .mount = mount};
	p->service = service ? mem_strdup(service) : NULL;
	pthread_mutex_lock(&r->dir_lock);
	p->path = service ? mem_printf("%s/%s", r->dir, service) : mem_strdup(r->dir);
	pthread_mutex_unlock(&r->dir_lock);
	if (capture_set_init(&p->set, &p->lane->loop, p->path, &r->pool) < 0 || !p->path ||
	    !p->service != !service)
		return false;
	p->set.store.only = p->service;
	p->set.store.budget = r->budget;
	p->set.store.keep_free = r->keep_free;
	p->set.store.is_elsewhere = is_elsewhere;
	p->set.store.steps = &r->pool.intents.steps;
	p->set.store.mount = mount;
	p->set.thread = &((struct roster_lane *)p->lane->user)->thread;
	p->set.on_drained = p->set.on_fault = on_drained;
	p->set.may_read = may_read;
	p->set.on_step = on_step;
	p->set.user = p;
	p->set.hung = ((struct roster_lane *)p->lane->user)->told;
	return true;
}

static void done_place(struct roster_place *p)
{
	capture_set_done(&p->set);
	mem_free(p->path);
	mem_free(p->service);
	p->path = p->service = NULL;
}

/* One that nothing is stored in any more becomes another one. */
static struct roster_place *reuse_place(struct roster *r, const char *service, uint64_t mount)
{
	for (size_t i = 1; i < r->n_places; i++) {
		struct roster_place *p = r->places[i];
		bool ok = false;

		lane_lock(p->lane);
		if (!p->set.in_step && !p->set.hung && capture_keep_is_idle(&p->set) &&
		    !capture_next(&p->set, NULL)) {
			done_place(p);
			ok = init_place(r, p, service, mount);
			p->mount = ok ? mount : UINT64_MAX; /* nobody's */
		}
		lane_unlock(p->lane, false);
		if (ok)
			return p;
	}
	return NULL;
}

static struct roster_place *add_place(struct roster *r, const char *service, uint64_t mount)
{
	struct roster_place *p = mem_alloc(sizeof(*p));
	bool ok;

	if (!p)
		return NULL;
	p->lane = r->n_lanes < ROSTER_LANES ? add_lane(r) : NULL;
	if (!p->lane && r->n_lanes > 0) /* the log directory's lane is shared last */
		p->lane = &r->lanes[r->n_lanes > 1 ? 1 + r->n_places % (r->n_lanes - 1) : 0]->lane;
	if (!p->lane) {
		mem_free(p);
		return NULL;
	}
	lane_lock(p->lane);
	ok = init_place(r, p, service, mount);
	if (ok)
		r->places[r->n_places++] = p;
	else
		done_place(p);
	lane_unlock(p->lane, false);
	if (ok)
		return p;
	mem_free(p);
	return NULL;
}

static struct roster_place *find_place(struct roster *r, const char *service)
{
	uint64_t mount = find_mount(r, service);
	struct roster_place *p = NULL;

	if (mount == 0)
		return r->places[0];
	for (size_t i = 1; i < r->n_places; i++)
		if (r->places[i]->mount == mount && strcmp(r->places[i]->service, service) == 0)
			return r->places[i];
	p = reuse_place(r, service, mount);
	if (!p && r->n_places < ROSTER_PLACES)
		p = add_place(r, service, mount);
	if (!p)
		log_warn("service=%s its log directory is a file system of its own, but is stored "
			 "together with others: one that hangs stalls them",
			 service);
	return p ? p : r->places[0];
}

/* ---- what hangs ---- */

static void say_hung(struct roster *r, struct roster_lane *l)
{
	for (size_t i = 0; i < r->n_places; i++) {
		struct roster_place *p = r->places[i];
		const struct capture *c = p->set.in_step;
		char who[WIRE_SERVICE_SIZE + 32] = "";

		if (p->lane != &l->lane)
			continue;
		if (c)
			snprintf(who, sizeof(who), " service=%s/%u", c->key.service, c->key.index);
		log_error("path=%s%s the file system does not answer: logs that go there wait, or "
			  "are dropped where logs.on_full says so; services run on until their "
			  "pipes are full",
			  p->path, who);
		capture_fault_hung(&p->set, true);
	}
}

static void say_back(struct roster *r, struct roster_lane *l)
{
	char text[32];

	for (size_t i = 0; i < r->n_places; i++)
		if (r->places[i]->lane == &l->lane)
			capture_fault_hung(&r->places[i]->set, false);
	log_warn("after=%s the file system answers again",
		 clock_human(clock_mono_ms() - l->hung_since_mono_ms, text, sizeof(text)));
}

/* Is its lane in a step that lasts? */
static bool is_slow(const struct roster_place *p)
{
	int64_t since = p->lane->step_since_mono_ms;

	return p->set.hung || (since != 0 && clock_mono_ms() - since >= ROSTER_SLOW_MS);
}

/* What waits for such a lane, and is not to wait. */
static void on_drop(void *user)
{
	struct roster *r = user;
	int64_t next = 0;

	for (size_t i = 0; i < r->n_places; i++) {
		struct roster_place *p = r->places[i];
		int64_t ms = 0;

		lane_lock(p->lane);
		if (!p->set.paused && is_slow(p))
			ms = capture_drop_look(&p->set, &r->tools, true);
		lane_unlock(p->lane, false);
		if (ms > 0 && (next == 0 || ms < next))
			next = ms;
	}
	if (next > 0)
		loop_timer_arm(r->loop, &r->drop, clock_mono_ms() + next);
}

/* Milliseconds until it is to be looked at again; 0 = no need. */
static int64_t look_at_lane(struct roster *r, struct roster_lane *l)
{
	int64_t left = 0;

	lane_lock(&l->lane);
	if (l->lane.step_since_mono_ms != 0 && !l->told) {
		left = l->lane.step_since_mono_ms + ROSTER_HUNG_MS - clock_mono_ms();
		if (left <= 0) {
			left = 0;
			l->told = l->lane.hung = true;
			l->hung_since_mono_ms = l->lane.step_since_mono_ms;
			say_hung(r, l);
		}
	}
	lane_unlock(&l->lane, false);
	return left;
}

static void on_watch(void *user, uint32_t events)
{
	struct roster *r = user;
	int64_t next = 0;
	uint64_t n;

	(void)events;
	if (read(r->watch_fd, &n, sizeof(n)) < 0)
		return;
	__atomic_store_n(&r->watched, false, __ATOMIC_SEQ_CST); /* before the look */
	for (size_t i = 0; i < r->n_lanes; i++) {
		int64_t left = look_at_lane(r, r->lanes[i]);

		if (left > 0 && (next == 0 || left < next))
			next = left;
	}
	if (next > 0)
		watch_lanes(r);
	if (r->any_drop)
		on_drop(r);
}

static void on_poke(void *user, uint32_t events)
{
	struct roster *r = user;
	eventfd_t n;

	(void)events;
	eventfd_read(r->poke_fd, &n);
	for (size_t i = 0; i < r->n_lanes; i++) {
		struct roster_lane *l = r->lanes[i];

		lane_lock(&l->lane);
		if (l->told && !l->lane.hung) {
			l->told = false;
			say_back(r, l);
		}
		lane_unlock(&l->lane, false);
	}
	if (r->on_news)
		r->on_news(r->user);
}

/* ---- captures ---- */

/* Finds it and locks its lane. NULL: nothing is locked. */
static struct capture *lock_capture(struct roster *r, const struct wire_key *key)
{
	for (size_t i = 0; i < r->n_places; i++) {
		struct roster_place *p = r->places[i];
		struct capture *c;

		lane_lock(p->lane);
		c = capture_find(&p->set, key);
		if (c)
			return c;
		lane_unlock(p->lane, false);
	}
	return NULL;
}

static void unlock_capture_set(const struct capture_set *set, bool wake)
{
	lane_unlock(((struct roster_place *)set->user)->lane, wake);
}

int roster_add(struct roster *r, const struct wire_stream *m, const int fds[CAPTURE_FDS])
{
	struct capture *known = lock_capture(r, &m->key);
	struct capture_set *set = known ? known->set : NULL;
	int err;

	if (!known) {
		struct roster_place *p = find_place(r, m->key.service);

		lane_lock(p->lane);
		set = &p->set;
	}
	err = capture_add(set, m, fds);
	if (m->logs.flags & WIRE_LOGS_DROP)
		__atomic_store_n(&r->any_drop, true, __ATOMIC_RELAXED);
	if (set->hung)
		loop_timer_arm(r->loop, &r->drop, 0);
	unlock_capture_set(set, true);
	return err;
}

void roster_gone(struct roster *r, const struct wire_key *key)
{
	struct capture *c = lock_capture(r, key);

	if (!c)
		return;
	capture_gone(c->set, key);
	unlock_capture_set(c->set, true);
}

bool roster_next_drained(struct roster *r, struct wire_key *key)
{
	struct capture *c = NULL;

	for (size_t i = 0; i < r->n_places && !c; i++) {
		lane_lock(r->places[i]->lane);
		c = capture_first_drained(&r->places[i]->set);
		if (c)
			*key = c->key;
		lane_unlock(r->places[i]->lane, false);
	}
	return c;
}

void roster_release(struct roster *r, const struct wire_key *key)
{
	struct capture *c = lock_capture(r, key);
	struct capture_set *set;

	if (!c)
		return;
	set = c->set;
	if (c->stage == CAPTURE_DRAINED)
		capture_release(c);
	unlock_capture_set(set, true);
}

bool roster_next_fault(struct roster *r, struct wire_key *key, struct fault *f)
{
	struct capture *c = NULL;

	for (size_t i = 0; i < r->n_places && !c; i++) {
		lane_lock(r->places[i]->lane);
		c = capture_fault_first(&r->places[i]->set);
		if (c) {
			*key = c->key;
			*f = c->fault;
			capture_fault_drop(c);
		}
		lane_unlock(r->places[i]->lane, false);
	}
	return c;
}

bool roster_take_fault(struct roster *r, const struct wire_key *key, struct fault *f)
{
	struct capture *c = lock_capture(r, key);
	bool due;

	if (!c)
		return false;
	due = c->fault_due;
	*f = c->fault;
	capture_fault_drop(c);
	unlock_capture_set(c->set, false);
	return due;
}

/* Calls fn for each place, locked. */
static void for_places(struct roster *r, void (*fn)(struct capture_set *set), bool wake)
{
	for (size_t i = 0; i < r->n_places; i++) {
		lane_lock(r->places[i]->lane);
		fn(&r->places[i]->set);
		lane_unlock(r->places[i]->lane, wake);
	}
}

void roster_faults_again(struct roster *r)
{
	for_places(r, capture_fault_again_all, false);
}

void roster_orphaned(struct roster *r)
{
	for_places(r, capture_orphaned, false);
}

void roster_pause(struct roster *r)
{
	for_places(r, capture_pause, false);
}

void roster_resume(struct roster *r)
{
	for_places(r, capture_resume, true);
}

bool roster_any_reading(struct roster *r)
{
	bool any = false;

	for (size_t i = 0; i < r->n_places; i++) {
		struct capture_set *set = &r->places[i]->set;

		lane_lock(r->places[i]->lane);
		any |= !set->paused && capture_any_living(set);
		lane_unlock(r->places[i]->lane, false);
	}
	return any;
}

bool roster_is_quiet(struct roster *r)
{
	bool quiet = true;

	for (size_t i = 0; i < r->n_places; i++) {
		lane_lock(r->places[i]->lane);
		quiet &= !r->places[i]->set.in_step;
		lane_unlock(r->places[i]->lane, false);
	}
	return quiet;
}

bool roster_visit(struct roster *r, struct roster_at *at,
		  bool (*take)(void *user, const struct capture *c), void *user)
{
	for (; at->place < r->n_places; at->place++, at->c = NULL) {
		struct roster_place *p = r->places[at->place];
		const struct capture *c;

		lane_lock(p->lane);
		while ((c = capture_next(&p->set, at->c)) && take(user, c))
			at->c = c;
		lane_unlock(p->lane, false);
		if (c)
			return false;
	}
	return true;
}

/* ---- life ---- */

static int init_fds(struct roster *r)
{
	int err;

	r->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->watch_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->poke_fd < 0 || r->watch_fd < 0)
		return -errno;
	r->poke_io = (struct loop_io){.fn = on_poke, .user = r};
	r->watch_io = (struct loop_io){.fn = on_watch, .user = r};
	err = loop_add(r->loop, &r->poke_io, r->poke_fd, EPOLLIN);
	return err == 0 ? loop_add(r->loop, &r->watch_io, r->watch_fd, EPOLLIN) : err;
}

static void wait_for_dir(struct roster *r)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += DIR_WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&r->dir_lock);
	while (!r->dir_known &&
	       pthread_cond_clockwait(&r->dir_found, &r->dir_lock, CLOCK_MONOTONIC, &until) == 0)
		;
	pthread_mutex_unlock(&r->dir_lock);
}

int roster_init(struct roster *r, struct loop *loop, const char *path, bool system)
{
	struct roster_place *first;
	int err;

	*r = (struct roster){.loop = loop, .poke_fd = -1, .watch_fd = -1};
	pool_init(&r->pool, system);
	mounts_init(&r->mounts);
	pthread_mutex_init(&r->mounts_lock, NULL);
	pthread_mutex_init(&r->dir_lock, NULL);
	pthread_cond_init(&r->dir_found, NULL);
	r->dir = mem_strdup(path);
	r->drop = (struct loop_timer){.fn = on_drop, .user = r};
	err = store_init(&r->tools, "");
	if (err == 0)
		err = r->dir ? init_fds(r) : -ENOMEM;
	if (err < 0)
		return err;
	first = add_place(r, NULL, 0);
	if (!first)
		return -ENOMEM;
	r->start = (struct loop_timer){.fn = on_start, .user = r};
	lane_lock(first->lane);
	loop_timer_arm(&first->lane->loop, &r->start, 0);
	lane_unlock(first->lane, true);
	wait_for_dir(r);
	return 0;
}

bool roster_done(struct roster *r, int64_t drain_ms)
{
	int64_t until = clock_mono_ms() + drain_ms + END_WAIT_MS;
	bool all = true;

	r->drain_ms = drain_ms;
	for (size_t i = 0; i < r->n_lanes; i++)
		lane_ask_to_end(&r->lanes[i]->lane);
	for (size_t i = 0; i < r->n_lanes; i++)
		all &= lane_join(&r->lanes[i]->lane, until - clock_mono_ms());
	if (!all)
		return false;
	for (size_t i = 0; i < r->n_places; i++) {
		done_place(r->places[i]);
		mem_free(r->places[i]);
	}
	for (size_t i = 0; i < r->n_lanes; i++) {
		lane_done(&r->lanes[i]->lane);
		mem_free(r->lanes[i]);
	}
	loop_timer_disarm(r->loop, &r->drop);
	store_done(&r->tools);
	pool_done(&r->pool);
	mounts_done(&r->mounts);
	mem_free(r->dir);
	loop_del(r->loop, &r->poke_io);
	loop_del(r->loop, &r->watch_io);
	mem_closep(&r->poke_fd);
	mem_closep(&r->watch_fd);
	return true;
}

bool roster_ask(struct roster *r, const struct wire_log_work *m)
{
	struct roster_place *p = find_place(r, m->service);
	bool ok;

	lane_lock(p->lane);
	ok = capture_keep_ask(&p->set, m);
	lane_unlock(p->lane, true);
	return ok;
}

bool roster_answer(struct roster *r, struct wire_log_done *ret)
{
	bool found = false;

	for (size_t i = 0; i < r->n_places && !found; i++) {
		struct roster_place *p = r->places[i];

		lane_lock(p->lane);
		found = capture_keep_answer(&p->set, ret);
		lane_unlock(p->lane, false);
	}
	return found;
}

void roster_set_limits(struct roster *r, uint64_t budget, uint64_t keep_free)
{
	r->budget = budget;
	r->keep_free = keep_free;
	for (size_t i = 0; i < r->n_places; i++) {
		struct roster_place *p = r->places[i];

		lane_lock(p->lane);
		p->set.store.budget = budget;
		p->set.store.keep_free = keep_free;
		lane_unlock(p->lane, false);
	}
}
