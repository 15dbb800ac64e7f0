/*
 * api_plugins: GET /v1/plugins: the modules of the plugin directory. We load none of them: of those
 * that are enabled it is known what their aictl-runtime says (runtimes.h), of the others the names of
 * their files, which a worker reads.
 *
 * SPDX-License-Identifier: MIT
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/runtimes.h"
#include "lib/buf.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

#define FILES_MAX 256
#define NAME_SIZE 64
#define SUFFIX ".so"

/* A request that waits for the directory; outlives its client. */
struct listing {
	uv_work_t work;
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
	int error;
	size_t n;
	char names[FILES_MAX][NAME_SIZE]; /* without the suffix */
};

static void on_gone(struct http_request *r, void *user)
{
	struct listing *l = user;

	l->r = NULL;
	http_request_forget(r);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void take_name(struct listing *l, const char *file)
{
	size_t n = strlen(file), suffix = strlen(SUFFIX);

	if (l->n == FILES_MAX || n <= suffix || n - suffix >= NAME_SIZE ||
	    strcmp(file + n - suffix, SUFFIX) != 0)
		return;
	memcpy(l->names[l->n], file, n - suffix);
	l->n++;
}

static void read_names(uv_work_t *work)
{
	struct listing *l = work->data;
	const char *path = l->c->opts.plugin_dir; /* lives as long as the process */
	DIR *dir = opendir(path);
	const struct dirent *e;

	if (!dir) {
		l->error = errno;
		return;
	}
	while ((e = readdir(dir))) /* NOLINT(concurrency-mt-unsafe): a stream of our own */
		take_name(l, e->d_name);
	closedir(dir);
	qsort(l->names, l->n, sizeof(l->names[0]), by_name);
}

static const char *state_of(const struct wire_runtime *m)
{
	switch ((enum wire_runtime_state)m->state) {
	case WIRE_RUNTIME_FAILED:
		return "refused";
	case WIRE_RUNTIME_DOWN:
		return "down";
	case WIRE_RUNTIME_STARTING:
		return m->abi ? "loaded" : "starting";
	case WIRE_RUNTIME_OK:
	case WIRE_RUNTIME_UNREACHABLE:
	case WIRE_RUNTIME_STATE_MAX_:
		break;
	}
	return "loaded";
}

static void text(struct jsonw *w, const char *key, const char *value)
{
	jsonw_string(w, key, value[0] ? value : NULL);
}

static void write_enabled(struct jsonw *w, const struct wire_runtime *m)
{
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "name", m->name);
	jsonw_string(w, "state", state_of(m));
	jsonw_string(w, "runtime", m->name);
	text(w, "file", m->plugin);
	text(w, "kind", m->kind);
	text(w, "version", m->version);
	jsonw_int(w, "abi", m->abi);
	text(w, "description", m->description);
	jsonw_time(w, "since", m->since_wall_ms);
	text(w, "error", m->text);
	text(w, "engine", m->engine);
	text(w, "endpoint", m->endpoint);
	jsonw_int(w, "pid", m->pid);
	jsonw_int(w, "restarts", m->restarts);
	text(w, "last_end", m->ended);
	jsonw_int(w, "faults", m->faults);
	text(w, "last_fault", m->fault);
	jsonw_object_end(w);
}

static void write_other(struct jsonw *w, const char *dir, const char *name)
{
	static const char *const unknown[] = {"runtime",  "kind",      "version", "description",
					      "since",	  "error",     "engine",  "endpoint",
					      "last_end", "last_fault"};
	static const char *const none[] = {"abi", "pid", "restarts", "faults"};
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s" SUFFIX, dir, name);
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "name", name);
	jsonw_string(w, "state", "not_enabled");
	jsonw_string(w, "file", path);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		jsonw_null(w, unknown[i]);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		jsonw_int(w, none[i], 0);
	jsonw_object_end(w);
}

static void answer(const struct listing *l)
{
	const struct controller *c = l->c;
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};
	const struct wire_runtime *m;

	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "directory", c->opts.plugin_dir);
	jsonw_string(&w, "error", l->error ? strerror(l->error) : NULL);
	jsonw_array_begin(&w, "plugins");
	for (size_t i = 0; (m = runtimes_at(c->runtimes, i)); i++)
		write_enabled(&w, m);
	for (size_t i = 0; i < l->n; i++)
		if (!runtimes_find(c->runtimes, l->names[i]))
			write_other(&w, c->opts.plugin_dir, l->names[i]);
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	api_reply(l->r, 200, &b);
}

static void on_names(uv_work_t *work, int status)
{
	struct listing *l = work->data;

	if (l->r && status == 0)
		answer(l);
	else if (l->r)
		api_reply_error(l->r, 503, "unavailable", "the daemon ends");
	mem_free(l);
}

void api_plugins_get(struct api_call *call)
{
	struct controller *c = call->c;
	struct listing *l = c->opts.plugin_dir ? mem_alloc(sizeof(*l)) : NULL;

	if (l) {
		l->work.data = l;
		l->c = c;
		l->r = call->r;
	}
	if (l && uv_queue_work(c->loop, &l->work, read_names, on_names) == 0) {
		http_request_set_user(call->r, l, on_gone);
		return;
	}
	mem_free(l);
	api_reply_error(call->r, 503, "unavailable", "out of memory, or no plugin directory");
}
