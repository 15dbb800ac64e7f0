/*
 * api_plan: POST /v1/plan, what an apply of the same body would do. It goes through the same queue,
 * checks and preview as the apply itself. Values of environment and secrets are masked for those
 * who may not change them, as everywhere.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/api_apply.h"
#include "daemon/controller/apply.h"
#include "daemon/controller/canary.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/preview.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/sources.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/schema.h"

struct pending {
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
	bool show_values;
};

/* ---- keys ---- */

/* The change class of a dotted key: that of the deepest row on its way. */
static enum change_class class_of(const char *key)
{
	const struct schema_row *row = schema_find("services.*");
	enum change_class found = CHANGE_REPLACE;

	while (row && *key) {
		size_t n = strcspn(key, ".");
		_cleanup_free_ char *part = mem_strndup(key, n);
		const struct schema_row *child = part ? schema_child(row, part) : NULL;

		row = child ? child : schema_child(row, "*");
		if (row)
			found = row->change;
		key += n + (key[n] == '.');
	}
	return found;
}

static const char *class_name(enum change_class c)
{
	static const char *const names[] = {[CHANGE_NONE] = "none",
					    [CHANGE_LIVE] = "live",
					    [CHANGE_RELOAD] = "reload",
					    [CHANGE_REPLACE] = "replace"};

	return names[c];
}

static void write_key(struct jsonw *w, const char *key, const struct apply_service *s)
{
	const struct service_spec *want = s->want;
	struct manifest_place at = {want->file, want->line, 1};
	enum change_class class = class_of(key);

	if (class == CHANGE_REPLACE && s->preview->action == PREVIEW_RELOAD)
		class = CHANGE_RELOAD; /* of a secret its contents */

	service_spec_place(want, key, &at);
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "key", key);
	jsonw_string(w, "class", class_name(class));
	jsonw_string(w, "file", at.file);
	jsonw_int(w, "line", at.line);
	jsonw_object_end(w);
}

static void write_keys(struct jsonw *w, const struct apply_service *s)
{
	_cleanup_free_ char *keys = mem_strdup(buf_cstr(&s->preview->keys));
	char *rest = keys;

	w->out->failed |= !keys;
	jsonw_array_begin(w, "keys");
	while (rest && *rest && s->want) {
		char *key = rest, *comma = strstr(rest, ", ");

		if (comma)
			*comma = '\0';
		rest = comma ? comma + 2 : NULL;
		write_key(w, key, s);
	}
	jsonw_array_end(w);
}

/* ---- a service ---- */

static void write_replicas(struct jsonw *w, const struct apply_service *s)
{
	const struct preview *p = s->preview;

	jsonw_array_begin(w, "replicas");
	for (size_t i = 0; i < p->n_steps; i++) {
		_cleanup_free_ char *id = mem_printf("%s/%u", s->name, p->steps[i].index);

		jsonw_object_begin(w, NULL);
		jsonw_string(w, "id", id);
		jsonw_string(w, "action", preview_touch_name(p->steps[i].touch));
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
	jsonw_object_begin(w, "unavailable");
	jsonw_int(w, "replicas", p->unavailable);
	jsonw_int(w, "of", p->of);
	jsonw_bool(w, "service_down", p->down);
	if (p->expected_ms >= 0)
		jsonw_int(w, "expected_ms", p->expected_ms);
	else
		jsonw_null(w, "expected_ms");
	jsonw_object_end(w);
}

static char *user_note(const struct controller *c, const struct apply_service *s)
{
	const struct service *now = controller_find(c, s->name);
	const struct preview *p = s->preview;

	if (!now || now->deleted || !s->want)
		return mem_strdup("");
	if (now->left_alone)
		return mem_strdup("its manifest was lost: taken over");
	if (p->stopped)
		return mem_strdup("stopped by the user: stays stopped");
	if (p->replicas_override >= 0 && p->replicas_override != s->want->replicas)
		return mem_printf("scaled by the user: stays at %lld",
				  (long long)p->replicas_override);
	if (now->replicas_override >= 0 && p->replicas_override < 0)
		return mem_printf("scaled by the user to %lld: the manifest's number counts again",
				  (long long)now->replicas_override);
	if (p->action == PREVIEW_NONE && service_task_would_run(now, s->want))
		return mem_strdup("runs again: run_again is always");
	return mem_strdup("");
}

/* Takes note. */
static char *say_pause(const struct apply_service *s, char *note)
{
	_cleanup_free_ char *former = note;

	return mem_printf("%s%spauses after %lld of %u (update.pause_after): "
			  "`aictl rollout resume %s` goes on",
			  former, *former ? "; " : "", (long long)s->want->update.pause_after,
			  s->preview->desired, s->name);
}

/* "a canary first: 5 % of the requests for 2m, ..." behind note, which is taken. */
static char *say_steps(const struct update_spec *u, char *note)
{
	_cleanup_free_ char *former = note;
	_cleanup_buf_ struct buf b = {0};
	struct canary_step step;
	char human[24];

	buf_str(&b, former);
	for (unsigned i = 0; canary_step(u, i, &step) && step.percent < 100; i++)
		buf_printf(&b, "%s%u %% of the requests for %s",
			   i	     ? ", "
			   : *former ? "; a canary first (update.strategy): "
				     : "a canary first (update.strategy): ",
			   step.percent, clock_human(step.ms, human, sizeof(human)));
	return b.failed ? NULL : buf_take(&b);
}

/* With what the rollout will do by itself. */
static char *note_of(const struct controller *c, const struct apply_service *s)
{
	char *note = user_note(c, s);
	const struct preview *p = s->preview;
	int64_t after = s->want ? s->want->update.pause_after : 0;

	if (!note || p->action != PREVIEW_REPLACE || p->stopped || p->desired == 0)
		return note;
	if (s->want->update.strategy == UPDATE_CANARY)
		note = say_steps(&s->want->update, note);
	return note && after > 0 && after < p->desired ? say_pause(s, note) : note;
}

static void write_yaml(struct jsonw *w, const char *key, const struct service_spec *spec, bool show)
{
	_cleanup_buf_ struct buf b = {0};

	if (!spec) {
		jsonw_null(w, key);
		return;
	}
	manifest_write_yaml(spec, show ? 0 : MANIFEST_WRITE_MASKED, &b);
	w->out->failed |= b.failed;
	jsonw_string_n(w, key, buf_cstr(&b), b.len);
}

static void write_service(struct jsonw *w, const struct pending *p, const struct apply_service *s)
{
	_cleanup_free_ char *note = note_of(p->c, s);

	jsonw_object_begin(w, NULL);
	jsonw_string(w, "name", s->name);
	jsonw_string(w, "action", preview_action_name(s->preview->action));
	write_keys(w, s);
	write_replicas(w, s);
	jsonw_string(w, "note", note);
	if (s->preview->action == PREVIEW_NONE) { /* the two are the same */
		jsonw_null(w, "before");
		jsonw_null(w, "after");
	} else {
		write_yaml(w, "before", s->now, p->show_values);
		write_yaml(w, "after", s->want, p->show_values);
	}
	jsonw_object_end(w);
}

/* ---- the whole ---- */

/* Where what the user did since differs from what the manifest will say. */
static void write_drift(struct jsonw *w, const struct apply_plan *plan)
{
	jsonw_array_begin(w, "drift");
	for (size_t i = 0; i < plan->n_services; i++) {
		const struct apply_service *s = &plan->services[i];
		const struct preview *p = s->preview;

		if (s->want && p->stopped) {
			jsonw_object_begin(w, NULL);
			jsonw_string(w, "service", s->name);
			jsonw_string(w, "key", "stopped");
			jsonw_bool(w, "manifest", false);
			jsonw_bool(w, "actual", true);
			jsonw_object_end(w);
		}
		if (s->want && p->replicas_override >= 0 &&
		    p->replicas_override != s->want->replicas) {
			jsonw_object_begin(w, NULL);
			jsonw_string(w, "service", s->name);
			jsonw_string(w, "key", "replicas");
			jsonw_int(w, "manifest", s->want->replicas);
			jsonw_int(w, "actual", p->replicas_override);
			jsonw_object_end(w);
		}
	}
	jsonw_array_end(w);
}

static void write_plan(struct jsonw *w, const struct pending *p, const struct apply_plan *plan)
{
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "set", plan->manifest->name);
	jsonw_int(w, "revision", (int64_t)plan->revision);
	jsonw_int(w, "next_revision", (int64_t)plan->next_revision);
	jsonw_bool(w, "changes", plan->next_revision != plan->revision);
	jsonw_array_begin(w, "services");
	for (size_t i = 0; i < plan->n_services; i++)
		write_service(w, p, &plan->services[i]);
	jsonw_array_end(w);
	jsonw_array_begin(w, "not_in_manifest");
	for (size_t i = 0; plan->not_in_manifest[i]; i++)
		jsonw_string(w, NULL, plan->not_in_manifest[i]);
	jsonw_array_end(w);
	api_write_errors(w, "warnings", &plan->manifest->warnings);
	api_write_errors(w, "machine_warnings", plan->warnings);
	write_drift(w, plan);
	jsonw_object_end(w);
}

static void planned(void *user, const struct apply_result *res)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};
	struct pending *p = user;

	if (p->r && res->plan) {
		write_plan(&w, p, res->plan);
		api_reply(p->r, 200, &b);
	} else if (p->r) {
		api_apply_reply_failure(p->r, res);
	}
	mem_free(p);
}

static void on_gone(struct http_request *r, void *user)
{
	struct pending *p = user;

	p->r = NULL;
	http_request_forget(r);
}

static void submit(struct api_call *call, struct apply_args *args)
{
	struct pending *p = mem_alloc(sizeof(*p));

	if (!p) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	*p = (struct pending){call->c, call->r, api_role_sees_values(call)};
	args->done = planned;
	args->user = p;
	http_request_set_user(call->r, p, on_gone);
	if (apply_submit(call->c, args) < 0) {
		api_reply_error(call->r, 503, "busy", "too many plans at once: try again");
		mem_free(p);
	}
}

void api_plan_post(struct api_call *call)
{
	__attribute__((cleanup(sources_done))) struct sources sources = {0};
	struct apply_args args = {.change_id = NULL};
	cJSON *body;

	if (!api_ready(call))
		return;
	body = api_body_object(call);
	if (body && api_apply_args(call, body, &sources, &args))
		submit(call, &args);
	cJSON_Delete(body);
}
