/*
 * api_autoscale: see api_autoscale.h. GET /v1/services/NAME/autoscale: the whole arithmetic of the
 * last decision.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/controller/api_autoscale.h"

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/demand.h"
#include "daemon/controller/scale_page.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_scale.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* ---- in words ---- */

static const char *name_of(const struct autoscale_goal *g)
{
	return g->name ? g->name : autoscale_kind_name(g->kind);
}

static const char *unit_of(enum autoscale_kind kind)
{
	return kind == AUTOSCALE_CPU || kind == AUTOSCALE_MEMORY ? "%" : "";
}

/* How the decisive goal came to its number. */
static void say_goal(const struct service_scale *x, struct buf *b)
{
	const size_t i = x->verdict.decisive;
	const struct autoscale_goal *g = &x->rules.goals[i];
	const struct autoscale_want *w = &x->verdict.wants[i];
	bool kpa = autoscale_is_kpa(g->kind), fast = kpa && w->raw_panic > w->raw;
	char window[24];

	buf_printf(b, "%s ", name_of(g));
	if (!w->known) {
		buf_str(b, "is not known");
		return;
	}
	buf_printf(b, "%.3g%s", fast ? w->panic_value : w->value, unit_of(g->kind));
	if (kpa)
		buf_printf(b, " over %s",
			   clock_human(fast ? x->rules.panic_window_ms : x->rules.window_ms, window,
				       sizeof(window)));
	else
		buf_str(b, " on average");
	buf_printf(b, " wants %u of %.3g%s each", fast ? w->raw_panic : w->raw, g->target,
		   unit_of(g->kind));
}

static void say_reason(const struct service_scale *x, struct buf *b)
{
	static const char *const words[AUTOSCALE_REASON_MAX_] = {
		[AUTOSCALE_PANIC] = "sudden load: nothing goes for a while",
		[AUTOSCALE_UNKNOWN] = "held, for not all is known",
		[AUTOSCALE_DELAYED] = "less has not been wanted for long enough",
		[AUTOSCALE_STEP] = "one step is not larger",
	};
	enum autoscale_reason reason = x->verdict.reason;

	if (reason == AUTOSCALE_MIN)
		buf_printf(b, "; min is %u", x->bounds.min);
	else if (reason == AUTOSCALE_MAX)
		buf_printf(b, "; max is %u", x->bounds.max);
	else if (words[reason])
		buf_printf(b, "; %s", words[reason]);
}

char *api_autoscale_say(const struct service *s)
{
	const struct service_scale *x = s->scale;
	struct buf b = {0};

	if (!x || !x->decided_wall_ms)
		return mem_strdup("");
	say_goal(x, &b);
	say_reason(x, &b);
	return buf_take(&b);
}

/* ---- short ---- */

static void write_override(const struct service *s, struct jsonw *w)
{
	if (s->replicas_override < 0) {
		jsonw_null(w, "override");
		return;
	}
	jsonw_object_begin(w, "override");
	jsonw_int(w, "replicas", s->replicas_override);
	jsonw_time(w, "until", s->override_until_wall_ms);
	jsonw_object_end(w);
}

static void write_decision(const struct service_scale *x, struct jsonw *w)
{
	_cleanup_free_ char *said = api_autoscale_say(x->s);

	jsonw_int(w, "min", x->bounds.min);
	jsonw_int(w, "max", x->bounds.max);
	jsonw_int(w, "replicas", x->number);
	jsonw_int(w, "wanted", x->decided_wall_ms ? x->verdict.wanted : x->number);
	jsonw_string(w, "reason",
		     x->decided_wall_ms ? autoscale_reason_name(x->verdict.reason) : NULL);
	jsonw_string(w, "message", said ? said : "");
	jsonw_time(w, "decided_at", x->decided_wall_ms);
	jsonw_time(w, "changed_at", x->changed_wall_ms);
}

void api_autoscale_write(const struct service *s, struct jsonw *w)
{
	write_override(s, w);
	if (!s->scale || !s->spec) {
		jsonw_null(w, "autoscale");
		return;
	}
	jsonw_object_begin(w, "autoscale");
	write_decision(s->scale, w);
	jsonw_object_end(w);
}

/* ---- all ---- */

static void write_goal(const struct service_scale *x, size_t i, struct jsonw *w)
{
	const struct autoscale_goal *g = &x->rules.goals[i];
	const struct autoscale_want *want = &x->verdict.wants[i];
	const struct autoscale_measure *m = &x->in.measures[i];
	bool kpa = autoscale_is_kpa(g->kind);

	jsonw_object_begin(w, NULL);
	jsonw_string(w, "metric", autoscale_kind_name(g->kind));
	jsonw_string(w, "name", g->name);
	jsonw_double(w, "target", g->target);
	jsonw_bool(w, "known", want->known);
	jsonw_string(w, "error", *scale_page_said(x, i) ? scale_page_said(x, i) : NULL);
	jsonw_double(w, "value", want->value);
	jsonw_int(w, "wants", want->raw);
	if (kpa) {
		jsonw_double(w, "panic_value", want->panic_value);
		jsonw_int(w, "panic_wants", want->raw_panic);
		jsonw_bool(w, "panicking", want->panicking);
	} else {
		jsonw_int(w, "replicas_known", m->n);
		jsonw_bool(w, "within_tolerance", want->within_tolerance);
	}
	jsonw_int(w, "replicas", want->want);
	jsonw_bool(w, "decisive", i == x->verdict.decisive);
	jsonw_object_end(w);
}

static void write_rules(const struct service_scale *x, struct jsonw *w)
{
	const struct autoscale_rules *r = &x->rules;

	jsonw_object_begin(w, "rules");
	jsonw_int(w, "window_ms", r->window_ms);
	jsonw_int(w, "panic_window_ms", r->panic_window_ms);
	jsonw_double(w, "panic_threshold", r->panic_threshold);
	jsonw_int(w, "scale_down_delay_ms", r->scale_down_delay_ms);
	jsonw_double(w, "max_up_rate", r->max_up_rate);
	jsonw_double(w, "max_down_rate", r->max_down_rate);
	jsonw_double(w, "tolerance", r->tolerance);
	jsonw_int(w, "stabilization_ms", r->stabilization_ms);
	jsonw_object_end(w);
}

static void write_demand(const struct service *s, struct jsonw *w)
{
	const struct demand *d = s->demand;

	jsonw_object_begin(w, "demand");
	jsonw_bool(w, "known", d && demand_is_known(d, clock_mono_ms()));
	jsonw_int(w, "now", d ? (int64_t)demand_now(d) : 0);
	jsonw_int(w, "refused", d ? (int64_t)d->refused : 0);
	jsonw_object_end(w);
}

static void write_all(const struct service *s, struct jsonw *w)
{
	const struct service_scale *x = s->scale;

	jsonw_object_begin(w, NULL);
	jsonw_string(w, "service", s->name);
	jsonw_int(w, "desired", service_desired(s));
	write_override(s, w);
	write_decision(x, w);
	jsonw_int(w, "ready", service_ready(s));
	jsonw_int(w, "starting", service_scale_starting(s));
	jsonw_object_begin(w, "range");
	jsonw_int(w, "min", s->spec->replicas_min);
	jsonw_int(w, "max", s->spec->replicas_max);
	jsonw_object_end(w);
	jsonw_int(w, "windows_open", x->bounds.open);
	jsonw_time(w, "bounds_until",
		   x->bounds.until_wall_ms == INT64_MAX ? 0 : x->bounds.until_wall_ms);
	write_rules(x, w);
	write_demand(s, w);
	jsonw_array_begin(w, "metrics");
	for (size_t i = 0; i < x->rules.n; i++)
		write_goal(x, i, w);
	jsonw_array_end(w);
	jsonw_object_end(w);
}

void api_autoscale_get(struct api_call *call)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};
	const struct service *s;

	if (!api_ready(call))
		return;
	s = controller_find(call->c, call->name);
	if (!s) {
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", call->name);
	} else if (!s->scale || !s->spec) {
		api_reply_error(call->r, 409, "conflict",
				"service \"%s\" is not scaled by itself: its replicas are no range",
				s->name);
	} else {
		write_all(s, &w);
		api_reply(call->r, 200, &b);
	}
}
