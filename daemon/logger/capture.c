/* capture: see capture.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/logger/capture_drop.h"
#include "daemon/logger/capture_fault.h"
#include "daemon/logger/capture_keep.h"
#include "daemon/logger/capture_step.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define DRAIN_MS 2000
#define TOLD_MS 2000  /* pidfds are kept so long after DRAINED, */
#define TOLD_MAX 1024 /* and so many */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 10000
#define SLOT_WAIT_MS 250
#define DRAIN_STEPS 16 /* per stream at the end: more than a pipe can hold */

static struct capture_bucket *bucket_of(struct capture_set *set, const char *incarnation)
{
	uint32_t h = 2166136261u;

	for (; *incarnation; incarnation++)
		h = (h ^ (uint8_t)*incarnation) * 16777619u;
	return &set->buckets[(h ^ h >> 16) % CAPTURE_BUCKETS];
}

struct capture *capture_find(struct capture_set *set, const struct wire_key *key)
{
	struct capture *c;

	LIST_FOREACH (c, bucket_of(set, key->incarnation), bucket)
		if (wire_key_equal(&c->key, key))
			return c;
	return NULL;
}

/*
 * For the store: may this segment be deleted? An incarnation's name is unique in itself. Called
 * within a step.
 */
static bool in_use(void *user, const char *incarnation, uint32_t seq)
{
	struct capture_set *set = user;
	struct capture *c;
	bool used = false;

	capture_step_switch(set, false);
	LIST_FOREACH (c, bucket_of(set, incarnation), bucket)
		if (c->stage == CAPTURE_LIVING && strcmp(c->key.incarnation, incarnation) == 0)
			used |= c->segment.seq == 0 || seq >= c->segment.seq;
	capture_step_switch(set, true);
	return used;
}

/* ---- storing ---- */

static bool is_over(const struct capture *c)
{
	return c->streams[0].fd < 0 && c->streams[1].fd < 0;
}

static void stop_resting(struct capture_stream *s)
{
	if (!s->resting)
		return;
	LIST_REMOVE(s, rest);
	s->resting = false;
	s->owner->set->n_resting--;
}

static void close_stream(struct capture_stream *s)
{
	struct capture_set *set = s->owner->set;

	if (s->fd < 0)
		return;
	loop_del(set->loop, &s->io);
	stop_resting(s);
	pace_end(&s->pace, &set->pool->pipes);
	mem_closep(&s->fd);
	pool_count(set->pool, -1);
}

static void listen_to(struct capture_stream *s)
{
	if (s->fd < 0 || s->resting || !s->owner->free || !s->owner->begun || s->owner->stalled ||
	    s->owner->set->paused || loop_is_added(&s->io))
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

static void wait_no_more(struct capture *c)
{
	c->set->n_waits -= c->waits;
	c->waits = false;
}

/* Out of the loop. */
static void stop_reading(struct capture *c)
{
	close_stream(&c->streams[0]);
	close_stream(&c->streams[1]);
	loop_del(c->set->loop, &c->pidfd_io);
	loop_timer_disarm(c->set->loop, &c->retry);
	loop_timer_disarm(c->set->loop, &c->drain);
}

/* Into the queue of those to be reported. */
static void retire(struct capture *c)
{
	stop_reading(c);
	wait_no_more(c);
	move_to(c, CAPTURE_DRAINED);
	capture_keep_soon(c->set);
	if (c->set->on_drained)
		c->set->on_drained(c->set->user);
}

/*
 * Everything is stored. Paused meanwhile, it stays where it is, and this comes once more: to write
 * the end twice is harmless.
 */
static void finish(struct capture *c)
{
	struct capture_set *set = c->set;
	bool was_open = segment_is_open(&c->segment), last;

	if (c->stage != CAPTURE_LIVING)
		return;
	last = TAILQ_FIRST(&set->queues[CAPTURE_LIVING]) == c && !TAILQ_NEXT(c, all);
	stop_reading(c);
	POINT("logger.drain.ending");
	capture_step_begin(c);
	segment_end(&c->segment, &set->store);
	if (last && set->store.only) /* a mount that nobody logs to may be unmounted */
		mem_closep(&set->store.dir_fd);
	capture_step_end(c);
	capture_step_count(set, c, was_open);
	if (!set->paused)
		retire(c);
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

static void stall(struct capture *c, int err)
{
	struct capture_set *set = c->set;

	if (!c->stalled)
		capture_fault_stalled(c, err);
	c->stalled = true;
	capture_fault_set(c, capture_fault_state(c), err);
	if (capture_drop_is_on(c))
		capture_drop_begin(c);
	loop_del(set->loop, &c->streams[0].io);
	loop_del(set->loop, &c->streams[1].io);
	if (c->backoff_ms == 0 || (err == ENOSPC && set->store.below))
		c->backoff_ms = RETRY_MIN_MS;
	loop_timer_arm(set->loop, &c->retry, clock_mono_ms() + c->backoff_ms);
	c->backoff_ms = c->backoff_ms * 2 < RETRY_MAX_MS ? c->backoff_ms * 2 : RETRY_MAX_MS;
}

static void rest(struct capture_stream *s, int tick, int64_t now)
{
	struct capture_set *set = s->owner->set;
	struct capture_tick *t = &set->ticks[tick];

	if (s->resting)
		return;
	loop_del(set->loop, &s->io);
	s->resting = true;
	if (!t->timer.armed)
		loop_timer_arm(set->loop, &t->timer, pace_tick(tick, now));
	LIST_INSERT_HEAD(&t->resting, s, rest);
	set->n_resting++;
}

static void on_bytes(struct capture_stream *s, size_t n)
{
	struct capture *c = s->owner;
	struct capture_set *set = c->set;
	int64_t now_us = clock_mono_us(), now = now_us / 1000;
	int tick = pace_taken(&s->pace, n, now);

	c->used_mono_ms = now;
	c->backoff_ms = 0;
	if (c->stalled)
		capture_fault_recovered(c);
	else if (set->store.copying && c->fault.state == FAULT_OK)
		capture_fault_set(c, FAULT_WEAK, 0);
	if (tick >= 0)
		rest(s, tick, now);
	else
		loop_pause(set->loop, pace_blink(&s->pace, n, now_us));
}

static bool may_read(struct capture_set *set)
{
	if (set->paused)
		return false;
	if (!set->may_read || set->may_read(set->user))
		return true;
	capture_pause(set);
	return false;
}

/* False at the end of file: s may be gone with its owner. */
static bool read_on(struct capture_stream *s)
{
	struct capture *c = s->owner;
	ssize_t n;

	if (!may_read(c->set))
		return true;
	n = capture_step_take(s);
	if (n > 0) {
		on_bytes(s, (size_t)n);
	} else if (n == 0) {
		close_stream(s);
		settle(c); /* end of file comes after every entry is written */
	} else if (n == -EAGAIN) {
		pace_empty(&s->pace);
	} else {
		stall(c, (int)-n);
	}
	return n != 0;
}

/*
 * Nothing but the end is there: a process has died, and the processor is wanted by its successor.
 * This can wait.
 */
static void on_readable(void *user, uint32_t events)
{
	struct capture_stream *s = user;

	if (events & EPOLLIN)
		read_on(s);
	else
		rest(s, PACE_END, clock_mono_ms());
}

/* Who finds nothing is watched again; who goes on resting costs one step and nothing else. */
static void on_tick(void *user)
{
	struct capture_tick *t = user;
	struct capture_rest rested = t->resting; /* they may come back into t's */
	struct capture_stream *s;

	LIST_INIT(&t->resting);
	if (rested.lh_first)
		rested.lh_first->rest.le_prev = &rested.lh_first;
	while ((s = LIST_FIRST(&rested))) {
		stop_resting(s);
		if (!s->owner->free || s->owner->stalled || s->owner->set->paused || read_on(s))
			listen_to(s);
	}
}

/* ---- the beginning of one ---- */

static void wait_for_former(struct capture *c)
{
	struct capture_set *set = c->set;

	if (set->n_waits == 0)
		log_warn("path=%s service=%s/%u a former logger still waits for the disk: what "
			 "goes there waits, too",
			 set->store.path, c->key.service, c->key.index);
	set->n_waits += !c->waits;
	c->waits = true;
	capture_fault_set(c, capture_fault_state(c), FAULT_HUNG);
	if (capture_drop_is_on(c))
		capture_drop_begin(c);
	loop_timer_arm(set->loop, &c->retry, clock_mono_ms() + SLOT_WAIT_MS);
}

static int recover(struct capture *c)
{
	struct pool *pool = c->set->pool;
	bool shared = true;
	int r = 0;

	capture_step_begin(c);
	if (!c->begun) {
		for (int i = 0; i < 2; i++)
			if (c->streams[i].pace.pipe_size == 0)
				pace_begin(&c->streams[i].pace, &pool->pipes, c->streams[i].fd,
					   c->streams[i].pace.last_mono_ms);
		intent_word(&pool->intents, c->intent_index, &shared);
	}
	if (shared)
		r = segment_recover(&c->segment, &c->set->store);
	capture_step_end(c);
	return r;
}

/* What a killed logger left of it is made whole, then it is read. Again after a pause. */
static void begin(struct capture *c)
{
	struct capture_set *set = c->set;
	bool was_open = segment_is_open(&c->segment);
	int r;

	if (set->paused)
		return;
	if (capture_step_is_other(set, c)) {
		wait_for_former(c);
		return;
	}
	c->free = true;
	wait_no_more(c);
	if (c->fault.err == FAULT_HUNG && !set->hung)
		capture_fault_set(c, FAULT_OK, 0);
	while (pool_is_full(set->pool, 0) && capture_step_evict(c))
		;
	r = recover(c);
	capture_step_count(set, c, was_open);
	c->begun = true;
	if (set->paused)
		return;
	if (r < 0)
		stall(c, -r);
	else if (c->stalled)
		loop_timer_arm(set->loop, &c->retry, 0);
	listen_to(&c->streams[0]);
	listen_to(&c->streams[1]);
	settle(c);
}

/* Both streams in one go; false when that is not possible any more. */
static bool take_both(struct capture *c)
{
	ssize_t n;

	for (int i = 0; i < 2; i++) {
		struct capture_stream *s = &c->streams[i];

		if (s->fd < 0)
			continue;
		n = capture_step_take(s);
		if (n > 0) {
			on_bytes(s, (size_t)n);
		} else if (n == 0) {
			close_stream(s);
		} else if (n != -EAGAIN) {
			stall(c, (int)-n);
			return false;
		}
		if (c->set->paused)
			return false;
	}
	return true;
}

/* Tries again: first the entry that could not be written, then the bytes in the pipes. */
static void on_retry(void *user)
{
	struct capture *c = user;

	if (!c->free || !c->begun) {
		begin(c);
		return;
	}
	if (!may_read(c->set) || !take_both(c))
		return;
	if (c->stalled)
		capture_fault_recovered(c);
	c->backoff_ms = 0;
	listen_to(&c->streams[0]);
	listen_to(&c->streams[1]);
	settle(c);
}

/* ---- the end of an incarnation ---- */

static bool is_empty(struct capture_stream *s)
{
	int n = 0, r = 0;

	if (s->fd < 0)
		return true;
	capture_step_begin(s->owner);
	r = ioctl(s->fd, FIONREAD, &n);
	capture_step_end(s->owner);
	return r == 0 && n == 0;
}

/* Its replica is gone, and what it still said cannot be stored: that would hold up the next ones. */
static void give_up(struct capture *c)
{
	capture_drop_rest(c);
	capture_fault_again(c);
	capture_fault_forget(c);
	finish(c);
}

static void on_drain(void *user)
{
	struct capture *c = user;
	int64_t now = clock_mono_ms(), last = c->streams[0].pace.last_mono_ms;
	bool waits = !c->free || !c->begun || c->stalled;

	if (c->streams[1].pace.last_mono_ms > last)
		last = c->streams[1].pace.last_mono_ms;
	if (is_over(c) || !c->gone) {
		settle(c);
		return;
	}
	if (waits && c->free && c->begun && capture_drop_is_on(c)) {
		give_up(c);
		return;
	}
	if (!waits)
		waits = !is_empty(&c->streams[0]) || !is_empty(&c->streams[1]);
	if (c->set->paused) /* meanwhile: what was empty may be somebody else's by now */
		return;
	if (waits)
		loop_timer_arm(c->set->loop, &c->drain, now + c->set->drain_ms);
	else if (now - last < c->set->drain_ms)
		loop_timer_arm(c->set->loop, &c->drain, last + c->set->drain_ms);
	else
		finish(c);
}

/* Has it neither said anything nor anything left to say? poll() waits for nobody. */
static bool said_nothing(const struct capture *c)
{
	uint64_t offset;
	uint32_t stream;

	if (c->segment.seq > 0 || c->segment.pending.length > 0 || c->set->in_step == c ||
	    intent_get(c->segment.word, c->key.incarnation, &stream, &offset))
		return false;
	for (int i = 0; i < 2; i++) {
		struct pollfd p = {.fd = c->streams[i].fd, .events = POLLIN};

		if (p.fd >= 0 && (poll(&p, 1, 0) != 1 || p.revents & POLLIN))
			return false;
	}
	return true;
}

static void mark_gone(struct capture *c)
{
	int64_t now = clock_mono_ms();

	if (c->stage == CAPTURE_LIVING && !c->set->paused && (!c->gone || is_over(c)))
		loop_timer_arm(c->set->loop, &c->drain, is_over(c) ? now : now + c->set->drain_ms);
	c->gone = true;
	if (c->stage == CAPTURE_LIVING && (c->set->hung || c->waits) && !c->set->paused &&
	    said_nothing(c))
		retire(c); /* no file is touched: nothing that hangs is waited for */
}

void capture_gone(struct capture_set *set, const struct wire_key *key)
{
	struct capture *c = capture_find(set, key);

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
	pool_count(c->set->pool, (fd >= 0) - (c->pidfd >= 0));
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
	capture_step_count(set, c, was_open);
	wait_no_more(c);
	set_pidfd(c, -1);
	capture_fault_drop(c);
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
	int flags = fcntl(fd, F_GETFL);

	s->owner = c;
	s->fd = fd;
	s->number = i + 1;
	s->io = (struct loop_io){.fn = on_readable, .user = s};
	s->pace.last_mono_ms = INT64_MIN / 2;
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* of the read end alone */
	pool_count(c->set->pool, 1);
}

/* STREAM once more: what is there already stays, a pidfd that was missing is welcome. */
static int add_again(struct capture *c, const struct wire_stream *m, const int fds[CAPTURE_FDS])
{
	close(fds[0]);
	close(fds[1]);
	c->logs = m->logs; /* the next step knows them */
	if (c->fault.state == FAULT_STALLED || c->fault.state == FAULT_DROPPING)
		capture_fault_set(c, capture_fault_state(c), c->fault.err);
	if (c->stalled && capture_drop_is_on(c) && !c->set->paused)
		capture_drop_begin(c);
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
	return 0;
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
	c->step_id = steps_id(c->key.incarnation);
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
	struct capture *c = capture_find(set, &m->key);
	bool shared;

	if (c)
		return add_again(c, m, fds);
	c = new_capture(set, m, fds);
	if (!c)
		return -ENOMEM;
	c->segment = (struct segment){
		.service = c->key.service,
		.incarnation = c->key.incarnation,
		.index = c->key.index,
		.stop = &set->paused,
		.word = intent_word(&set->pool->intents, m->intent_index, &shared)};
	c->logs = m->logs;
	segment_init(&c->segment, m->logs.max_size, m->logs.max_files);
	if (set->hung)
		capture_fault_set(c, capture_fault_state(c), FAULT_HUNG);
	if (m->gone)
		mark_gone(c);
	if (!set->on_step)
		begin(c);
	else if (!set->paused)
		loop_timer_arm(set->loop, &c->retry, 0);
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

	__atomic_store_n(&set->paused, true, __ATOMIC_RELAXED); /* a step looks at it, too */
	capture_keep_pause(set);
	loop_timer_disarm(set->loop, &set->drop_timer);
	for (int i = 0; i < PACE_TICKS; i++)
		loop_timer_disarm(set->loop, &set->ticks[i].timer);
	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all) {
		loop_del(set->loop, &c->streams[0].io);
		loop_del(set->loop, &c->streams[1].io);
		loop_del(set->loop, &c->pidfd_io);
		loop_timer_disarm(set->loop, &c->retry);
		loop_timer_disarm(set->loop, &c->drain);
		if (c != set->in_step)
			c->free = false;
	}
}

void capture_resume(struct capture_set *set)
{
	int64_t now = clock_mono_ms();
	struct capture *c;

	__atomic_store_n(&set->paused, false, __ATOMIC_RELAXED);
	capture_keep_resume(set);
	for (int i = 0; i < PACE_TICKS; i++)
		loop_timer_arm(set->loop, &set->ticks[i].timer, now);
	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all) {
		loop_timer_arm(set->loop, &c->retry, now);
		if (c->gone)
			loop_timer_arm(set->loop, &c->drain, now + set->drain_ms);
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

int capture_set_init(struct capture_set *set, struct loop *loop, const char *path,
		     struct pool *pool)
{
	int r;

	*set = (struct capture_set){.loop = loop, .pool = pool, .drain_ms = DRAIN_MS};
	for (int i = 0; i < CAPTURE_STAGES; i++)
		TAILQ_INIT(&set->queues[i]);
	TAILQ_INIT(&set->faults);
	for (int i = 0; i < PACE_TICKS; i++)
		set->ticks[i].timer = (struct loop_timer){.fn = on_tick, .user = &set->ticks[i]};
	set->told_timer = (struct loop_timer){.fn = on_told, .user = set};
	capture_drop_init(set);
	r = store_init(&set->store, path);
	set->store.in_use = in_use;
	set->store.user = set;
	capture_keep_init(set);
	return r;
}

void capture_set_done(struct capture_set *set)
{
	struct capture *c;

	while ((c = capture_next(set, NULL)))
		free_capture(c);
	for (int i = 0; i < PACE_TICKS; i++)
		loop_timer_disarm(set->loop, &set->ticks[i].timer);
	loop_timer_disarm(set->loop, &set->told_timer);
	capture_keep_done(set);
	loop_timer_disarm(set->loop, &set->drop_timer);
	store_done(&set->store);
}

static void drain_stream(struct capture_stream *s, int64_t deadline)
{
	for (int i = 0; i < DRAIN_STEPS && s->fd >= 0 && clock_mono_ms() < deadline; i++)
		if (capture_step_take(s) <= 0)
			return;
}

void capture_drain_all(struct capture_set *set, int64_t max_ms)
{
	int64_t deadline = clock_mono_ms() + max_ms;
	struct capture *c, *next;

	for (c = TAILQ_FIRST(&set->queues[CAPTURE_LIVING]); c && !set->paused; c = next) {
		next = TAILQ_NEXT(c, all);
		if (!c->free || !c->begun)
			begin(c);
		for (int i = 0; i < 2 && c->free && c->begun; i++)
			drain_stream(&c->streams[i], deadline);
	}
}
