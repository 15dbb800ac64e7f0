/* capture: see capture.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define PIPE_SMALL (64u << 10) /* what a pipe has by default: outside the budget */
#define PIPE_LARGE (1u << 20)
#define BUDGET_ROOT (UINT64_C(256) << 20)
#define BUDGET_USER (UINT64_C(32) << 20)
#define REST_MS 4  /* how long small pieces are collected */
#define BUSY_MS 20 /* pieces closer than this are "quickly" */
#define DRAIN_MS 2000
#define TOLD_MS 2000  /* pidfds are kept so long after DRAINED, */
#define TOLD_MAX 1024 /* and so many */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 10000
#define FDS_RESERVE 64 /* left for everything else in this process */
#define DRAIN_STEPS 16 /* per stream at the end: more than a pipe can hold */

static struct capture_bucket *bucket_of(struct capture_set *set, const char *incarnation)
{
	uint32_t h = 2166136261u;

	for (; *incarnation; incarnation++)
		h = (h ^ (uint8_t)*incarnation) * 16777619u;
	return &set->buckets[(h ^ h >> 16) % CAPTURE_BUCKETS];
}

static struct capture *find(struct capture_set *set, const struct wire_key *key)
{
	struct capture *c;

	LIST_FOREACH (c, bucket_of(set, key->incarnation), bucket)
		if (wire_key_equal(&c->key, key))
			return c;
	return NULL;
}

/* For the store: may this segment be deleted? An incarnation's name is unique in itself. */
static bool in_use(void *user, const char *incarnation, uint32_t seq)
{
	struct capture_set *set = user;
	struct capture *c;

	LIST_FOREACH (c, bucket_of(set, incarnation), bucket)
		if (c->stage == CAPTURE_LIVING && strcmp(c->key.incarnation, incarnation) == 0)
			return c->segment.seq == 0 || seq >= c->segment.seq;
	return false;
}

/* ---- storing ---- */

static bool is_over(const struct capture *c)
{
	return c->streams[0].fd < 0 && c->streams[1].fd < 0;
}

static void count_fds(struct capture_set *set, struct capture *c, bool was_open)
{
	if (segment_is_open(&c->segment) && !was_open)
		set->fds += 2;
	else if (!segment_is_open(&c->segment) && was_open)
		set->fds -= 2;
}

static void close_stream(struct capture_stream *s)
{
	struct capture_set *set = s->owner->set;

	if (s->fd < 0)
		return;
	loop_del(set->loop, &s->io);
	if (s->resting)
		LIST_REMOVE(s, rest);
	s->resting = false;
	if (s->pipe_size > PIPE_SMALL)
		set->pipe_used -= s->pipe_size - PIPE_SMALL;
	mem_closep(&s->fd);
	set->fds--;
}

static void listen_to(struct capture_stream *s)
{
	if (s->fd < 0 || s->resting || s->owner->stalled || s->owner->set->paused ||
	    loop_is_added(&s->io))
		return;
	if (loop_add(s->owner->set->loop, &s->io, s->fd, EPOLLIN) < 0)
		log_error("service=%s/%u stream=%u cannot watch a pipe", s->owner->key.service,
			  s->owner->key.index, s->number);
}

static void move_to(struct capture *c, enum capture_stage stage)
{
	TAILQ_REMOVE(&c->set->queues[c->stage], c, all);
	c->stage = stage;
	TAILQ_INSERT_TAIL(&c->set->queues[stage], c, all);
}

/* Everything is stored: out of the loop and into the queue of those to be reported. */
static void finish(struct capture *c)
{
	struct capture_set *set = c->set;
	bool was_open = segment_is_open(&c->segment);

	if (c->stage != CAPTURE_LIVING)
		return;
	close_stream(&c->streams[0]);
	close_stream(&c->streams[1]);
	loop_del(set->loop, &c->pidfd_io);
	loop_timer_disarm(set->loop, &c->retry);
	loop_timer_disarm(set->loop, &c->drain);
	POINT("logger.drain.ending");
	segment_end(&c->segment, &set->store);
	count_fds(set, c, was_open);
	move_to(c, CAPTURE_DRAINED);
	if (set->on_drained)
		set->on_drained(set->user);
}

/* Is the main process gone? Without a pidfd nobody says otherwise. */
static bool is_gone(struct capture *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	if (c->pidfd >= 0 && poll(&p, 1, 0) == 1)
		c->gone = true;
	return c->gone || c->pidfd < 0;
}

/* Both ends may be at end of file: over, when the process is gone as well. */
static void settle(struct capture *c)
{
	if (!is_over(c) || c->set->paused)
		return;
	if (is_gone(c))
		finish(c);
	else if (!loop_is_added(&c->pidfd_io) &&
		 loop_add(c->set->loop, &c->pidfd_io, c->pidfd, EPOLLIN) < 0)
		finish(c);
}

static void on_pidfd(void *user, uint32_t events)
{
	struct capture *c = user;

	(void)events;
	loop_del(c->set->loop, &c->pidfd_io);
	c->gone = true;
	settle(c);
}

static void report_stall(struct capture *c, int err)
{
	struct capture_set *set = c->set;

	if (set->n_stalled++ > 0)
		return; /* said once */
	set->stalled_since_mono_ms = clock_mono_ms();
	if (err == ENOSPC && set->store.below)
		log_error("path=%s too little free disk space: logs wait, services run on until "
			  "their pipes are full",
			  set->store.path);
	else
		log_error("service=%s/%u error=\"%s\" cannot store logs: they wait, services run "
			  "on until their pipes are full",
			  c->key.service, c->key.index, strerror(err));
}

static void report_recovery(struct capture *c)
{
	struct capture_set *set = c->set;
	char text[32];

	c->stalled = false;
	if (--set->n_stalled > 0)
		return;
	log_warn("path=%s after=%s logs are stored again", set->store.path,
		 clock_human(clock_mono_ms() - set->stalled_since_mono_ms, text, sizeof(text)));
}

static void stall(struct capture *c, int err)
{
	struct capture_set *set = c->set;

	if (!c->stalled)
		report_stall(c, err);
	c->stalled = true;
	loop_del(set->loop, &c->streams[0].io);
	loop_del(set->loop, &c->streams[1].io);
	if (c->backoff_ms == 0 || (err == ENOSPC && set->store.below))
		c->backoff_ms = RETRY_MIN_MS;
	loop_timer_arm(set->loop, &c->retry, clock_mono_ms() + c->backoff_ms);
	c->backoff_ms = c->backoff_ms * 2 < RETRY_MAX_MS ? c->backoff_ms * 2 : RETRY_MAX_MS;
}

/* Closes the files of whoever used them the longest ago. False when there is none. */
static bool evict(struct capture_set *set, const struct capture *except)
{
	struct capture *c, *oldest = NULL;

	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all)
		if (c != except && segment_is_open(&c->segment) && c->segment.pending.length == 0 &&
		    (!oldest || c->used_mono_ms < oldest->used_mono_ms))
			oldest = c;
	if (!oldest)
		return false;
	segment_close(&oldest->segment);
	set->fds -= 2;
	return true;
}

static void grow_pipe(struct capture_stream *s, size_t found)
{
	struct capture_set *set = s->owner->set;
	uint32_t base = s->pipe_size > PIPE_SMALL ? s->pipe_size : PIPE_SMALL;
	int n;

	/* small writes leave a gap at the end of each page: three quarters are full */
	if (found < s->pipe_size / 4 * 3 || s->pipe_size >= PIPE_LARGE ||
	    set->pipe_used + (PIPE_LARGE - base) > set->pipe_budget)
		return;
	n = fcntl(s->fd, F_SETPIPE_SZ, (int)PIPE_LARGE);
	if (n <= 0)
		return;
	set->pipe_used += (uint32_t)n - base;
	s->pipe_size = (uint32_t)n;
}

/* One step; what segment_take says. */
static ssize_t take(struct capture_stream *s)
{
	struct capture *c = s->owner;
	struct capture_set *set = c->set;
	bool was_open = segment_is_open(&c->segment);
	ssize_t n;

	if (!was_open && set->fds + 2 > set->fds_max)
		evict(set, c);
	n = segment_take(&c->segment, &set->store, s->fd, s->number);
	if ((n == -EMFILE || n == -ENFILE) && evict(set, c))
		n = segment_take(&c->segment, &set->store, s->fd, s->number);
	count_fds(set, c, was_open);
	return n;
}

static void rest(struct capture_stream *s, int64_t now)
{
	struct capture_set *set = s->owner->set;

	loop_del(set->loop, &s->io);
	s->resting = true;
	if (LIST_EMPTY(&set->resting))
		loop_timer_arm(set->loop, &set->rest_timer, now + REST_MS);
	LIST_INSERT_HEAD(&set->resting, s, rest);
}

static void on_rested(void *user)
{
	struct capture_set *set = user;
	struct capture_stream *s;

	while ((s = LIST_FIRST(&set->resting))) {
		LIST_REMOVE(s, rest);
		s->resting = false;
		listen_to(s);
	}
}

static void on_bytes(struct capture_stream *s, size_t n)
{
	struct capture *c = s->owner;
	int64_t now = clock_mono_ms();
	bool busy = now - s->last_mono_ms < BUSY_MS;

	s->last_mono_ms = c->used_mono_ms = now;
	c->backoff_ms = 0;
	if (c->stalled)
		report_recovery(c);
	grow_pipe(s, n);
	if (busy && n < s->pipe_size / 2)
		rest(s, now);
}

static bool may_read(struct capture_set *set)
{
	if (!set->may_read || set->may_read(set->user))
		return true;
	capture_pause(set);
	return false;
}

static void on_readable(void *user, uint32_t events)
{
	struct capture_stream *s = user;
	struct capture *c = s->owner;
	ssize_t n;

	(void)events;
	if (!may_read(c->set))
		return;
	n = take(s);
	if (n > 0) {
		on_bytes(s, (size_t)n);
	} else if (n == 0) {
		close_stream(s);
		settle(c); /* end of file comes after every entry is written */
	} else if (n != -EAGAIN) {
		stall(c, (int)-n);
	}
}

/* Tries again: first the entry that could not be written, then the bytes in the pipes. */
static void on_retry(void *user)
{
	struct capture *c = user;
	ssize_t n = -EAGAIN;

	if (!may_read(c->set))
		return;
	for (int i = 0; i < 2; i++) {
		struct capture_stream *s = &c->streams[i];

		if (s->fd < 0)
			continue;
		n = take(s);
		if (n > 0) {
			on_bytes(s, (size_t)n);
		} else if (n == 0) {
			close_stream(s);
		} else if (n != -EAGAIN) {
			stall(c, (int)-n);
			return;
		}
	}
	if (c->stalled)
		report_recovery(c);
	c->backoff_ms = 0;
	listen_to(&c->streams[0]);
	listen_to(&c->streams[1]);
	settle(c);
}

/* ---- the end of an incarnation ---- */

static bool is_empty(const struct capture_stream *s)
{
	int n = 0;

	return s->fd < 0 || (ioctl(s->fd, FIONREAD, &n) == 0 && n == 0);
}

static void on_drain(void *user)
{
	struct capture *c = user;
	int64_t now = clock_mono_ms(), last = c->streams[0].last_mono_ms;

	if (c->streams[1].last_mono_ms > last)
		last = c->streams[1].last_mono_ms;
	if (c->stalled || !is_empty(&c->streams[0]) || !is_empty(&c->streams[1]))
		loop_timer_arm(c->set->loop, &c->drain, now + c->set->drain_ms);
	else if (now - last < c->set->drain_ms)
		loop_timer_arm(c->set->loop, &c->drain, last + c->set->drain_ms);
	else
		finish(c);
}

static void mark_gone(struct capture *c)
{
	if (c->stage == CAPTURE_LIVING && !c->gone)
		loop_timer_arm(c->set->loop, &c->drain, clock_mono_ms() + c->set->drain_ms);
	c->gone = true;
	settle(c);
}

void capture_gone(struct capture_set *set, const struct wire_key *key)
{
	struct capture *c = find(set, key);

	if (c)
		mark_gone(c);
}

struct capture *capture_first_drained(struct capture_set *set)
{
	return TAILQ_FIRST(&set->queues[CAPTURE_DRAINED]);
}

static void set_pidfd(struct capture *c, int fd)
{
	loop_del(c->set->loop, &c->pidfd_io);
	if (c->pidfd >= 0)
		c->set->fds--;
	if (fd >= 0)
		c->set->fds++;
	mem_closep(&c->pidfd);
	c->pidfd = fd;
}

static void free_capture(struct capture *c)
{
	struct capture_set *set = c->set;
	bool was_open = segment_is_open(&c->segment);

	close_stream(&c->streams[0]);
	close_stream(&c->streams[1]);
	loop_timer_disarm(set->loop, &c->retry);
	loop_timer_disarm(set->loop, &c->drain);
	segment_close(&c->segment);
	count_fds(set, c, was_open);
	set_pidfd(c, -1);
	LIST_REMOVE(c, bucket);
	if (c->stage == CAPTURE_TOLD)
		set->n_told--;
	TAILQ_REMOVE(&set->queues[c->stage], c, all);
	mem_free(c);
}

/* aictld has had time to reap them. */
static void on_told(void *user)
{
	struct capture_set *set = user;
	int64_t now = clock_mono_ms();
	struct capture *c;

	while ((c = TAILQ_FIRST(&set->queues[CAPTURE_TOLD]))) {
		if (set->n_told <= TOLD_MAX && now - c->told_mono_ms < TOLD_MS) {
			loop_timer_arm(set->loop, &set->told_timer, c->told_mono_ms + TOLD_MS);
			return;
		}
		free_capture(c);
	}
}

void capture_release(struct capture *c)
{
	struct capture_set *set = c->set;

	if (c->pidfd < 0) {
		free_capture(c);
		return;
	}
	c->told_mono_ms = clock_mono_ms();
	move_to(c, CAPTURE_TOLD);
	if (++set->n_told > TOLD_MAX)
		on_told(set);
	else if (!set->told_timer.armed)
		loop_timer_arm(set->loop, &set->told_timer, c->told_mono_ms + TOLD_MS);
}

/* ---- the beginning ---- */

static void init_stream(struct capture *c, unsigned i, int fd)
{
	struct capture_stream *s = &c->streams[i];
	int size = fcntl(fd, F_GETPIPE_SZ), flags = fcntl(fd, F_GETFL);

	s->owner = c;
	s->fd = fd;
	s->number = i + 1;
	s->io = (struct loop_io){.fn = on_readable, .user = s};
	s->last_mono_ms = INT64_MIN / 2;
	s->pipe_size = size > 0 ? (uint32_t)size : PIPE_SMALL;
	if (s->pipe_size > PIPE_SMALL)
		c->set->pipe_used += s->pipe_size - PIPE_SMALL;
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* of the read end alone */
	c->set->fds++;
}

/* STREAM once more: what is there already stays, a pidfd that was missing is welcome. */
static void add_again(struct capture *c, const struct wire_stream *m, const int fds[CAPTURE_FDS])
{
	close(fds[0]);
	close(fds[1]);
	if (c->pidfd < 0)
		set_pidfd(c, fds[2]);
	else if (fds[2] >= 0)
		close(fds[2]);
	if (c->stage == CAPTURE_TOLD) { /* it was not heard */
		c->set->n_told--;
		move_to(c, CAPTURE_DRAINED);
		if (c->set->on_drained)
			c->set->on_drained(c->set->user);
	}
	if (m->gone)
		mark_gone(c);
}

static struct capture *new_capture(struct capture_set *set, const struct wire_stream *m,
				   const int fds[CAPTURE_FDS])
{
	struct capture *c = mem_alloc(sizeof(*c));

	if (!c) {
		for (int i = 0; i < CAPTURE_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		return NULL;
	}
	c->set = set;
	c->key = m->key;
	c->intent_index = m->intent_index;
	c->retry = (struct loop_timer){.fn = on_retry, .user = c};
	c->drain = (struct loop_timer){.fn = on_drain, .user = c};
	c->pidfd_io = (struct loop_io){.fn = on_pidfd, .user = c};
	c->pidfd = -1;
	LIST_INSERT_HEAD(bucket_of(set, c->key.incarnation), c, bucket);
	TAILQ_INSERT_TAIL(&set->queues[CAPTURE_LIVING], c, all);
	init_stream(c, 0, fds[0]);
	init_stream(c, 1, fds[1]);
	set_pidfd(c, fds[2]);
	return c;
}

int capture_add(struct capture_set *set, const struct wire_stream *m, const int fds[CAPTURE_FDS])
{
	struct capture *c = find(set, &m->key);
	bool shared;
	int r;

	if (c) {
		add_again(c, m, fds);
		return 0;
	}
	c = new_capture(set, m, fds);
	if (!c)
		return -ENOMEM;
	c->segment = (struct segment){.service = c->key.service,
				      .incarnation = c->key.incarnation,
				      .index = c->key.index,
				      .word = intent_word(&set->intents, m->intent_index, &shared)};
	segment_init(&c->segment, m->max_size, m->max_files);
	while (set->fds > set->fds_max && evict(set, c))
		;
	r = shared ? segment_recover(&c->segment, &set->store) : 0;
	count_fds(set, c, false);
	if (r < 0)
		stall(c, -r);
	listen_to(&c->streams[0]);
	listen_to(&c->streams[1]);
	if (m->gone)
		mark_gone(c);
	return 0;
}

/* ---- to be given away, or not ---- */

void capture_orphaned(struct capture_set *set)
{
	struct capture *c;

	loop_timer_disarm(set->loop, &set->told_timer);
	while ((c = TAILQ_FIRST(&set->queues[CAPTURE_TOLD])))
		move_to(c, CAPTURE_DRAINED);
	set->n_told = 0;
}

void capture_pause(struct capture_set *set)
{
	struct capture *c;

	set->paused = true;
	loop_timer_disarm(set->loop, &set->rest_timer);
	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all) {
		loop_del(set->loop, &c->streams[0].io);
		loop_del(set->loop, &c->streams[1].io);
		loop_del(set->loop, &c->pidfd_io);
		loop_timer_disarm(set->loop, &c->retry);
		loop_timer_disarm(set->loop, &c->drain);
	}
}

void capture_resume(struct capture_set *set)
{
	int64_t now = clock_mono_ms();
	struct capture *c, *next;

	set->paused = false;
	on_rested(set);
	for (c = TAILQ_FIRST(&set->queues[CAPTURE_LIVING]); c; c = next) {
		next = TAILQ_NEXT(c, all);
		if (c->stalled)
			loop_timer_arm(set->loop, &c->retry, now);
		if (c->gone)
			loop_timer_arm(set->loop, &c->drain, now + set->drain_ms);
		listen_to(&c->streams[0]);
		listen_to(&c->streams[1]);
		settle(c);
	}
}

struct capture *capture_next(const struct capture_set *set, const struct capture *after)
{
	struct capture *c = after ? TAILQ_NEXT(after, all) : NULL;

	for (int i = after ? (int)after->stage + 1 : 0; !c && i < CAPTURE_STAGES; i++)
		c = TAILQ_FIRST(&set->queues[i]);
	return c;
}

bool capture_any_living(const struct capture_set *set)
{
	return !TAILQ_EMPTY(&set->queues[CAPTURE_LIVING]);
}

/* ---- the set ---- */

int capture_set_init(struct capture_set *set, struct loop *loop, const char *path, bool system)
{
	struct rlimit lim;
	int r;

	*set = (struct capture_set){
		.loop = loop,
		.drain_ms = DRAIN_MS,
		.pipe_budget = system ? BUDGET_ROOT : BUDGET_USER,
		.fds_max = 1024,
	};
	for (int i = 0; i < CAPTURE_STAGES; i++)
		TAILQ_INIT(&set->queues[i]);
	set->rest_timer = (struct loop_timer){.fn = on_rested, .user = set};
	set->told_timer = (struct loop_timer){.fn = on_told, .user = set};
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0)
		set->fds_max = lim.rlim_cur;
	set->fds_max = set->fds_max > 2 * FDS_RESERVE ? set->fds_max - FDS_RESERVE : FDS_RESERVE;
	r = store_init(&set->store, path);
	set->store.in_use = in_use;
	set->store.user = set;
	return r;
}

void capture_set_done(struct capture_set *set)
{
	struct capture *c;

	while ((c = capture_next(set, NULL)))
		free_capture(c);
	loop_timer_disarm(set->loop, &set->rest_timer);
	loop_timer_disarm(set->loop, &set->told_timer);
	store_done(&set->store);
	intent_done(&set->intents);
}

static void drain_stream(struct capture_stream *s, int64_t deadline)
{
	for (int i = 0; i < DRAIN_STEPS && s->fd >= 0 && clock_mono_ms() < deadline; i++)
		if (take(s) <= 0)
			return;
}

void capture_drain_all(struct capture_set *set, int64_t max_ms)
{
	int64_t deadline = clock_mono_ms() + max_ms;
	struct capture *c;

	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all) {
		drain_stream(&c->streams[0], deadline);
		drain_stream(&c->streams[1], deadline);
	}
}
