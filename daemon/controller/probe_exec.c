/* probe_exec: see probe_exec.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/probe_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/run.h"
#include "daemon/controller/service.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define GUARD_MS 5000  /* after the time-out, when even SIGKILL does not end it */
#define REST_MAX 65536 /* bytes still read when it has ended: a pipe's */

struct probe_exec {
	struct controller *c;
	const struct replica *replica;
	enum probe_kind kind;
	int64_t timeout_ms, started_us;
	struct run *run;  /* NULL while it waits */
	uv_timer_t timer; /* waiting: to be started from the loop; running: the guard */
	uv_poll_t poll;	  /* its output; data: the probe */
	int fd;		  /* -1: closed */
	char tail[PROBE_EXEC_OUTPUT_MAX];
	size_t len;
	unsigned n_handles;
	bool polling;
	bool file;    /* a file probe: what it writes is for people */
	bool in_line; /* one of c->exec_probes */
	bool counted; /* one of those that run or are about to */
	probe_cb cb;
	void *user;
	TAILQ_ENTRY(probe_exec) waits;
};

static void on_closed(uv_handle_t *h)
{
	struct probe_exec *p = h->data;

	if (--p->n_handles == 0)
		mem_free(p);
}

static void close_output(struct probe_exec *p)
{
	if (p->polling)
		uv_close((uv_handle_t *)&p->poll, on_closed);
	p->polling = false;
	mem_closep(&p->fd);
}

static void start_next(struct controller *c);

/* Frees p when the loop has closed its handles. */
static void drop(struct probe_exec *p)
{
	struct controller *c = p->c;

	if (p->counted)
		c->n_exec_probes--;
	if (p->in_line)
		TAILQ_REMOVE(&c->exec_probes, p, waits);
	close_output(p);
	uv_close((uv_handle_t *)&p->timer, on_closed);
	start_next(c);
}

static void finish(struct probe_exec *p, const struct probe_result *r)
{
	probe_cb cb = p->cb;
	void *user = p->user;

	drop(p);
	cb(r, user);
}

static void keep(struct probe_exec *p, const char *data, size_t n)
{
	size_t drop_n;

	if (n > sizeof(p->tail)) {
		data += n - sizeof(p->tail);
		n = sizeof(p->tail);
	}
	drop_n = p->len + n > sizeof(p->tail) ? p->len + n - sizeof(p->tail) : 0;
	memmove(p->tail, p->tail + drop_n, p->len - drop_n);
	p->len -= drop_n;
	memcpy(p->tail + p->len, data, n);
	p->len += n;
}

/* Reads what is there, at most max bytes. */
static void read_output(struct probe_exec *p, size_t max)
{
	char data[4096];

	while (max > 0 && p->fd >= 0) {
		ssize_t n = fs_read_some(p->fd, data, sizeof(data));

		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			close_output(p);
			return;
		}
		keep(p, data, (size_t)n);
		max = (size_t)n < max ? max - (size_t)n : 0;
	}
}

static void on_output(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	read_output(poll->data, REST_MAX);
}

/* The last line that is not empty; its length. */
static size_t last_line(const struct probe_exec *p, const char **ret)
{
	size_t end = p->len, start;

	while (end > 0 && (unsigned char)p->tail[end - 1] <= ' ')
		end--;
	start = end;
	while (start > 0 && p->tail[start - 1] != '\n')
		start--;
	*ret = p->tail + start;
	return end - start;
}

static void human_ms(char *out, size_t n, int64_t ms)
{
	if (ms % 1000 == 0)
		snprintf(out, n, "%llds", (long long)(ms / 1000));
	else
		snprintf(out, n, "%lldms", (long long)ms);
}

static void describe(const struct probe_exec *p, const struct wire_run_end *end,
		     struct probe_result *r)
{
	char how[120], limit[32];
	const char *line;
	size_t n = last_line(p, &line);

	if (!end || end->timed_out) {
		human_ms(limit, sizeof(limit), p->timeout_ms);
		snprintf(how, sizeof(how), "no end within %s%s", limit,
			 end ? "" : ", and it cannot be killed");
	} else {
		run_describe_end(end, how, sizeof(how));
	}
	if (n > 0 && p->file && end && !end->timed_out)
		snprintf(r->message, sizeof(r->message), "%.*s", (int)n, line);
	else if (n > 0)
		snprintf(r->message, sizeof(r->message), "%s: %.*s", how, (int)n, line);
	else
		snprintf(r->message, sizeof(r->message), "%s", how);
}

static void on_end(const struct wire_run_end *end, void *user)
{
	struct probe_exec *p = user;
	struct probe_result r = {.duration_ms = (clock_mono_us() - p->started_us) / 1000};

	p->run = NULL;
	read_output(p, REST_MAX);
	r.ok = run_has_run(end) && !end->timed_out && end->signal == 0 && end->code == 0;
	describe(p, end, &r);
	finish(p, &r);
}

static void on_guard(uv_timer_t *timer)
{
	struct probe_exec *p = timer->data;
	struct probe_result r = {.duration_ms = p->timeout_ms};

	run_forget(TAKE_PTR(p->run));
	describe(p, NULL, &r);
	finish(p, &r);
}

/* /dev/null for stdin, one pipe for both outputs. */
static int open_pipe(struct probe_exec *p, int fds[3], struct err **reterr)
{
	int ends[2], null;

	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0)
		return err_sys(reterr, errno, "/dev/null");
	if (pipe2(ends, O_CLOEXEC) < 0) {
		close(null);
		return err_sys(reterr, errno, "pipe");
	}
	fds[0] = null;
	fds[1] = fds[2] = ends[1];
	p->fd = ends[0];
	if (fcntl(p->fd, F_SETFL, O_NONBLOCK) < 0 || uv_poll_init(p->c->loop, &p->poll, p->fd) < 0)
		return 0; /* what it writes is not seen, that is all */
	p->poll.data = p;
	p->polling = true;
	p->n_handles++;
	uv_poll_start(&p->poll, UV_READABLE, on_output);
	return 0;
}

/* aictld itself looks, as a child in the service's context. */
struct file_command {
	char self[16], what[16], age[24];
	char *argv[5];
};

static char *const *file_command(const struct probe_spec *spec, struct file_command *f)
{
	*f = (struct file_command){.self = "/proc/self/exe", .what = "--probe-file"};
	f->argv[0] = f->self;
	f->argv[1] = f->what;
	f->argv[2] = spec->file_path;
	if (spec->file_max_age_ms) {
		snprintf(f->age, sizeof(f->age), "%lld", (long long)spec->file_max_age_ms);
		f->argv[3] = f->age;
	}
	return f->argv;
}

static int start(struct probe_exec *p, struct err **reterr)
{
	const struct probe_spec *spec = &p->replica->spec->probes[p->kind];
	struct file_command file;
	struct run_opts o = {
		.what = {.command = spec->file ? file_command(spec, &file) : spec->exec_command},
		.timeout_ms = spec->timeout_ms,
		.on_end = on_end,
		.user = p};
	int fds[3], rc;

	if (!spec->exec && !spec->file) /* changed while it waited */
		return err_set(reterr, ERR_CONFLICT, "the probe is another one now");
	p->timeout_ms = spec->timeout_ms;
	p->file = spec->file;
	rc = open_pipe(p, fds, reterr);
	if (rc < 0)
		return rc;
	o.fds = fds;
	rc = run_start(p->c, p->replica, &o, &p->run, reterr);
	close(fds[0]);
	close(fds[1]);
	if (rc < 0)
		return rc;
	uv_update_time(p->c->loop);
	uv_timer_start(&p->timer, on_guard, (uint64_t)clock_add(p->timeout_ms, GUARD_MS), 0);
	return 0;
}

static void on_kick(uv_timer_t *timer)
{
	struct probe_exec *p = timer->data;
	_cleanup_err_ struct err *err = NULL;
	struct probe_result r = {0};

	TAILQ_REMOVE(&p->c->exec_probes, p, waits);
	p->in_line = false;
	p->started_us = clock_mono_us();
	if (start(p, &err) == 0)
		return;
	snprintf(r.message, sizeof(r.message), "cannot start: %s", err_msg(err));
	finish(p, &r);
}

/* As many as there is room for; each starts from the loop. */
static void start_next(struct controller *c)
{
	struct probe_exec *p;

	TAILQ_FOREACH (p, &c->exec_probes, waits) {
		if (c->n_exec_probes >= PROBE_EXEC_RUNNING_MAX)
			return;
		if (p->counted)
			continue;
		p->counted = true;
		c->n_exec_probes++;
		uv_update_time(c->loop);
		uv_timer_start(&p->timer, on_kick, 0, 0);
	}
}

int probe_exec_start(const struct replica *r, enum probe_kind kind, probe_cb cb, void *user,
		     struct probe_exec **ret, struct err **reterr)
{
	struct controller *c = r->service->controller;
	struct probe_exec *p = mem_alloc(sizeof(*p));

	if (!p)
		return err_nomem(reterr);
	p->c = c;
	p->replica = r;
	p->kind = kind;
	p->cb = cb;
	p->user = user;
	p->fd = -1;
	p->n_handles = 1;
	uv_timer_init(c->loop, &p->timer);
	p->timer.data = p;
	TAILQ_INSERT_TAIL(&c->exec_probes, p, waits);
	p->in_line = true;
	start_next(c);
	*ret = p;
	return 0;
}

void probe_exec_cancel(struct probe_exec *p)
{
	if (p->run)
		run_forget(TAKE_PTR(p->run));
	drop(p);
}
