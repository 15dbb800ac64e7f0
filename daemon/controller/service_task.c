/* service_task: see service_task.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/service_task.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/inventory.h"
#include "daemon/controller/plan.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/revisions.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/store.h"
#include "daemon/controller/task.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define LOOK_MS (60 * 1000) /* the wall clock may be set meanwhile */

bool service_task_is(const struct service *s)
{
	return s->spec && s->spec->type == SPEC_TASK;
}

bool service_task_is_scheduled(const struct service *s)
{
	return service_task_is(s) && s->spec->schedule.enabled;
}

bool service_task_keeps(const struct service *s)
{
	return service_task_is_scheduled(s) ||
	       (service_task_is(s) && s->spec->run_again == AGAIN_NEVER);
}

/* ---- the specification ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_schedule(const struct service_spec *a, const struct service_spec *b)
{
	const struct schedule_spec *x = &a->schedule, *y = &b->schedule;

	return x->enabled == y->enabled && x->every_ms == y->every_ms &&
	       same_text(x->cron, y->cron) && same_text(x->timezone, y->timezone);
}

void service_task_respec(struct service *s, const struct service_spec *before)
{
	if (!service_task_is(s)) {
		mem_free(s->task);
		s->task = NULL;
		return;
	}
	if (!s->task) {
		s->task = mem_alloc(sizeof(*s->task));
		before = NULL;
	}
	if (!s->task) {
		log_error("service=%s runs no more by itself: out of memory", s->name);
		return;
	}
	if (!before || !same_schedule(before, s->spec)) {
		s->task->after_wall_ms = clock_wall_ms();
		s->task->next_wall_ms = INT64_MAX;
	}
	if (s->spec->schedule.cron)
		cron_parse(s->spec->schedule.cron, &s->task->cron, NULL);
}

/* ---- what runs ---- */

static bool is_active(const struct replica *r)
{
	return replica_sm_is_live(r->state) || r->state == REPLICA_BACKOFF;
}

bool service_task_is_active(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (is_active(s->replicas[i]))
			return true;
	return false;
}

bool service_task_has_begun(const struct service *s, const struct replica *r)
{
	return s->task && s->task->due && r->started_wall_ms >= s->task->due_wall_ms;
}

bool service_task_rests(const struct service *s)
{
	return service_task_is_scheduled(s) && s->task && !s->task->due &&
	       !service_task_is_active(s);
}

/* A scheduled one whose last run failed is not: whoever waits is told. */
bool service_task_is_settled(const struct service *s)
{
	bool scheduled = service_task_is_scheduled(s);

	if (s->n_replicas != service_desired(s) || (s->task && s->task->due))
		return false;
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->state != REPLICA_SUCCEEDED &&
		    !(scheduled && s->replicas[i]->state == REPLICA_WAITING))
			return false;
	return true;
}

int64_t service_task_next_wall_ms(const struct service *s)
{
	if (!service_task_is_scheduled(s) || !s->task || service_desired(s) == 0 ||
	    s->task->next_wall_ms == INT64_MAX)
		return 0;
	return s->task->next_wall_ms;
}

static void set_due(struct service *s)
{
	s->task->due = true;
	s->task->before_wall_ms = 0;
	s->task->said = false;
	s->task->due_wall_ms = clock_wall_ms();
	for (size_t i = 0; i < s->n_replicas; i++) {
		policy_reset(&s->replicas[i]->policy);
		s->replicas[i]->restarts = 0;
	}
}

static void set_due_by_schedule(struct service *s, int64_t before_wall_ms)
{
	set_due(s);
	s->task->before_wall_ms = before_wall_ms;
}

void service_task_run(struct service *s)
{
	if (!s->task || s->task->due || service_task_is_active(s))
		return;
	set_due(s);
	controller_touch(s);
}

bool service_task_would_run(const struct service *s, const struct service_spec *want)
{
	return want->type == SPEC_TASK && want->run_again == AGAIN_ALWAYS && !s->stopped &&
	       !want->schedule.enabled && s->n_replicas > 0 && !service_task_is_active(s);
}

void service_task_applied(struct service *s)
{
	if (s->spec && service_task_would_run(s, s->spec))
		service_task_run(s);
}

/* ---- the schedule ---- */

static void say_not_run(const struct service *s, const char *reason, int64_t at_wall_ms,
			const char *why)
{
	char when[CLOCK_RFC3339_SIZE], message[160];
	const struct event_args a = {s->name, -1, "schedule", reason, message, NULL, NULL};

	snprintf(message, sizeof(message), "the run of %s is skipped: %s",
		 clock_rfc3339(at_wall_ms, when), why);
	log_info("service=%s %s", s->name, message);
	events_add(s->controller->events, &a);
}

/* Said once: the others that fall into the same run would only repeat it. */
static void skip(struct service *s, int64_t at_wall_ms)
{
	if (!s->task->said)
		say_not_run(s, "overlap", at_wall_ms,
			    s->task->due ? "the last one has not begun"
					 : "the last one still runs");
	s->task->said = true;
}

static struct task_due look_up(const struct service *s, int64_t now_wall_ms)
{
	const struct schedule_spec *schedule = &s->spec->schedule;
	const struct task_clock t = {
		.cron = schedule->cron ? &s->task->cron : NULL,
		.tz = zones_get(&s->controller->zones, s->spec->schedule.timezone),
		.every_ms = schedule->every_ms,
		.run_missed = schedule->missed == MISSED_RUN};

	return task_ask(&t, s->task->after_wall_ms, now_wall_ms);
}

/* Returns the time until the next look. */
static int64_t ask_schedule(struct service *s)
{
	const int64_t now = clock_wall_ms(), before = s->task->after_wall_ms;
	const struct task_due due = look_up(s, now);

	s->task->after_wall_ms = due.after_wall_ms;
	s->task->next_wall_ms = due.next_wall_ms;
	if (due.verdict == TASK_MISSED)
		say_not_run(s, "missed", due.at_wall_ms, "it was missed");
	else if (due.verdict == TASK_DUE && (s->task->due || service_task_is_active(s)))
		skip(s, due.at_wall_ms);
	else if (due.verdict == TASK_DUE)
		set_due_by_schedule(s, before);
	return due.next_wall_ms - now < LOOK_MS ? due.next_wall_ms - now : LOOK_MS;
}

/* ---- the limit of an attempt ---- */

static int64_t limit_of(const struct replica *r, int64_t now_mono_ms)
{
	int64_t begun = r->health.begun_mono_ms;

	if (begun == 0) /* its note was lost: the start is known by the other clock */
		begun = now_mono_ms - (clock_wall_ms() - r->started_wall_ms);
	return clock_add(begun, r->service->spec->timeout_ms);
}

/* Ends what has run too long; when the next one will have. */
static int64_t enforce_limit(struct service *s, int64_t now_mono_ms)
{
	int64_t next = INT64_MAX, limit;
	char human[24];

	for (size_t i = 0; s->spec->timeout_ms && i < s->n_replicas; i++) {
		struct replica *r = s->replicas[i];

		if (!r->pid || !replica_sm_is_live(r->state) || replica_sm_is_ending(r->state) ||
		    r->state == REPLICA_UNKNOWN)
			continue;
		limit = limit_of(r, now_mono_ms);
		if (limit > now_mono_ms) {
			next = limit < next ? limit : next;
			continue;
		}
		replica_say(r, "timeout", "ran longer than its timeout of %s",
			    clock_human(s->spec->timeout_ms, human, sizeof(human)));
		replica_condemn(r, "timeout");
	}
	return next;
}

int64_t service_task_ask(struct service *s, struct plan_desired *desired, int64_t now_mono_ms)
{
	int64_t wake = INT64_MAX, at;

	desired->task = service_task_is(s);
	desired->scheduled = service_task_is_scheduled(s);
	desired->run_at_mono_ms = INT64_MAX;
	if (!s->task || desired->frozen || desired->deleted)
		return wake;
	if (s->stopped)
		s->task->due = false;
	wake = enforce_limit(s, now_mono_ms);
	if (desired->scheduled && service_desired(s) > 0) {
		at = now_mono_ms + ask_schedule(s);
		wake = at < wake ? at : wake;
	} else {
		s->task->after_wall_ms = clock_wall_ms();
	}
	if (s->task->due)
		desired->run_at_mono_ms = now_mono_ms;
	return wake;
}

/* A run that has not begun is not over for the next aictld. */
static int64_t over_wall_ms(const struct service *s)
{
	const struct service_task *t = s->task;

	return t->due && t->before_wall_ms ? t->before_wall_ms : t->after_wall_ms;
}

/* A few times per run, not with each look. */
static void remember(struct service *s)
{
	const struct service_run now = {.due_wall_ms = s->task->due ? s->task->due_wall_ms : 0,
					.after_wall_ms = service_task_is_scheduled(s) &&
									 service_desired(s) > 0
								 ? over_wall_ms(s)
								 : s->run.after_wall_ms};

	if (now.due_wall_ms == s->run.due_wall_ms && now.after_wall_ms == s->run.after_wall_ms)
		return;
	if (store_put_run(s->controller->store, s->name, now.due_wall_ms, now.after_wall_ms) == 0)
		s->run = now;
}

void service_task_settled(struct service *s)
{
	unsigned begun = 0;

	if (!s->task || s->deleted)
		return;
	for (size_t i = 0; s->task->due && i < s->n_replicas; i++)
		begun += service_task_has_begun(s, s->replicas[i]);
	if (begun >= service_desired(s))
		s->task->due = false;
	remember(s);
}

/* ---- after a start of the daemon ---- */

/* Since when it is what it is now: runs before that were of something else. */
static int64_t changed_wall_ms(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;

	return ro && ro->number && ro->now.hash == s->launch_hash ? ro->now.started_wall_ms : 0;
}

/* How many attempts in a row have failed, up to the last one. */
static int64_t failures(const struct service *s, unsigned index, int64_t since_wall_ms)
{
	int64_t n = 0;

	for (size_t i = s->exits->n; i-- > 0;) {
		const struct replica_exit *x = &s->exits->list[i].exit;

		if (s->exits->list[i].index != index)
			continue;
		if (x->started_wall_ms < since_wall_ms ||
		    task_outcome(s->spec, x->cause, x->code) != 0)
			break;
		n++;
	}
	return n;
}

static void restore_replica(struct service *s, unsigned index, const struct replica_exit *x)
{
	const int64_t since = service_task_keeps(s) ? 0 : changed_wall_ms(s);
	int outcome = task_outcome(s->spec, x->cause, x->code);
	struct replica *r;

	if (outcome < 0 || x->started_wall_ms < since)
		return;
	if (outcome == 0 && failures(s, index, since) <= s->spec->retries &&
	    s->exits->n < EXITS_KEPT)
		return;
	r = service_add_replica(s, index);
	if (r)
		replica_restore_end(r, outcome ? REPLICA_SUCCEEDED : REPLICA_FAILED, x);
}

/* A run that was due and had not begun, of this life of aictld's: later it would be a surprise, and it
 * is for the schedule to say what becomes of one that was missed. */
static void restore_due(struct service *s)
{
	int64_t began = s->controller->status.started_wall_ms, before = s->task->after_wall_ms;
	struct task_due due;

	if (s->stopped || s->run.due_wall_ms == 0 || began == 0 || s->run.due_wall_ms < began)
		return;
	s->task->due = true;
	s->task->due_wall_ms = s->run.due_wall_ms;
	if (!service_task_is_scheduled(s))
		return;
	due = look_up(s, s->run.due_wall_ms);
	if (due.verdict == TASK_NOT_YET)
		return; /* it was the user's doing */
	s->task->before_wall_ms = before;
	s->task->after_wall_ms = due.after_wall_ms;
}

/* Of a store that does not say: what was before the last run, or before the last change, is over. */
static void derive_schedule(struct service *s)
{
	const struct revision *revision =
		revisions_find(controller_set(s->controller, s->set), s->revision);
	int64_t after = revision ? revision->at_wall_ms : 0;

	for (size_t i = 0; i < s->exits->n; i++)
		if (s->exits->list[i].exit.started_wall_ms > after)
			after = s->exits->list[i].exit.started_wall_ms;
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->started_wall_ms > after)
			after = s->replicas[i]->started_wall_ms;
	if (after && after < s->task->after_wall_ms)
		s->task->after_wall_ms = after;
}

static void restore_schedule(struct service *s)
{
	if (s->run.after_wall_ms) {
		s->task->after_wall_ms = s->run.after_wall_ms;
		return;
	}
	derive_schedule(s);
}

void service_task_restore(struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++) {
		struct service *s = c->services[i];
		bool again;

		if (!s->task || !s->spec || s->deleted || s->left_alone)
			continue;
		again = s->spec->run_again == AGAIN_ALWAYS && !s->spec->schedule.enabled;
		for (unsigned k = 0; !again && k < service_desired(s); k++) {
			const struct replica_exit *x =
				inventory_last_exit(c->inventory, s->name, k);

			if (x && !service_replica(s, k))
				restore_replica(s, k, x);
		}
		if (service_task_is_scheduled(s))
			restore_schedule(s);
		restore_due(s);
	}
}
