/* runtimes: see runtimes.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/runtimes.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/service.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define WHY_LOST_SIZE (WIRE_UNIT_TEXT_SIZE + 64)

struct one {
	struct wire_runtime said;
	char why_lost[WHY_LOST_SIZE];
	int64_t quiet_mono_ms; /* since when one of our processes has been silent */
	bool lost_told;	       /* an engine_lost event is out, and no engine_back yet */
};

struct runtimes {
	struct one *list; /* in the order of aictld's options */
	size_t n, cap;
};

struct runtimes *runtimes_new(void)
{
	return mem_alloc(sizeof(struct runtimes));
}

void runtimes_free(struct runtimes *k)
{
	if (!k)
		return;
	mem_free(k->list);
	mem_free(k);
}

static struct one *find(const struct runtimes *k, const char *name)
{
	for (size_t i = 0; i < k->n; i++)
		if (strcmp(k->list[i].said.name, name) == 0)
			return &k->list[i];
	return NULL;
}

const struct wire_runtime *runtimes_find(const struct runtimes *k, const char *name)
{
	const struct one *x = k ? find(k, name) : NULL;

	return x ? &x->said : NULL;
}

const struct wire_runtime *runtimes_at(const struct runtimes *k, size_t i)
{
	return k && i < k->n ? &k->list[i].said : NULL;
}

static bool is_quiet(const struct wire_runtime *m)
{
	return m->state == WIRE_RUNTIME_STARTING || m->state == WIRE_RUNTIME_DOWN;
}

bool runtimes_is_lost(const struct runtimes *k, const char *name, int64_t now_mono_ms)
{
	const struct one *x = k ? find(k, name) : NULL;

	if (x && is_quiet(&x->said))
		return now_mono_ms - x->quiet_mono_ms > RUNTIMES_QUIET_MS;
	return !x || x->said.state != WIRE_RUNTIME_OK;
}

static void describe(struct one *x)
{
	const struct wire_runtime *m = &x->said;
	char since[CLOCK_RFC3339_SIZE];

	snprintf(x->why_lost, sizeof(x->why_lost), "%s%s since %s%s%s",
		 m->state == WIRE_RUNTIME_UNREACHABLE ? "engine " : "runtime ",
		 wire_unit_runtime_name(m->state), clock_rfc3339(m->since_wall_ms, since),
		 m->text[0] ? ": " : "", m->text);
}

const char *runtimes_why_lost(const struct runtimes *k, const char *name)
{
	const struct one *x = k ? find(k, name) : NULL;

	return x ? x->why_lost : "its runtime is not enabled in this daemon (aictld --runtime)";
}

const char *runtimes_name_of(const struct service_spec *spec)
{
	return spec && service_spec_is_container(spec) ? spec->container.runtime : RUNTIMES_PROCESS;
}

int runtimes_check(const struct runtimes *k, const struct service_spec *spec, struct err **reterr)
{
	const char *name = runtimes_name_of(spec);

	if (!service_spec_is_container(spec) || runtimes_find(k, name))
		return 0;
	err_set(reterr, ERR_INVALID, "runtime \"%s\" is not enabled in this daemon", name);
	err_hint(reterr,
		 "start aictld with --runtime %s; who may apply can then become root by it, see "
		 "aictld(8)",
		 name);
	return -ERR_INVALID;
}

/* ---- what aictld says ---- */

static void publish(const struct controller *c, const char *service, const struct one *x)
{
	const char *reason = x->lost_told ? "engine_lost" : "engine_back";
	char back[WIRE_UNIT_VERSION_SIZE + 32];
	const char *text = x->lost_told ? x->why_lost : back;

	snprintf(back, sizeof(back), "%s answers again",
		 x->said.engine[0] ? x->said.engine : "the engine");
	events_add(c->events, &(struct event_args){.service = service,
						   .replica = -1,
						   .type = "engine",
						   .reason = reason,
						   .message = text});
	if (!*service)
		log_info("runtime=%s %s: %s", x->said.name, reason, text);
}

/* Of an engine that is lost as such: what we do to our own processes is no event. */
static bool is_news(struct one *x, const struct wire_runtime *before)
{
	bool lost =
		x->said.state == WIRE_RUNTIME_UNREACHABLE || x->said.state == WIRE_RUNTIME_FAILED;

	if (lost && !x->lost_told && (!before || before->state != x->said.state)) {
		x->lost_told = true;
		return true;
	}
	if (x->said.state == WIRE_RUNTIME_OK && x->lost_told) {
		x->lost_told = false;
		return true;
	}
	return false;
}

void runtimes_take(struct controller *c, const struct wire_runtime *m)
{
	struct runtimes *k = c->runtimes;
	struct one *x = find(k, m->name);
	struct wire_runtime before = {0};
	bool news;

	if (!x) {
		if (mem_grow(&k->list, &k->cap, k->n + 1, sizeof(*k->list)) < 0) {
			log_error("runtime=%s out of memory", m->name);
			return;
		}
		x = &k->list[k->n++];
		*x = (struct one){0};
	} else {
		before = x->said;
	}
	x->said = *m;
	if (!before.name[0] || !is_quiet(&before)) /* DOWN and STARTING by turns are one silence */
		x->quiet_mono_ms = clock_mono_ms();
	describe(x);
	news = is_news(x, before.name[0] ? &before : NULL);
	if (news)
		publish(c, "", x);
	for (size_t i = 0; i < c->n_services; i++) {
		struct service *s = c->services[i];

		if (strcmp(runtimes_name_of(s->spec), m->name) != 0)
			continue;
		if (news)
			publish(c, s->name, x);
		if (before.state != m->state)
			controller_touch(s);
	}
}

/* ---- shown ---- */

static void write_one(struct jsonw *w, const struct wire_runtime *m)
{
	static const struct {
		uint32_t can;
		const char *word;
	} words[] = {{WIRE_RUNTIME_EXEC, "exec"},
		     {WIRE_RUNTIME_STATS, "stats"},
		     {WIRE_RUNTIME_LOGS_EXACT, "logs_exact"},
		     {WIRE_RUNTIME_OOM, "oom"}};

	jsonw_object_begin(w, NULL);
	jsonw_string(w, "name", m->name);
	jsonw_string(w, "state", wire_unit_runtime_name(m->state));
	jsonw_bool(w, "reachable", m->state == WIRE_RUNTIME_OK);
	jsonw_time(w, "since", m->since_wall_ms);
	jsonw_string(w, "engine", m->engine[0] ? m->engine : NULL);
	jsonw_string(w, "endpoint", m->endpoint[0] ? m->endpoint : NULL);
	jsonw_string(w, "error", m->text[0] ? m->text : NULL);
	jsonw_string(w, "plugin", m->plugin[0] ? m->plugin : NULL);
	jsonw_string(w, "plugin_version", m->version[0] ? m->version : NULL);
	jsonw_int(w, "abi", m->abi);
	jsonw_int(w, "pid", m->pid);
	jsonw_int(w, "restarts", m->restarts);
	jsonw_array_begin(w, "can");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (m->can & words[i].can)
			jsonw_string(w, NULL, words[i].word);
	jsonw_array_end(w);
	jsonw_object_end(w);
}

void runtimes_write(const struct runtimes *k, struct jsonw *w)
{
	jsonw_array_begin(w, "runtimes");
	for (size_t i = 0; k && i < k->n; i++)
		write_one(w, &k->list[i].said);
	jsonw_array_end(w);
}
