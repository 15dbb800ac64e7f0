/*
 * docker: see docker.h. Here: the table that the host calls, and how operations begin and end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docker_acts.h"
#include "docker_endpoint.h"
#include "docker_engine.h"
#include "docker_exec.h"
#include "docker_http.h"
#include "docker_logs.h"
#include "docker_mem.h"
#include "docker_start.h"
#include "docker_units.h"

void docker_log(const struct docker *d, int level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->host->log(d->host, level, text);
}

/* ---- operations ---- */

void docker_begin(struct docker *d, struct docker_op *op, uint64_t number,
		  void (*cancel)(struct docker_op *op))
{
	op->d = d;
	op->op = number;
	op->cancel = cancel;
	LIST_INSERT_HEAD(&d->ops, op, all);
}

void docker_end_with(struct docker_op *op, const struct aictl_result *result)
{
	struct docker *d = op->d;

	LIST_REMOVE(op, all);
	d->host->complete(d->host, op->op, result);
}

void docker_end(struct docker_op *op, int code, const char *fmt, ...)
{
	char text[512];
	const struct aictl_result r = {
		.struct_size = sizeof(r), .code = code, .message = code ? text : NULL};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	docker_end_with(op, &r);
}

void docker_refuse(struct docker *d, uint64_t number, int code, const char *text)
{
	const struct aictl_result r = {.struct_size = sizeof(r), .code = code, .message = text};

	d->host->complete(d->host, number, &r);
}

/* Whoever is told may end any operation and begin others: so from the start, each once. */
void docker_engine_changed(struct docker *d, bool up)
{
	struct docker_op *op;

	LIST_FOREACH (op, &d->ops, all)
		op->told = !op->engine;
	for (;;) {
		LIST_FOREACH (op, &d->ops, all) {
			if (!op->told)
				break;
		}
		if (!op)
			return;
		op->told = true;
		if (op->engine)
			op->engine(op, up);
	}
}

void docker_alive(struct docker *d)
{
	struct docker_op *op;

	LIST_FOREACH (op, &d->ops, all) {
		if (op->alive)
			op->alive(op);
	}
}

void docker_changed(struct docker *d, const char *unit)
{
	struct docker_op *op;

	LIST_FOREACH (op, &d->ops, all) {
		if (op->changed && strcmp(op->unit, unit) == 0) {
			op->changed(op);
			return; /* one reader per unit */
		}
	}
}

/* ---- what the host calls ---- */

static void release(struct docker *d)
{
	docker_engine_free(d->engine);
	docker_units_free(d->units);
	docker_http_free(d->http);
	docker_mem_free(d->name);
	docker_mem_free(d->instance);
	docker_mem_free(d->socket_path);
	docker_mem_free(d->endpoint);
	docker_mem_free(d->scratch);
	docker_mem_free(d);
}

static bool fill(struct docker *d, const struct aictl_open *with)
{
	d->name = docker_mem_dup(with->name);
	d->instance = docker_mem_dup(with->instance);
	d->endpoint = docker_mem_printf("unix://%s", d->socket_path);
	d->scratch = docker_mem_zalloc(DOCKER_SCRATCH);
	d->http = docker_http_new(d->host, d->socket_path);
	d->units = docker_units_new(d);
	if (!d->name || !d->instance || !d->endpoint || !d->scratch || !d->http || !d->units)
		return false;
	d->engine = docker_engine_new(d);
	return d->engine != NULL;
}

/* It stands in queries and labels. */
static bool instance_ok(const char *s)
{
	static const char ok[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return s && s[0] && strlen(s) < 128 && s[strspn(s, ok)] == '\0';
}

static int op_open(const struct aictl_host *host, const struct aictl_open *with, void **ret_self,
		   char *error, size_t error_size)
{
	struct docker *d;
	char *path;
	int r;

	if (!instance_ok(with->instance)) {
		snprintf(error, error_size, "the instance's name is not fit for a label");
		return AICTL_INVALID;
	}
	r = docker_endpoint_parse(with->config, getenv("DOCKER_HOST"), &path, error, error_size);
	if (r != AICTL_OK)
		return r;
	d = docker_mem_zalloc(sizeof(*d));
	if (!d) {
		docker_mem_free(path);
		snprintf(error, error_size, "out of memory");
		return AICTL_NO_MEMORY;
	}
	d->host = host;
	d->socket_path = path;
	if (!fill(d, with)) {
		release(d);
		snprintf(error, error_size, "out of memory");
		return AICTL_NO_MEMORY;
	}
	*ret_self = d;
	return AICTL_OK;
}

static void op_close(void *self, uint64_t op)
{
	struct docker *d = self;
	const struct aictl_host *host = d->host;

	d->closing = true;
	while (!LIST_EMPTY(&d->ops)) {
		struct docker_op *first = LIST_FIRST(&d->ops);

		first->cancel(first);
	}
	release(d);
	host->complete(host, op, NULL);
}

/* Refuses what needs the engine while there is none, and what no container can be called. */
static bool ready(struct docker *d, uint64_t op, const char *unit)
{
	char text[400];

	if (unit && !docker_units_name_ok(unit)) {
		docker_refuse(d, op, AICTL_INVALID, "the unit's name is not fit for a container");
		return false;
	}
	if (docker_engine_up(d->engine))
		return true;
	snprintf(text, sizeof(text), "the engine is not reachable: %s",
		 docker_engine_error(d->engine));
	docker_refuse(d, op, AICTL_UNREACHABLE, text);
	return false;
}

static void op_start(void *self, uint64_t op, const struct aictl_start *what)
{
	if (ready(self, op, what->unit))
		docker_start_begin(self, op, what);
}

static void op_signal(void *self, uint64_t op, const char *unit, int number)
{
	if (ready(self, op, unit))
		docker_acts_signal(self, op, unit, number);
}

static void op_remove(void *self, uint64_t op, const char *unit)
{
	if (ready(self, op, unit))
		docker_acts_remove(self, op, unit);
}

static void op_list(void *self, uint64_t op)
{
	if (ready(self, op, NULL))
		docker_units_list(self, op);
}

static void op_stats(void *self, uint64_t op, const char *unit)
{
	if (ready(self, op, unit))
		docker_acts_stats(self, op, unit);
}

static void op_exec(void *self, uint64_t op, const struct aictl_exec *what)
{
	if (ready(self, op, what->unit))
		docker_exec_begin(self, op, what);
}

static void op_resize(void *self, uint64_t op, uint32_t rows, uint32_t columns)
{
	docker_exec_resize(self, op, rows, columns);
}

static void op_logs(void *self, uint64_t op, const struct aictl_logs *what)
{
	docker_logs_begin(self, op, what);
}

static void op_cancel(void *self, uint64_t number)
{
	struct docker *d = self;
	struct docker_op *op;

	LIST_FOREACH (op, &d->ops, all) {
		if (op->op == number) {
			op->cancel(op);
			return;
		}
	}
}

static const struct aictl_runtime_ops ops = {
	.struct_size = sizeof(ops),
	.open = op_open,
	.close = op_close,
	.start = op_start,
	.signal = op_signal,
	.remove = op_remove,
	.list = op_list,
	.stats = op_stats,
	.exec = op_exec,
	.exec_resize = op_resize,
	.logs = op_logs,
	.cancel = op_cancel,
};

static const struct aictl_plugin plugin = {
	.abi = AICTL_PLUGIN_ABI,
	.struct_size = sizeof(plugin),
	.kind = AICTL_KIND_RUNTIME,
	.name = "docker",
	.version = PLUGIN_VERSION,
	.description = "containers of Docker Engine or Podman, over Docker's API",
	.runtime = &ops,
};

const struct aictl_plugin *aictl_plugin_query(uint32_t host_abi)
{
	return host_abi == AICTL_PLUGIN_ABI ? &plugin : NULL;
}
