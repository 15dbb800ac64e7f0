/* cgroup: see cgroup.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/cgroup_limits.h"
#include "daemon/supervisor/cgroup_tool.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define PAUSE_MIN_MS 1
#define PAUSE_MAX_MS 1000
#define AGAIN_MS 64 /* from this pause on each look kills again */

struct cgroup_wait {
	struct loop_io io; /* cgroup.events */
	struct loop_timer timer;
	int64_t pause_ms;
	char cookie[WIRE_INCARNATION_SIZE]; /* of the incarnation whose left-overs are killed */
};

char *cgroup_name(const struct table_slot *t, char name[CGROUP_NAME_SIZE])
{
	snprintf(name, CGROUP_NAME_SIZE, "%.63s.%u", t->service, t->index);
	return name;
}

/* ---- opening and making ---- */

static void close_fds(struct cgroup *g)
{
	int *const fds[] = {&g->dir_fd, &g->events_fd, &g->memory_fd};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] > 0)
			close(*fds[i]);
		*fds[i] = 0;
	}
	mem_free(g->limits_failed);
	g->limits_failed = NULL;
}

static int open_file(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 0 : fd;
}

/* 0 or -errno. */
static int open_existing(struct slot *s, const char *name)
{
	struct cgroups *tree = &s->sup->cgroups;
	struct cgroup *g = &s->cgroup;
	int fd = openat(tree->dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	g->dir_fd = fd;
	g->events_fd = open_file(fd, "cgroup.events");
	if (g->events_fd == 0) {
		int e = errno;

		close_fds(g);
		return -e;
	}
	if (tree->can & WIRE_CGROUP_MEMORY)
		g->memory_fd = open_file(fd, "memory.events");
	g->limits_known = g->clean = false;
	return 0;
}

static void drop_limits(struct slot *s)
{
	struct cgroup_kept *k = TAKE_PTR(s->cgroup.limits);

	if (!k || --k->n_slots > 0)
		return;
	if (s->sup->cgroups.kept == k)
		s->sup->cgroups.kept = NULL;
	mem_free(k);
}

/* The one kept last, when it says the same; else a new one, or NULL. */
static struct cgroup_kept *find_kept(struct cgroups *tree, const struct wire_limits *limits)
{
	struct cgroup_kept *k = tree->kept;

	if (k && cgroup_limits_equal(&k->limits, limits))
		return k;
	k = mem_alloc(sizeof(*k));
	if (k) {
		k->limits = *limits;
		tree->kept = k;
	}
	return k;
}

/* Out of memory they are not known, so that they are written again. */
static void keep_limits(struct slot *s, const struct wire_limits *limits)
{
	static const struct wire_limits none;
	struct cgroup *g = &s->cgroup;
	bool any = !cgroup_limits_equal(limits, &none);
	struct cgroup_kept *k = any ? find_kept(&s->sup->cgroups, limits) : NULL;

	if (k)
		k->n_slots++; /* first: it may be the slot's own */
	drop_limits(s);
	g->limits = k;
	g->limits_known = k || !any;
}

static struct wire_limits kept_limits(const struct cgroup *g)
{
	return g->limits ? g->limits->limits : (struct wire_limits){0};
}

/* Are they in force? */
static bool has_these(const struct cgroup *g, const struct wire_limits *limits)
{
	const struct wire_limits kept = kept_limits(g);

	return g->limits_known && cgroup_limits_equal(&kept, limits);
}

static int write_limits(struct slot *s, const struct wire_limits *limits)
{
	struct cgroup_limit list[CGROUP_LIMITS_MAX];
	unsigned n = cgroup_limits_fill(list, limits, s->sup->cgroups.can, true);

	for (unsigned i = 0; i < n; i++) {
		int r = cgroup_tool_write(s->cgroup.dir_fd, list[i].file, list[i].value);

		if (r == 0 || r == -ENOENT) /* no swap accounting, no io weights: not here */
			continue;
		errno = -r;
		log_error("replica=%s/%u cannot set %s to %s: %m", s->t->service, s->t->index,
			  list[i].file, list[i].value);
		return r;
	}
	keep_limits(s, limits);
	return 0;
}

/* 0 or -errno; an existing one is opened as it is. */
static int make(struct slot *s, const struct wire_limits *limits)
{
	bool is_new;
	char name[CGROUP_NAME_SIZE];
	int r;

	cgroup_name(s->t, name);
	is_new = mkdirat(s->sup->cgroups.dir_fd, name, 0755) == 0;
	if (!is_new && errno != EEXIST)
		return -errno;
	r = open_existing(s, name);
	if (r < 0 || !is_new)
		return r;
	s->t->oom_kills = 0;
	s->cgroup.clean = true;
	s->cgroup.frozen = s->cgroup.spent = false;
	return write_limits(s, limits);
}

/* The next start gets a new one. Only an empty one goes. 0 or -errno. */
static int unmake(struct slot *s)
{
	char name[CGROUP_NAME_SIZE];

	cgroup_name(s->t, name);
	close_fds(&s->cgroup);
	s->cgroup.clean = s->cgroup.limits_known = s->cgroup.limits_due = false;
	return cgroup_tool_remove(s->sup->cgroups.dir_fd, name);
}

static bool has_limits(const struct slot *s, const struct wire_limits *limits)
{
	struct cgroup_limit list[CGROUP_LIMITS_MAX];

	return cgroup_limits_fill(list, limits, s->sup->cgroups.can, true) > 0;
}

/* There is none, then. */
static int cannot(struct slot *s, const struct wire_limits *limits, int r)
{
	close_fds(&s->cgroup);
	errno = -r;
	log_warn("replica=%s/%u cannot make its cgroup: %m", s->t->service, s->t->index);
	return has_limits(s, limits) ? r : 0;
}

int cgroup_prepare(struct slot *s, const struct wire_limits *limits)
{
	struct cgroup *g = &s->cgroup;
	int r = 0;

	if (s->sup->cgroups.dir_fd == 0)
		return 0;
	if (g->dir_fd == 0)
		r = make(s, limits);
	if (r < 0)
		return cannot(s, limits, r);
	if (g->wait || (!g->clean && !cgroup_is_empty(s)))
		return g->wait || cgroup_empty(s, "") ? -EBUSY : -ENOMEM;
	if (g->frozen)
		cgroup_freeze(s, false);
	if (!g->spent && has_these(g, limits))
		return 0;
	r = unmake(s);
	if (r == 0)
		r = make(s, limits);
	return r < 0 ? cannot(s, limits, r) : 0;
}

bool cgroup_repair(struct slot *s, int err)
{
	const struct wire_limits limits = kept_limits(&s->cgroup);

	/* Removed behind our back, or a service left it divided (no process fits in it then). */
	if (s->cgroup.dir_fd == 0 ||
	    (err != ENODEV && err != ENOENT && err != EBUSY && err != EOPNOTSUPP))
		return false;
	log_warn("replica=%s/%u its cgroup takes no process (errno %d), making a new one",
		 s->t->service, s->t->index, err);
	return unmake(s) == 0 && make(s, &limits) == 0;
}

/* ---- what is in it ---- */

bool cgroup_exists(const struct slot *s)
{
	return s->cgroup.dir_fd > 0;
}

int cgroup_fd(const struct slot *s)
{
	return s->cgroup.dir_fd;
}

int cgroup_fd_beside(const struct slot *s)
{
	/* A child that freezes before its exec would keep its stack and our spawn lock. */
	return s->t->state == WIRE_SLOT_RUNNING && !s->cgroup.frozen ? s->cgroup.dir_fd : 0;
}

void cgroup_started(struct slot *s)
{
	s->cgroup.clean = false;
}

bool cgroup_is_empty(struct slot *s)
{
	struct cgroup *g = &s->cgroup;
	char text[128];
	ssize_t n;

	if (g->events_fd == 0)
		return true;
	n = pread(g->events_fd, text, sizeof(text) - 1, 0);
	if (n < 0 && errno == ENODEV) { /* somebody has removed it */
		close_fds(g);
		return true;
	}
	text[n < 0 ? 0 : n] = '\0';
	g->clean = strstr(text, "populated 0") != NULL;
	return g->clean;
}

void cgroup_kill(struct slot *s)
{
	struct cgroup *g = &s->cgroup;

	if (g->dir_fd == 0)
		return;
	g->spent = true;
	if (s->sup->cgroups.has_kill) {
		cgroup_tool_write(g->dir_fd, "cgroup.kill", "1");
		return;
	}
	g->kill_due = true;
	cgroup_job_start_due(s->sup);
}

static void stop_watching(struct slot *s)
{
	struct cgroup_wait *w = TAKE_PTR(s->cgroup.wait);

	if (!w)
		return;
	loop_del(&s->sup->loop, &w->io);
	loop_timer_disarm(&s->sup->loop, &w->timer);
	mem_free(w);
}

/* s may be gone after it. */
static void look(struct slot *s)
{
	char cookie[WIRE_INCARNATION_SIZE];
	struct supervisor *sup = s->sup;
	struct cgroup_wait *w = s->cgroup.wait;

	if (!cgroup_is_empty(s)) {
		if (w->pause_ms < PAUSE_MAX_MS)
			w->pause_ms *= 2;
		if (w->pause_ms > AGAIN_MS)
			cgroup_kill(s);
		loop_timer_arm(&s->sup->loop, &w->timer, clock_mono_ms() + w->pause_ms);
		return;
	}
	memcpy(cookie, w->cookie, sizeof(cookie));
	stop_watching(s);
	s->cgroup.kill_due = false;
	slot_emptied(s, cookie);
	link_flush(&sup->controller.link);
}

static void on_events(void *user, uint32_t events)
{
	struct slot *s = user;

	(void)events;
	look(s);
}

static void on_timer(void *user)
{
	look(user);
}

/* cgroup.events tells of a change within some 10 ms; most are dead sooner, hence the first looks. */
bool cgroup_empty(struct slot *s, const char *cookie)
{
	struct cgroup *g = &s->cgroup;
	struct cgroup_wait *w;

	cgroup_kill(s);
	if (g->wait)
		return true;
	w = mem_alloc(sizeof(*w));
	if (!w)
		return false;
	g->wait = w;
	s->unswept++;
	snprintf(w->cookie, sizeof(w->cookie), "%s", cookie);
	w->io = (struct loop_io){.fn = on_events, .user = s};
	w->timer = (struct loop_timer){.fn = on_timer, .user = s};
	if (loop_add(&s->sup->loop, &w->io, g->events_fd, EPOLLPRI) < 0)
		log_warn("replica=%s/%u its cgroup cannot be watched", s->t->service, s->t->index);
	w->pause_ms = PAUSE_MIN_MS;
	loop_timer_arm(&s->sup->loop, &w->timer, clock_mono_ms() + w->pause_ms);
	return true;
}

bool cgroup_oom_killed(struct slot *s)
{
	static const char key[] = "\noom_kill ";
	uint32_t before = s->t->oom_kills, now = 0;
	const char *at;
	char text[512];
	ssize_t n;

	n = s->cgroup.memory_fd > 0 ? pread(s->cgroup.memory_fd, text, sizeof(text) - 1, 0) : 0;
	if (n <= 0)
		return false;
	text[n] = '\0';
	at = strstr(text, key);
	for (at = at ? at + sizeof(key) - 1 : ""; *at >= '0' && *at <= '9'; at++)
		now = now * 10 + (uint32_t)(*at - '0');
	s->t->oom_kills = now;
	return now != before;
}

/* ---- freezing and limits ---- */

static void write_freeze(struct slot *s, bool frozen)
{
	int r = cgroup_tool_write(s->cgroup.dir_fd, "cgroup.freeze", frozen ? "1" : "0");

	s->cgroup.freeze_err = -r;
	if (r < 0) {
		errno = -r;
		log_warn("replica=%s/%u cannot %s it: %m", s->t->service, s->t->index,
			 frozen ? "freeze" : "thaw");
		return;
	}
	s->cgroup.frozen = frozen;
	control_mark(s->sup, s);
}

void cgroup_freeze(struct slot *s, bool frozen)
{
	struct cgroup *g = &s->cgroup;

	g->freeze_due = frozen && s->t->state == WIRE_SLOT_SPAWNING;
	if (g->dir_fd == 0 || frozen == g->frozen)
		return;
	if (!frozen || s->t->state == WIRE_SLOT_RUNNING)
		write_freeze(s, frozen);
}

static void answer_freeze(struct slot *s)
{
	s->cgroup.freeze_answered = s->cgroup.freeze_request;
	control_mark(s->sup, s);
}

void cgroup_take_freeze(struct slot *s, bool frozen, uint32_t request)
{
	struct cgroup *g = &s->cgroup;

	g->freeze_request = request;
	g->freeze_err = g->dir_fd == 0 ? EOPNOTSUPP : 0;
	cgroup_freeze(s, frozen);
	if (!g->freeze_due)
		answer_freeze(s);
}

void cgroup_execed(struct slot *s)
{
	if (!s->cgroup.freeze_due)
		return;
	s->cgroup.freeze_due = false;
	cgroup_freeze(s, true);
	answer_freeze(s);
}

void cgroup_set_limits(struct slot *s, const struct wire_limits *limits)
{
	struct cgroup *g = &s->cgroup;
	struct cgroup_limit list[CGROUP_LIMITS_MAX];

	if (g->dir_fd == 0 || has_these(g, limits))
		return;
	keep_limits(s, limits);
	g->limits_due =
		g->limits_known && cgroup_limits_fill(list, limits, s->sup->cgroups.can, false) > 0;
	cgroup_job_start_due(s->sup);
}

/* ---- over our own death ---- */

void cgroup_adopt(struct slot *s)
{
	_cleanup_close_ int fd = -1;
	char name[CGROUP_NAME_SIZE], text[8];

	cgroup_name(s->t, name);
	if (s->sup->cgroups.dir_fd == 0 || s->cgroup.dir_fd > 0 || open_existing(s, name) < 0)
		return;
	fd = openat(s->cgroup.dir_fd, "cgroup.freeze", O_RDONLY | O_CLOEXEC);
	s->cgroup.frozen = fd >= 0 && read(fd, text, sizeof(text)) > 0 && text[0] == '1';
}

bool cgroup_has_pid(const struct slot *s, int pid)
{
	return s->cgroup.dir_fd > 0 && cgroup_tool_holds(s->cgroup.dir_fd, pid);
}

void cgroup_remove(struct slot *s)
{
	if (s->cgroup.dir_fd > 0)
		unmake(s);
}

void cgroup_close(struct slot *s)
{
	cgroup_job_forget(s);
	stop_watching(s);
	close_fds(&s->cgroup);
	drop_limits(s);
}
