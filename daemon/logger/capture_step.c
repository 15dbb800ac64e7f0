/* capture_step: see capture_step.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/capture_step.h"

#include <errno.h>

#include "daemon/logger/capture_drop.h"
#include "daemon/logger/capture_keep.h"
#include "lib/clock.h"

void capture_step_switch(struct capture_set *set, bool begins)
{
	if (set->on_step)
		set->on_step(set->user, begins);
}

static void begin(struct capture_set *set, uint64_t id)
{
	if (set->thread)
		steps_begin(set->store.steps, set->thread, set->store.mount, id);
	capture_step_switch(set, true);
}

void capture_step_open(struct capture_set *set)
{
	begin(set, STEPS_NOBODY);
}

void capture_step_close(struct capture_set *set)
{
	capture_step_switch(set, false);
	if (set->thread)
		steps_end(set->store.steps, set->thread);
}

bool capture_step_is_other(struct capture_set *set, const struct capture *c)
{
	return set->store.steps &&
	       steps_is_other(set->store.steps, set->store.mount, c ? c->step_id : STEPS_NOBODY);
}

void capture_step_begin(struct capture *c)
{
	segment_set_logs(&c->segment, &c->logs);
	c->set->in_step = c;
	begin(c->set, c->step_id);
}

void capture_step_end(struct capture *c)
{
	capture_step_close(c->set);
	c->set->in_step = NULL;
	if (c->set->paused)
		c->free = false;
}

void capture_step_count(struct capture_set *set, struct capture *c, bool was_open)
{
	pool_count(set->pool, 2 * segment_is_open(&c->segment) - 2 * was_open);
}

static struct capture *find_oldest(struct capture_set *set, const struct capture *except)
{
	struct capture *c, *oldest = NULL;

	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all)
		if (c != except && segment_is_open(&c->segment) && c->segment.pending.length == 0 &&
		    (!oldest || c->used_mono_ms < oldest->used_mono_ms))
			oldest = c;
	return oldest;
}

bool capture_step_evict(struct capture *c)
{
	struct capture *oldest = find_oldest(c->set, c);

	if (!oldest)
		return false;
	capture_step_begin(c);
	segment_close(&oldest->segment);
	capture_step_end(c);
	pool_count(c->set->pool, -2);
	return true;
}

/* segment_take alone. A pipe whose bytes are in a system call that hangs must not be touched, so it
 * grows here. */
static ssize_t take_once(struct capture_stream *s)
{
	struct capture *c = s->owner;
	struct capture_set *set = c->set;
	bool was_open = segment_is_open(&c->segment);
	int64_t began = clock_mono_us();
	ssize_t n;

	capture_drop_line(s);
	c->segment.step_max =
		share_step(&set->share, (size_t)loop_round_size(set->loop) + set->n_resting);
	set->stream_in_step = s;
	capture_step_begin(c);
	if (set->may_read && !set->may_read(set->user)) /* who may sees this step, or we see that */
		n = -EAGAIN;
	else
		n = s->drop.bytes > 0 ? capture_drop_note(s) : 0;
	if (n == 0)
		n = segment_take(&c->segment, &set->store, s->fd, s->number);
	if (n > 0 && pace_is_full(&s->pace, (size_t)n))
		pace_grow(&s->pace, &set->pool->pipes, s->fd);
	capture_step_end(c);
	if (n > 0)
		share_took(&set->share, (size_t)n, clock_mono_us() - began);
	set->stream_in_step = NULL;
	capture_step_count(set, c, was_open);
	capture_keep_soon(set);
	return n;
}

ssize_t capture_step_take(struct capture_stream *s)
{
	struct capture *c = s->owner;
	ssize_t n;

	if (!segment_is_open(&c->segment) && pool_is_full(c->set->pool, 2))
		capture_step_evict(c);
	n = take_once(s);
	if ((n == -EMFILE || n == -ENFILE) && capture_step_evict(c))
		n = take_once(s);
	return n;
}
