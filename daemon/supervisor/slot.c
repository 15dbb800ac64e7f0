/* slot: see slot.h. Stop, exit, bookkeeping; launch.c starts the process. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/slot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/supervisor/launch.h"
#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/push.h"
#include "daemon/supervisor/standby.h"
#include "daemon/supervisor/stream.h"
#include "daemon/supervisor/stream_fault.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/sweep.h"
#include "daemon/supervisor/unit.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define LATE_MS 2000 /* from the kill at the spawn deadline to "stuck" */

/* ---- finding, making, freeing ---- */

static struct slot **bucket(struct supervisor *sup, const char *service, uint32_t index)
{
	uint32_t h = 2166136261u ^ index;

	for (const char *p = service; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return &sup->by_key[h % SLOT_BUCKETS];
}

struct slot *slot_find(struct supervisor *sup, const struct wire_key *key)
{
	struct slot *s = *bucket(sup, key->service, key->index);

	while (s && (s->t->index != key->index || strcmp(s->t->service, key->service) != 0))
		s = s->next_of_key;
	return s;
}

static void on_timer(void *user);
static void on_death(void *user, const siginfo_t *si);
static void on_exit_(void *user, const siginfo_t *si);

struct slot *slot_attach(struct supervisor *sup, uint32_t number)
{
	struct slot *s = mem_alloc(sizeof(*s)), **at;

	if (!s || mem_grow(&sup->slots, &sup->slots_cap, number + 1, sizeof(*sup->slots)) < 0) {
		mem_free(s);
		return NULL;
	}
	while (sup->n_slots <= number)
		sup->slots[sup->n_slots++] = NULL;
	s->sup = sup;
	s->number = number;
	s->t = table_slot(&sup->table, number);
	s->cold = table_cold(&sup->table, number);
	s->timer = (struct loop_timer){.fn = on_timer, .user = s};
	s->child.sup = sup;
	s->child.user = s;
	s->child.on_death = on_death;
	s->child.on_exit = on_exit_;
	s->child.on_memory_free = launch_memory_free;
	sup->slots[number] = s;
	sup->n_used++;
	sup->control.status_due = true;
	at = bucket(sup, s->t->service, s->t->index);
	s->next_of_key = *at;
	*at = s;
	return s;
}

static void detach(struct slot *s)
{
	struct slot **at = bucket(s->sup, s->t->service, s->t->index);

	while (*at && *at != s)
		at = &(*at)->next_of_key;
	if (*at)
		*at = s->next_of_key;
	control_forget(s->sup, s);
	loop_timer_disarm(&s->sup->loop, &s->timer);
	s->sup->slots[s->number] = NULL;
	s->sup->n_used--;
	s->sup->control.status_due = true;
	cgroup_close(s);
	push_close(s);
	launch_free(s);
	standby_free(s);
	unit_free_all(s);
	stream_fault_free(s);
	mem_free(s);
}

int slot_new(struct supervisor *sup, const struct wire_key *key, struct slot **ret)
{
	struct table_slot *t;
	uint32_t n = 0;
	int r;

	while (n < sup->n_slots && sup->slots[n])
		n++;
	if (n >= sup->table.n_slots) {
		r = table_grow(&sup->table);
		if (r < 0)
			return r;
	}
	t = table_slot(&sup->table, n);
	memset(t, 0, sizeof(*t));
	memcpy(t->service, key->service, WIRE_SERVICE_SIZE);
	t->index = key->index;
	*ret = slot_attach(sup, n);
	if (!*ret)
		return -ENOMEM;
	POINT("aictld.spawn.slot");
	t->used = 1;
	return 0;
}

static void free_if_done(struct slot *s)
{
	struct supervisor *sup = s->sup;

	if (!(s->t->flags & TABLE_RELEASED) || slot_is_living(s) || s->n_streams > 0 ||
	    s->unswept > 0 || s->t->n_exits > 0)
		return;
	POINT("aictld.release.freeing");
	s->t->used = 0;
	POINT("aictld.release.freed");
	cgroup_remove(s);
	push_remove(s);
	sockets_remove(s);
	detach(s);
	shutdown_poke(sup);
	link_flush(&sup->controller.link); /* the number of slots */
}

void slot_free_all(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		if (!sup->slots[i])
			continue;
		while (sup->slots[i]->streams)
			stream_free(sup->slots[i]->streams);
		detach(sup->slots[i]);
	}
	standby_done(sup);
	mem_free(sup->slots);
	sup->slots = NULL;
	sup->n_slots = 0;
}

/* ---- stop ---- */

bool slot_is_living(const struct slot *s)
{
	return s->t->state != WIRE_SLOT_EMPTY;
}

static void arm(struct slot *s, int64_t delay_ms)
{
	loop_timer_arm(&s->sup->loop, &s->timer, clock_add(clock_mono_ms(), delay_ms));
}

/* To the process and its group, or to the unit's main process. */
static void signal_all(struct slot *s, int signal)
{
	if (unit_of(s))
		unit_signal(s, signal);
	else
		child_signal_group(&s->child, signal);
}

static void kill_now(struct slot *s)
{
	s->t->flags |= TABLE_KILLED;
	POINT("aictld.stop.killing");
	signal_all(s, SIGKILL);
	cgroup_kill(s);
	arm(s, SLOT_STUCK_MS);
}

static void stuck(struct slot *s)
{
	s->t->state = WIRE_SLOT_STUCK;
	log_error("replica=%s/%u pid=%d stuck: SIGKILL does not end it (stage %s)", s->t->service,
		  s->t->index, s->t->cell.pid, wire_stage_name((enum wire_stage)s->t->cell.stage));
	control_mark(s->sup, s);
	link_flush(&s->sup->controller.link);
}

static void on_timer(void *user)
{
	struct slot *s = user;

	if (s->waiting) {
		stuck(s);
	} else if (s->t->state == WIRE_SLOT_SPAWNING && !(s->t->flags & TABLE_LATE)) {
		s->t->flags |= TABLE_LATE;
		child_signal(&s->child, SIGKILL);
		arm(s, LATE_MS);
	} else if (s->t->state == WIRE_SLOT_STOPPING && !(s->t->flags & TABLE_KILLED)) {
		kill_now(s);
	} else if (s->t->state == WIRE_SLOT_SPAWNING || s->t->state == WIRE_SLOT_STOPPING) {
		stuck(s);
	}
}

void slot_stop(struct slot *s, int signal, int64_t grace_ms)
{
	int64_t kill_at;

	control_mark(s->sup, s);
	standby_drop(s);
	child_look(&s->child); /* one that has exec'd already is stopped as such */
	if (!slot_is_living(s)) {
		sweep_urge(s);
		return;
	}
	if (signal <= 0)
		signal = s->t->stop_signal;
	if (grace_ms < 0)
		grace_ms = s->t->grace_ms;
	kill_at = clock_add(clock_mono_ms(), grace_ms);
	s->t->flags |= TABLE_BY_STOP;
	if (s->waiting) {
		launch_cancel(s, ECANCELED);
		return;
	}
	if (unit_drop(s))
		return;
	cgroup_freeze(s, false);
	if (s->t->state == WIRE_SLOT_STUCK || grace_ms == 0 || signal == SIGKILL) {
		if (s->t->state != WIRE_SLOT_STUCK)
			s->t->state = WIRE_SLOT_STOPPING;
		kill_now(s);
		return;
	}
	if (s->t->state == WIRE_SLOT_STOPPING) { /* again: only sooner, never later */
		if (s->t->flags & TABLE_KILLED || kill_at >= s->t->kill_at_mono_ms)
			return;
	} else if (s->child.job && s->timer.armed && s->timer.deadline_mono_ms < kill_at) {
		kill_at = s->timer.deadline_mono_ms; /* not exec'd yet: the spawn deadline holds */
	}
	if (s->t->state != WIRE_SLOT_STOPPING)
		signal_all(s, signal);
	POINT("aictld.stop.signalled");
	s->t->state = WIRE_SLOT_STOPPING;
	s->t->kill_at_mono_ms = kill_at;
	loop_timer_arm(&s->sup->loop, &s->timer, kill_at);
	POINT("aictld.stop.armed");
}

void slot_signal(struct slot *s, int signal)
{
	child_look(&s->child);
	if (s->t->state == WIRE_SLOT_RUNNING && unit_of(s))
		unit_signal(s, signal);
	else if (child_has_execed(&s->child))
		child_signal(&s->child, signal);
}

void slot_extend(struct slot *s, int64_t until_mono_ms)
{
	if (s->t->state != WIRE_SLOT_STOPPING || s->t->flags & TABLE_KILLED ||
	    until_mono_ms <= s->t->kill_at_mono_ms)
		return;
	s->t->kill_at_mono_ms = until_mono_ms;
	loop_timer_arm(&s->sup->loop, &s->timer, until_mono_ms);
	shutdown_extend(s->sup, until_mono_ms);
}

/* ---- exit ---- */

static void record_exit(struct slot *s, const struct slot_end *e)
{
	const siginfo_t *si = e->si;
	struct table_slot *t = s->t;
	struct table_exit *x = table_push_exit(t, s->cold);
	bool by_signal = si && (si->si_code == CLD_KILLED || si->si_code == CLD_DUMPED);
	bool ran = t->cell.stage == WIRE_STAGE_EXEC && t->cell.err == 0;

	x->pid = t->cell.pid;
	x->code = si && si->si_code == CLD_EXITED ? si->si_status : -1;
	x->signal = (uint8_t)(by_signal ? si->si_status : 0);
	x->core_dumped = si && si->si_code == CLD_DUMPED;
	x->by_stop = (t->flags & TABLE_BY_STOP) != 0;
	x->killed = (t->flags & TABLE_KILLED) != 0;
	x->oom_killed = cgroup_oom_killed(s) || e->oom_killed;
	x->stage = (uint8_t)t->cell.stage;
	x->err = t->cell.err;
	x->what = (uint8_t)t->cell.what;
	if (t->flags & TABLE_LATE && x->err == 0) /* also when it hung in execve itself */
		x->err = t->cell.err = ETIMEDOUT;
	/* A start that failed says why; its process's end adds nothing. */
	x->status_known = (!ran && x->err != 0) || (si && si->si_code != CHILD_UNKNOWN);
	x->started_wall_ms = t->started_wall_ms;
	x->started_mono_ms = t->started_mono_ms;
	x->ended_wall_ms = e->ended_wall_ms > 0 ? e->ended_wall_ms : clock_wall_ms();
	x->ended_mono_ms = clock_mono_ms();
	POINT("aictld.exit.half");
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* last: without it the next aictld drops it */
	x->incarnation = table_id(t->incarnation);
}

/* True: the slot has a cgroup, which tells what is left of the process, and ends it. */
static bool left_in_cgroup(struct slot *s)
{
	bool known = true;

	if (!cgroup_exists(s))
		return false;
	if (!cgroup_is_empty(s)) {
		table_add_cookie(s->t, s->cold, s->t->incarnation);
		known = cgroup_empty(s, s->t->incarnation);
	}
	cgroup_freeze(s, false);
	return known;
}

static void become_empty(struct slot *s)
{
	s->t->state = WIRE_SLOT_EMPTY;
	s->t->cell.pid = 0;
	s->t->start_ticks = 0;
	s->t->flags &= ~(uint32_t)(TABLE_BY_STOP | TABLE_KILLED | TABLE_LATE);
}

void slot_unit_ended(struct slot *s, const struct slot_end *e)
{
	loop_timer_disarm(&s->sup->loop, &s->timer);
	record_exit(s, e);
	become_empty(s);
	POINT("aictld.exit.emptied");
	control_mark(s->sup, s);
	link_flush(&s->sup->controller.link);
	shutdown_poke(s->sup);
}

/* The word to the controller goes out before anything that can wait, the reaping included. */
static void on_death(void *user, const siginfo_t *si)
{
	struct slot *s = user;
	bool by_stop = (s->t->flags & TABLE_BY_STOP) != 0;
	bool ran = si && s->t->cell.stage >= WIRE_STAGE_EXEC && s->t->cell.err == 0;

	loop_timer_disarm(&s->sup->loop, &s->timer);
	push_ended(s);
	POINT("aictld.exit.recording");
	record_exit(s, &(struct slot_end){.si = si});
	POINT("aictld.exit.recorded");
	become_empty(s);
	/* An adopted one may have left processes where no cgroup of ours is: looked for as well. */
	if (ran && (!left_in_cgroup(s) || s->child.adopted)) {
		table_drop_cookie(s->t, s->cold, s->t->incarnation);
		table_add_cookie(s->t, s->cold, s->t->incarnation);
		sweep_add(s, s->t->incarnation,
			  s->child.adopted ? SWEEP_FORMER /* its orphans do not become ours */
			  : by_stop	   ? SWEEP_URGENT
					   : SWEEP_LAZY);
	}
	POINT("aictld.exit.emptied");
	control_mark(s->sup, s);
	s->use_standby = ran && !by_stop && launch_standby_applies(s);
	if (s->use_standby)
		return; /* the word goes out together with the new start */
	standby_drop(s);
	link_flush(&s->sup->controller.link);
}

static void on_exit_(void *user, const siginfo_t *si)
{
	char ended[WIRE_INCARNATION_SIZE];
	struct slot *s = user;

	(void)si;
	memcpy(ended, s->t->incarnation, sizeof(ended));
	if (s->use_standby) {
		s->use_standby = false;
		launch_use_standby(s);
		control_flush_later(s->sup); /* mostly together with the exec */
	}
	stream_end(s, ended);
	shutdown_poke(s->sup);
}

void slot_not_cloned(struct slot *s)
{
	on_death(s, NULL);
	on_exit_(s, NULL);
}

/* ---- a former aictld's process ---- */

/* What had been going to happen still happens, at its time. */
static void resume_timer(struct slot *s)
{
	const struct table_slot *t = s->t;
	int64_t at = 0;

	if (t->state == WIRE_SLOT_SPAWNING)
		at = t->flags & TABLE_LATE ? clock_mono_ms() + LATE_MS
					   : t->started_mono_ms + SLOT_SPAWN_MS;
	else if (t->state == WIRE_SLOT_STOPPING)
		at = t->flags & TABLE_KILLED ? clock_mono_ms() + SLOT_STUCK_MS : t->kill_at_mono_ms;
	if (at > 0)
		loop_timer_arm(&s->sup->loop, &s->timer, at);
	/* Whether the signal had gone out nobody knows. */
	if (t->state == WIRE_SLOT_STOPPING && t->flags & TABLE_KILLED)
		kill_now(s);
	else if (t->flags & TABLE_LATE)
		child_signal(&s->child, SIGKILL);
}

/* The signal goes out when the runtime is told of the unit. */
void slot_unit_adopted(struct slot *s)
{
	const struct table_slot *t = s->t;

	if (t->state == WIRE_SLOT_STOPPING)
		loop_timer_arm(&s->sup->loop, &s->timer,
			       t->flags & TABLE_KILLED ? clock_mono_ms() + SLOT_STUCK_MS
						       : t->kill_at_mono_ms);
}

void slot_settle(struct slot *s)
{
	const struct spawn_cell *cell = &s->t->cell;

	s->child.half_made = false;
	if (s->t->state != WIRE_SLOT_SPAWNING || s->t->flags & TABLE_LATE ||
	    cell->stage != WIRE_STAGE_EXEC || cell->err != 0)
		return; /* about to end */
	s->t->state = WIRE_SLOT_RUNNING;
	loop_timer_disarm(&s->sup->loop, &s->timer);
	control_mark(s->sup, s);
	link_flush(&s->sup->controller.link);
}

int slot_adopt(struct slot *s, int pidfd, bool half_made)
{
	int r;

	s->child.cell = &s->t->cell;
	r = child_adopt(&s->child, s->t->cell.pid, pidfd);
	if (r < 0)
		return r;
	s->missing = false;
	s->child.half_made = half_made;
	resume_timer(s);
	if (!half_made)
		slot_settle(s);
	return 0;
}

void slot_lost(struct slot *s)
{
	siginfo_t si = {.si_code = CHILD_UNKNOWN};

	s->missing = false;
	s->child.adopted = true;
	on_death(s, &si);
	on_exit_(s, &si);
}

/* ---- what the controller and others say ---- */

void slot_note(struct slot *s, const uint8_t *note, uint32_t len)
{
	if (len <= WIRE_NOTE_MAX)
		table_set_note(s->t, s->cold, note, len);
}

void slot_set_logs(struct slot *s, const struct wire_logs *m)
{
	struct table_slot *t = s->t;

	t->log_max_size = m->max_size;
	t->log_max_files = m->max_files;
	t->log_flags = m->flags;
	t->log_max_total = m->max_total;
	t->log_max_age_ms = m->max_age_ms;
	t->log_rotate_ms = m->rotate_ms;
	t->log_revision = m->revision;
}

struct wire_logs slot_logs(const struct slot *s)
{
	const struct table_slot *t = s->t;

	return (struct wire_logs){.max_size = t->log_max_size,
				  .max_files = t->log_max_files,
				  .flags = t->log_flags,
				  .max_total = t->log_max_total,
				  .max_age_ms = t->log_max_age_ms,
				  .rotate_ms = t->log_rotate_ms,
				  .revision = t->log_revision};
}

void slot_ack(struct slot *s, uint64_t seq)
{
	POINT("aictld.ack.received");
	if (table_ack_exits(s->t, s->cold, seq))
		shutdown_poke(s->sup);
	POINT("aictld.ack.dropped");
	free_if_done(s);
}

void slot_release(struct slot *s)
{
	s->t->flags |= TABLE_RELEASED;
	POINT("aictld.release.marked");
	free_if_done(s);
}

void slot_swept(struct slot *s, const char *cookie)
{
	table_drop_cookie(s->t, s->cold, cookie);
	if (s->unswept > 0)
		s->unswept--;
	if (s->unswept > 0 || slot_is_living(s))
		return;
	control_mark(s->sup, s);
	shutdown_poke(s->sup);
	free_if_done(s);
}

void slot_emptied(struct slot *s, const char *cookie)
{
	if (s->waiting && s->t->state == WIRE_SLOT_STUCK)
		launch_cancel(s, ETIMEDOUT);
	else if (s->waiting)
		launch_resume(s);
	slot_swept(s, cookie);
}

void slot_drained(struct slot *s)
{
	shutdown_poke(s->sup);
	free_if_done(s);
}

static void fill_exit(struct wire_exit *to, const struct table_exit *x)
{
	table_id_text(&x->incarnation, to->incarnation);
	to->seq = x->seq;
	to->pid = x->pid;
	to->code = x->code;
	to->signal = x->signal;
	to->core_dumped = x->core_dumped != 0;
	to->by_stop = x->by_stop != 0;
	to->killed = x->killed != 0;
	to->status_known = x->status_known != 0;
	to->oom_killed = x->oom_killed != 0;
	to->stage = x->stage;
	to->err = x->err;
	to->what = x->what;
	to->started_wall_ms = x->started_wall_ms;
	to->ended_wall_ms = x->ended_wall_ms;
	to->started_mono_ms = x->started_mono_ms;
	to->ended_mono_ms = x->ended_mono_ms;
}

void slot_fill(const struct slot *s, struct wire_slot *m)
{
	const struct table_slot *t = s->t;

	supervisor_fill_key(&m->key, s, t->incarnation);
	m->state = (uint8_t)t->state;
	m->stage = s->refused ? WIRE_STAGE_REFUSED : (uint8_t)t->cell.stage;
	m->err = s->refused ? s->refused : t->cell.err;
	m->what = s->refused ? WIRE_WHAT_NONE : (uint8_t)t->cell.what;
	m->pid = t->state == WIRE_SLOT_EMPTY ? 0 : t->cell.pid;
	snprintf(m->runtime, sizeof(m->runtime), "%s", runtime_name(s->sup, t->unit));
	m->swept = t->state == WIRE_SLOT_EMPTY && s->unswept == 0;
	m->frozen = s->cgroup.frozen;
	m->started_wall_ms = t->started_wall_ms;
	m->started_mono_ms = t->started_mono_ms;
	m->exits_lost = t->exits_lost;
	m->n_exits = t->n_exits;
	for (uint32_t i = 0; i < t->n_exits; i++)
		fill_exit(&m->exits[i], &s->cold->exits[i]);
	m->has_push = push_fill(s, &m->push);
	stream_fault_fill(s, m);
	m->note = s->note_due ? table_note(t, s->cold) : NULL;
	m->note_len = s->note_due ? t->note_len : 0;
}

void slot_read_start_times(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		struct slot *s = sup->slots[i];

		if (s && s->t->start_ticks == 0 && child_has_execed(&s->child))
			s->t->start_ticks = proc_start_ticks(s->t->cell.pid);
	}
}
