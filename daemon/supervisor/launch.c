/* launch: see launch.h. This is the restart path: no file-system call, no scan, one allocation or
 * two. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/launch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "daemon/supervisor/secrets.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/stream.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define COOKIE "AICTL_INCARNATION="
#define START_TIME_DELAY_MS 500
#define QUIET_ROUND 4 /* descriptors ready at once */

struct launch {
	struct wire_spawn m;
	char cookie[sizeof(COOKIE) + WIRE_INCARNATION_SIZE];
	char *envp[]; /* m.envp with our cookie in the place of any other */
};

/* A SPAWN as the wire has it: it waits for long, and is a third of the size. */
struct standby {
	size_t len;
	uint8_t body[];
};

void launch_free(struct slot *s)
{
	if (!s->launch)
		return;
	wire_spawn_free(&s->launch->m);
	mem_free(s->launch);
	s->launch = NULL;
}

/* Takes m over on success. */
static struct launch *new_launch(struct wire_spawn *m)
{
	struct launch *l;
	size_t n = 0, k = 0;

	while (m->child.envp && m->child.envp[n])
		n++;
	l = mem_alloc(sizeof(*l) + (n + 2) * sizeof(char *));
	if (!l)
		return NULL;
	memcpy(l->cookie, COOKIE, sizeof(COOKIE) - 1);
	memcpy(l->cookie + sizeof(COOKIE) - 1, m->key.incarnation, WIRE_INCARNATION_SIZE);
	for (size_t i = 0; i < n; i++)
		if (strncmp(m->child.envp[i], COOKIE, sizeof(COOKIE) - 1) != 0)
			l->envp[k++] = m->child.envp[i];
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
	t->stop_signal = m->stop_signal;
	t->grace_ms = m->grace_ms;
	t->uid = m->child.set_user ? m->child.uid : (uint32_t)-1;
	t->log_max_size = m->log_max_size;
	t->log_max_files = m->log_max_files;
	t->start_ticks = 0;
	t->started_wall_ms = clock_wall_ms();
	t->started_mono_ms = clock_mono_ms();
	slot_note(s, m->note, m->note_len);
	t->state = WIRE_SLOT_SPAWNING;
}

static void fill_job(struct slot *s, const int write_ends[2])
{
	struct spawn_job *j = &s->child.job;

	spawn_fill(&s->sup->spawner, j, &s->launch->m.child);
	j->envp = s->launch->envp;
	j->n_fds = 3;
	j->fds[0] = s->sup->spawner.null_fd;
	j->fds[1] = write_ends[0];
	j->fds[2] = write_ends[1];
	j->cell = &s->t->cell;
	j->cgroup_fd = cgroup_fd(s);
}

static int start_child(struct slot *s, const int write_ends[2])
{
	int r;

	fill_job(s, write_ends);
	r = child_start(&s->child);
	if (r < 0 && cgroup_repair(s, -r)) {
		s->child.job.cgroup_fd = cgroup_fd(s);
		r = child_start(&s->child);
	}
	if (r == 0)
		cgroup_started(s);
	return r;
}

/* Until the slot's cgroup is empty. 0 or -errno. */
static int wait_for_cgroup(struct slot *s, struct wire_spawn *m)
{
	s->launch = new_launch(m);
	if (!s->launch)
		return -ENOMEM;
	s->waiting = true;
	loop_timer_arm(&s->sup->loop, &s->timer, clock_mono_ms() + SLOT_STUCK_MS);
	return 0;
}

/* 0 (started, or waiting) or -errno; the slot is SPAWNING in either case. */
static int start(struct slot *s, struct wire_spawn *m)
{
	int write_ends[2], r;
	struct stream *t;

	r = cgroup_prepare(s, &m->limits);
	if (r == -EBUSY)
		return wait_for_cgroup(s, m);
	if (r < 0) {
		s->t->cell.what = WIRE_WHAT_CGROUP;
		return r;
	}
	r = secrets_check(s->sup, m->key.service, m->secrets);
	if (r < 0) {
		s->t->cell.stage = WIRE_STAGE_SECRETS;
		return r;
	}
	POINT("aictld.spawn.begun");
	r = stream_new(s, m, &t, write_ends);
	if (r < 0)
		return r;
	POINT("aictld.spawn.pipes");
	s->t->intent = t->intent;
	s->launch = new_launch(m);
	if (s->launch) {
		r = start_child(s, write_ends);
	} else {
		r = -ENOMEM;
	}
	POINT("aictld.spawn.started");
	mem_closep(&write_ends[0]);
	mem_closep(&write_ends[1]);
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

/* ---- waiting for an empty cgroup ---- */

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

void launch_drop_standby(struct slot *s)
{
	mem_free(s->standby);
	s->standby = NULL;
}

bool launch_standby_applies(const struct slot *s)
{
	return s->standby && s->sup->mode == WIRE_MODE_NORMAL && s->n_streams < SLOT_STREAMS_MAX;
}

void launch_use_standby(struct slot *s)
{
	struct wire_spawn m = {0};
	int r = wire_decode_spawn(s->standby->body, s->standby->len, &m);

	launch_drop_standby(s);
	if (r < 0) { /* no memory: the controller will plan a start */
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
	_cleanup_buf_ struct buf b = {0};
	size_t len;

	if (!s || (s->t->state != WIRE_SLOT_SPAWNING && s->t->state != WIRE_SLOT_RUNNING) ||
	    strcmp(s->t->incarnation, m->key.incarnation) == 0)
		return;
	launch_drop_standby(s);
	wire_encode_spawn(&b, m);
	if (b.failed)
		return;
	len = b.len - WIRE_HEADER_SIZE;
	s->standby = mem_alloc(sizeof(*s->standby) + len);
	if (!s->standby)
		return;
	s->standby->len = len;
	memcpy(s->standby->body, b.data + WIRE_HEADER_SIZE, len);
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
	if (s->streams && !s->streams->submitted)
		stream_submit(s->streams);
	control_mark(s->sup, s);
	link_flush(&s->sup->controller.link);
	link_flush(&s->sup->logger.link);
	if (!s->sup->start_times.armed)
		loop_timer_arm(&s->sup->loop, &s->sup->start_times,
			       clock_mono_ms() + START_TIME_DELAY_MS);
}
