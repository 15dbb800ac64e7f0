/* probe_log: see probe_log.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/probe_log.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/logidx.h"
#include "lib/logtrack.h"
#include "lib/mem.h"

struct probe_log {
	struct log_work work;
	uv_timer_t timer; /* while it is asked for; data: the probe_log */
	bool working;	  /* the worker has all of the second half below */
	bool freed;	  /* to be freed when it gives them back */
	bool asked;	  /* cb is to be called */
	probe_cb cb;
	void *user;
	int64_t started_us, timeout_ms;
	char incarnation[WIRE_INCARNATION_SIZE];
	unsigned index;
	char *pattern, *service_dir;
	/* the worker's */
	regex_t *re; /* while it looks at something new */
	struct buf line;
	struct logtrack *track; /* NULL: nothing was read yet; parked */
	bool seen, more, failed;
	char said[100]; /* the line that matched, or the error */
};

static void on_closed(uv_handle_t *h)
{
	struct probe_log *p = h->data;

	logtrack_free(p->track);
	mem_free(p->pattern);
	mem_free(p->service_dir);
	mem_free(p);
}

static void destroy(struct probe_log *p)
{
	uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void keep(struct probe_log *p, const char *text, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n && len + 1 < sizeof(p->said); i++)
		p->said[len++] = text[i] >= ' ' && text[i] != 0x7f ? text[i] : ' ';
	p->said[len] = '\0';
}

/* A NUL ends the line as far as the pattern sees it. */
static bool matches(struct probe_log *p, const char *text, size_t n)
{
	buf_clear(&p->line);
	buf_append(&p->line, text, n);
	return !p->line.failed && regexec(p->re, buf_cstr(&p->line), 0, NULL, 0) == 0;
}

/* A compiled pattern is large, and mostly there is nothing new to hold it against. */
static int compile(struct probe_log *p, regex_t *re, struct err **reterr)
{
	if (p->re)
		return 0;
	if (regcomp(re, p->pattern, REG_EXTENDED | REG_NOSUB) !=
	    0) /* a manifest's check tried it */
		return err_set(reterr, ERR_INVALID, "the pattern is no regular expression");
	p->re = re;
	return 0;
}

/* What there is of its segments now. 0 also when there is nothing yet. */
static int learn(struct probe_log *p, int dir_fd, struct err **reterr)
{
	_cleanup_free_ struct logidx_segment *segments = NULL;
	_cleanup_close_ int fd = -1;
	char index[12];
	size_t n = 0;
	int r;

	snprintf(index, sizeof(index), "%u", p->index);
	fd = openat(dir_fd, index, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(reterr, errno, "%s", index);
	r = logidx_scan(fd, false, &segments, &n, reterr);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (segments[i].has_log && strcmp(segments[i].incarnation, p->incarnation) == 0 &&
		    logtrack_learn(p->track, segments[i].seq) < 0)
			return err_nomem(reterr);
	return r;
}

static int look(struct probe_log *p, int dir_fd, regex_t *re, struct err **reterr)
{
	size_t bytes = 0;
	int r = learn(p, dir_fd, reterr);

	while (r >= 0 && !p->seen && bytes < PROBE_LOG_PIECE) {
		r = logtrack_next(p->track, dir_fd, false, reterr);
		if (r != 1)
			return r;
		r = compile(p, re, reterr);
		if (r < 0)
			return r;
		p->seen = p->track->stream != LOGIDX_NOTE &&
			  matches(p, p->track->text, p->track->len);
		if (p->seen)
			keep(p, p->track->text, p->track->len);
		bytes += p->track->len + 1;
	}
	p->more = !p->seen;
	return r;
}

/* In the worker thread. */
static void work(struct log_work *w)
{
	struct probe_log *p = w->user;
	_cleanup_err_ struct err *err = NULL;
	_cleanup_close_ int fd = -1;
	regex_t re;

	p->more = p->failed = false;
	if (p->seen)
		return;
	if (!p->track)
		p->track = logtrack_new(p->incarnation, p->index, false);
	fd = open(p->service_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) /* nothing was written yet */
		return;
	if (!p->track)
		err_nomem(&err);
	else if (fd < 0)
		err_sys(&err, errno, "%s", p->service_dir);
	else
		(void)!look(p, fd, &re, &err);
	if (p->re)
		regfree(p->re);
	p->re = NULL;
	buf_done(&p->line);
	if (p->seen)
		p->track = logtrack_free(p->track);
	else if (p->track)
		logtrack_park(p->track);
	if (!err)
		return;
	p->failed = true;
	keep(p, err_msg(err), strlen(err_msg(err)));
}

static void answer(struct probe_log *p, struct probe_result *r)
{
	p->asked = false;
	uv_timer_stop(&p->timer);
	r->duration_ms = (clock_mono_us() - p->started_us) / 1000;
	p->cb(r, p->user);
}

static void on_late(uv_timer_t *timer)
{
	struct probe_log *p = timer->data;
	bool waits = log_work_cancel(&p->work);
	struct probe_result r = {0};
	char limit[24];

	if (waits)
		p->working = false;
	snprintf(r.message, sizeof(r.message), "the log was not read within %s: %s",
		 clock_human(p->timeout_ms, limit, sizeof(limit)),
		 waits ? "others are being read" : "its disk does not answer");
	answer(p, &r);
}

static void on_worked(struct log_work *w, bool was_read)
{
	struct probe_log *p = w->user;
	struct probe_result r = {.ok = p->seen};

	p->working = false;
	if (p->freed) {
		destroy(p);
		return;
	}
	if (!was_read)
		uv_timer_stop(&p->timer);
	if (!was_read || !p->asked)
		return;
	if (p->failed)
		snprintf(r.message, sizeof(r.message), "the log cannot be read: %s", p->said);
	else if (p->seen)
		snprintf(r.message, sizeof(r.message), "seen: %s", p->said);
	else
		snprintf(r.message, sizeof(r.message), "no line matches \"%.100s\" so far%s",
			 p->pattern, p->more ? ", and there is more to read" : "");
	answer(p, &r);
}

static struct probe_log *log_new(const struct replica *r, const char *pattern)
{
	const struct controller *c = r->service->controller;
	struct probe_log *p = mem_alloc(sizeof(*p));

	if (!p)
		return NULL;
	p->index = r->index;
	snprintf(p->incarnation, sizeof(p->incarnation), "%s", r->incarnation);
	p->pattern = mem_strdup(pattern);
	p->service_dir = mem_printf("%s/%s", c->opts.log_dir, r->service->name);
	p->work = (struct log_work){.read = work, .done = on_worked, .user = p};
	uv_timer_init(c->loop, &p->timer);
	p->timer.data = p;
	if (p->pattern && p->service_dir)
		return p;
	destroy(p);
	return NULL;
}

/* The same process, and asked for the same. */
static bool is_same(const struct probe_log *p, const struct replica *r, const char *pattern)
{
	return strcmp(p->incarnation, r->incarnation) == 0 && strcmp(p->pattern, pattern) == 0;
}

int probe_log_start(const struct replica *r, const struct probe_log_args *args,
		    struct probe_log **io, struct err **reterr)
{
	struct controller *c = r->service->controller;
	struct probe_log *p = *io;

	if (p && !is_same(p, r, args->pattern)) {
		probe_log_free(p);
		p = *io = NULL;
	}
	if (!p)
		p = log_new(r, args->pattern);
	if (!p)
		return err_nomem(reterr);
	p->cb = args->cb;
	p->user = args->user;
	p->timeout_ms = args->timeout_ms;
	p->started_us = clock_mono_us();
	p->asked = true;
	*io = p;
	uv_update_time(c->loop);
	uv_timer_start(&p->timer, on_late, (uint64_t)p->timeout_ms, 0);
	if (!p->working) { /* else a worker still has it since an attempt that was late */
		p->working = true;
		log_work_start(c, &p->work);
	}
	return 0;
}

void probe_log_free(struct probe_log *p)
{
	if (!p)
		return;
	uv_timer_stop(&p->timer);
	if (p->working && !log_work_cancel(&p->work))
		p->freed = true;
	else
		destroy(p);
}
