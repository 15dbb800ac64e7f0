/* script: see script.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/plugincheck/script.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/plugincheck/ask.h"
#include "daemon/plugincheck/check.h"
#include "daemon/plugincheck/job.h"
#include "daemon/plugincheck/report.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define LINE_MAX_BYTES (8 << 20)
#define WAIT_MS 10000

const char script_help[] =
	"Commands, a line each (# begins a comment):\n"
	"  start UNIT SPEC            SPEC: JSON, or @FILE\n"
	"  signal UNIT SIGNAL         a name or a number\n"
	"  remove UNIT\n"
	"  list\n"
	"  stats UNIT\n"
	"  exec UNIT JSON             {\"argv\": [...], \"env\": {...}, \"user\": \"...\", \"working_dir\": \"...\",\n"
	"                             \"stdin\": \"text\", \"tty\": false, \"rows\": 24, \"columns\": 80}\n"
	"  logs UNIT [STAMP_NS BYTES LINES]\n"
	"  resize OP ROWS COLUMNS\n"
	"  cancel OP\n"
	"  hold OP, read OP           do not read its output; read it again\n"
	"  label KEY VALUE            of units that are started from now on\n"
	"  deadline OPERATION MS      shorter than the interface's; also of \"cancel\" and \"call\"\n"
	"  wait op N [MS]             until operation N (0: all that are open) has ended\n"
	"  wait unit UNIT PHASE [MS]  until it was said to be running, exited, gone ...\n"
	"  wait engine up|down [MS]\n"
	"  wait time MS\n"
	"  close                      as the end of the script does\n"
	"Operations are numbered from 1. A wait that is in vain (default: after 10000 ms) ends the script.\n";

/* ---- waiting ---- */

static bool is_there(const struct check *c)
{
	switch (c->wait) {
	case CHECK_WAIT_NONE:
		return true;
	case CHECK_WAIT_OP:
		if (c->wait_op != 0)
			return !job_is_open(c, c->wait_op);
		return c->host.n_calls == 0;
	case CHECK_WAIT_UNIT:
		for (size_t i = 0; i < c->n_units; i++) {
			if (strcmp(c->units[i].name, c->wait_unit) == 0)
				return c->units[i].phase == (uint32_t)c->wait_for;
		}
		return false;
	case CHECK_WAIT_ENGINE:
		return c->engine == (int)c->wait_for;
	case CHECK_WAIT_TIME:
		return false;
	}
	return true;
}

static void end_wait(struct check *c, bool ok)
{
	struct report r = report_begin(c, "wait");

	jsonw_bool(&r.w, "ok", ok);
	report_end(&r);
	c->wait = CHECK_WAIT_NONE;
	mem_free(c->wait_unit);
	c->wait_unit = NULL;
	loop_timer_disarm(&c->loop, &c->timer);
	if (!ok) {
		check_fail(c, CHECK_SCRIPT_FAILED);
		ask_close(c);
	}
}

static void wrong(struct check *c, const char *line, const char *why)
{
	struct report r = report_begin(c, "error");

	jsonw_string(&r.w, "text", why);
	jsonw_string(&r.w, "line", line);
	report_end(&r);
	check_fail(c, CHECK_SCRIPT_FAILED);
}

static char *word(char **rest)
{
	char *p = *rest + strspn(*rest, " \t"), *end = p + strcspn(p, " \t");

	*rest = *end ? end + 1 : end;
	*end = '\0';
	return p;
}

static bool number(const char *s, int64_t max, int64_t *ret)
{
	return parse_i64(s, 0, max, ret, NULL) == 0;
}

static int phase_of(const char *name)
{
	for (unsigned i = AICTL_UNIT_UNKNOWN; i <= AICTL_UNIT_GONE; i++) {
		if (strcmp(name, host_phase_name(i)) == 0)
			return (int)i;
	}
	return -1;
}

static const char *do_wait(struct check *c, char *rest)
{
	const char *what = word(&rest), *arg = word(&rest), *more;
	int64_t ms = WAIT_MS, n = 0;

	c->wait_for = 0;
	if (strcmp(what, "op") == 0 && number(arg, INT64_MAX, &n)) {
		c->wait = CHECK_WAIT_OP;
		c->wait_op = (uint64_t)n;
	} else if (strcmp(what, "unit") == 0 && *arg) {
		c->wait_for = phase_of(word(&rest));
		if (c->wait_for < 0)
			return "no such phase";
		c->wait_unit = mem_strdup(arg);
		if (!c->wait_unit)
			return "out of memory";
		c->wait = CHECK_WAIT_UNIT;
	} else if (strcmp(what, "engine") == 0 && *arg) {
		c->wait_for = strcmp(arg, "up") == 0;
		c->wait = CHECK_WAIT_ENGINE;
	} else if (strcmp(what, "time") == 0 && number(arg, INT32_MAX, &ms)) {
		c->wait = CHECK_WAIT_TIME;
	} else {
		return "wait for what?";
	}
	more = word(&rest);
	if (*more && !number(more, INT32_MAX, &ms))
		return "not a number of milliseconds";
	loop_timer_arm(&c->loop, &c->timer, clock_mono_ms() + ms);
	return NULL;
}

/* ---- commands ---- */

static const char *do_signal(struct check *c, char *rest)
{
	const char *unit = word(&rest), *name = word(&rest);
	int64_t n;
	int signal_number;

	if (number(name, 64, &n))
		signal_number = (int)n;
	else if (parse_signal(name, &signal_number, NULL) < 0)
		return "no such signal";
	ask_signal(c, unit, signal_number);
	return NULL;
}

static const char *do_logs(struct check *c, char *rest)
{
	const char *unit = word(&rest), *stamp = word(&rest);
	struct aictl_log_position from = {0};
	int64_t bytes, lines;

	if (*stamp) {
		if (!number(stamp, INT64_MAX, &from.stamp_ns) ||
		    !number(word(&rest), INT64_MAX, &bytes) ||
		    !number(word(&rest), INT64_MAX, &lines))
			return "a position has three numbers";
		from.bytes = (uint64_t)bytes;
		from.lines = (uint64_t)lines;
	}
	ask_logs(c, unit, from);
	return NULL;
}

static const char *do_label(struct check *c, char *rest)
{
	const char *key = mem_strdup(word(&rest)), *value = mem_strdup(rest);

	if (c->n_labels == CHECK_LABELS_MAX || !key || !value)
		return "no room for another label";
	c->labels[c->n_labels++] = (struct aictl_pair){key, value};
	return NULL;
}

static const char *do_deadline(struct check *c, char *rest)
{
	const char *name = word(&rest);
	int64_t ms;

	if (!number(word(&rest), INT32_MAX, &ms))
		return "not a number of milliseconds";
	if (strcmp(name, "cancel") == 0)
		c->host.cancel_ms = ms;
	if (strcmp(name, "call") == 0)
		c->host.call_ms = ms;
	for (int i = 0; i < HOST_KIND_MAX_; i++) {
		if (strcmp(name, host_kind_name((enum host_kind)i)) == 0)
			c->host.deadline_ms[i] = ms;
	}
	return NULL;
}

static const char *do_with_op(struct check *c, const char *command, char *rest)
{
	int64_t op, rows, columns;

	if (!number(word(&rest), INT64_MAX, &op))
		return "not the number of an operation";
	if (strcmp(command, "cancel") == 0) {
		host_cancel(&c->host, (uint64_t)op);
		return NULL;
	}
	if (strcmp(command, "resize") == 0) {
		if (!number(word(&rest), 9999, &rows) || !number(word(&rest), 9999, &columns))
			return "rows and columns are missing";
		host_resize(&c->host, (uint64_t)op, (uint32_t)rows, (uint32_t)columns);
		return NULL;
	}
	return job_hold(c, (uint64_t)op, strcmp(command, "hold") == 0) ? NULL : "no such operation";
}

static const char *with_unit(struct check *c, const char *command, char *rest)
{
	char *unit;

	if (strcmp(command, "signal") == 0)
		return do_signal(c, rest);
	if (strcmp(command, "logs") == 0)
		return do_logs(c, rest);
	unit = word(&rest);
	if (strcmp(command, "start") == 0 && *unit)
		return ask_start(c, unit, rest + strspn(rest, " \t"));
	if (strcmp(command, "exec") == 0 && *unit)
		return ask_exec(c, unit, rest);
	if (strcmp(command, "stats") == 0 && *unit)
		ask_stats(c, unit);
	else if (strcmp(command, "remove") == 0 && *unit)
		ask_remove(c, unit);
	else
		return *unit ? "no such command" : "no such command, or its unit is missing";
	return NULL;
}

/* NULL, or what is wrong with it. */
static const char *run(struct check *c, char *line)
{
	char *rest = line, *command = word(&rest);
	static const char *const with_op[] = {"cancel", "resize", "hold", "read"};

	if (!*command || *command == '#')
		return NULL;
	if (strcmp(command, "wait") == 0)
		return do_wait(c, rest);
	if (strcmp(command, "label") == 0)
		return do_label(c, rest);
	if (strcmp(command, "deadline") == 0)
		return do_deadline(c, rest);
	if (strcmp(command, "list") == 0 || strcmp(command, "close") == 0) {
		if (*command == 'l')
			ask_list(c);
		else
			ask_close(c);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(with_op); i++) {
		if (strcmp(command, with_op[i]) == 0)
			return do_with_op(c, command, rest);
	}
	return with_unit(c, command, rest);
}

/* ---- the script ---- */

static void advance(struct check *c)
{
	while (!c->closing) {
		char *end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
		_cleanup_free_ char *line = NULL;
		_cleanup_free_ char *kept = NULL;
		const char *why;

		if (c->wait != CHECK_WAIT_NONE) {
			if (!is_there(c))
				return;
			end_wait(c, true);
			continue;
		}
		if (!end && !c->in_ended)
			return;
		if (!end && c->in.len == 0) {
			ask_close(c);
			return;
		}
		line = mem_strndup(c->in.data, end ? (size_t)(end - c->in.data) : c->in.len);
		buf_consume(&c->in, end ? (size_t)(end - c->in.data) + 1 : c->in.len);
		kept = line ? mem_strdup(line) : NULL; /* run takes it apart */
		why = kept ? run(c, line) : "out of memory";
		if (why)
			wrong(c, kept, why);
	}
}

static void on_input(void *user, uint32_t events)
{
	struct check *c = user;
	char *p = buf_reserve(&c->in, 65536);
	ssize_t n = p ? fs_read_some(c->io.fd, p, 65536) : 0;

	(void)events;
	if (n > 0)
		buf_added(&c->in, (size_t)n);
	if (n == 0 || (n < 0 && n != -EAGAIN)) {
		loop_del(&c->loop, &c->io);
		c->in_ended = true;
	}
	advance(c);
}

static void on_timer(void *user)
{
	struct check *c = user;

	if (c->wait != CHECK_WAIT_NONE && !is_there(c))
		end_wait(c, c->wait == CHECK_WAIT_TIME);
	advance(c);
}

void script_init(struct check *c)
{
	c->in.limit = LINE_MAX_BYTES;
	c->io = (struct loop_io){.fn = on_input, .user = c};
	c->timer = (struct loop_timer){.fn = on_timer, .user = c};
}

int script_begin(struct check *c, int fd)
{
	int r;

	r = loop_add(&c->loop, &c->io, fd, EPOLLIN);
	if (r == -EPERM) { /* a plain file: it is all there */
		ssize_t n = 0;
		char *p;

		while ((p = buf_reserve(&c->in, 65536)) && (n = fs_read_some(fd, p, 65536)) > 0)
			buf_added(&c->in, (size_t)n);
		c->in_ended = true;
		script_go_on(c);
		r = p ? (int)n : -ENOMEM;
	}
	return r;
}

void script_go_on(struct check *c)
{
	/* Not from within: a command may have been called by what it waits for. */
	if (c->wait == CHECK_WAIT_NONE || is_there(c))
		loop_timer_arm(&c->loop, &c->timer, 0);
}

void script_done(struct check *c)
{
	loop_del(&c->loop, &c->io);
	loop_timer_disarm(&c->loop, &c->timer);
	buf_done(&c->in);
	mem_free(c->wait_unit);
	for (size_t i = 0; i < c->n_labels; i++) {
		mem_free((void *)c->labels[i].key);
		mem_free((void *)c->labels[i].value);
	}
}
