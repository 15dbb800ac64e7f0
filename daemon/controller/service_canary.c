/* service_canary: see service_canary.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/service_canary.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/canary.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/stats.h"
#include "daemon/controller/traffic.h"
#include "daemon/wire/wire_traffic.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"

_Static_assert(WIRE_TRAFFIC_BUCKETS <= JUDGE_BUCKETS_MAX, "the judge has room for all");

static struct judge_scale scale(double bounds[WIRE_TRAFFIC_BUCKETS])
{
	for (unsigned i = 0; i < WIRE_TRAFFIC_BUCKETS - 1; i++)
		bounds[i] = wire_traffic_bound_ms(i);
	return (struct judge_scale){bounds, WIRE_TRAFFIC_BUCKETS - 1};
}

/* What the gateway counted of it: a request that it broke counts, also when another one took it
 * over. */
static struct judge_side sample(const struct replica *r)
{
	const struct stats_which which = {
		.service = r->service->name, .index = r->index, .incarnation = r->incarnation};
	struct judge_side side = {0};
	struct stats_counts c;

	stats_sum(traffic_stats(r->service->controller->traffic), &which, &c);
	side.errors = stats_errors(&c) + c.connect_failures + c.retries;
	side.requests = stats_requests(&c) + c.connect_failures + c.retries;
	memcpy(side.times, c.latency, sizeof(c.latency));
	return side;
}

bool service_canary_is(const struct replica *r)
{
	const struct service_rollout *ro = r->service->rollout;

	return ro && ro->now.canary && r->launch_hash == ro->now.hash;
}

unsigned service_canary_share(const struct service *s)
{
	return s->rollout && s->spec ? rollout_share(&s->rollout->now, &s->spec->update) : 0;
}

static void look_round(struct service *s)
{
	const struct service_rollout *ro = s->rollout;

	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];
		struct judge_side now;
		bool old;

		if (!r->incarnation[0] ||
		    (r->launch_hash != ro->now.hash && r->launch_hash != ro->good.hash))
			continue;
		now = sample(r);
		old = r->started_wall_ms < s->controller->started_wall_ms;
		if (!old || now.requests) /* else the gateway has not told yet */
			canary_see(ro->count, r->incarnation, service_canary_is(r), old, &now);
	}
	canary_seen_all(ro->count);
}

const struct judge_result *service_canary_look(struct service *s)
{
	struct service_rollout *ro = s->rollout;
	double bounds[WIRE_TRAFFIC_BUCKETS];
	struct judge_scale limits;

	if (!service_rollout_is_canary(s) || !s->controller->traffic)
		return NULL;
	if (!ro->count)
		ro->count = mem_alloc(sizeof(*ro->count));
	if (!ro->count)
		return NULL;
	look_round(s);
	limits = scale(bounds);
	ro->judged = judge(&s->spec->update.judge, &limits, &ro->count->canary, &ro->count->stable);
	return ro->now.step_mono_ms ? &ro->judged : NULL;
}

struct judge_result service_canary_judged(const struct service *s)
{
	static const struct judge_side nothing = {0};
	double bounds[WIRE_TRAFFIC_BUCKETS];
	struct judge_scale limits;

	if (s->rollout->count)
		return s->rollout->judged;
	limits = scale(bounds);
	return judge(&s->spec->update.judge, &limits, &nothing, &nothing);
}

void service_canary_changed(struct service *s, const struct rollout *before)
{
	struct service_rollout *ro = s->rollout;

	if (!service_rollout_is_canary(s))
		service_canary_end(ro);
	else if (ro->count && !before->step_mono_ms && ro->now.step_mono_ms)
		canary_begin(ro->count);
}

void service_canary_end(struct service_rollout *ro)
{
	if (!ro->count)
		return;
	canary_done(ro->count);
	mem_free(ro->count);
	ro->count = NULL;
}

void service_canary_counted(struct service *s)
{
	if (service_rollout_is_canary(s) && s->rollout->now.step_mono_ms)
		controller_touch(s);
}

/* ---- the user ---- */

/* It was one: how did it end? */
static int ended(const struct service *s, struct err **reterr)
{
	const struct rollout *r = &s->rollout->now;

	if (r->state == ROLLOUT_FAILED) {
		err_set(reterr, ERR_CONFLICT, "the canary of \"%s\" has failed: %s", s->name,
			r->reason);
		return err_hint(reterr,
				"`aictl rollout abort %s` takes it back; apply it again, "
				"or a better one, to try once more",
				s->name);
	}
	err_set(reterr, ERR_CONFLICT, "the canary of \"%s\" was taken back: %s", s->name,
		r->reason);
	return err_hint(reterr, "apply it again, or a better one, to try once more");
}

int service_canary_promotable(const struct service *s, struct err **reterr)
{
	const struct rollout *r = s->rollout ? &s->rollout->now : NULL;

	if (r && service_rollout_is_canary(s) && r->state != ROLLOUT_FAILED)
		return 0;
	if (r && r->canary && r->state != ROLLOUT_PROGRESSING && r->state != ROLLOUT_PAUSED &&
	    r->state != ROLLOUT_SUPERSEDED)
		return ended(s, reterr);
	err_set(reterr, ERR_CONFLICT, "no canary of \"%s\" is under way", s->name);
	return err_hint(reterr,
			"an update has one by `update: { strategy: canary }`; `aictl rollout "
			"status %s` tells how the last one goes, or went",
			s->name);
}

/* ---- what is said ---- */

const char *service_canary_say(const struct service *s, char *text, size_t size)
{
	const struct rollout *r = &s->rollout->now;
	struct canary_step step;

	text[0] = '\0';
	if (r->state != ROLLOUT_PROGRESSING || r->step + r->canary == 0)
		return text;
	if (!rollout_is_canary(r, &s->spec->update))
		snprintf(text, size, "the canary is good: all get it");
	else if (r->step_mono_ms)
		snprintf(text, size, "canary at %u %% of the requests", service_canary_share(s));
	else if (r->step > 0 && canary_step(&s->spec->update, r->step, &step))
		snprintf(text, size, "the canary is good: replicas for %u %%", step.percent);
	return text;
}

static void write_side(struct jsonw *w, const char *key, uint64_t requests, uint64_t errors,
		       double p95_ms)
{
	jsonw_object_begin(w, key);
	jsonw_int(w, "requests", (int64_t)requests);
	jsonw_int(w, "errors", (int64_t)errors);
	if (requests)
		jsonw_double(w, "error_rate", (double)errors / (double)requests);
	else
		jsonw_null(w, "error_rate");
	if (p95_ms >= 0)
		jsonw_double(w, "p95_ms", p95_ms);
	else
		jsonw_null(w, "p95_ms");
	jsonw_object_end(w);
}

static void write_verdict(const struct service *s, struct jsonw *w)
{
	const struct judge_result j = service_canary_judged(s);
	char text[ROLLOUT_REASON_MAX];

	judge_say(&j, &s->spec->update.judge, text, sizeof(text));
	jsonw_string(w, "verdict", judge_verdict_name(j.verdict));
	jsonw_string(w, "message", text);
	write_side(w, "new", j.requests, j.errors, j.p95_ms);
	write_side(w, "stable", j.stable_requests, j.stable_errors, j.stable_p95_ms);
}

void service_canary_write_json(const struct service *s, struct jsonw *w)
{
	const struct rollout *r = &s->rollout->now;
	const struct update_spec *u = &s->spec->update;
	struct canary_step step;

	if (!rollout_is_canary(r, u) || !canary_step(u, r->step, &step)) {
		jsonw_null(w, "canary");
		return;
	}
	jsonw_object_begin(w, "canary");
	jsonw_int(w, "step", r->step + 1);
	jsonw_int(w, "steps", canary_steps(u));
	jsonw_int(w, "step_percent", step.percent);
	jsonw_int(w, "share_percent", service_canary_share(s));
	jsonw_int(w, "replicas", canary_replicas(step.percent, service_desired(s)));
	if (r->step_mono_ms)
		jsonw_time(w, "until",
			   clock_wall_ms() + r->step_mono_ms + step.ms - clock_mono_ms());
	else
		jsonw_null(w, "until");
	write_verdict(s, w);
	jsonw_object_end(w);
}
