/* launch: see launch.h. This is the restart path: no file-system call, no scan, one allocation or
 * two. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/launch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "daemon/supervisor/push.h"
#include "daemon/supervisor/secrets.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/standby.h"
#include "daemon/supervisor/stream.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define COOKIE "AICTL_INCARNATION="
#define LISTEN_PID "LISTEN_PID="
#define START_TIME_DELAY_MS 500
#define QUIET_ROUND 4 /* descriptors ready at once */

struct launch {
	struct wire_spawn m;
	struct child_job job;
	char cookie[sizeof(COOKIE) + WIRE_INCARNATION_SIZE];
	struct push_env push;
	char listen_pid[sizeof(LISTEN_PID) + 12]; /* the child appends its own */
	char *envp[]; /* m.envp with our variables in the place of any other */
};

void launch_free(struct slot *s)
{
	if (!s->launch)
		return;
	wire_spawn_free(&s->launch->m);
	mem_free(s->launch);
	s->launch = NULL;
}

/* We set it ourselves. */
static bool is_ours(const struct wire_spawn *m, const char *assignment)
{
	return strncmp(assignment, COOKIE, sizeof(COOKIE) - 1) == 0 ||
	       (m->notify && push_is_variable(assignment)) ||
	       (m->n_listen > 0 && strncmp(assignment, LISTEN_PID, sizeof(LISTEN_PID) - 1) == 0);
}

/* Takes m over on success. */
static struct launch *new_launch(const struct slot *s, struct wire_spawn *m)
{
	struct launch *l;
	size_t n = 0, k = 0;

	while (m->child.envp && m->child.envp[n])
		n++;
	l = mem_alloc(sizeof(*l) + (n + 3 + PUSH_VARIABLES) * sizeof(char *));
	if (!l)
		return NULL;
	memcpy(l->cookie, COOKIE, sizeof(COOKIE) - 1);
	memcpy(l->cookie + sizeof(COOKIE) - 1, m->key.incarnation, WIRE_INCARNATION_SIZE);
	for (size_t i = 0; i < n; i++)
		if (!is_ours(m, m->child.envp[i]))
			l->envp[k++] = m->child.envp[i];
	k += push_fill_env(s, m, &l->push, &l->envp[k]);
	memcpy(l->listen_pid, LISTEN_PID, sizeof(LISTEN_PID));
	if (m->n_listen > 0)
		l->envp[k++] = l->listen_pid;
	l->envp[k] = l->cookie;
	l->m = *m;
	*m = (struct wire_spawn){0};
	return l;
}

static bool is_valid(const struct wire_spawn *m)
{
	const char *hex = m->key.incarnation;

	if (m->key.service[0] == '\0' || strspn(hex, "0123456789abcdef") != 32 || hex[32] != '\0')
		return false;
	if (!m->child.argv || !m->child.argv[0] || !m->child.paths || !m->child.paths[0] ||
	    !m->child.cwd)
		return false;
	return m->stop_signal >= 1 && m->stop_signal <= 64 && m->grace_ms >= 0 &&
	       m->note_len <= WIRE_NOTE_MAX && m->child.umask <= 0777;
}

static void fill_table(struct slot *s, const struct wire_spawn *m)
{
	struct table_slot *t = s->t;

	memset(t->incarnation, 0, sizeof(t->incarnation));
	memcpy(t->incarnation, m->key.incarnation, WIRE_INCARNATION_SIZE);
	t->cell = (struct spawn_cell){.stage = WIRE_STAGE_CLONE};
	t->flags = 0;
	t->unit = 0;
	t->stop_signal = m->stop_signal;
	t->grace_ms = m->grace_ms;
	t->uid = m->child.set_user ? m->child.uid : (uint32_t)-1;
	slot_set_logs(s, &m->logs);
	t->start_ticks = 0;
	push_forget(s);
	t->started_wall_ms = clock_wall_ms();
	t->started_mono_ms = clock_mono_ms();
	slot_note(s, m->note, m->note_len);
	t->state = WIRE_SLOT_SPAWNING;
}

/* What a child gets besides stdin, ours to close: stdout, stderr, and s6's notify_fd or -1. */
#define ENDS 3

/* They have been found open. */
static void fill_listeners(struct slot *s, struct spawn_job *j)
{
	const struct wire_spawn *m = &s->launch->m;

	for (; j->n_listen < m->n_listen; j->n_listen++)
		j->listen_fds[j->n_listen] = listen_fd(s->sup, &m->listen[j->n_listen]);
	if (j->n_listen > 0)
		j->pid_texts[1] = s->launch->listen_pid;
}

static void fill_job(struct slot *s, const int ends[ENDS])
{
	struct spawn_job *j = &s->launch->job.spawn;

	spawn_fill(&s->sup->spawner, j, &s->launch->m.child);
	fill_listeners(s, j);
	j->envp = s->launch->envp;
	j->n_fds = ends[2] < 0 ? 3 : 4;
	j->fds[0] = s->sup->spawner.null_fd;
	j->fds[1] = ends[0];
	j->fds[2] = ends[1];
	j->fds[3] = ends[2];
	j->last_fd = ends[2] < 0 ? 0 : s->launch->m.notify_fd;
	if (s->launch->m.watchdog_ms > 0)
		j->pid_texts[0] = s->launch->push.pid;
	j->cell = &s->t->cell;
	j->cgroup_fd = cgroup_fd(s);
}

static int start_child(struct slot *s, const int ends[ENDS])
{
	int r;

	fill_job(s, ends);
	r = child_start(&s->child, &s->launch->job);
	if (r < 0 && cgroup_repair(s, -r)) {
		s->launch->job.spawn.cgroup_fd = cgroup_fd(s);
		r = child_start(&s->child, &s->launch->job);
	}
	if (r == 0)
		cgroup_started(s);
	return r;
}

/* Until the slot's cgroup is empty, or the listeners are given back. 0 or -errno. */
static int wait_for_others(struct slot *s, struct wire_spawn *m)
{
	s->launch = new_launch(s, m);
	if (!s->launch)
		return -ENOMEM;
	s->waiting = true;
	loop_timer_arm(&s->sup->loop, &s->timer, clock_mono_ms() + SLOT_STUCK_MS);
	return 0;
}

/* All descriptors of a start. 0 or -errno; the caller closes what there is in either case. */
static int open_ends(struct slot *s, const struct wire_spawn *m, int ends[ENDS])
{
	const struct stream_opts o = {
		.incarnation = m->key.incarnation, .logs = &m->logs, .child = &m->child};
	struct stream *t;
	int r;

	r = sockets_prepare(s, m);
	if (r < 0) {
		s->t->cell.what = WIRE_WHAT_SOCKET;
		return r;
	}
	r = push_prepare(s, m, &ends[2]);
	if (r < 0) {
		s->t->cell.what = WIRE_WHAT_NOTIFY;
		return r;
	}
	r = stream_new(s, &o, &t, ends);
	if (r < 0)
		return r;
	POINT("aictld.spawn.pipes");
	s->t->intent = t->intent;
	return 0;
}

/* 0; 1 = something has to happen first, so the start waits; -errno. */
static int prepare(struct slot *s, const struct wire_spawn *m)
{
	int r = cgroup_prepare(s, &m->limits);

	if (r == -EBUSY)
		return 1;
	if (r < 0) {
		s->t->cell.what = WIRE_WHAT_CGROUP;
		return r;
	}
	for (uint32_t i = 0; i < m->n_listen; i++) {
		r = listen_need(s->sup, &m->listen[i]);
		if (r == -EAGAIN)
			return 1;
		if (r < 0) {
			s->t->cell.what = WIRE_WHAT_LISTEN;
			return r;
		}
	}
	r = secrets_check(s->sup, m->key.service, m->secrets);
	if (r < 0)
		s->t->cell.stage = WIRE_STAGE_SECRETS;
	return r;
}

/* 0 (started, or waiting) or -errno; the slot is SPAWNING in either case. */
static int start(struct slot *s, struct wire_spawn *m)
{
	int ends[ENDS] = {-1, -1, -1}, r;

	r = prepare(s, m);
	if (r > 0)
		return wait_for_others(s, m);
	if (r < 0)
		return r;
	POINT("aictld.spawn.begun");
	r = open_ends(s, m, ends);
	if (r == 0) {
		s->launch = new_launch(s, m);
		r = s->launch ? 0 : -ENOMEM;
	}
	if (r == 0) {
		stream_announce(s, s->t->incarnation);
		r = start_child(s, ends);
		if (r == 0)
			stream_cloned(s, s->t->incarnation);
	}
	POINT("aictld.spawn.started");
	for (int i = 0; i < ENDS; i++)
		mem_closep(&ends[i]);
	if (r == 0)
		loop_timer_arm(&s->sup->loop, &s->timer, s->t->started_mono_ms + SLOT_SPAWN_MS);
	return r;
}

/* errno of the refusal, 0 = go on, -1 = nothing to do: a repeated message. */
static int must_refuse(const struct slot *s, const struct wire_spawn *m)
{
	bool same = strcmp(s->t->incarnation, m->key.incarnation) == 0;

	if (slot_is_living(s))
		return same ? -1 : EBUSY;
	if (same)
		return EEXIST;
	if (s->launch) /* cannot be: empty means that the memory is free */
		return EBUSY;
	return s->n_streams >= SLOT_STREAMS_MAX ? EBUSY : 0;
}

static void begin(struct slot *s, struct wire_spawn *m)
{
	int r = start(s, m);

	if (r == 0 && s->waiting)
		return;
	if (r == 0) {
		/*
		 * The child mostly shares our processor and waits until we are done here. With
		 * little else to do it goes first: 50 us of a restart. Not in a burst: where others
		 * want the processor too, each yield may cost us their time slice.
		 */
		if (loop_round_size(&s->sup->loop) <= QUIET_ROUND)
			sched_yield();
		return;
	}
	s->t->cell.err = -r;
	launch_free(s);
	slot_not_cloned(s);
}

static void spawn_in(struct slot *s, struct wire_spawn *m)
{
	int r = must_refuse(s, m);

	if (r != 0) {
		s->refused = r > 0 ? r : 0;
		control_mark(s->sup, s);
		return;
	}
	s->refused = 0;
	fill_table(s, m);
	begin(s, m);
}

/* ---- waiting for an empty cgroup, or for listeners ---- */

void launch_resume_all(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++)
		if (sup->slots[i] && sup->slots[i]->waiting &&
		    sup->slots[i]->t->state != WIRE_SLOT_STUCK)
			launch_resume(sup->slots[i]);
}

void launch_resume(struct slot *s)
{
	struct wire_spawn m = s->launch->m;

	mem_free(s->launch);
	s->launch = NULL;
	s->waiting = false;
	loop_timer_disarm(&s->sup->loop, &s->timer);
	s->t->started_wall_ms = clock_wall_ms();
	s->t->started_mono_ms = clock_mono_ms();
	begin(s, &m);
	wire_spawn_free(&m);
	control_mark(s->sup, s);
}

void launch_cancel(struct slot *s, int err)
{
	s->waiting = false;
	s->t->cell = (struct spawn_cell){
		.stage = WIRE_STAGE_CLONE, .err = err, .what = WIRE_WHAT_CGROUP};
	launch_free(s);
	slot_not_cloned(s);
}

/* ---- standby ---- */

bool launch_standby_applies(const struct slot *s)
{
	return s->standby && s->sup->mode == WIRE_MODE_NORMAL && s->n_streams < SLOT_STREAMS_MAX;
}

void launch_use_standby(struct slot *s)
{
	struct wire_spawn m = {0};

	if (standby_take(s, &m) < 0) { /* no memory: the controller will plan a start */
		link_flush(&s->sup->controller.link);
		return;
	}
	POINT("aictld.exit.standby");
	fill_table(s, &m);
	POINT("aictld.spawn.filled");
	begin(s, &m);
	wire_spawn_free(&m);
	control_mark(s->sup, s);
}

/* For a slot that lives and is not being stopped; else it came too late: the plan goes on without. */
static void keep_standby(struct slot *s, const struct wire_spawn *m)
{
	if (!s || (s->t->state != WIRE_SLOT_SPAWNING && s->t->state != WIRE_SLOT_RUNNING) ||
	    strcmp(s->t->incarnation, m->key.incarnation) == 0)
		return;
	standby_keep(s, m);
}

void launch_spawn(struct supervisor *sup, struct wire_spawn *m)
{
	struct slot *s = slot_find(sup, &m->key);
	int r = 0;

	if (!is_valid(m)) {
		log_error("replica=%.63s/%u invalid spawn message", m->key.service, m->key.index);
		r = -EINVAL;
	} else if (sup->mode == WIRE_MODE_SHUTDOWN) {
		r = -ESHUTDOWN;
	}
	if (m->standby) {
		if (r == 0)
			keep_standby(s, m);
		wire_spawn_free(m);
		return;
	}
	if (r == 0 && !s)
		r = slot_new(sup, &m->key, &s);
	if (r == 0) {
		spawn_in(s, m);
	} else if (s) {
		s->refused = -r;
		control_mark(sup, s);
	} else {
		control_refuse(sup, &m->key, -r);
	}
	wire_spawn_free(m);
}

/* The child has exec'd, or died on the way: nothing of ours is read any more. */
void launch_memory_free(void *user)
{
	struct slot *s = user;

	launch_free(s);
	if (s->t->cell.stage != WIRE_STAGE_EXEC || s->t->cell.err != 0 || s->t->flags & TABLE_LATE)
		return; /* on_exit follows */
	if (s->t->state == WIRE_SLOT_SPAWNING) {
		s->t->state = WIRE_SLOT_RUNNING;
		loop_timer_disarm(&s->sup->loop, &s->timer);
	}
	cgroup_execed(s);
	POINT("aictld.spawn.running");
	stream_begin(s, s->t->incarnation);
	control_mark(s->sup, s);
	link_flush(&s->sup->controller.link);
	link_flush(&s->sup->logger.link);
	if (!s->sup->start_times.armed)
		loop_timer_arm(&s->sup->loop, &s->sup->start_times,
			       clock_mono_ms() + START_TIME_DELAY_MS);
}
