/*
 * tail: see tail.h. Each source keeps one line at hand until it is the oldest of all; those with a
 * line are a heap. Those without are asked again when the others have none either, and streams,
 * whose first lines are still on their way, each time. Lines that belong together are not taken
 * apart, in files: while a view waits for the rest of a traceback the others wait, too.
 */
/* SPDX-License-Identifier: MIT */
#include "cli/tail.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "cli/js.h"
#include "cli/log_stream.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/base64.h"
#include "lib/err.h"
#include "lib/logidx.h"
#include "lib/logview.h"
#include "lib/mem.h"

struct source {
	char *service;
	struct logview *view; /* files, or */
	struct log_stream *stream;
	char *raw; /* the bytes of its line */
	bool follow, pending, over, failed;
	struct tail_line line; /* when pending */
	int64_t key;	       /* its place; the one of the line that it belongs to */
};

struct tail {
	struct source **v;
	size_t n, cap;
	struct source **heap; /* the oldest line is at the top */
	size_t n_heap, cap_heap;
	size_t n_streams;    /* that are not over */
	bool given;	     /* the caller has the line at the top */
	struct source *held; /* its view waits */
	int epoll_fd;
};

/* Following costs two descriptors per living replica: hundreds of them pass the usual soft limit. */
static void raise_nofile(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

struct tail *tail_new(void)
{
	struct tail *t = x_alloc(sizeof(*t));

	raise_nofile();
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return t;
}

struct tail *tail_free(struct tail *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < t->n; i++) {
		struct source *source = t->v[i];

		mem_free(source->service);
		mem_free(source->raw);
		logview_free(source->view);
		log_stream_free(source->stream);
		mem_free(source);
	}
	mem_free(t->heap);
	mem_closep(&t->epoll_fd);
	mem_free(t->v);
	mem_free(t);
	return NULL;
}

int tail_fd(const struct tail *t)
{
	return t->epoll_fd;
}

int tail_look_ms(const struct tail *t)
{
	int ms = t->held ? logview_holds_ms(t->held->view) : TAIL_LOOK_MS;

	return ms < 1 ? 1 : ms < TAIL_LOOK_MS ? ms : TAIL_LOOK_MS;
}

size_t tail_sources(const struct tail *t)
{
	return t->n;
}

static struct source *add(struct tail *t, const char *service, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct source *s = x_alloc(sizeof(*s));

	s->service = x_strdup(service);
	x_grow(&t->v, &t->cap, t->n + 1, sizeof(struct source *));
	t->v[t->n++] = s;
	if (fd >= 0)
		epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
	return s;
}

int tail_add_files(struct tail *t, const struct logview_opts *opts, struct err **reterr)
{
	struct logview *view;
	struct source *s;
	int r = logview_open(opts, &view, reterr);

	if (r < 0)
		return r;
	s = add(t, opts->service, logview_fd(view));
	s->view = view;
	s->follow = opts->follow;
	return 0;
}

int tail_add_stream(struct tail *t, const struct log_stream_opts *opts, struct err **reterr)
{
	struct log_stream *stream;
	int r = log_stream_open(opts, &stream, reterr);

	if (r < 0)
		return r;
	add(t, "", -1)->stream = stream;
	t->n_streams++;
	return 0;
}

static void tell_missing(struct source *s)
{
	char text[PATH_MAX + 64];

	while (logview_warning(s->view, text, sizeof(text)))
		report_warning("logs of %s: %s", s->service, text);
}

static void fetch_file(struct source *s)
{
	_cleanup_err_ struct err *e = NULL;
	struct logview_line l;
	int r = logview_next(s->view, &l, &e);

	if (r < 0)
		report_plain("logs of %s: %s", s->service, err_msg(e));
	s->failed = r < 0;
	s->over = r < 0 || (r == 0 && !s->follow);
	if (r != 1) {
		tell_missing(s);
		return;
	}
	s->line = (struct tail_line){.service = s->service,
				     .incarnation = l.incarnation,
				     .replica = l.index,
				     .stream = l.stream,
				     .joined = l.joined,
				     .cut = l.cut,
				     .wall_ms = l.wall_ms,
				     .text = l.text,
				     .len = l.len};
	s->pending = true;
}

/* Its bytes; false: it says something else. */
static bool take_text(struct source *s, const cJSON *json, const char **text, size_t *len)
{
	const char *raw = js_str(json, "raw", NULL);

	if (js_get(json, "warning"))
		report_warning("logs of %s: %s", js_str(json, "service", "?"),
			       js_str(json, "warning", ""));
	*text = js_str(json, "line", "");
	*len = strlen(*text);
	if (!raw)
		return js_get(json, "line");
	mem_free(s->raw);
	s->raw = NULL;
	if (base64_decode(raw, strlen(raw), &s->raw, len, NULL) < 0)
		return false;
	*text = s->raw;
	return true;
}

/* False: it was no line. */
static bool take_json(struct source *s, const cJSON *json)
{
	const char *line;
	size_t len;

	if (!take_text(s, json, &line, &len))
		return false;
	s->line = (struct tail_line){.service = js_str(json, "service", "?"),
				     .incarnation = js_str(json, "incarnation", ""),
				     .replica = js_int(json, "replica", 0),
				     .stream = logidx_stream_of(js_str(json, "stream", "")),
				     .cut = js_bool(json, "cut"),
				     .wall_ms = js_time(json, "at"),
				     .text = line,
				     .len = len};
	s->pending = true;
	return true;
}

static void fetch_stream(const struct tail *t, struct source *s)
{
	struct epoll_event ev = {.events = EPOLLIN};
	_cleanup_err_ struct err *e = NULL;
	const cJSON *json;
	int r;

	while ((r = log_stream_next(s->stream, &json, &e)) == 1)
		if (take_json(s, json))
			return;
	if (r == -ERR_TIMEOUT) { /* it may have another descriptor than the last time */
		epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, log_stream_fd(s->stream), &ev);
	} else {
		if (r < 0)
			report_plain("the stream of log lines broke: %s", err_msg(e));
		s->failed = r < 0;
		s->over = true;
	}
}

static bool is_before(const struct source *a, const struct source *b)
{
	return a->key < b->key;
}

static void push(struct tail *t, struct source *s)
{
	size_t i = t->n_heap;

	x_grow(&t->heap, &t->cap_heap, i + 1, sizeof(struct source *));
	for (t->n_heap++; i > 0 && is_before(s, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
		t->heap[i] = t->heap[(i - 1) / 2];
	t->heap[i] = s;
}

/* s belongs at the top or further down; heap[0] is free. */
static void sink(struct tail *t, struct source *s)
{
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
		if (child + 1 < t->n_heap && is_before(t->heap[child + 1], t->heap[child]))
			child++;
		if (!is_before(t->heap[child], s))
			break;
		t->heap[i] = t->heap[child];
	}
	t->heap[i] = s;
}

static void fetch(struct tail *t, struct source *s)
{
	if (s->view)
		fetch_file(s);
	else
		fetch_stream(t, s);
	if (s->stream && s->over)
		t->n_streams--;
	if (!s->pending || !s->line.joined)
		s->key = s->line.wall_ms;
	if (s->view && !s->pending && !s->over && logview_holds_ms(s->view) > 0)
		t->held = s;
}

/* Asks those that have no line at hand. */
static void fetch_all(struct tail *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct source *s = t->v[i];

		if (s->pending || s->over)
			continue;
		fetch(t, s);
		if (s->pending)
			push(t, s);
	}
}

/* The line at the top was used: that source's next one is wanted. */
static void replace_top(struct tail *t)
{
	struct source *s = t->heap[0];

	s->pending = false;
	fetch(t, s);
	if (s->pending)
		sink(t, s);
	else if (--t->n_heap > 0)
		sink(t, t->heap[t->n_heap]);
}

/* Does everything wait for one? */
static bool is_held(struct tail *t)
{
	struct source *s = t->held;

	if (!s)
		return false;
	t->held = NULL;
	if (!s->pending)
		fetch(t, s);
	if (s->pending) {
		s->key = s->line.joined ? INT64_MIN : s->line.wall_ms;
		push(t, s);
	}
	return t->held != NULL;
}

bool tail_next(struct tail *t, struct tail_line *ret)
{
	if (t->given)
		replace_top(t);
	t->given = false;
	if (is_held(t))
		return false;
	if (t->n_heap == 0 || t->n_streams > 1)
		fetch_all(t);
	if (t->n_heap == 0)
		return false;
	t->given = true;
	*ret = t->heap[0]->line;
	return true;
}

bool tail_has_failed(const struct tail *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->failed)
			return true;
	return false;
}

bool tail_is_over(const struct tail *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!t->v[i]->over)
			return false;
	}
	return true;
}
