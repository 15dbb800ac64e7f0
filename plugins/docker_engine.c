/*
 * docker_engine: see docker_engine.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_engine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "docker.h"
#include "docker_json.h"
#include "docker_look.h"
#include "docker_mem.h"
#include "docker_ref.h"
#include "docker_units.h"

#define OUR_MAJOR 1
#define OUR_MINOR 45 /* the newest that this was written for */
#define OLDEST 40
#define ASK_MS 5000
#define ASK_MAX_MS 30000 /* of one that is slow: see learn() */
#define PING_EVERY_MS 10000
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 2000
#define STABLE_MS 5000 /* up for so long: the next back-off begins anew */
#define LINE_MAX_BYTES (1 << 20)

struct docker_engine {
	struct docker *d;
	bool up, told;
	struct docker_http_call *asking; /* version or ping */
	struct docker_http_call *events;
	struct aictl_timer *timer; /* down: next try; up: next ping */
	int64_t retry_ms, up_since_ms;
	int64_t asked_ms, patience_ms;
	struct docker_spec_engine kind;
	char name[64], version[96], api[16], error[256];
};

static void try_again(struct docker_engine *e);

bool docker_engine_up(const struct docker_engine *e)
{
	return e->up;
}

const char *docker_engine_error(const struct docker_engine *e)
{
	return e->error[0] ? e->error : "the engine has not answered yet";
}

const struct docker_spec_engine *docker_engine_kind(const struct docker_engine *e)
{
	return &e->kind;
}

const char *docker_engine_api(const struct docker_engine *e)
{
	return e->api;
}

/* ---- up and down ---- */

static void tell(struct docker_engine *e)
{
	const struct aictl_engine_state s = {.struct_size = sizeof(s),
					     .reachable = e->up,
					     .name = e->name[0] ? e->name : NULL,
					     .version = e->version[0] ? e->version : NULL,
					     .endpoint = e->d->endpoint,
					     .error = e->up ? NULL : docker_engine_error(e),
					     .flags = AICTL_ENGINE_LOGS_EXACT |
						      (e->kind.podman ? 0 : AICTL_ENGINE_OOM)};

	e->told = true;
	e->d->host->engine_state(e->d->host, &s);
}

static void go_down(struct docker_engine *e, const char *why)
{
	const struct aictl_host *host = e->d->host;
	bool was = e->up, news = strcmp(e->error, why) != 0;

	docker_http_cancel(e->asking);
	docker_http_cancel(e->events);
	e->asking = e->events = NULL;
	e->up = false;
	snprintf(e->error, sizeof(e->error), "%s", why);
	if (was && host->now_ms(host) - e->up_since_ms >= STABLE_MS)
		e->retry_ms = RETRY_MIN_MS;
	host->timer_set(host, e->timer, e->retry_ms);
	e->retry_ms = e->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : e->retry_ms * 2;
	if (was || news || !e->told)
		tell(e);
	if (was)
		docker_engine_changed(e->d, false);
}

/* ---- events ---- */

static void on_event(void *user, const char *line, size_t len)
{
	struct docker_engine *e = user;
	struct docker_look_event ev;

	if (!docker_look_event(line, len, &ev))
		return;
	docker_units_event(e->d->units, &ev);
	cJSON_Delete(ev.root);
}

static void events_ended(void *user, const struct docker_http_answer *a)
{
	struct docker_engine *e = user;
	char why[256];

	e->events = NULL;
	if (a->code != AICTL_OK)
		snprintf(why, sizeof(why), "%s", a->error);
	else if (a->status >= 300)
		docker_look_error(a->body, a->len, why, sizeof(why));
	else
		snprintf(why, sizeof(why), "the engine ended its stream of events");
	go_down(e, why);
}

static bool listen_to_events(struct docker_engine *e)
{
	/* Podman wants other words for some events, so it tells of all. */
	static const char docker_only[] =
		",\"event\":[\"create\",\"start\",\"die\",\"destroy\",\"pause\",\"unpause\"]";
	_docker_free_ char *filter = docker_mem_printf(
		"{\"type\":[\"container\"],\"label\":[\"%s=%s\"]%s}", AICTL_LABEL_INSTANCE,
		e->d->instance, e->kind.podman ? "" : docker_only);
	struct docker_buf escaped = {0};
	const struct docker_http_ask ask = {
		.on_line = on_event, .done = events_ended, .user = e, .max = LINE_MAX_BYTES};

	if (filter)
		docker_ref_escape(&escaped, filter);
	/* One second more than needed: clocks are read at different times. */
	if (filter && !escaped.failed)
		e->events = docker_engine_send(e, &ask, "/events?since=%lld&filters=%s",
					       (long long)time(NULL) - 1, escaped.data);
	docker_mem_done(&escaped);
	return e->events != NULL;
}

/* ---- version ---- */

static bool minor(const char *api, int *ret)
{
	const char *dot = strchr(api, '.');
	int v = 0;

	if (!dot || dot - api != 1 || api[0] != '0' + OUR_MAJOR || !dot[1])
		return false;
	for (dot++; *dot >= '0' && *dot <= '9' && v < 10000; dot++)
		v = v * 10 + (*dot - '0');
	*ret = v;
	return *dot == '\0';
}

static void name_it(struct docker_engine *e, const cJSON *root)
{
	const char *version = docker_json_text(root, "Version");
	const cJSON *c;

	e->kind = (struct docker_spec_engine){0};
	cJSON_ArrayForEach (c, docker_json_get(root, "Components")) {
		const char *name = docker_json_text(c, "Name");

		if (name && strstr(name, "Podman"))
			e->kind.podman = true;
	}
	for (const char *p = version; e->kind.podman && p && *p >= '0' && *p <= '9'; p++)
		e->kind.podman_major = (e->kind.podman_major * 10 + (*p - '0')) % 1000;
	snprintf(e->name, sizeof(e->name), "%s", e->kind.podman ? "Podman" : "Docker Engine");
	snprintf(e->version, sizeof(e->version), "%.60s, API %s", version ? version : "?", e->api);
}

/* Takes the newest API of both. Returns why not, or NULL. */
static const char *agree(struct docker_engine *e, const cJSON *root, char *text, size_t size)
{
	const char *api = docker_json_text(root, "ApiVersion");
	const char *min = docker_json_text(root, "MinAPIVersion");
	int newest, oldest = 0;

	if (!api || !minor(api, &newest))
		return "what answers there is no container engine";
	if (min && !minor(min, &oldest))
		oldest = 0;
	if (newest < OLDEST || oldest > OUR_MINOR) {
		snprintf(text, size,
			 "the engine speaks API %d.%d to %.8s; %d.%d to %d.%d is wanted", OUR_MAJOR,
			 oldest, api, OUR_MAJOR, OLDEST, OUR_MAJOR, OUR_MINOR);
		return text;
	}
	snprintf(e->api, sizeof(e->api), "%d.%d", OUR_MAJOR,
		 newest < OUR_MINOR ? newest : OUR_MINOR);
	return NULL;
}

/* On a busy machine an engine needs longer than what is enough elsewhere, and would never be
 * reached by who always gives up at the same moment. */
static void learn(struct docker_engine *e, int code)
{
	int64_t wanted = (e->d->host->now_ms(e->d->host) - e->asked_ms) * 3;

	if (code == AICTL_TIMEOUT)
		wanted = e->patience_ms * 2;
	else if (code != AICTL_OK)
		return;
	e->patience_ms = wanted < ASK_MS ? ASK_MS : wanted > ASK_MAX_MS ? ASK_MAX_MS : wanted;
}

static void on_version(void *user, const struct docker_http_answer *a)
{
	struct docker_engine *e = user;
	const struct aictl_host *host = e->d->host;
	const char *why = NULL;
	cJSON *root;
	char text[160];

	e->asking = NULL;
	learn(e, a->code);
	if (a->code != AICTL_OK) {
		go_down(e, a->error);
		return;
	}
	root = docker_json_parse(a->body, a->len);
	why = a->status != 200 ? "what answers there is no container engine"
			       : agree(e, root, text, sizeof(text));
	if (!why)
		name_it(e, root);
	cJSON_Delete(root);
	if (!why && !listen_to_events(e))
		why = "out of memory";
	if (why) {
		go_down(e, why);
		return;
	}
	e->up = true;
	e->up_since_ms = host->now_ms(host);
	e->error[0] = '\0';
	host->timer_set(host, e->timer, PING_EVERY_MS);
	tell(e);
	docker_engine_changed(e->d, true);
}

/* ---- heartbeat ---- */

static void on_pong(void *user, const struct docker_http_answer *a)
{
	struct docker_engine *e = user;

	e->asking = NULL;
	learn(e, a->code);
	if (a->code == AICTL_OK && a->status == 200) {
		e->d->host->timer_set(e->d->host, e->timer, PING_EVERY_MS);
		docker_alive(e->d);
	} else {
		go_down(e, a->code != AICTL_OK ? a->error : "the engine does not answer a ping");
	}
}

static bool ask_it(struct docker_engine *e, const char *path,
		   void (*done)(void *user, const struct docker_http_answer *a))
{
	const struct docker_http_ask ask = {
		.path = path, .timeout_ms = e->patience_ms, .done = done, .user = e};

	e->asked_ms = e->d->host->now_ms(e->d->host);
	e->asking = docker_http_send(e->d->http, &ask);
	return e->asking != NULL;
}

void docker_engine_doubt(struct docker_engine *e)
{
	if (!e->up || e->asking)
		return;
	if (!ask_it(e, "/_ping", on_pong))
		e->d->host->timer_set(e->d->host, e->timer, PING_EVERY_MS);
}

static void try_again(struct docker_engine *e)
{
	if (!ask_it(e, "/version", on_version))
		go_down(e, "out of memory");
}

static void on_timer(void *user)
{
	struct docker_engine *e = user;

	if (e->up)
		docker_engine_doubt(e);
	else if (!e->asking)
		try_again(e);
}

/* ---- */

struct docker_http_call *docker_engine_send(struct docker_engine *e,
					    const struct docker_http_ask *ask, const char *fmt, ...)
{
	struct docker_http_ask with = *ask;
	_docker_free_ char *path = NULL, *tail = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	tail = n >= 0 ? docker_mem_zalloc((size_t)n + 1) : NULL;
	if (!tail)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(tail, (size_t)n + 1, fmt, ap);
	va_end(ap);
	path = docker_mem_printf("/v%s%s", e->api, tail);
	if (!path)
		return NULL;
	with.path = path;
	return docker_http_send(e->d->http, &with);
}

struct docker_engine *docker_engine_new(struct docker *d)
{
	struct docker_engine *e = docker_mem_zalloc(sizeof(*e));

	if (!e)
		return NULL;
	e->d = d;
	e->retry_ms = RETRY_MIN_MS;
	e->patience_ms = ASK_MS;
	e->timer = d->host->timer_new(d->host, on_timer, e);
	if (!e->timer) {
		docker_mem_free(e);
		return NULL;
	}
	d->host->timer_set(d->host, e->timer, 0);
	return e;
}

void docker_engine_free(struct docker_engine *e)
{
	if (!e)
		return;
	docker_http_cancel(e->asking);
	docker_http_cancel(e->events);
	e->d->host->timer_free(e->d->host, e->timer);
	docker_mem_free(e);
}
