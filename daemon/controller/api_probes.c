/* api_probes: see api_probes.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/api_probes.h"

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"

static void write_result(struct jsonw *w, const struct probe_entry *e)
{
	jsonw_object_begin(w, NULL);
	jsonw_time(w, "at", e->at_wall_ms);
	jsonw_bool(w, "ok", e->ok);
	jsonw_int(w, "duration_ms", e->duration_ms);
	jsonw_string(w, "message", probe_history_message(e));
	jsonw_object_end(w);
}

static void write_probe(struct jsonw *w, const struct replica *r, enum probe_kind kind)
{
	static const struct probe_history none;
	const struct probe_history *h = r->probes[kind] ? &r->probes[kind]->history : &none;
	const struct probe_entry *last = probe_history_at(h, 0), *e;
	const struct health_probe *state = &r->health.probes[kind];
	_cleanup_buf_ struct buf handler = {0}, target = {0};

	jsonw_object_begin(w, replica_probe_kind_name(kind));
	jsonw_bool(w, "enabled", true);
	replica_probe_describe(r, kind, &handler, &target);
	jsonw_string(w, "handler", buf_cstr(&handler));
	jsonw_string(w, "target", target.len ? target.data : NULL);
	if (last)
		jsonw_bool(w, "ok", last->ok);
	else
		jsonw_null(w, "ok");
	jsonw_string(w, "message", probe_history_message(last));
	jsonw_time(w, "at", last ? last->at_wall_ms : 0);
	jsonw_int(w, "failures", state->failures);
	jsonw_int(w, "failure_threshold", r->spec->probes[kind].failure_threshold);
	jsonw_int(w, "timeout_ms", r->spec->probes[kind].timeout_ms);
	jsonw_bool(w, "active",
		   r->health.active && (state->running || state->next_at_ms != INT64_MAX));
	jsonw_int(w, "results", h->count);
	jsonw_array_begin(w, "history");
	for (unsigned i = 0; (e = probe_history_at(h, i)) != NULL; i++)
		write_result(w, e);
	jsonw_array_end(w);
	jsonw_object_end(w);
}

void api_probes_write(struct jsonw *w, const struct replica *r)
{
	jsonw_object_begin(w, "probes");
	for (int k = 0; r->spec && k < PROBE_KIND_MAX_; k++)
		if (probe_spec_polls(&r->spec->probes[k]))
			write_probe(w, r, (enum probe_kind)k);
	jsonw_object_end(w);
}

/* The service of the request, or NULL when it is answered. *ret_index: -1 = all replicas. */
static const struct service *wanted(struct api_call *call, int64_t *ret_index)
{
	const struct service *s = controller_find(call->c, call->name);

	*ret_index = -1;
	if (!s) {
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", call->name);
		return NULL;
	}
	if (http_request_query(call->r, "replica") &&
	    (*ret_index = api_query_int(call, "replica", 0, 0, 100000)) < 0)
		return NULL;
	return s;
}

/* They run as those that are due do: in their turn, counted, never two of a kind at once. */
void api_probes_check(struct api_call *call)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};
	const struct service *s;
	int64_t index, asked = 0;

	if (!api_ready(call) || !(s = wanted(call, &index)))
		return;
	for (size_t i = 0; i < s->n_replicas; i++) {
		struct replica *r = s->replicas[i];

		if ((index >= 0 && r->index != (unsigned)index) || !r->health.active)
			continue;
		replica_probe_now(r);
		asked++;
	}
	jsonw_object_begin(&w, NULL);
	jsonw_int(&w, "replicas", asked);
	jsonw_object_end(&w);
	api_reply(call->r, 202, &b);
}
