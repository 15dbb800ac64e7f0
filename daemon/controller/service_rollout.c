/* service_rollout: see service_rollout.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/service_rollout.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/conflicts.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_standby.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_canary.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/store.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

_Static_assert(SERVICE_ROLLOUTS_KEPT == STORE_ROLLOUTS_KEPT, "what is shown and what is kept");

/* ---- the last good revision ---- */

/* Which one is it, when s gets another revision now? Borrowed. */
static struct service_good good_of(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;

	if (!s->spec || s->deleted || s->left_alone)
		return (struct service_good){0};
	if (ro && (ro->now.state == ROLLOUT_PROGRESSING || ro->now.state == ROLLOUT_PAUSED ||
		   ro->now.state == ROLLOUT_FAILED))
		return ro->good;
	return (struct service_good){s->source, s->spec, s->identity, s->revision, s->launch_hash};
}

static void good_take(struct service_rollout *ro, const struct service_good *good)
{
	struct service_good old = ro->good;

	ro->good = *good;
	if (good->source)
		service_source_ref(good->source);
	if (good->identity)
		identity_ref(good->identity);
	service_source_unref(old.source);
	identity_unref(old.identity);
}

const struct service_good *service_rollout_good(const struct service *s, uint64_t hash)
{
	const struct service_rollout *ro = s->rollout;

	return ro && ro->good.source && ro->good.hash == hash ? &ro->good : NULL;
}

const struct service_good *service_rollout_growable(const struct service *s)
{
	const struct service_good *good = s->rollout ? &s->rollout->good : NULL;

	/* aictld has the present secrets only */
	if (!good || !good->source || !good->spec || !s->spec ||
	    good->spec->secrets_generation != s->spec->secrets_generation)
		return NULL;
	return good;
}

/* ---- the record ---- */

/* In the store. */
enum flags { LOOKED_AT = 1, TOLERANT = 2, BARRED = 4, AGREED = 8, CANARY = 16 };

/* What it goes back to is tried already. */
static bool goes_by_steps(const struct service_next *next, const struct service_good *good)
{
	return next->steps && good->source && good->hash != next->hash;
}

struct store_rollout service_rollout_row(const struct service *s, const char *name,
					 const struct service_next *next)
{
	struct service_good good = s ? good_of(s) : (struct service_good){0};

	return (struct store_rollout){.service = name,
				      .number = s && s->rollout ? s->rollout->number + 1 : 1,
				      .state = rollout_state_name(ROLLOUT_PROGRESSING),
				      .revision = next->revision,
				      .hash = next->hash,
				      .flags = goes_by_steps(next, &good) ? CANARY : 0,
				      .progress_mono_ms = clock_mono_ms(),
				      .started_wall_ms = clock_wall_ms(),
				      .reason = "",
				      .keys = next->keys,
				      .good_revision = good.revision,
				      .good_sources = good.source ? good.source->json : NULL};
}

static void publish(const struct service *s, const char *message)
{
	const struct event_args a = {
		s->name, -1,   "rollout", rollout_state_name(s->rollout->now.state),
		message, NULL, NULL};

	events_add(s->controller->events, &a);
}

/* Of the present one, without what does not change. */
static void put(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;
	const struct rollout *r = &ro->now;
	const struct store_rollout row = {
		.service = s->name,
		.number = ro->number,
		.state = rollout_state_name(r->state),
		.flags = (r->looked_at ? LOOKED_AT : 0) | (r->tolerant ? TOLERANT : 0) |
			 (r->barred ? BARRED : 0) | (ro->agreed ? AGREED : 0) |
			 (r->canary ? CANARY : 0),
		.step = r->step,
		.step_mono_ms = r->step_mono_ms,
		.progress_mono_ms = r->progress_mono_ms,
		.ended_wall_ms = r->ended_wall_ms,
		.reason = r->reason,
		.keeps_good = ro->good.source != NULL};

	if (store_put_rollout(s->controller->store, &row, NULL, NULL) < 0)
		log_warn(
			"service=%s its rollout is not stored: the state directory does not keep up",
			s->name);
}

/* After each change of its state. */
static void phrase(const struct service *s)
{
	static const char *const words[ROLLOUT_STATE_MAX_] = {
		[ROLLOUT_PAUSED] = "update paused at",
		[ROLLOUT_FAILED] = "update failed at",
		[ROLLOUT_ROLLING_BACK] = "rolling back from",
		[ROLLOUT_ROLLED_BACK] = "rolled back from"};
	struct service_rollout *ro = s->rollout;
	const char *word = words[ro->now.state];
	unsigned share = service_canary_share(s);

	ro->said[0] = '\0';
	if (word && !ro->agreed &&
	    !(ro->now.state == ROLLOUT_FAILED && !ro->good.source)) /* the first: no update */
		snprintf(ro->said, sizeof(ro->said), "%s revision %llu: %s", word,
			 (unsigned long long)ro->now.revision, ro->now.reason);
	else if (ro->now.state == ROLLOUT_PROGRESSING && share)
		snprintf(ro->said, sizeof(ro->said),
			 "canary: revision %llu has %u %% of the requests",
			 (unsigned long long)ro->now.revision, share);
}

static void tell(struct service *s)
{
	const struct rollout *r = &s->rollout->now;
	char message[ROLLOUT_REASON_MAX + 64], step[64];
	const char *more = r->reason[0] ? r->reason : service_canary_say(s, step, sizeof(step));

	snprintf(message, sizeof(message), "revision %llu: %s%s%s", (unsigned long long)r->revision,
		 rollout_state_name(r->state), more[0] ? ": " : "", more);
	phrase(s);
	log_info("service=%s rollout of %s", s->name, message);
	publish(s, message);
	put(s);
	controller_touch(s);
}

static void past_free(struct service_past *p)
{
	mem_free(p->reason);
	mem_free(p->keys);
}

static void past_add(struct service_rollout *ro, const struct service_past *p)
{
	if (ro->n_past == SERVICE_ROLLOUTS_KEPT) {
		past_free(&ro->past[0]);
		memmove(&ro->past[0], &ro->past[1], --ro->n_past * sizeof(ro->past[0]));
	}
	ro->past[ro->n_past++] = *p;
}

/* The present one becomes the past: another follows. */
static void retire(struct service *s)
{
	struct service_rollout *ro = s->rollout;
	struct rollout *r = &ro->now;
	struct service_past p = {.number = ro->number,
				 .revision = r->revision,
				 .hash = r->hash,
				 .state = rollout_state_name(r->state),
				 .started_wall_ms = r->started_wall_ms};

	if (ro->number == 0)
		return;
	if (rollout_is_under_way(r)) {
		r->state = ROLLOUT_SUPERSEDED;
		r->ended_wall_ms = clock_wall_ms();
		p.state = rollout_state_name(r->state);
		put(s);
	}
	p.ended_wall_ms = r->ended_wall_ms;
	p.reason = mem_strdup(r->reason);
	p.keys = mem_strdup(ro->keys);
	past_add(ro, &p);
}

void service_rollout_free(struct service_rollout *ro)
{
	if (!ro)
		return;
	good_take(ro, &(struct service_good){0});
	service_canary_end(ro);
	for (unsigned i = 0; i < ro->n_past; i++)
		past_free(&ro->past[i]);
	mem_free(ro);
}

static struct service_rollout *find_or_make(struct service *s)
{
	if (!s->rollout)
		s->rollout = mem_alloc(sizeof(*s->rollout));
	if (!s->rollout)
		log_warn("service=%s is updated without a rollout: out of memory", s->name);
	return s->rollout;
}

void service_rollout_begin(struct service *s, const struct service_next *next)
{
	struct service_good good = good_of(s);
	struct service_rollout *ro = find_or_make(s);

	if (!ro)
		return;
	retire(s);
	good_take(ro, &good);
	service_canary_end(ro);
	rollout_begin(&ro->now, next->revision, next->hash, clock_mono_ms(), clock_wall_ms());
	ro->now.canary = goes_by_steps(next, &good);
	ro->number++;
	ro->agreed = false;
	ro->said[0] = '\0';
	ro->keys[0] = '\0';
	memccpy(ro->keys, next->keys ? next->keys : "", '\0', sizeof(ro->keys) - 1);
	if (good.source)
		publish(s, next->keys && next->keys[0] ? next->keys : "another revision");
}

void service_rollout_agree(struct service *s)
{
	struct service_rollout *ro = s->rollout;

	if (!ro || ro->now.state != ROLLOUT_ROLLED_BACK || ro->agreed)
		return;
	ro->agreed = true;
	phrase(s);
	put(s);
}

/* ---- what is being written ---- */

void service_rollout_hold(struct service *s)
{
	s->storing++;
}

void service_rollout_release(struct controller *c, const char *name)
{
	struct service *s = controller_find(c, name);

	if (!s || s->storing == 0)
		return;
	s->storing--;
	controller_touch(s);
}

/* ---- restoring ---- */

static enum rollout_state state_of(const char *name)
{
	for (int i = 0; i < ROLLOUT_STATE_MAX_; i++)
		if (strcmp(rollout_state_name((enum rollout_state)i), name) == 0)
			return (enum rollout_state)i;
	return ROLLOUT_COMPLETE;
}

void service_rollout_restore(struct service *s, const struct store_rollout *row)
{
	struct service_rollout *ro = find_or_make(s);
	int64_t now = clock_mono_ms();

	if (!ro)
		return;
	retire(s);
	ro->number = row->number;
	ro->now = (struct rollout){
		.state = state_of(row->state),
		.revision = row->revision,
		.hash = row->hash,
		.looked_at = row->flags & LOOKED_AT,
		.tolerant = row->flags & TOLERANT,
		.barred = row->flags & BARRED,
		.canary = row->flags & CANARY,
		.step = row->step > 0 ? (unsigned)row->step : 0,
		.step_mono_ms = row->step_mono_ms < now ? row->step_mono_ms : now,
		/* the machine may have been started anew since */
		.progress_mono_ms = row->progress_mono_ms < now ? row->progress_mono_ms : now,
		.started_wall_ms = row->started_wall_ms,
		.ended_wall_ms = row->ended_wall_ms};
	memccpy(ro->now.reason, row->reason, '\0', sizeof(ro->now.reason) - 1);
	ro->keys[0] = '\0';
	memccpy(ro->keys, row->keys ? row->keys : "", '\0', sizeof(ro->keys) - 1);
	ro->agreed = row->flags & AGREED;
	phrase(s);
}

static bool any_runs(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->pid)
			return true;
	return false;
}

void service_rollout_resumed(struct service *s)
{
	if (s->rollout)
		phrase(s);
	if (s->rollout && s->rollout->now.revision == s->revision)
		memccpy(s->changed_keys, s->rollout->keys, '\0', sizeof(s->changed_keys) - 1);
	if (s->rollout && !any_runs(s)) /* the time without a daemon is not its fault */
		s->rollout->now.progress_mono_ms = clock_mono_ms();
}

void service_rollout_set_good(struct service *s, const struct service_good *good)
{
	if (s->rollout)
		good_take(s->rollout, good);
}

/* ---- at work ---- */

/* What keeps it from being available; if its probes have passed, then something else. */
static const char *why(const struct replica *r)
{
	static const enum probe_kind kinds[] = {PROBE_READINESS, PROBE_STARTUP};

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !r->health.ready; i++)
		if ((r->state == REPLICA_STARTING || r->state == REPLICA_UNREADY) &&
		    replica_probe_said(r, kinds[i])[0])
			return replica_probe_said(r, kinds[i]);
	return replica_message(r);
}

static bool is_condemned(const struct replica *r)
{
	static const char *const causes[] = {"probe", "stall", "timeout", "watchdog", "hook"};

	if (r->state == REPLICA_STOPPING && r->intent == STOP_HEAL)
		return true;
	for (size_t i = 0; r->policy.streak > 0 && i < ARRAY_SIZE(causes); i++)
		if (r->last_exit.cause && strcmp(r->last_exit.cause, causes[i]) == 0)
			return true;
	return false;
}

/* One that is not available: is it the worst so far? */
static void see_unavailable(struct rollout_seen *seen, const struct replica *r)
{
	bool given_up = r->state == REPLICA_FAILED || is_condemned(r);

	if (seen->why && (seen->given_up || !given_up) && r->policy.streak <= seen->ends)
		return;
	if (seen->given_up && !given_up)
		return;
	seen->given_up = given_up;
	seen->ends = r->policy.streak;
	seen->index = r->index;
	seen->why = why(r);
}

static void see_replica(struct rollout_seen *seen, const struct replica *r, int64_t min_ready_ms,
			int64_t now)
{
	int64_t settled = r->ready_mono_ms ? clock_add(r->ready_mono_ms, min_ready_ms) : 0;

	if (r->launch_hash != r->service->launch_hash) {
		seen->others++;
	} else if (r->state == REPLICA_SUCCEEDED || (r->state == REPLICA_READY && settled <= now)) {
		seen->available++;
	} else {
		seen->others++;
		if (r->state == REPLICA_READY && settled < seen->settles_mono_ms)
			seen->settles_mono_ms = settled;
		else if (r->state != REPLICA_READY)
			see_unavailable(seen, r);
	}
}

static struct rollout_seen see(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;
	/* what is known to be good, or all there is, need not prove itself */
	bool trusted = ro->now.state == ROLLOUT_ROLLING_BACK || !ro->good.source;
	struct rollout_seen seen = {.wanted = service_desired(s),
				    .good = ro->good.source != NULL,
				    .idle = s->stopped || !order_is_open(s) ||
					    service_desired(s) == 0 || service_has_frozen(s),
				    .settles_mono_ms = INT64_MAX};

	for (size_t i = 0; i < s->n_replicas; i++)
		see_replica(&seen, s->replicas[i], trusted ? 0 : s->spec->update.min_ready_ms,
			    clock_mono_ms());
	return seen;
}

int service_rollout_check(const struct service *s, const struct service_good *to,
			  struct err **reterr)
{
	const struct conflicts k = {.c = s->controller, .specs = &to->spec, .n = 1, .set = s->set};
	struct manifest_errors errors = {0};
	int r = 0;

	conflicts_check(&k, &errors);
	if (errors.n) {
		const struct err *e = errors.errs[0];

		r = err_set(reterr, ERR_CONFLICT,
			    "revision %llu does not go together with what is there now: %s",
			    (unsigned long long)to->revision, e->msg);
		err_place(reterr, e->file, e->line, e->column);
		err_hint(reterr, "bring back what it needs and undo then, or apply a manifest that "
				 "goes together with it");
	}
	manifest_errors_done(&errors);
	return r;
}

/* The good revision becomes what is desired, in memory at once; should the store not have it when
 * we die, the next controller finds the update as failed as it is now. */
static void take_back(struct service *s)
{
	struct service_rollout *ro = s->rollout;
	struct service_good good = ro->good;
	struct store_service row = {.name = s->name,
				    .set = s->set,
				    .sources = good.source->json,
				    .revision = good.revision,
				    .stopped = s->stopped,
				    .replicas_override = s->replicas_override};
	int rc;

	s->revision = good.revision;
	s->updated_wall_ms = clock_wall_ms();
	service_set_spec(s, good.source, good.spec,
			 good.identity ? identity_ref(good.identity) : NULL);
	s->changed_keys[0] = '\0';
	memccpy(s->changed_keys, ro->keys, '\0', sizeof(s->changed_keys) - 1);
	for (size_t i = 0; i < s->n_replicas; i++) {
		if (replica_is_current(s->replicas[i]))
			replica_respec(s->replicas[i]);
		replica_standby_renew(s->replicas[i]);
	}
	good_take(ro, &(struct service_good){0});
	service_canary_end(ro);
	store_begin(s->controller->store); /* together with its rollout */
	rc = store_put_service(s->controller->store, &row, true, NULL, NULL);
	put(s);
	store_end(s->controller->store);
	if (rc < 0)
		log_warn("service=%s its return to revision %llu is not stored", s->name,
			 (unsigned long long)row.revision);
	tell(s);
	order_relink(s->controller); /* it may depend on others again */
}

static void take_back_or_stay(struct service *s)
{
	_cleanup_err_ struct err *err = NULL;

	if (service_rollout_check(s, &s->rollout->good, &err) == 0) {
		take_back(s);
		return;
	}
	rollout_stay(&s->rollout->now, err_msg(err));
	tell(s);
}

static bool is_asleep(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;

	return !ro || !s->spec || s->deleted || s->left_alone || s->storing > 0 ||
	       controller_frozen(s->controller) ||
	       (!service_rollout_is_canary(s) && ro->now.state != ROLLOUT_PROGRESSING &&
		ro->now.state != ROLLOUT_FAILED && ro->now.state != ROLLOUT_ROLLING_BACK);
}

/* A task has nothing to prove before it runs, and a failed one is not undone. */
static void pass(struct service *s)
{
	struct rollout *r = &s->rollout->now;

	r->state = ROLLOUT_COMPLETE;
	r->ended_wall_ms = clock_wall_ms();
	good_take(s->rollout, &(struct service_good){0});
	tell(s);
}

bool service_rollout_step(struct service *s, int64_t *wake_mono_ms)
{
	struct service_rollout *ro = s->rollout;
	struct rollout_result res;
	struct rollout_seen seen;
	struct rollout before;

	if (is_asleep(s))
		return false;
	if (service_task_is(s) && ro->now.state == ROLLOUT_PROGRESSING) {
		pass(s);
		return true;
	}
	seen = see(s);
	seen.judged = service_canary_look(s);
	before = ro->now;
	res = rollout_step(&ro->now, &s->spec->update, &seen, clock_mono_ms(), clock_wall_ms());
	if (res.wake_mono_ms < *wake_mono_ms)
		*wake_mono_ms = res.wake_mono_ms;
	if (res.verdict == ROLLOUT_TAKE_BACK) {
		take_back_or_stay(s);
		return true;
	}
	if (res.verdict == ROLLOUT_CHANGED) {
		if (ro->now.state == ROLLOUT_COMPLETE || ro->now.state == ROLLOUT_ROLLED_BACK)
			good_take(ro, &(struct service_good){0});
		service_canary_changed(s, &before);
		tell(s);
		return true;
	}
	if (ro->now.best != before.best)
		put(s); /* the deadline counts from here, also for the next controller */
	return false;
}

struct plan_update service_rollout_bounds(const struct service *s)
{
	static const struct rollout none = {.state = ROLLOUT_COMPLETE};
	struct plan_update bounds;

	if (!s->spec)
		return (struct plan_update){0};
	if (service_task_is(s)) /* never two at once */
		return (struct plan_update){.stop_first = true,
					    .max_unavailable = MANIFEST_REPLICAS_MAX};
	bounds = rollout_bounds(&s->spec->update, s->rollout ? &s->rollout->now : &none,
				service_desired(s));
	bounds.growable = service_rollout_growable(s);
	return bounds;
}

/* ---- the user ---- */

bool service_rollout_pause(struct service *s)
{
	if (!s->rollout || !rollout_pause(&s->rollout->now, "by the user"))
		return false;
	tell(s);
	return true;
}

bool service_rollout_resume(struct service *s)
{
	if (!s->rollout || !rollout_resume(&s->rollout->now, clock_mono_ms()))
		return false;
	tell(s);
	return true;
}

static bool undo(struct service *s, const char *reason, struct err **reterr)
{
	struct service_rollout *ro = s->rollout;

	if (!ro || !ro->good.source || ro->now.state == ROLLOUT_ROLLING_BACK)
		return false;
	if (service_rollout_check(s, &ro->good, reterr) < 0)
		return true;
	rollout_take_back(&ro->now, reason, clock_mono_ms());
	take_back(s);
	return true;
}

bool service_rollout_undo(struct service *s, struct err **reterr)
{
	return undo(s, "by the user", reterr);
}

bool service_rollout_abort(struct service *s, struct err **reterr)
{
	return undo(s, "aborted by the user", reterr);
}

bool service_rollout_promote(struct service *s)
{
	struct service_rollout *ro = s->rollout;

	if (!ro || !s->spec || !rollout_promote(&ro->now, &s->spec->update, clock_mono_ms()))
		return false;
	service_canary_end(ro);
	tell(s);
	return true;
}

bool service_rollout_is_canary(const struct service *s)
{
	return s->rollout && s->spec && rollout_is_canary(&s->rollout->now, &s->spec->update);
}

uint64_t service_rollout_previous(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;

	for (unsigned i = ro ? ro->n_past : 0; i-- > 0;)
		if (strcmp(ro->past[i].state, rollout_state_name(ROLLOUT_COMPLETE)) == 0 &&
		    ro->past[i].hash != s->launch_hash)
			return ro->past[i].revision;
	return 0;
}

/* ---- what is said ---- */

bool service_rollout_is_back(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;

	return ro &&
	       (ro->now.state == ROLLOUT_ROLLING_BACK || ro->now.state == ROLLOUT_ROLLED_BACK);
}

bool service_rollout_has_failed(const struct service *s, uint64_t hash)
{
	return s && service_rollout_is_back(s) && s->rollout->now.hash == hash;
}

bool service_rollout_is_paused(const struct service *s)
{
	return s->rollout && s->rollout->now.state == ROLLOUT_PAUSED;
}

bool service_rollout_is_progressing(const struct service *s)
{
	return s->rollout && s->rollout->now.state == ROLLOUT_PROGRESSING;
}

bool service_rollout_is_open(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;

	/* with no replica wanted there is nothing that could prove itself */
	return ro && service_desired(s) > 0 &&
	       ((ro->now.state == ROLLOUT_PROGRESSING && ro->good.source) ||
		ro->now.state == ROLLOUT_ROLLING_BACK);
}

const char *service_rollout_message(const struct service *s)
{
	const struct service_rollout *ro = s->rollout;

	return ro && ro->said[0] ? ro->said : NULL;
}

const char *service_rollout_failure(const struct service *s, uint64_t revision)
{
	const struct rollout *r = s->rollout ? &s->rollout->now : NULL;

	if (!r || r->revision != revision)
		return NULL;
	if (r->state == ROLLOUT_ROLLED_BACK ||
	    (r->state == ROLLOUT_FAILED && s->rollout->good.source) ||
	    (r->state == ROLLOUT_PAUSED && r->ended_wall_ms))
		return service_rollout_message(s);
	return NULL;
}

static void write_time(struct jsonw *w, const char *key, int64_t wall_ms)
{
	if (wall_ms)
		jsonw_time(w, key, wall_ms);
	else
		jsonw_null(w, key);
}

static void write_past(const struct service_past *p, struct jsonw *w)
{
	jsonw_object_begin(w, NULL);
	jsonw_int(w, "number", (int64_t)p->number);
	jsonw_int(w, "revision", (int64_t)p->revision);
	jsonw_string(w, "state", p->state);
	jsonw_string(w, "reason", p->reason);
	jsonw_string(w, "keys", p->keys);
	write_time(w, "started_at", p->started_wall_ms);
	write_time(w, "ended_at", p->ended_wall_ms);
	jsonw_object_end(w);
}

void service_rollout_write_json(const struct service *s, struct jsonw *w)
{
	const struct service_rollout *ro = s->rollout;
	struct rollout_seen seen;

	if (!ro || ro->number == 0 || !s->spec) {
		jsonw_null(w, "rollout");
		return;
	}
	seen = see(s);
	jsonw_object_begin(w, "rollout");
	jsonw_string(w, "state", rollout_state_name(ro->now.state));
	jsonw_int(w, "number", (int64_t)ro->number);
	jsonw_int(w, "revision", (int64_t)ro->now.revision);
	if (ro->good.source)
		jsonw_int(w, "good_revision", (int64_t)ro->good.revision);
	else
		jsonw_null(w, "good_revision");
	jsonw_string(w, "reason", ro->now.reason);
	jsonw_string(w, "keys", ro->keys);
	jsonw_int(w, "desired", seen.wanted);
	jsonw_int(w, "available", seen.available);
	write_time(w, "started_at", ro->now.started_wall_ms);
	write_time(w, "ended_at", ro->now.ended_wall_ms);
	service_canary_write_json(s, w);
	jsonw_array_begin(w, "history");
	for (unsigned i = ro->n_past; i-- > 0;)
		write_past(&ro->past[i], w);
	jsonw_array_end(w);
	jsonw_object_end(w);
}
