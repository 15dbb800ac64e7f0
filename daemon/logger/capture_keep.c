/* capture_keep: see capture_keep.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/capture_keep.h"

#include <string.h>

#include "daemon/logger/capture.h"
#include "daemon/logger/capture_step.h"
#include "daemon/logger/compress.h"
#include "daemon/logger/keep.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define WAIT_MIN_MS 1000
#define WAIT_MAX_MS (24LL * 3600 * 1000) /* the wall clock may be set meanwhile */

static bool compress_due(const struct capture_set *set)
{
	return set->store.compress && compress_is_due(set->store.compress);
}

static bool is_work_due(const struct capture_set *set)
{
	return set->work && !set->work->over;
}

void capture_keep_soon(struct capture_set *set)
{
	int64_t due = set->store.due_wall_ms, wait = 0;

	if (is_work_due(set)) /* the timer is armed for it, and looks at the rest as well */
		return;
	if (set->paused || (due == set->keep_due_wall_ms && !compress_due(set)))
		return;
	set->keep_due_wall_ms = due;
	loop_timer_disarm(set->loop, &set->keep_timer);
	if (!compress_due(set)) {
		if (due == KEEP_NEVER)
			return;
		wait = due - clock_wall_ms();
		wait = wait < WAIT_MIN_MS ? WAIT_MIN_MS : wait > WAIT_MAX_MS ? WAIT_MAX_MS : wait;
	}
	loop_timer_arm(set->loop, &set->keep_timer, clock_mono_ms() + wait);
}

/* ---- by hand ---- */

bool capture_keep_is_idle(const struct capture_set *set)
{
	return !set->keeping && !set->work &&
	       (!set->store.compress || compress_is_idle(set->store.compress));
}

/* Each one closes its file in a step of its own, soon. Returns how many. */
static uint64_t rotate(struct capture_set *set, const struct wire_log_work *m)
{
	struct capture *c;
	uint64_t n = 0;

	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all) {
		if (strcmp(c->key.service, m->service) != 0 ||
		    (m->index >= 0 && c->key.index != (uint32_t)m->index))
			continue;
		segment_rotate(&c->segment);
		loop_timer_arm(set->loop, &c->retry, clock_mono_ms());
		n++;
	}
	return n;
}

bool capture_keep_ask(struct capture_set *set, const struct wire_log_work *m)
{
	if (set->work || set->paused)
		return false;
	set->work = mem_alloc(sizeof(*set->work));
	if (!set->work)
		return false;
	set->work->order = *m;
	set->work->done.id = m->id;
	loop_timer_disarm(set->loop, &set->keep_timer);
	loop_timer_arm(set->loop, &set->keep_timer, clock_mono_ms());
	return true;
}

bool capture_keep_answer(struct capture_set *set, struct wire_log_done *ret)
{
	if (!set->work || !set->work->over)
		return false;
	*ret = set->work->done;
	mem_free(set->work);
	set->work = NULL;
	return true;
}

static void end_work(struct capture_set *set)
{
	if (set->work->order.what == WIRE_LOG_ROTATE)
		set->work->done.files = rotate(set, &set->work->order);
	set->work->over = true;
	if (set->on_drained)
		set->on_drained(set->user);
}

/* ---- what is due ---- */

static void on_keep(void *user)
{
	struct capture_set *set = user;
	bool work = is_work_due(set); /* what comes meanwhile has its own turn */

	if (set->paused)
		return;
	if (capture_step_is_other(set, NULL)) {
		loop_timer_arm(set->loop, &set->keep_timer, clock_mono_ms() + WAIT_MIN_MS);
		return;
	}
	set->keeping = true;
	capture_step_open(set);
	if (work && set->work->order.what == WIRE_LOG_PRUNE)
		keep_by_hand(&set->store, &set->work->order, &set->work->done);
	if (set->store.due_wall_ms <= clock_wall_ms())
		keep_aged(&set->store);
	if (set->store.compress)
		compress_turn(set->store.compress);
	capture_step_close(set);
	set->keeping = false;
	if (work)
		end_work(set);
	set->keep_due_wall_ms = 0; /* the timer is to be armed again */
	capture_keep_soon(set);
}

static void on_compressed(void *user, uint32_t events)
{
	(void)events;
	on_keep(user);
}

void capture_keep_init(struct capture_set *set)
{
	set->keep_timer = (struct loop_timer){.fn = on_keep, .user = set};
	set->keep_due_wall_ms = set->store.due_wall_ms;
	loop_timer_arm(set->loop, &set->keep_timer, clock_mono_ms() + KEEP_RECALL_MS);
	set->compress_io = (struct loop_io){.fn = on_compressed, .user = set};
	if (set->store.compress &&
	    loop_add(set->loop, &set->compress_io, compress_fd(set->store.compress), EPOLLIN) < 0)
		set->store.compress = compress_free(set->store.compress);
}

void capture_keep_done(struct capture_set *set)
{
	loop_timer_disarm(set->loop, &set->keep_timer);
	loop_del(set->loop, &set->compress_io);
	mem_free(set->work);
	set->work = NULL;
}

void capture_keep_pause(struct capture_set *set)
{
	loop_timer_disarm(set->loop, &set->keep_timer);
	if (set->store.compress)
		compress_pause(set->store.compress, true);
}

void capture_keep_resume(struct capture_set *set)
{
	if (set->store.compress)
		compress_pause(set->store.compress, false);
	loop_timer_arm(set->loop, &set->keep_timer, clock_mono_ms());
}
