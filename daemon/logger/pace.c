/* pace: see pace.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/pace.h"

#include <fcntl.h>

#define PIPE_MEDIUM (256u << 10) /* lets all but the fastest rest long */
#define BUDGET_ROOT (UINT64_C(256) << 20)
#define BUDGET_USER (UINT64_C(32) << 20)
#define BUSY_MS 20 /* pieces closer than this are "quickly" */
#define RATE_MS 16
#define END_MS 4
#define FAST 256 /* bytes in a microsecond */
#define BLINK_MIN_US 25
#define BLINK_MAX_US 200
#define LARGE (32u << 10) /* a piece that is worth a step of its own */

struct pace_budget pace_budget(bool system)
{
	return (struct pace_budget){.max = system ? BUDGET_ROOT : BUDGET_USER};
}

static uint32_t beyond(uint32_t size)
{
	return size > PACE_PIPE_SMALL ? size - PACE_PIPE_SMALL : 0;
}

void pace_begin(struct pace *p, struct pace_budget *b, int fd, int64_t last_mono_ms)
{
	int size = fcntl(fd, F_GETPIPE_SZ);

	*p = (struct pace){.pipe_size = size > 0 ? (uint32_t)size : PACE_PIPE_SMALL,
			   .last_mono_ms = last_mono_ms};
	__atomic_add_fetch(&b->used, beyond(p->pipe_size), __ATOMIC_RELAXED);
}

void pace_end(struct pace *p, struct pace_budget *b)
{
	__atomic_sub_fetch(&b->used, beyond(p->pipe_size), __ATOMIC_RELAXED);
	p->pipe_size = 0;
}

void pace_empty(struct pace *p)
{
	p->rest_ms = 0;
}

int64_t pace_tick(int tick, int64_t now)
{
	return tick == PACE_END ? now + END_MS : ((now >> tick) + 1) << tick;
}

/* What may come during a rest. */
static uint32_t fits(const struct pace *p)
{
	return p->pipe_size / 8 * 3;
}

/*
 * How long a stream may rest. Small writes leave gaps in a pipe: half of its size may be all that
 * there is room for, and who finds so much has let the writer wait.
 */
static int64_t longest(const struct pace *p, size_t n, int64_t gap)
{
	if (n >= p->pipe_size / 2 || gap >= BUSY_MS + (int64_t)p->rest_ms)
		return 0;
	if (p->rest_ms > 0)
		return 2 * (int64_t)p->rest_ms;
	return n >= LARGE && gap <= 1 ? 0 : 2 * gap + 1;
}

/* After a rest that was cut short by its tick n may be a burst: what came before counts as well. */
static void estimate(struct pace *p, size_t n, int64_t gap)
{
	uint32_t rate = (uint32_t)(n / (uint64_t)(gap > 0 ? gap : 1));
	bool is_short = p->rest_ms > 0 && gap < (int64_t)p->rest_ms;

	if (is_short)
		rate = (uint32_t)(((uint64_t)p->rate * RATE_MS + n) / (uint64_t)(RATE_MS + gap));
	p->rate -= p->rate / 8;
	if (rate > p->rate)
		p->rate = rate;
}

int pace_taken(struct pace *p, size_t n, int64_t now)
{
	int64_t gap = now - p->last_mono_ms, most = longest(p, n, gap);
	int tick = PACE_END - 1;

	estimate(p, n, gap);
	while (tick >= 0 && (1 << tick > most || (uint64_t)p->rate << tick > fits(p)))
		tick--;
	p->rest_ms = tick < 0 ? 0 : 1u << tick;
	p->last_mono_ms = now;
	return tick;
}

unsigned pace_blink(struct pace *p, size_t n, int64_t now_us)
{
	int64_t gap = now_us - p->last_mono_us;

	p->last_mono_us = now_us;
	if (p->pipe_size < PACE_PIPE_LARGE || gap * FAST > (int64_t)n || n >= p->pipe_size / 4 * 3)
		p->blink_us = 0;
	else if (n >= p->pipe_size / 2)
		p->blink_us /= 2;
	else if (n < p->pipe_size / 4)
		p->blink_us = p->blink_us > 0 ? p->blink_us * 2 : BLINK_MIN_US;
	if (p->blink_us > BLINK_MAX_US)
		p->blink_us = BLINK_MAX_US;
	return p->blink_us < BLINK_MIN_US ? 0 : p->blink_us;
}

/* Small writes leave a gap at the end of each page: three quarters are full. */
bool pace_is_full(struct pace *p, size_t n)
{
	p->want = p->pipe_size;
	if (n >= p->pipe_size / 4 * 3)
		p->want = PACE_PIPE_LARGE;
	else if (p->rest_ms > 0 && !p->refused && p->want < PIPE_MEDIUM &&
		 p->rate > fits(p) >> (PACE_END - 1))
		p->want = PIPE_MEDIUM;
	return p->want > p->pipe_size;
}

void pace_grow(struct pace *p, struct pace_budget *b, int fd)
{
	uint64_t more = p->want - PACE_PIPE_SMALL - beyond(p->pipe_size);
	int n;

	if (__atomic_add_fetch(&b->used, more, __ATOMIC_RELAXED) <= b->max) {
		n = fcntl(fd, F_SETPIPE_SZ, (int)p->want);
		if (n > 0) {
			p->pipe_size = (uint32_t)n;
			return;
		}
	}
	p->refused = true;
	__atomic_sub_fetch(&b->used, more, __ATOMIC_RELAXED);
}
