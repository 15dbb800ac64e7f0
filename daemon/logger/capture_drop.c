/* capture_drop: see capture_drop.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/capture_drop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/logger/capture_fault.h"
#include "daemon/logger/capture_step.h"
#include "lib/clock.h"

#define TELL_MS 1000
#define KEEP_SHIFT 2		 /* a quarter of the pipe is left */
#define LINE_REST_MAX (64 << 10) /* bytes */

bool capture_drop_is_on(const struct capture *c)
{
	return c->logs.flags & WIRE_LOGS_DROP;
}

/* ---- dropping ---- */

static uint64_t count_lines(const uint8_t *p, size_t n)
{
	uint64_t lines = 0;

	for (const uint8_t *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		lines++;
	return lines;
}

/* Takes n bytes that were just looked at out of the pipe. */
static bool take_away(int fd, uint8_t *buf, size_t n)
{
	while (n > 0) {
		ssize_t k = read(fd, buf, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		n -= (size_t)k;
	}
	return true;
}

/* Of the n bytes at p, how many go when `want` are to go at least: up to the end of a line. */
static size_t up_to_line_end(const uint8_t *p, size_t n, size_t want)
{
	const uint8_t *end;

	if (want > n)
		return n;
	end = memchr(p + want - 1, '\n', n - want + 1);
	return end ? (size_t)(end - p) + 1 : n;
}

/* At least `want` bytes and then up to the end of a line, if there is one. */
static void drop(struct capture_stream *s, struct store *tools, size_t want)
{
	struct fault *f = &s->owner->fault;
	uint64_t before = s->drop.bytes;

	while (want > 0 || s->drop.in_line) {
		ssize_t n = segment_peek(tools, s->fd, STORE_BOUNCE);
		uint64_t lines;
		size_t k;

		if (n == 0) /* the end of file is one of a line, too */
			s->drop.in_line = false;
		if (n <= 0)
			break;
		k = up_to_line_end(tools->bounce, (size_t)n, want > 0 ? want : 1);
		lines = count_lines(tools->bounce, k);
		s->drop.in_line = tools->bounce[k - 1] != '\n';
		if (!take_away(s->fd, tools->bounce, k))
			break;
		s->drop.bytes += k;
		s->drop.lines += lines;
		f->dropped_lines += lines;
		want = k < want ? want - k : 0;
	}
	f->dropped_bytes += s->drop.bytes - before;
}

/* What was found in the pipe has filled it, or will soon. Small writes leave gaps in it. */
static bool is_filling(const struct capture_stream *s, size_t n)
{
	return n >= s->pace.pipe_size / 8 * 3;
}

/* True when something has come since the last look. */
static bool look_at(struct capture_stream *s, struct store *tools)
{
	struct capture *c = s->owner;
	int n = 0;
	bool more;

	if (s->fd < 0 || s == c->set->stream_in_step || ioctl(s->fd, FIONREAD, &n) < 0)
		return false;
	more = (uint32_t)n > s->drop.seen;
	s->drop.seen = (uint32_t)n;
	if (!is_filling(s, (size_t)n))
		return more;
	if (s->pace.pipe_size < PACE_PIPE_LARGE)
		pace_grow(&s->pace, &c->set->pool->pipes, s->fd);
	if (!is_filling(s, (size_t)n))
		return more;
	s->drop.err = c->fault.err;
	drop(s, tools, (size_t)n - (s->pace.pipe_size >> KEEP_SHIFT));
	s->drop.seen = 0;
	return true;
}

static void tell(struct capture *c, uint64_t before)
{
	int64_t now = clock_mono_ms();

	if (c->fault.dropped_bytes == before || now - c->drop_told_mono_ms < TELL_MS)
		return;
	c->drop_told_mono_ms = now;
	capture_fault_again(c);
}

/* In a set that hangs, one that has just come has not begun; nor has one that waits for the end of a former
 * logger's step. Its pipes are touched only when that is for another one. */
static bool begin_beside(struct capture *c)
{
	struct pool *pool = c->set->pool;

	if (c->free)
		return true;
	if (c->begun || steps_is_other(&pool->intents.steps, STEPS_NO_MOUNT, c->step_id))
		return false;
	c->free = true;
	for (int i = 0; i < 2; i++)
		if (c->streams[i].pace.pipe_size == 0)
			pace_begin(&c->streams[i].pace, &pool->pipes, c->streams[i].fd,
				   c->streams[i].pace.last_mono_ms);
	return true;
}

/* And may its pipes be touched? Once the former logger's step is over it begins, and has lost nothing. */
static bool is_kept_waiting(struct capture *c)
{
	return capture_step_is_other(c->set, c) && begin_beside(c);
}

int64_t capture_drop_look(struct capture_set *set, struct store *tools, bool all)
{
	bool any = false, more = false;
	struct capture *c;

	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all) {
		uint64_t before = c->fault.dropped_bytes;

		if (!capture_drop_is_on(c) || !(c->stalled || c->waits || all))
			continue;
		any = true;
		if (!(c->waits ? is_kept_waiting(c)
		      : all    ? begin_beside(c)
			       : c->free) ||
		    (set->in_step == c && !set->stream_in_step))
			continue;
		more |= look_at(&c->streams[0], tools);
		more |= look_at(&c->streams[1], tools);
		tell(c, before);
	}
	return !any ? 0 : more ? CAPTURE_DROP_SOON_MS : CAPTURE_DROP_LATER_MS;
}

void capture_drop_rest(struct capture *c)
{
	for (int i = 0; i < 2; i++) {
		int n = 0;

		if (c->streams[i].fd < 0 || ioctl(c->streams[i].fd, FIONREAD, &n) < 0 || n <= 0)
			continue;
		drop(&c->streams[i], &c->set->store, (size_t)n);
	}
}

/* ---- when ---- */

static void on_timer(void *user)
{
	struct capture_set *set = user;
	int64_t next;

	if (set->paused)
		return;
	next = capture_drop_look(set, &set->store, false);
	if (next > 0)
		loop_timer_arm(set->loop, &set->drop_timer, clock_mono_ms() + next);
}

void capture_drop_init(struct capture_set *set)
{
	set->drop_timer = (struct loop_timer){.fn = on_timer, .user = set};
}

void capture_drop_begin(struct capture *c)
{
	struct capture_set *set = c->set;

	if (!set->drop_timer.armed)
		loop_timer_arm(set->loop, &set->drop_timer, clock_mono_ms() + CAPTURE_DROP_SOON_MS);
}

/* ---- what is said ---- */

/*
 * The line may never end. And while nothing can be stored, its end must not be what decides whether
 * that is tried.
 */
void capture_drop_line(struct capture_stream *s)
{
	struct capture *c = s->owner;
	uint64_t before = c->fault.dropped_bytes;

	if (!s->drop.in_line)
		return;
	drop(s, &c->set->store, 1);
	s->drop.rest += c->fault.dropped_bytes - before;
	if (c->stalled || s->drop.rest > LINE_REST_MAX)
		s->drop.in_line = false;
	tell(c, before);
}

static const char *size_text(uint64_t n, char *out, size_t size)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double v = (double)n / 1024;
	size_t i = 0;

	if (n < 1024) {
		snprintf(out, size, "%" PRIu64 " B", n);
		return out;
	}
	for (; v >= 1024 && i + 1 < 4; i++)
		v /= 1024;
	snprintf(out, size, "%.1f %s", v, units[i]);
	return out;
}

static const char *reason(int err)
{
	return err == 0		   ? "the file system is slow"
	       : err == FAULT_HUNG ? "the file system did not answer"
				   : strerror(err);
}

int capture_drop_note(struct capture_stream *s)
{
	struct capture *c = s->owner;
	char line[160], size[32];
	int r;

	if (s->drop.in_line)
		return -EAGAIN;
	snprintf(line, sizeof(line), "[aictl: %" PRIu64 " line%s (%s) of %s dropped: %s]\n",
		 s->drop.lines, s->drop.lines == 1 ? "" : "s",
		 size_text(s->drop.bytes, size, sizeof(size)),
		 s->number == LOGIDX_STDERR ? "stderr" : "stdout", reason(s->drop.err));
	r = segment_note(&c->segment, &c->set->store, s->number, line);
	if (r == 0)
		s->drop = (struct capture_dropped){0};
	return r;
}
