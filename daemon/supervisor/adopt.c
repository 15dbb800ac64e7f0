/* adopt: see adopt.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/adopt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "daemon/supervisor/cgroup.h"
#include "daemon/supervisor/giveback.h"
#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/push.h"
#include "daemon/supervisor/push_keep.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/unit.h"
#include "daemon/supervisor/unit_file.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define SAY_MAX 50 /* lines about single replicas */

/* ---- the table's slots ---- */

static bool is_cookie(const char *s)
{
	return strnlen(s, WIRE_INCARNATION_SIZE) == WIRE_INCARNATION_SIZE - 1 &&
	       strspn(s, "0123456789abcdef") == WIRE_INCARNATION_SIZE - 1;
}

/* Would a sweep for it hit a sound slot's process? */
static bool is_used_elsewhere(struct supervisor *sup, uint32_t number, const char *cookie)
{
	for (uint32_t i = 0; i < sup->table.n_slots; i++) {
		const struct table_slot *t = table_slot(&sup->table, i);

		if (i != number && table_is_valid(&sup->table, i) &&
		    strcmp(t->incarnation, cookie) == 0)
			return true;
	}
	return false;
}

/* Nothing of it is believed but its cookie: what runs with that is ended, for nobody else would. */
static void clear_damaged(struct supervisor *sup, uint32_t number)
{
	struct table_slot *t = table_slot(&sup->table, number);
	char cookie[WIRE_INCARNATION_SIZE];
	struct slot *s;

	memcpy(cookie, t->incarnation, sizeof(cookie));
	log_error("slot=%u of the table is damaged, clearing it%s", number,
		  is_cookie(cookie) ? " and ending its process" : "");
	memset(t, 0, sizeof(*t));
	sup->adopt.n_damaged++;
	if (!is_cookie(cookie) || is_used_elsewhere(sup, number, cookie))
		return;
	/* A place for the sweep, which the controller may see: no replica has such an index. */
	memcpy(t->service, "damaged", sizeof("damaged"));
	memcpy(t->incarnation, cookie, sizeof(cookie));
	t->index = UINT32_MAX - number;
	t->flags = TABLE_RELEASED; /* freed when it is swept */
	t->used = 1;
	s = slot_attach(sup, number);
	if (!s)
		return;
	table_add_cookie(t, s->cold, cookie);
	sweep_add(s, cookie, SWEEP_FORMER);
}

/* Killed while it wrote an exit down, the former aictld left half a record at the end. */
static void repair_exits(struct slot *s)
{
	struct table_exit *x = s->cold->exits;
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->t->n_exits; i++)
		if (!table_id_is(&x[i].incarnation, "") && x[i].seq <= s->t->exit_seq &&
		    (n == 0 || x[i].seq > x[n - 1].seq))
			x[n++] = x[i];
	s->t->n_exits = n;
}

/* Its exit stands in the table already: only the rest of the work was not done. */
static bool has_exited(const struct slot *s)
{
	uint32_t n = s->t->n_exits;

	return n > 0 && table_id_is(&s->cold->exits[n - 1].incarnation, s->t->incarnation);
}

/* What it left is looked for, too: once more rather than not at all. */
static void finish_exit(struct slot *s)
{
	struct table_slot *t = s->t;

	if (t->unit == 0 && (t->state != WIRE_SLOT_EMPTY || has_exited(s)) &&
	    is_cookie(t->incarnation)) {
		table_drop_cookie(t, s->cold, t->incarnation);
		table_add_cookie(t, s->cold, t->incarnation);
	}
	t->state = WIRE_SLOT_EMPTY;
	t->cell.pid = 0;
	t->start_ticks = 0;
	t->flags &= (uint32_t)TABLE_RELEASED;
}

/* Pid and start time are proof; without the latter the cgroup, where there is one, must agree. */
static int open_process(struct slot *s)
{
	const struct table_slot *t = s->t;
	int pidfd = proc_open(t->cell.pid, t->start_ticks, t->started_mono_ms);

	if (pidfd >= 0 && t->start_ticks == 0 && cgroup_exists(s) &&
	    !cgroup_has_pid(s, t->cell.pid))
		mem_closep(&pidfd);
	return pidfd;
}

/* Of one that has exec'd and had no time to be given its own. A score from the manifest it has set
 * itself, before. */
static void reset_oom_score(const struct slot *s)
{
	if (s->t->state == WIRE_SLOT_RUNNING && s->sup->spawner.protected &&
	    proc_has_our_oom_score(s->t->cell.pid))
		spawn_reset_oom_score(s->t->cell.pid);
}

static void hold_pipes(struct slot *s)
{
	if (s->stream_due && !s->child.half_made && child_is_alive(&s->child))
		stream_hold(s);
}

static void take_process(struct slot *s)
{
	struct adopt *a = &s->sup->adopt;
	struct table_slot *t = s->t;
	bool ran = t->cell.stage == WIRE_STAGE_EXEC && t->cell.err == 0;
	bool spawning = t->state == WIRE_SLOT_SPAWNING;
	int pidfd = open_process(s);

	POINT("aictld.giveback.process");
	s->stream_due = ran;
	if (pidfd >= 0) {
		if (t->start_ticks == 0)
			t->start_ticks = proc_start_ticks(t->cell.pid);
		if (slot_adopt(s, pidfd, spawning && a->half_made) == 0) {
			s->stream_due |= s->child.half_made;
			hold_pipes(s);
			push_adopt(s);
			sockets_adopt(s);
			a->n_living++;
			if (spawning)
				reset_oom_score(s);
			return;
		}
		log_error("replica=%s/%u pid=%d cannot be watched, killing it", t->service,
			  t->index, t->cell.pid);
		proc_kill(t->cell.pid, t->start_ticks, t->started_mono_ms);
	}
	a->n_gone++;
	s->missing = ran; /* a logger may have its pidfd */
	if (!ran)
		slot_lost(s);
}

/* Nothing is to run in the slot: what is left in its cgroup goes. */
static void empty_cgroup(struct slot *s)
{
	if (cgroup_exists(s) && !cgroup_is_empty(s))
		cgroup_empty(s, s->t->incarnation);
}

static void load_slot(struct supervisor *sup, uint32_t number)
{
	struct table_slot *t = table_slot(&sup->table, number);
	struct wire_key key = {0};
	struct slot *s;

	if (table_is_valid(&sup->table, number)) {
		memcpy(key.service, t->service, sizeof(key.service));
		key.index = t->index;
	}
	if (key.service[0] == '\0' || slot_find(sup, &key)) {
		clear_damaged(sup, number);
		return;
	}
	s = slot_attach(sup, number);
	if (!s)
		return;
	s->has_sockets = true; /* perhaps: then they go with the slot */
	repair_exits(s);
	cgroup_adopt(s);
	push_restore_main(s);
	if (t->state == WIRE_SLOT_EMPTY || has_exited(s))
		finish_exit(s);
	for (uint32_t i = 0; i < t->n_cookies; i++) {
		char cookie[WIRE_INCARNATION_SIZE];

		table_id_text(&s->cold->cookies[i], cookie);
		sweep_add(s, cookie, SWEEP_FORMER);
	}
	unit_adopt(s);
	if (t->state == WIRE_SLOT_EMPTY) {
		empty_cgroup(s);
		return;
	}
	if (unit_of(s)) {
		sup->adopt.n_living++;
		return;
	}
	if (t->cell.pid > 0 && t->unit == 0) {
		take_process(s);
		return;
	}
	empty_cgroup(s);
	if (t->cell.err == 0)
		t->cell.err = ECANCELED; /* killed before clone3 */
	slot_not_cloned(s);
}

/* ---- a child that has not exec'd ---- */

static void on_half_made(void *user)
{
	struct supervisor *sup = user;
	struct adopt *a = &sup->adopt;

	a->half_made = dirs_have_half_made(&sup->dirs);
	if (a->half_made) {
		loop_timer_arm(&sup->loop, &a->half_made_timer,
			       clock_mono_ms() + ADOPT_HALF_MADE_MS);
		return;
	}
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		struct slot *s = sup->slots[i];

		if (!s || !s->child.half_made)
			continue;
		slot_settle(s);
		reset_oom_score(s);
		s->stream_due &= child_has_execed(&s->child);
		if (s->stream_due && slot_is_living(s) && !a->active)
			stream_remake(s, true);
	}
	link_flush(&sup->logger.link);
}

/* ---- the former controller and what it ran ---- */

static void forget_controller(struct supervisor *sup)
{
	struct adopt *a = &sup->adopt;

	loop_del(&sup->loop, &a->controller_io);
	loop_timer_disarm(&sup->loop, &a->controller_timer);
	mem_closep(&a->controller_pidfd);
	a->controller_pid = 0;
	if (!a->active && (!sweep_has_former(sup) || !sup->start_timer.armed))
		supervisor_start_helpers(sup);
}

static void on_controller_gone(void *user, uint32_t events)
{
	(void)events;
	forget_controller(user);
}

/* One that SIGKILL does not end is in the kernel, and never runs again: it harms no other one. */
static void on_controller_timer(void *user)
{
	struct supervisor *sup = user;
	struct adopt *a = &sup->adopt;

	if (a->controller_killed) {
		log_error("former controller pid=%d hangs in the kernel, on a disk that does not "
			  "answer: SIGKILL does not end it, starting the next one beside it",
			  a->controller_pid);
		forget_controller(sup);
		return;
	}
	log_warn("former controller pid=%d does not end, killing it", a->controller_pid);
	pidfd_send_signal(a->controller_pidfd, SIGKILL, NULL, 0);
	a->controller_killed = true;
	loop_timer_arm(&sup->loop, &a->controller_timer, clock_mono_ms() + ADOPT_STUCK_MS);
}

static void watch_controller(struct supervisor *sup)
{
	const struct table_helper *h = &sup->table.header->controller;
	struct adopt *a = &sup->adopt;

	if (h->pid <= 1 || h->start_ticks == 0)
		return;
	a->controller_pidfd = proc_open(h->pid, h->start_ticks, 0);
	if (a->controller_pidfd < 0)
		return;
	if (loop_add(&sup->loop, &a->controller_io, a->controller_pidfd, EPOLLIN) < 0) {
		pidfd_send_signal(a->controller_pidfd, SIGKILL, NULL, 0);
		mem_closep(&a->controller_pidfd);
		return;
	}
	a->controller_pid = h->pid;
	loop_timer_arm(&sup->loop, &a->controller_timer, clock_mono_ms() + ADOPT_CONTROLLER_MS);
}

bool adopt_controller_is_gone(const struct supervisor *sup)
{
	return sup->adopt.controller_pid == 0;
}

static void kill_runs(struct supervisor *sup)
{
	for (int i = 0; i < WIRE_RUNS_MAX; i++) {
		struct table_run *n = &sup->table.header->runs[i];

		if (n->cell.pid > 1)
			proc_kill(n->cell.pid, 0, n->started_mono_ms);
		*n = (struct table_run){0};
	}
}

/* ---- pipes that cannot be opened ---- */

static bool is_held_up(struct slot *s)
{
	return child_is_alive(&s->child) && stream_is_stuck(s);
}

/* Nobody gave them back, and they could not be opened: a disk that does not answer holds them. */
static void on_pipes(void *user)
{
	struct supervisor *sup = user;
	bool again = false;

	for (uint32_t i = 0; i < sup->n_slots; i++) {
		struct slot *s = sup->slots[i];

		if (!s || !s->stream_due || s->child.half_made)
			continue;
		if (is_held_up(s))
			again = true;
		else
			stream_remake(s, true);
	}
	if (again)
		loop_timer_arm(&sup->loop, &sup->adopt.pipes_timer,
			       clock_mono_ms() + ADOPT_PIPES_MS);
	link_flush(&sup->logger.link);
}

/* ---- files of units ---- */

static bool is_units(struct supervisor *sup, const char *incarnation)
{
	for (uint32_t i = 0; i < sup->n_slots; i++)
		for (const struct unit *u = sup->slots[i] ? sup->slots[i]->units : NULL; u;
		     u = u->next_of_slot)
			if (strcmp(u->incarnation, incarnation) == 0)
				return true;
	return false;
}

/* ---- begin, end ---- */

void adopt_init(struct supervisor *sup)
{
	struct adopt *a = &sup->adopt;

	a->controller_io = (struct loop_io){.fn = on_controller_gone, .user = sup};
	a->controller_timer = (struct loop_timer){.fn = on_controller_timer, .user = sup};
	a->half_made_timer = (struct loop_timer){.fn = on_half_made, .user = sup};
	a->pipes_timer = (struct loop_timer){.fn = on_pipes, .user = sup};
	a->controller_pidfd = -1;
	a->half_made = dirs_have_half_made(&sup->dirs);
	a->active = true;
}

void adopt_done(struct supervisor *sup)
{
	struct adopt *a = &sup->adopt;

	loop_timer_disarm(&sup->loop, &a->controller_timer);
	loop_timer_disarm(&sup->loop, &a->half_made_timer);
	loop_timer_disarm(&sup->loop, &a->pipes_timer);
	loop_del(&sup->loop, &a->controller_io);
	mem_closep(&a->controller_pidfd);
}

/* A level that was set while the former one ran holds on, unless this start asks for another. */
static void restore_log_level(struct supervisor *sup)
{
	struct table_header *h = sup->table.header;
	uint32_t asked = 1 + (uint32_t)sup->opt->log_level;

	if (sup->table.former && h->option_log_level == asked && h->log_level >= 1 &&
	    h->log_level <= 1 + LOG_LVL_DEBUG)
		log_set_level((enum log_level)(h->log_level - 1));
	else
		h->log_level = 0;
	h->option_log_level = asked;
}

void adopt_begin(struct supervisor *sup)
{
	struct adopt *a = &sup->adopt;

	restore_log_level(sup);
	if (sup->table.former) {
		for (uint32_t i = 0; i < sup->table.n_slots; i++)
			if (table_slot(&sup->table, i)->used)
				load_slot(sup, i);
		kill_runs(sup);
		POINT("aictld.giveback.loaded");
		watch_controller(sup);
		giveback_begin(sup);
		child_collect(sup); /* after a re-exec: who ended meanwhile */
		log_info("taking over slots=%u living=%u ended=%u damaged=%u", sup->n_used,
			 a->n_living, a->n_gone, a->n_damaged);
	}
	unit_file_clean(sup, is_units);
	push_keep_drop(sup);
	if (a->half_made)
		on_half_made(sup);
	adopt_poke(sup);
}

void adopt_hold_pipes(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++)
		if (sup->slots[i])
			hold_pipes(sup->slots[i]);
}

/* Nobody gave back what we hold. No gap: a logger had it, and died before it could. */
static void finish_held(struct slot *s)
{
	struct adopt *a = &s->sup->adopt;

	if (!s->sup->giveback.cut_short && child_is_alive(&s->child) && ++a->n_remade <= SAY_MAX)
		stream_say_gap(s);
	s->held = 0;
}

static void finish_slot(struct slot *s)
{
	struct adopt *a = &s->sup->adopt;

	if (s->held)
		finish_held(s);
	if (s->stream_due && !s->child.half_made && is_held_up(s)) {
		loop_timer_arm(&s->sup->loop, &a->pipes_timer, clock_mono_ms() + ADOPT_PIPES_MS);
	} else if (s->stream_due && !s->child.half_made) {
		a->n_remade += child_is_alive(&s->child);
		stream_remake(s, a->n_remade <= SAY_MAX); /* nobody reads our log yet */
	}
	unit_adopt_streams(s);
	if (s->missing)
		slot_lost(s);
	if (s->t->flags & TABLE_RELEASED)
		slot_release(s); /* perhaps nothing is left of it */
}

void adopt_poke(struct supervisor *sup)
{
	struct adopt *a = &sup->adopt;

	if (!a->active || !giveback_is_complete(sup))
		return;
	POINT("aictld.giveback.adopting");
	a->active = false;
	for (uint32_t i = 0; i < sup->n_slots; i++)
		if (sup->slots[i])
			finish_slot(sup->slots[i]);
	if (a->n_remade > SAY_MAX)
		log_warn("and so for replicas=%u in all", a->n_remade);
	if (sup->table.former)
		log_info("taken over slots=%u given_back=%u", sup->n_used, sup->giveback.n_given);
	helper_start(&sup->logger);
	POINT("aictld.giveback.logger_started");
	runtime_start_all(sup);
	if (!sweep_has_former(sup))
		supervisor_start_helpers(sup);
	if (a->shutdown)
		shutdown_begin(sup, a->by_signal);
}

bool adopt_defers_shutdown(struct supervisor *sup, bool by_signal)
{
	struct adopt *a = &sup->adopt;

	if (!a->active)
		return false;
	a->shutdown = true;
	a->by_signal |= by_signal;
	return true;
}
