/* tail: see tail.h. Each source keeps one line at hand until it is the oldest of all. */
/* SPDX-License-Identifier: MIT */
#include "cli/tail.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "cli/client.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/logidx.h"
#include "lib/logview.h"
#include "lib/mem.h"

struct source {
	char *service;
	struct logview *view;  /* files, or */
	struct client *client; /* a stream, whose line is parsed into: */
	cJSON *json;
	bool pending, over;
	struct tail_line line; /* when pending */
};

struct tail {
	struct source *v;
	size_t n, cap;
	struct source *given; /* whose line the caller has */
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
		mem_free(t->v[i].service);
		logview_free(t->v[i].view);
		client_free(t->v[i].client);
		cJSON_Delete(t->v[i].json);
	}
	mem_closep(&t->epoll_fd);
	mem_free(t->v);
	mem_free(t);
	return NULL;
}

int tail_fd(const struct tail *t)
{
	return t->epoll_fd;
}

static struct source *add(struct tail *t, const char *service, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	x_grow(&t->v, &t->cap, t->n + 1, sizeof(*t->v));
	t->v[t->n] = (struct source){.service = x_strdup(service)};
	if (fd >= 0)
		epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
	return &t->v[t->n++];
}

int tail_add_files(struct tail *t, const struct logview_opts *opts, struct err **reterr)
{
	struct logview *view;
	int r = logview_open(opts, &view, reterr);

	if (r < 0)
		return r;
	add(t, opts->service, logview_fd(view))->view = view;
	return 0;
}

int tail_add_stream(struct tail *t, const char *socket, const char *path, struct err **reterr)
{
	struct client *client = client_new(socket);
	int r = client_stream_begin(client, path, reterr);

	if (r < 0) {
		client_free(client);
		return r;
	}
	add(t, "", client_stream_fd(client))->client = client;
	return 0;
}

static void fetch_file(struct source *s)
{
	_cleanup_err_ struct err *e = NULL;
	struct logview_line l;
	int r = logview_next(s->view, &l, &e);

	if (r < 0) {
		report_warning("logs of %s: %s", s->service, err_msg(e));
		s->over = true;
	}
	if (r != 1)
		return;
	s->line = (struct tail_line){.service = s->service,
				     .incarnation = l.incarnation,
				     .replica = l.index,
				     .is_stderr = l.stream == LOGIDX_STDERR,
				     .wall_ms = l.wall_ms,
				     .text = l.text,
				     .len = l.len};
	s->pending = true;
}

static void take_json(struct source *s, const char *text)
{
	const char *line;

	cJSON_Delete(s->json);
	s->json = js_parse(text, strlen(text));
	line = js_str(s->json, "line", NULL);
	if (!line)
		return;
	s->line = (struct tail_line){.service = js_str(s->json, "service", "?"),
				     .incarnation = js_str(s->json, "incarnation", ""),
				     .replica = js_int(s->json, "replica", 0),
				     .is_stderr =
					     strcmp(js_str(s->json, "stream", ""), "stderr") == 0,
				     .wall_ms = js_time(s->json, "at"),
				     .text = line,
				     .len = strlen(line)};
	s->pending = true;
}

static void fetch_stream(struct source *s)
{
	_cleanup_err_ struct err *e = NULL;
	const char *text;
	int r = client_stream_next(s->client, false, &text, &e);

	if (r == 1) {
		take_json(s, text);
	} else if (r != -ERR_TIMEOUT) {
		if (r < 0)
			report_warning("the stream of log lines broke: %s", err_msg(e));
		s->over = true;
	}
}

static void fetch(struct source *s)
{
	if (s->pending || s->over)
		return;
	if (s->view)
		fetch_file(s);
	else
		fetch_stream(s);
}

bool tail_next(struct tail *t, struct tail_line *ret)
{
	struct source *oldest = NULL;

	if (t->given)
		t->given->pending = false;
	t->given = NULL;
	for (size_t i = 0; i < t->n; i++) {
		struct source *s = &t->v[i];

		fetch(s);
		if (s->pending && (!oldest || s->line.wall_ms < oldest->line.wall_ms))
			oldest = s;
	}
	if (!oldest)
		return false;
	t->given = oldest;
	*ret = oldest->line;
	return true;
}

bool tail_is_over(const struct tail *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!t->v[i].over)
			return false;
	}
	return true;
}
