/* job: see job.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/plugincheck/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/plugincheck/check.h"
#include "daemon/plugincheck/report.h"
#include "daemon/plugincheck/script.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define CHUNK 65536

enum { OUT, ERR, PIPES };

struct stream {
	struct job *job;
	struct loop_io io;
	int fd;	    /* ours; -1 = none, or at its end */
	int theirs; /* or -1 */
};

struct job {
	struct check *check;
	struct job *next;
	enum host_kind kind;
	uint64_t op;
	int64_t begun_mono_ms;
	bool begun, ended;
	struct host_reply reply;
	struct stream streams[PIPES];
	struct stream input;
	struct buf feed; /* what is still to be written to it */
	char unit[];
};

static void say_output(struct job *j, bool err, const char *data, size_t n)
{
	struct report r = report_begin(j->check, "output");

	if (j->kind == HOST_START)
		jsonw_string(&r.w, "unit", j->unit);
	else
		jsonw_int(&r.w, "op", (int64_t)j->op);
	jsonw_string(&r.w, "stream", err ? "stderr" : "stdout");
	jsonw_string_n(&r.w, "text", data, n);
	jsonw_int(&r.w, "bytes", (int64_t)n);
	report_end(&r);
}

static void close_mine(struct stream *s)
{
	if (s->fd < 0)
		return;
	loop_del(&s->job->check->loop, &s->io);
	close(s->fd);
	s->fd = -1;
}

static void close_stream(struct stream *s)
{
	close_mine(s);
	if (s->theirs >= 0) {
		close(s->theirs);
		s->theirs = -1;
	}
}

static void job_free(struct job *j)
{
	struct job **at = &j->check->jobs;

	while (*at && *at != j)
		at = &(*at)->next;
	if (*at)
		*at = j->next;
	for (int i = 0; i < PIPES; i++)
		close_stream(&j->streams[i]);
	close_stream(&j->input);
	buf_done(&j->feed);
	mem_free(j);
}

/* Reads what is there; at the end the stream is closed. */
static void read_stream(struct stream *s, bool all)
{
	char data[CHUNK];
	ssize_t n;

	do {
		n = fs_read_some(s->fd, data, sizeof(data));
		if (n > 0)
			say_output(s->job, s == &s->job->streams[ERR], data, (size_t)n);
	} while (n > 0 && all);
	if (n == 0 || (n < 0 && n != -EAGAIN))
		close_stream(s);
}

static bool all_read(const struct job *j)
{
	return j->streams[OUT].fd < 0 && j->streams[ERR].fd < 0;
}

/* It is over once it has ended, nothing more is to be read, and nobody is about to name it. */
static void settle(struct job *j)
{
	if (j->begun && j->ended && all_read(j))
		job_free(j);
}

static void on_readable(void *user, uint32_t events)
{
	struct stream *s = user;
	struct job *j = s->job;

	(void)events;
	read_stream(s, false);
	settle(j);
}

static void on_writable(void *user, uint32_t events)
{
	struct stream *s = user;
	struct job *j = s->job;
	ssize_t n = fs_write_some(s->fd, j->feed.data, j->feed.len);

	(void)events;
	if (n > 0)
		buf_consume(&j->feed, (size_t)n);
	if (j->feed.len == 0 || (n < 0 && n != -EAGAIN))
		close_mine(s); /* the other end is the plugin's until the operation has ended */
}

static void on_ended(void *user, uint64_t op, const struct aictl_result *result)
{
	struct job *j = user;
	struct check *c = j->check;
	struct report r;

	j->ended = true;
	j->op = op;
	for (int i = 0; i < PIPES; i++) {
		struct stream *s = &j->streams[i];

		if (s->theirs >= 0)
			close(s->theirs);
		s->theirs = -1;
		if (s->fd >= 0 && j->kind != HOST_START)
			read_stream(s, true);
	}
	r = report_begin(c, "end");
	jsonw_int(&r.w, "op", (int64_t)op);
	jsonw_string(&r.w, "command", host_kind_name(j->kind));
	if (j->unit[0])
		jsonw_string(&r.w, "unit", j->unit);
	jsonw_string(&r.w, "code", host_code_name(result->code));
	jsonw_string(&r.w, "message", result->message);
	if (j->kind == HOST_EXEC)
		jsonw_int(&r.w, "exit_status", result->exit_status);
	if (result->stats)
		report_stats(&r, result->stats);
	jsonw_int(&r.w, "ms", clock_mono_ms() - j->begun_mono_ms);
	report_end(&r);
	if (j->kind != HOST_START) { /* those of a start are the unit's */
		close_stream(&j->streams[OUT]);
		close_stream(&j->streams[ERR]);
	}
	close_stream(&j->input);
	settle(j);
	script_go_on(c);
}

static void on_progress(void *user, uint64_t op, const struct aictl_progress *p)
{
	struct report r = report_begin(((struct job *)user)->check, "progress");

	jsonw_int(&r.w, "op", (int64_t)op);
	jsonw_int(&r.w, "layers_done", p->layers_done);
	jsonw_int(&r.w, "layers_total", p->layers_total);
	jsonw_int(&r.w, "bytes_done", p->bytes_done);
	jsonw_int(&r.w, "bytes_total", p->bytes_total);
	jsonw_string(&r.w, "text", p->text);
	report_end(&r);
}

static void on_item(void *user, uint64_t op, const struct aictl_unit_state *s)
{
	report_state(((struct job *)user)->check, "item", op, s);
}

static void on_position(void *user, uint64_t op, const struct aictl_log_position *p)
{
	struct report r = report_begin(((struct job *)user)->check, "position");

	jsonw_int(&r.w, "op", (int64_t)op);
	jsonw_int(&r.w, "stamp_ns", p->stamp_ns);
	jsonw_int(&r.w, "bytes", (int64_t)p->bytes);
	jsonw_int(&r.w, "lines", (int64_t)p->lines);
	report_end(&r);
}

static void on_started(void *user, uint64_t op, pid_t pid)
{
	struct report r = report_begin(((struct job *)user)->check, "started");

	jsonw_int(&r.w, "op", (int64_t)op);
	jsonw_int(&r.w, "pid", pid);
	report_end(&r);
}

struct job *job_new(struct check *c, enum host_kind kind, const char *unit)
{
	size_t size = strlen(unit) + 1;
	struct job *j = mem_alloc(sizeof(*j) + size);

	if (!j)
		return NULL;
	memcpy(j->unit, unit, size);
	j->check = c;
	j->kind = kind;
	j->begun_mono_ms = clock_mono_ms();
	j->reply = (struct host_reply){.user = j,
				       .ended = on_ended,
				       .progress = on_progress,
				       .item = on_item,
				       .position = on_position,
				       .started = on_started};
	for (int i = 0; i < PIPES; i++)
		j->streams[i] = (struct stream){.job = j,
						.io = {.fn = on_readable, .user = &j->streams[i]},
						.fd = -1,
						.theirs = -1};
	j->input = (struct stream){
		.job = j, .io = {.fn = on_writable, .user = &j->input}, .fd = -1, .theirs = -1};
	j->next = c->jobs;
	c->jobs = j;
	return j;
}

const struct host_reply *job_reply(struct job *j)
{
	return &j->reply;
}

bool job_begun(struct job *j, uint64_t op)
{
	if (op == 0) {
		job_free(j);
		return false;
	}
	j->op = op;
	j->begun = true;
	settle(j);
	return true;
}

static bool fail(struct job *j, const char *what)
{
	report_text(j->check, "error", what);
	check_fail(j->check, CHECK_SCRIPT_FAILED);
	return false;
}

bool job_pipes(struct job *j, bool blocking, int *ret_out, int *ret_err)
{
	for (int i = 0; i < PIPES; i++) {
		struct stream *s = &j->streams[i];
		int fds[2];

		if (pipe2(fds, O_CLOEXEC) < 0)
			return fail(j, "no pipe");
		s->fd = fds[0];
		s->theirs = fds[1];
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
		if (!blocking)
			fcntl(fds[1], F_SETFL, O_NONBLOCK);
		if (loop_add(&j->check->loop, &s->io, s->fd, EPOLLIN) < 0)
			return fail(j, "cannot watch a pipe");
	}
	*ret_out = j->streams[OUT].theirs;
	*ret_err = j->streams[ERR].theirs;
	return true;
}

bool job_terminal(struct job *j, int *ret_fd)
{
	struct stream *s = &j->streams[OUT];
	char name[64];

	s->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0 || grantpt(s->fd) < 0 || unlockpt(s->fd) < 0 ||
	    ptsname_r(s->fd, name, sizeof(name)) != 0)
		return fail(j, "no terminal");
	s->theirs = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->theirs < 0 || loop_add(&j->check->loop, &s->io, s->fd, EPOLLIN) < 0)
		return fail(j, "no terminal");
	*ret_fd = s->theirs;
	return true;
}

bool job_input(struct job *j, const char *text, int *ret_fd)
{
	struct stream *s = &j->input;
	int fds[2];

	buf_str(&j->feed, text);
	if (j->feed.failed || pipe2(fds, O_CLOEXEC) < 0)
		return fail(j, "no pipe");
	s->fd = fds[1];
	s->theirs = fds[0];
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	*ret_fd = s->theirs;
	if (j->feed.len == 0) {
		close(s->fd);
		s->fd = -1;
		return true;
	}
	return loop_add(&j->check->loop, &s->io, s->fd, EPOLLOUT) == 0 ||
	       fail(j, "cannot watch a pipe");
}

void job_drop(struct job *j)
{
	job_free(j);
}

static struct job *find(const struct check *c, uint64_t op)
{
	for (struct job *j = c->jobs; j; j = j->next) {
		if (j->op == op)
			return j;
	}
	return NULL;
}

bool job_hold(struct check *c, uint64_t op, bool hold)
{
	struct job *j = find(c, op);

	if (!j)
		return false;
	for (int i = 0; i < PIPES; i++) {
		struct stream *s = &j->streams[i];

		if (s->fd >= 0 && hold)
			loop_del(&c->loop, &s->io);
		else if (s->fd >= 0 && !loop_is_added(&s->io))
			loop_add(&c->loop, &s->io, s->fd, EPOLLIN);
	}
	return true;
}

bool job_is_open(const struct check *c, uint64_t op)
{
	const struct job *j = find(c, op);

	return j && !j->ended;
}

void job_free_all(struct check *c)
{
	while (c->jobs)
		job_free(c->jobs);
}
