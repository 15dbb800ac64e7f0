/* runs: see runs.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "daemon/runtime/runtime.h"
#include "daemon/wire/wire_unit.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define SIZE_MS 500
#define SIGNAL_BASE 128

struct run {
	struct runs *runs;
	struct run *next;
	uint64_t id, op;
	bool tty, begun, ended, killed;
	int kill_signal;
	uint16_t rows, columns;
	pid_t pid;
	int fds[RUNS_FDS];
};

static void say_end(struct runs *rs, const struct wire_run_end *m)
{
	struct buf b = {0};

	wire_run_encode_end(&b, m);
	control_put_take(&rs->runtime->control, &b);
}

static void refuse(struct runs *rs, uint64_t id, int err)
{
	say_end(rs, &(struct wire_run_end){.id = id,
					   .stage = WIRE_STAGE_CLONE,
					   .what = WIRE_WHAT_CONTAINER,
					   .err = err,
					   .code = -1});
}

static void run_free(struct run *x)
{
	struct run **at = &x->runs->first;

	while (*at && *at != x)
		at = &(*at)->next;
	if (*at)
		*at = x->next;
	for (int i = 0; i < RUNS_FDS; i++)
		if (x->fds[i] >= 0)
			close(x->fds[i]);
	mem_free(x);
}

static void on_ended(void *user, uint64_t op, const struct aictl_result *r)
{
	struct run *x = user;
	struct wire_run_end m = {.id = x->id, .stage = WIRE_STAGE_EXEC, .code = -1};

	(void)op;
	if (r->code == AICTL_OK) {
		m.code = r->exit_status;
		if (m.code > SIGNAL_BASE && m.code <= SIGNAL_BASE + 31 && m.code != 255) {
			m.signal = m.code - SIGNAL_BASE;
			m.code = -1;
		}
	} else if (x->killed) {
		m.signal = x->kill_signal;
	} else {
		m.stage = WIRE_STAGE_CLONE;
		m.what = WIRE_WHAT_CONTAINER;
		m.err = units_errno_of(r->code);
		snprintf(m.text, sizeof(m.text), "%s", r->message);
		log_info("run=%llu error=\"%s\" could not be executed", (unsigned long long)x->id,
			 r->message);
	}
	say_end(x->runs, &m);
	x->ended = true;
	if (x->begun)
		run_free(x);
}

static void on_started(void *user, uint64_t op, pid_t pid)
{
	struct run *x = user;
	struct buf b = {0};

	(void)op;
	x->pid = pid;
	wire_unit_encode_pid(&b, x->id, pid);
	control_put_take(&x->runs->runtime->control, &b);
}

/* True: it has another size than before. */
static bool look_at_size(struct run *x)
{
	struct winsize size = {0};

	if (ioctl(x->fds[0], TIOCGWINSZ, &size) < 0 ||
	    (size.ws_row == x->rows && size.ws_col == x->columns))
		return false;
	x->rows = size.ws_row;
	x->columns = size.ws_col;
	return true;
}

static void on_size(void *user)
{
	struct runs *rs = user;
	bool any = false;

	for (struct run *x = rs->first, *next; x; x = next) {
		next = x->next;
		any = any || x->tty;
		if (x->tty && x->begun && look_at_size(x))
			host_resize(&rs->runtime->host, x->op, x->rows, x->columns);
	}
	if (any)
		loop_timer_arm(&rs->runtime->loop, &rs->size, clock_mono_ms() + SIZE_MS);
}

static void set_up_terminal(struct run *x)
{
	struct termios t;

	if (tcgetattr(x->fds[0], &t) == 0) {
		cfmakeraw(&t);
		tcsetattr(x->fds[0], TCSANOW, &t);
	}
	look_at_size(x);
	loop_timer_arm(&x->runs->runtime->loop, &x->runs->size, clock_mono_ms() + SIZE_MS);
}

void runs_init(struct runs *rs, struct runtime *r)
{
	*rs = (struct runs){.runtime = r, .size = {.fn = on_size, .user = rs}};
}

void runs_done(struct runs *rs)
{
	while (rs->first)
		run_free(rs->first);
	loop_timer_disarm(&rs->runtime->loop, &rs->size);
}

static struct run *run_new(struct runs *rs, const struct wire_run *m, int fds[RUNS_FDS])
{
	struct run *x = mem_alloc(sizeof(*x));

	if (!x) {
		for (int i = 0; i < RUNS_FDS; i++)
			close(fds[i]);
		return NULL;
	}
	x->runs = rs;
	x->id = m->id;
	x->tty = m->tty;
	memcpy(x->fds, fds, sizeof(x->fds));
	x->next = rs->first;
	rs->first = x;
	return x;
}

void runs_start(struct runs *rs, const struct wire_run *m, int fds[RUNS_FDS])
{
	const struct wire_child *child = &m->child;
	struct runtime *r = rs->runtime;
	struct run *x = run_new(rs, m, fds);
	struct host_reply reply = {.user = x, .ended = on_ended, .started = on_started};
	char unit[UNITS_NAME_SIZE], user[32];
	struct aictl_exec what = {.struct_size = sizeof(what), .tty = m->tty, .unit = unit};

	if (!x || !r->usable || !units_knows(&r->units, &m->key)) {
		refuse(rs, m->id, !x ? ENOMEM : r->usable ? ESRCH : ENOEXEC);
		if (x)
			run_free(x);
		return;
	}
	units_name(&r->units, &m->key, unit);
	if (x->tty)
		set_up_terminal(x);
	what.argv = (const char *const *)child->argv;
	what.environment = (const char *const *)child->envp;
	if (child->cwd && strcmp(child->cwd, "/") != 0)
		what.working_dir = child->cwd;
	if (child->set_user) {
		snprintf(user, sizeof(user), "%u:%u", child->uid, child->gid);
		what.user = user;
	}
	what.stdin_fd = x->fds[0];
	what.stdout_fd = x->fds[1];
	what.stderr_fd = x->fds[2];
	what.rows = x->rows;
	what.columns = x->columns;
	x->op = host_exec(&r->host, &what, &reply);
	x->begun = true;
	if (x->op == 0)
		refuse(rs, m->id, ENOMEM);
	if (x->op == 0 || x->ended)
		run_free(x);
}

void runs_kill(struct runs *rs, uint64_t id, int signal)
{
	for (struct run *x = rs->first; x; x = x->next) {
		if (x->id != id)
			continue;
		x->killed = true;
		x->kill_signal = signal;
		host_cancel(&rs->runtime->host, x->op);
		return;
	}
}
