/*
 * api_daemon: GET /v1/version, GET /v1/daemon, POST /v1/daemon/reload, /stop and /log-level.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cjson/cJSON.h>
#include <unistd.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_log_fault.h"
#include "daemon/controller/runtimes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "daemon/controller/strangers.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/version.h"

void api_daemon_version(struct api_call *call)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "api_version", "v1");
	jsonw_string(&w, "version", version_text);
	jsonw_object_end(&w);
	api_reply(call->r, 200, &b);
}

static void write_cgroup(struct jsonw *w, const struct wire_status *status)
{
	static const struct {
		uint32_t can;
		const char *word;
	} words[] = {{WIRE_CGROUP_TRACK, "track"}, {WIRE_CGROUP_MEMORY, "memory"},
		     {WIRE_CGROUP_CPU, "cpu"},	   {WIRE_CGROUP_IO, "io"},
		     {WIRE_CGROUP_PIDS, "pids"},   {WIRE_CGROUP_CPUSET, "cpuset"}};

	jsonw_object_begin(w, "cgroup");
	jsonw_string(w, "dir", status->cgroup_dir[0] ? status->cgroup_dir : NULL);
	jsonw_array_begin(w, "can");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (status->cgroup_can & words[i].can)
			jsonw_string(w, NULL, words[i].word);
	jsonw_array_end(w);
	jsonw_object_end(w);
}

/* Replicas that have a process now. */
static size_t count_running(const struct controller *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_services; i++)
		for (size_t k = 0; k < c->services[i]->n_replicas; k++)
			n += c->services[i]->replicas[k]->pid != 0;
	return n;
}

static size_t count_copied(const struct controller *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_services; i++)
		for (size_t k = 0; k < c->services[i]->n_replicas; k++)
			n += replica_log_fault_is_weak(c->services[i]->replicas[k]);
	return n;
}

static void write_limit(struct jsonw *w, const char *name, int64_t bytes)
{
	if (bytes)
		jsonw_int(w, name, bytes);
	else
		jsonw_null(w, name);
}

void api_daemon_info(struct api_call *call)
{
	const struct controller *c = call->c;
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};
	size_t queued = 0, replicas = 0;
	uint64_t dropped = 0;
	int64_t since = c->status.started_wall_ms ? c->status.started_wall_ms : c->started_wall_ms;

	for (size_t i = 0; i < c->n_services; i++)
		replicas += c->services[i]->n_replicas;
	if (c->store)
		store_stats(c->store, &queued, &dropped);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "version", version_text);
	jsonw_int(&w, "pid", c->hello.aictld_pid);
	jsonw_int(&w, "controller_pid", getpid());
	jsonw_int(&w, "logger_pid", c->status.logger_pid);
	jsonw_int(&w, "gateway_pid", c->status.gateway_pid);
	jsonw_time(&w, "started_at", c->status.started_wall_ms);
	jsonw_int(&w, "uptime_s", (clock_wall_ms() - since) / 1000);
	jsonw_string(&w, "mode", controller_mode_name(c));
	jsonw_string(&w, "log_level", log_level_name(log_level_get()));
	jsonw_string(&w, "role", api_role_name(call->role));
	jsonw_string(&w, "runtime_dir", c->opts.runtime_dir);
	jsonw_string(&w, "state_dir", c->opts.state_dir);
	jsonw_string(&w, "log_dir", c->opts.log_dir);
	write_limit(&w, "log_max_total", c->opts.log_max_total);
	write_limit(&w, "log_keep_free", c->opts.log_keep_free);
	jsonw_int(&w, "logs_copied", (int64_t)count_copied(c));
	jsonw_string(&w, "manifests", c->opts.manifests);
	jsonw_int(&w, "port_first", c->opts.port_first);
	jsonw_int(&w, "port_last", c->opts.port_last);
	jsonw_string(&w, "ports_unchecked",
		     strangers_error(c->strangers) ? strerror(strangers_error(c->strangers))
						   : NULL);
	jsonw_int(&w, "services", (int64_t)c->n_services);
	jsonw_int(&w, "replicas", (int64_t)replicas);
	jsonw_int(&w, "running", (int64_t)count_running(c));
	jsonw_int(&w, "adopted", c->status.adopted);
	jsonw_int(&w, "controller_restarts", c->status.controller_restarts);
	jsonw_int(&w, "logger_restarts", c->status.logger_restarts);
	jsonw_int(&w, "gateway_restarts", c->status.gateway_restarts);
	jsonw_int(&w, "gateway_threads", c->status.gateway_threads);
	write_cgroup(&w, &c->status);
	runtimes_write(c->runtimes, &w);
	jsonw_object_begin(&w, "store");
	jsonw_int(&w, "queued", (int64_t)queued);
	jsonw_int(&w, "dropped", (int64_t)dropped);
	jsonw_bool(&w, "ok", !c->store_failed);
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	api_reply(call->r, 200, &b);
}

static void control(struct api_call *call, enum wire_control what)
{
	_cleanup_buf_ struct buf packet = {0}, b = {0};
	struct jsonw w = {.out = &b};

	wire_encode_u32(&packet, WIRE_CONTROL, (uint32_t)what);
	link_send(call->c->link, &packet);
	jsonw_object_begin(&w, NULL);
	jsonw_bool(&w, "accepted", true);
	jsonw_object_end(&w);
	api_reply(call->r, 202, &b);
}

void api_daemon_reload(struct api_call *call)
{
	control(call, WIRE_CONTROL_RELOAD);
}

void api_daemon_stop(struct api_call *call)
{
	control(call, WIRE_CONTROL_STOP);
}

/* Ours at once; aictld's own and, through it, the logger's. Helpers started later get it, too. */
static void set_log_level(struct controller *c, enum log_level level)
{
	_cleanup_buf_ struct buf packet = {0};

	log_info("log level %s", log_level_name(level));
	log_set_level(level);
	wire_encode_u32(&packet, WIRE_LOG_LEVEL, (uint32_t)level);
	link_send(c->link, &packet);
}

void api_daemon_log_level(struct api_call *call)
{
	cJSON *body = api_body_object(call);
	const cJSON *level = cJSON_GetObjectItemCaseSensitive(body, "level");
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	if (!body)
		return;
	if (cJSON_IsString(level) && log_parse_level(level->valuestring) >= 0) {
		set_log_level(call->c, (enum log_level)log_parse_level(level->valuestring));
		jsonw_object_begin(&w, NULL);
		jsonw_string(&w, "level", log_level_name(log_level_get()));
		jsonw_object_end(&w);
		api_reply(call->r, 200, &b);
	} else {
		api_reply_error(call->r, 400, "invalid",
				"level: must be error, warn, info or debug");
	}
	cJSON_Delete(body);
}
