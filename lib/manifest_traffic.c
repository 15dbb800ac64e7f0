/* manifest_traffic: see manifest_traffic.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_traffic.h"

#include <string.h>

#include "lib/cron.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_decode.h"
#include "lib/mem.h"
#include "lib/parse.h"

/* One service while it is judged. */
struct judged {
	const struct service_spec *s;
	struct manifest_errors *errors, *warnings;
};

static void say(const struct judged *j, struct manifest_errors *to, const char *key,
		const char *hint, const char *what)
{
	struct manifest_place at = {j->s->file, j->s->line, 1};

	service_spec_place(j->s, key, &at);
	manifest_errors_add(to, &at, hint, "%s: %s", key, what);
}

static bool has_port(const struct service_spec *s, int64_t mode)
{
	const struct port_spec *ports = s->ports.v;

	for (size_t i = 0; i < s->ports.n; i++)
		if (ports[i].port != 0 && ports[i].mode == mode)
			return true;
	return false;
}

static bool looks_at(const struct service_spec *s, bool (*is)(int64_t kind))
{
	const struct autoscale_metric *list = s->autoscale.metrics.v;

	if (!s->autoscale.enabled)
		return is(AUTOSCALE_CONCURRENCY);
	if (s->autoscale.metrics.n == 0)
		return is(s->autoscale.metric.kind);
	for (size_t i = 0; i < s->autoscale.metrics.n; i++)
		if (is(list[i].kind))
			return true;
	return false;
}

static bool is_traffic(int64_t kind)
{
	return kind == AUTOSCALE_CONCURRENCY || kind == AUTOSCALE_RPS;
}

static bool is_memory(int64_t kind)
{
	return kind == AUTOSCALE_MEMORY;
}

static void check_range(const struct judged *j)
{
	const struct service_spec *s = j->s;

	if (s->replicas_max == 0) {
		if (service_spec_says(s, "replicas.min"))
			say(j, j->errors, "replicas.min", "write { min: 1, max: 4 }",
			    "a range needs max, too");
		if (s->autoscale.enabled)
			say(j, j->warnings, "autoscale", "write replicas: { min: 1, max: 4 }",
			    "nothing is scaled: replicas is no range");
		return;
	}
	if (s->type == SPEC_TASK)
		say(j, j->errors, "replicas.max", NULL, "a task has a number of them, no range");
	if (s->replicas_min > s->replicas_max)
		say(j, j->errors, "replicas.min", NULL, "is above max");
	if (s->replicas > s->replicas_max)
		say(j, j->errors, "replicas.count", NULL, "is above max");
	if (!has_port(s, PORT_PROXY) && looks_at(s, is_traffic))
		say(j, j->errors, s->autoscale.enabled ? "autoscale" : "replicas.max",
		    "write port: 8000, or autoscale: { metric: cpu }",
		    "requests can only be counted at a stable port of mode proxy");
	if (s->replicas_min == 0 && !has_port(s, PORT_PROXY))
		say(j, j->errors, "replicas.min", "write port: 8000, or min: 1",
		    "0 needs a stable port of mode proxy, whose requests start the first replica");
	if (s->resources.memory == 0 && looks_at(s, is_memory))
		say(j, j->errors, "autoscale", "write resources: { limits: { memory: 8GiB } }",
		    "metric memory is a share of resources.limits.memory, which is not given");
}

static void check_metric(const struct judged *j, const struct autoscale_metric *m)
{
	if (m->kind == AUTOSCALE_PROMETHEUS && !m->name)
		say(j, j->errors, "autoscale", "write name: NAME",
		    "prometheus needs the metric's name");
	if (m->kind == AUTOSCALE_PROMETHEUS && m->target <= 0)
		say(j, j->errors, "autoscale", "write target: N", "prometheus needs a target");
	if (m->kind != AUTOSCALE_PROMETHEUS && m->name)
		say(j, j->warnings, "autoscale", "write metric: prometheus",
		    "name has no effect: it is that of a metric for prometheus");
}

static void check_window(const struct judged *j, const struct autoscale_window *w)
{
	const struct service_spec *s = j->s;
	int64_t min = w->min == SPEC_UNSET ? s->replicas_min : w->min;
	int64_t max = w->max == SPEC_UNSET ? s->replicas_max : w->max;
	_cleanup_err_ struct err *e = NULL;
	struct manifest_place at = {s->file, s->line, 1};
	struct cron cron;

	service_spec_place(s, "autoscale.schedule", &at);
	if (w->cron && cron_parse(w->cron, &cron, &e) < 0)
		manifest_errors_take(j->errors, &at, "autoscale.schedule: cron", &e);
	if (s->replicas_max > 0 && min > max)
		say(j, j->errors, "autoscale.schedule", NULL, "min is above max");
}

static void check_autoscale(const struct judged *j)
{
	const struct autoscale_spec *a = &j->s->autoscale;
	const struct autoscale_metric *metrics = a->metrics.v;
	const struct autoscale_window *windows = a->schedule.v;

	if (!a->enabled)
		return;
	if (a->metrics.n == 0)
		check_metric(j, &a->metric);
	for (size_t i = 0; i < a->metrics.n; i++)
		check_metric(j, &metrics[i]);
	for (size_t i = 0; i < a->schedule.n; i++)
		check_window(j, &windows[i]);
	if (a->panic_window_ms > a->window_ms)
		say(j, j->errors, "autoscale.panic_window", NULL, "is longer than window");
}

/* Shares grow, and end with all. */
static void check_steps(const struct judged *j)
{
	char **steps = j->s->update.steps;
	unsigned before = 0, percent = 100;
	int64_t ms;

	for (size_t i = 0; steps && steps[i]; i++, before = percent)
		if (parse_step(steps[i], &percent, &ms, NULL) == 0 && percent <= before) {
			say(j, j->errors, "update.steps", "write [5%/2m, 25%/5m, 100%]",
			    "each share is larger than the one before");
			return;
		}
	if (steps && percent != 100)
		say(j, j->errors, "update.steps", "write 100% behind them",
		    "the last share is not 100%");
}

static void check_canary(const struct judged *j)
{
	const struct service_spec *s = j->s;

	check_steps(j);
	if (s->update.strategy != UPDATE_CANARY)
		return;
	if (!has_port(s, PORT_PROXY))
		say(j, j->errors, "update.strategy", "write port: 8000, or strategy: rolling",
		    "canary needs a stable port of mode proxy, where requests are counted");
	if (s->update.order == UPDATE_STOP_FIRST)
		say(j, j->errors, "update.order", "write order: start-first",
		    "a canary runs beside the stable revision");
}

/* What only the gateway can do. */
static void check_sockets(const struct judged *j)
{
	static const char *const keys[] = {"concurrency", "queue",    "affinity",
					   "retry",	  "timeouts", "access_log"};
	const struct service_spec *s = j->s;

	if (!has_port(s, PORT_SOCKET) || has_port(s, PORT_PROXY))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (service_spec_says(s, keys[i]))
			say(j, j->warnings, keys[i], NULL,
			    "has no effect: the replicas accept at the stable port themselves");
}

void manifest_traffic_check_set(struct manifest_set *set, struct manifest_errors *errors)
{
	for (size_t i = 0; !errors->nomem && i < set->n; i++) {
		const struct judged j = {set->entries[i].spec, errors, &set->warnings};

		check_range(&j);
		check_autoscale(&j);
		check_canary(&j);
		check_sockets(&j);
	}
}
