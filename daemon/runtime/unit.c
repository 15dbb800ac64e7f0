/* unit: see unit.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/runtime/cell.h"
#include "daemon/runtime/runtime.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define PAUSE_MS 1000
#define PAUSE_MAX_MS 60000

#define PUT(array, text) snprintf(array, sizeof(array), "%s", (text) ? (text) : "")

static struct host *host_of(const struct unit *u)
{
	return &u->units->runtime->host;
}

static struct loop *loop_of(const struct unit *u)
{
	return &u->units->runtime->loop;
}

void unit_mark(struct unit *u)
{
	u->told_due = true;
	control_say_unit(&u->units->runtime->control);
}

/* The engine did not answer: it stays due. */
static bool is_for_want_of_an_answer(int code)
{
	return code == AICTL_UNREACHABLE || code == AICTL_TIMEOUT || code == AICTL_CANCELED;
}

static void arm(struct unit *u, struct loop_timer *timer, int64_t delay_ms)
{
	loop_timer_arm(loop_of(u), timer, clock_mono_ms() + delay_ms);
}

/* Longer each time. */
static void pause_by(struct unit *u, struct loop_timer *timer, int64_t *pause_ms)
{
	arm(u, timer, *pause_ms);
	*pause_ms = *pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : *pause_ms * 2;
}

static void try_later(struct unit *u)
{
	pause_by(u, &u->retry, &u->pause_ms);
}

static void on_retry(void *user)
{
	unit_go_on(user);
}

void unit_hurry(struct unit *u)
{
	loop_timer_disarm(loop_of(u), &u->retry);
	if (!u->logs_op)
		loop_timer_disarm(loop_of(u), &u->logs_timer);
	u->pause_ms = u->logs_pause_ms = PAUSE_MS;
}

static bool is_busy(const struct unit *u)
{
	return u->doing != UNIT_NONE;
}

static bool ends(const struct unit *u)
{
	return u->units->runtime->quitting;
}

/* ---- its output ---- */

static bool follows(const struct unit *u)
{
	return host_can(host_of(u), HOST_LOGS);
}

static void end_if_gone(struct unit *u)
{
	if (!u->gone || is_busy(u) || u->logs_op)
		return;
	u->state.state = WIRE_UNIT_GONE;
	unit_mark(u);
}

static void on_logs_position(void *user, uint64_t op, const struct aictl_log_position *p)
{
	struct unit *u = user;

	(void)op;
	if (u->cell)
		cell_write(u->cell, p);
	u->logs_pause_ms = PAUSE_MS;
	if (u->gone || u->remove_due)
		arm(u, &u->logs_timer, u->units->quiet_ms);
}

static bool is_last_of_logs(const struct unit *u, int code)
{
	return code == AICTL_OK || code == AICTL_NOT_FOUND || code == AICTL_UNSUPPORTED ||
	       u->gone || u->remove_due || ends(u);
}

static void on_logs_ended(void *user, uint64_t op, const struct aictl_result *r)
{
	struct unit *u = user;

	(void)op;
	u->logs_op = 0;
	loop_timer_disarm(loop_of(u), &u->logs_timer);
	u->logs_over = is_last_of_logs(u, r->code);
	if (r->code != AICTL_OK && !ends(u))
		log_warn("replica=%s/%u error=\"%s\" its output is not followed%s",
			 u->state.key.service, u->state.key.index, r->message,
			 u->logs_over ? "" : ", trying again");
	if (!u->logs_over)
		pause_by(u, &u->logs_timer, &u->logs_pause_ms);
	end_if_gone(u);
	unit_go_on(u);
}

static void follow(struct unit *u)
{
	const struct host_reply reply = {
		.user = u, .ended = on_logs_ended, .position = on_logs_position};
	struct aictl_logs what = {.struct_size = sizeof(what),
				  .unit = u->name,
				  .stdout_fd = u->fds[0],
				  .stderr_fd = u->fds[1]};
	uint64_t op;

	if (u->logs_op || u->logs_over || !u->logs_wanted || u->logs_timer.armed)
		return;
	if (!follows(u) || u->fds[0] < 0) {
		u->logs_over = true;
		return;
	}
	for (int i = 0; i < 2; i++)
		fcntl(u->fds[i], F_SETFL, O_NONBLOCK);
	if (u->cell)
		what.from = cell_read(u->cell);
	op = host_logs(host_of(u), &what, &reply);
	if (op && host_is_open(host_of(u), op))
		u->logs_op = op;
}

/* The logger has not taken all that was written. */
static bool is_waited_for(const struct unit *u)
{
	int unread = 0;

	for (int i = 0; i < 2; i++)
		if (ioctl(u->fds[i], FIONREAD, &unread) == 0 && unread > 0)
			return true;
	return false;
}

/* It is to be over soon, or has to be tried again. */
static void on_logs_timer(void *user)
{
	struct unit *u = user;

	if (u->logs_op && is_waited_for(u)) {
		arm(u, &u->logs_timer, u->units->quiet_ms);
		return;
	}
	if (u->logs_op) {
		log_warn("replica=%s/%u incarnation=%s nothing more of its output comes, given up",
			 u->state.key.service, u->state.key.index, u->state.key.incarnation);
		host_cancel(host_of(u), u->logs_op);
		return;
	}
	unit_go_on(u);
}

static void expect_end_of_logs(struct unit *u)
{
	if (u->logs_op && !u->logs_timer.armed)
		arm(u, &u->logs_timer, u->units->quiet_ms);
}

/* ---- start ---- */

static void drop_spec(struct unit *u)
{
	mem_free(u->spec);
	u->spec = NULL;
}

void unit_fail(struct unit *u, enum wire_what what, int err, const char *text)
{
	u->start_due = false;
	drop_spec(u);
	u->state.state = WIRE_UNIT_FAILED;
	u->state.what = (uint8_t)what;
	u->state.err = err;
	PUT(u->state.text, text);
	unit_mark(u);
}

static void on_start_ended(void *user, uint64_t op, const struct aictl_result *r)
{
	struct unit *u = user;
	bool pulled = u->state.state == WIRE_UNIT_PULLING;

	(void)op;
	u->op = 0;
	u->doing = UNIT_NONE;
	if (ends(u))
		return;
	if (r->code == AICTL_OK) {
		unit_hurry(u);
		drop_spec(u);
		if (pulled) {
			u->state.state = WIRE_UNIT_CREATED;
			u->state.text[0] = '\0';
			unit_mark(u);
		}
	} else if (u->give_up || u->remove_due) {
		unit_fail(u, WIRE_WHAT_CONTAINER, ECANCELED, "given up");
	} else if (is_for_want_of_an_answer(r->code)) {
		u->start_due = true;
		u->state.state = WIRE_UNIT_CREATED;
		PUT(u->state.text, r->message);
		unit_mark(u);
		try_later(u);
		return;
	} else {
		log_warn("replica=%s/%u error=\"%s\" could not be started", u->state.key.service,
			 u->state.key.index, r->message);
		unit_fail(u,
			  pulled || (r->code == AICTL_NOT_FOUND && strstr(r->message, "image"))
				  ? WIRE_WHAT_IMAGE
				  : WIRE_WHAT_CONTAINER,
			  units_errno_of(r->code), r->message);
	}
	unit_go_on(u);
}

static void on_start_progress(void *user, uint64_t op, const struct aictl_progress *p)
{
	struct unit *u = user;

	(void)op;
	if (!p->text && !p->layers_total && p->bytes_done <= 0)
		return; /* a sign of life */
	if (u->state.state == WIRE_UNIT_RUNNING || u->state.state == WIRE_UNIT_EXITED)
		return;
	u->state.state = WIRE_UNIT_PULLING;
	u->state.done = p->bytes_done > 0 ? (uint64_t)p->bytes_done : 0;
	u->state.total = p->bytes_total > 0 ? (uint64_t)p->bytes_total : 0;
	u->state.layers_done = p->layers_done;
	u->state.layers = p->layers_total;
	PUT(u->state.text, p->text);
	unit_mark(u);
}

static void begin_start(struct unit *u)
{
	const struct host_reply reply = {
		.user = u, .ended = on_start_ended, .progress = on_start_progress};
	char index[16], revision[24];
	const struct aictl_pair labels[] = {
		{AICTL_LABEL_INSTANCE, u->units->runtime->options->instance},
		{AICTL_LABEL_SERVICE, u->state.key.service},
		{AICTL_LABEL_INDEX, index},
		{AICTL_LABEL_INCARNATION, u->state.key.incarnation},
		{AICTL_LABEL_REVISION, revision}};
	struct aictl_start what = {.struct_size = sizeof(what),
				   .unit = u->name,
				   .spec = u->spec,
				   .spec_len = u->spec_len,
				   .labels = labels,
				   .n_labels = ARRAY_SIZE(labels),
				   .stdout_fd = -1,
				   .stderr_fd = -1};
	uint64_t op;

	snprintf(index, sizeof(index), "%u", u->state.key.index);
	snprintf(revision, sizeof(revision), "%llu", (unsigned long long)u->revision);
	if (!follows(u)) {
		what.stdout_fd = u->fds[0];
		what.stderr_fd = u->fds[1];
		for (int i = 0; i < 2; i++)
			fcntl(u->fds[i], F_SETFL, 0);
	}
	cell_begin(u->cell);
	u->start_due = false;
	u->offered = true;
	u->doing = UNIT_STARTS;
	op = host_start(host_of(u), &what, &reply);
	if (op == 0) {
		u->doing = UNIT_NONE;
		unit_fail(u, WIRE_WHAT_CONTAINER, ENOMEM, "out of memory");
	} else if (host_is_open(host_of(u), op)) {
		u->op = op;
	}
}

/* ---- signal and remove ---- */

static void on_signal_ended(void *user, uint64_t op, const struct aictl_result *r)
{
	struct unit *u = user;

	(void)op;
	u->op = 0;
	u->doing = UNIT_NONE;
	if (ends(u))
		return;
	if (is_for_want_of_an_answer(r->code)) {
		if (u->signal_due != SIGKILL)
			u->signal_due = u->signal_sent;
		try_later(u);
		return;
	}
	if (r->code == AICTL_NOT_FOUND) /* its end was not heard: the list tells */
		units_list_soon(u->units);
	else if (r->code != AICTL_OK)
		log_warn("replica=%s/%u signal=%d error=\"%s\" could not be sent",
			 u->state.key.service, u->state.key.index, u->signal_sent, r->message);
	if (r->code != AICTL_OK && r->code != AICTL_NOT_FOUND && u->signal_sent == SIGKILL) {
		u->signal_due = SIGKILL; /* it is sent to us only once, and has to end the unit */
		try_later(u);
		return;
	}
	unit_go_on(u);
}

static void begin_signal(struct unit *u)
{
	const struct host_reply reply = {.user = u, .ended = on_signal_ended};
	uint64_t op;

	u->signal_sent = u->signal_due;
	u->signal_due = 0;
	u->doing = UNIT_SIGNALS;
	op = host_signal(host_of(u), u->name, u->signal_sent, &reply);
	if (op == 0) {
		u->doing = UNIT_NONE;
		u->signal_due = u->signal_sent;
		try_later(u);
	} else if (host_is_open(host_of(u), op)) {
		u->op = op;
	}
}

static void on_remove_ended(void *user, uint64_t op, const struct aictl_result *r)
{
	struct unit *u = user;

	(void)op;
	u->op = 0;
	u->doing = UNIT_NONE;
	if (ends(u))
		return;
	if (r->code == AICTL_OK || r->code == AICTL_NOT_FOUND || u->gone) {
		u->remove_due = false;
		unit_vanished(u);
		return;
	}
	if (!is_for_want_of_an_answer(r->code))
		log_warn("replica=%s/%u error=\"%s\" could not be removed, trying again",
			 u->state.key.service, u->state.key.index, r->message);
	try_later(u);
}

static void begin_remove(struct unit *u)
{
	const struct host_reply reply = {.user = u, .ended = on_remove_ended};
	uint64_t op;

	u->doing = UNIT_REMOVES;
	op = host_remove(host_of(u), u->name, &reply);
	if (op == 0) {
		u->doing = UNIT_NONE;
		try_later(u);
	} else if (host_is_open(host_of(u), op)) {
		u->op = op;
	}
}

void unit_go_on(struct unit *u)
{
	const struct units *us = u->units;

	if (ends(u))
		return;
	if (u->remove_due && !u->gone && cell_is_fresh(u->cell)) {
		u->remove_due = false;
		unit_vanished(u);
		return;
	}
	if (!us->runtime->usable)
		return;
	if (u->gone) {
		expect_end_of_logs(u);
		end_if_gone(u);
		return;
	}
	if (!us->listed)
		return;
	follow(u);
	if (is_busy(u) || u->retry.armed)
		return;
	if (u->give_up && u->start_due)
		unit_fail(u, WIRE_WHAT_CONTAINER, ECANCELED, "given up");
	if (u->remove_due && u->logs_timer.armed && u->state.state == WIRE_UNIT_EXITED)
		return;
	if (u->remove_due && u->logs_op && u->state.state == WIRE_UNIT_EXITED)
		expect_end_of_logs(u);
	else if (u->remove_due)
		begin_remove(u);
	else if (u->start_due)
		begin_start(u);
	else if (u->signal_due)
		begin_signal(u);
}

/* ---- what the engine has ---- */

void unit_vanished(struct unit *u)
{
	if (u->start_due || u->doing == UNIT_STARTS)
		return; /* of before */
	u->gone = true;
	expect_end_of_logs(u);
	end_if_gone(u);
}

static enum wire_unit state_of(uint32_t phase)
{
	switch (phase) {
	case AICTL_UNIT_CREATED:
		return WIRE_UNIT_CREATED;
	case AICTL_UNIT_RUNNING:
		return WIRE_UNIT_RUNNING;
	case AICTL_UNIT_EXITED:
		return WIRE_UNIT_EXITED;
	default:
		return WIRE_UNIT_UNKNOWN;
	}
}

static void copy_state(struct wire_unit_state *m, const struct aictl_unit_state *s)
{
	m->state = (uint8_t)state_of(s->phase);
	m->what = 0;
	m->err = 0;
	m->pid = s->pid > 0 && s->pid <= INT32_MAX ? (int32_t)s->pid : 0;
	if (s->started_wall_ms)
		m->started_wall_ms = s->started_wall_ms;
	if (s->phase == AICTL_UNIT_EXITED) {
		m->ended_wall_ms = s->finished_wall_ms;
		m->status_known = !(s->flags & AICTL_UNIT_EXIT_UNKNOWN);
		m->code = m->status_known ? s->exit_status : -1;
		m->oom_killed = s->flags & AICTL_UNIT_OOM;
	}
	if (s->engine_id)
		PUT(m->id, s->engine_id);
	if (s->address)
		PUT(m->address, s->address);
	PUT(m->text, s->error);
}

void unit_take_state(struct unit *u, const struct aictl_unit_state *s)
{
	struct wire_unit_state before;

	memcpy(&before, &u->state, sizeof(before)); /* to be compared, with what lies between */
	if (u->gone || u->state.state == WIRE_UNIT_GONE)
		return;
	u->seen = true;
	if (s->phase == AICTL_UNIT_GONE) {
		unit_vanished(u);
		return;
	}
	if (state_of(s->phase) == WIRE_UNIT_UNKNOWN || state_of(s->phase) < before.state)
		return; /* old, the rest of what failed, or somebody else's doing */
	if (s->phase == AICTL_UNIT_CREATED && (is_busy(u) || u->start_due))
		return; /* half-way */
	copy_state(&u->state, s);
	if (s->phase == AICTL_UNIT_RUNNING || s->phase == AICTL_UNIT_EXITED)
		u->logs_wanted = true;
	if (memcmp(&before, &u->state, sizeof(before)) != 0)
		unit_mark(u);
	unit_go_on(u);
}

struct unit *unit_new(struct units *us, const struct wire_key *key)
{
	struct unit *u = mem_alloc(sizeof(*u));

	if (!u)
		return NULL;
	u->units = us;
	u->state.key = *key;
	u->fds[0] = u->fds[1] = -1;
	u->logs_timer = (struct loop_timer){.fn = on_logs_timer, .user = u};
	u->retry = (struct loop_timer){.fn = on_retry, .user = u};
	u->seen = true;
	u->pause_ms = u->logs_pause_ms = PAUSE_MS;
	units_name(us, key, u->name);
	return u;
}

void unit_free(struct unit *u)
{
	if (!u)
		return;
	loop_timer_disarm(loop_of(u), &u->logs_timer);
	loop_timer_disarm(loop_of(u), &u->retry);
	cell_unmap(u->cell);
	for (size_t i = 0; i < ARRAY_SIZE(u->fds); i++)
		if (u->fds[i] >= 0)
			close(u->fds[i]);
	mem_free(u->spec);
	mem_free(u);
}
