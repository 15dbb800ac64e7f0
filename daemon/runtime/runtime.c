/* runtime: see runtime.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/runtime.h"

#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"

#define LOAD_AGAIN_MS 10000
#define FAULTS_LOGGED 1000 /* who breaks rules may do so without end */
#define CLOSE_MS 1000	   /* another one of us may begin meanwhile */

#define PUT(array, text) snprintf(array, sizeof(array), "%s", (text) ? (text) : "")

static void say(struct runtime *r, enum wire_runtime_state state, const char *text)
{
	if (r->said.state != (uint8_t)state || r->said.since_wall_ms == 0)
		r->said.since_wall_ms = clock_wall_ms();
	r->said.state = (uint8_t)state;
	PUT(r->said.text, text);
	control_say_runtime(&r->control);
}

bool runtime_engine_is_up(const struct runtime *r)
{
	return r->usable && r->engine_up;
}

void runtime_list_failed(struct runtime *r, const char *why)
{
	char text[WIRE_UNIT_TEXT_SIZE];

	if (!r->engine_up)
		return; /* and the plugin says why */
	snprintf(text, sizeof(text), "its containers cannot be listed: %.400s", why);
	say(r, WIRE_RUNTIME_UNREACHABLE, text);
}

void runtime_listed(struct runtime *r)
{
	if (r->engine_up && r->said.state == WIRE_RUNTIME_UNREACHABLE)
		say(r, WIRE_RUNTIME_OK, NULL);
}

/* ---- what the plugin tells ---- */

static void on_unit_state(void *user, const struct aictl_unit_state *s)
{
	struct runtime *r = user;

	units_take_state(&r->units, s);
}

static void on_engine_state(void *user, const struct aictl_engine_state *s)
{
	struct runtime *r = user;
	bool was = r->engine_up;

	r->engine_up = s->reachable != 0;
	snprintf(r->said.engine, sizeof(r->said.engine), "%s%s%s", s->name ? s->name : "",
		 s->name && s->version ? " " : "", s->version ? s->version : "");
	if (s->endpoint)
		PUT(r->said.endpoint, s->endpoint);
	r->said.can &= ~(uint32_t)(WIRE_RUNTIME_LOGS_EXACT | WIRE_RUNTIME_OOM);
	if (s->flags & AICTL_ENGINE_LOGS_EXACT)
		r->said.can |= WIRE_RUNTIME_LOGS_EXACT;
	if (s->flags & AICTL_ENGINE_OOM)
		r->said.can |= WIRE_RUNTIME_OOM;
	if (s->reachable) {
		if (!was)
			log_info("runtime=%s engine=\"%s\" reachable", r->said.name,
				 r->said.engine);
		if (!r->units.list_failed)
			say(r, WIRE_RUNTIME_OK, NULL);
	} else {
		if (was || strcmp(r->said.text, s->error ? s->error : "") != 0)
			log_warn("runtime=%s error=\"%s\" the engine cannot be reached",
				 r->said.name, s->error ? s->error : "unknown");
		say(r, WIRE_RUNTIME_UNREACHABLE,
		    s->error ? s->error : "the engine does not answer");
	}
	if (was != r->engine_up)
		units_engine_changed(&r->units);
}

static void on_log(void *user, int level, const char *text)
{
	static const enum log_level levels[] = {LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO,
						LOG_LVL_DEBUG};
	const struct runtime *r = user;

	log_at_(levels[level], "runtime=%s %s", r->said.name, text);
}

static void on_fault(void *user, const char *text)
{
	struct runtime *r = user;

	r->said.faults++;
	PUT(r->said.fault, text);
	if (r->said.faults <= FAULTS_LOGGED)
		log_error("runtime=%s plugin=%s version=%s broke a rule of the interface: %s",
			  r->said.name, r->said.plugin, r->said.version, text);
	if (r->said.faults == FAULTS_LOGGED)
		log_error("runtime=%s more of them are counted only: see aictl plugins",
			  r->said.name);
	control_say_runtime(&r->control);
}

/* ---- life of the plugin ---- */

static int open_plugin(struct runtime *r, struct err **reterr)
{
	const struct runtime_options *o = r->options;
	const struct aictl_open with = {.struct_size = sizeof(with),
					.name = o->name,
					.config = o->config ? o->config : "",
					.instance = o->instance};
	int e = loader_open(&r->loader, o->plugin_dir, o->name, reterr);

	PUT(r->said.plugin, r->loader.facts.path);
	PUT(r->said.version, r->loader.facts.version);
	PUT(r->said.description, r->loader.facts.description);
	PUT(r->said.kind, r->loader.facts.kind ? loader_kind_name(r->loader.facts.kind) : "");
	r->said.abi = r->loader.facts.abi;
	if (e < 0)
		return e;
	host_init(&r->host, &r->loop, r->loader.plugin);
	r->host.events = (struct host_events){.user = r,
					      .unit_state = on_unit_state,
					      .engine_state = on_engine_state,
					      .log = on_log,
					      .fault = on_fault};
	r->said.can = (host_can(&r->host, HOST_EXEC) ? WIRE_RUNTIME_EXEC : 0) |
		      (host_can(&r->host, HOST_STATS) ? WIRE_RUNTIME_STATS : 0);
	r->usable = true; /* open may tell things already */
	e = host_open(&r->host, &with, reterr);
	if (e < 0) {
		r->usable = false;
		host_done(&r->host);
		loader_close(&r->loader);
	}
	return e;
}

static void try_to_open(void *user)
{
	struct runtime *r = user;
	_cleanup_err_ struct err *err = NULL;

	if (open_plugin(r, &err) == 0) {
		log_info("runtime=%s plugin=%s version=%s loaded", r->said.name, r->said.plugin,
			 r->said.version);
		if (r->said.state == WIRE_RUNTIME_FAILED)
			say(r, WIRE_RUNTIME_STARTING, NULL);
		return;
	}
	if (strcmp(r->said.text, err_msg(err)) != 0)
		log_error("runtime=%s error=\"%s\" cannot be used", r->said.name, err_msg(err));
	say(r, WIRE_RUNTIME_FAILED, err_msg(err));
	units_plugin_failed(&r->units);
	loop_timer_arm(&r->loop, &r->load_again, clock_mono_ms() + LOAD_AGAIN_MS);
}

static void on_closed(void *user, uint64_t op, const struct aictl_result *result)
{
	struct runtime *r = user;

	(void)op;
	(void)result;
	loop_stop(&r->loop, 0);
}

void runtime_quit(struct runtime *r)
{
	const struct host_reply reply = {.user = r, .ended = on_closed};

	if (r->quitting)
		return;
	r->quitting = true;
	r->host.deadline_ms[HOST_CLOSE] = CLOSE_MS;
	if (!r->usable || host_close(&r->host, &reply) == 0)
		loop_stop(&r->loop, 0);
}

int runtime_init(struct runtime *r, const struct runtime_options *o, int fd)
{
	int e = loop_init(&r->loop);

	if (e < 0)
		return e;
	r->options = o;
	r->loader.fd = -1;
	r->load_again = (struct loop_timer){.fn = try_to_open, .user = r};
	PUT(r->said.name, o->name);
	PUT(r->said.endpoint, o->config);
	r->said.since_wall_ms = clock_wall_ms();
	units_init(&r->units, r);
	runs_init(&r->runs, r);
	e = control_init(&r->control, r, fd);
	if (e < 0)
		loop_done(&r->loop);
	return e;
}

int runtime_run(struct runtime *r)
{
	int status;

	try_to_open(r);
	status = loop_run(&r->loop);
	return status < 0 ? 1 : status;
}

void runtime_done(struct runtime *r)
{
	r->quitting = true;
	if (r->usable)
		host_done(&r->host);
	loop_timer_disarm(&r->loop, &r->load_again);
	runs_done(&r->runs);
	units_done(&r->units);
	control_done(&r->control);
	loader_close(&r->loader);
	loop_done(&r->loop);
}
