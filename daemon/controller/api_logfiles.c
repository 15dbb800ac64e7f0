/* api_logfiles: see api_logfiles.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/api_logfiles.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define WAITING_MAX 64
#define PATIENCE_MS 20000
#define NUMBER_MAX 9007199254740992.0 /* 2^53: exact in JSON */

/* One request; the first in the list is the one that the logger was asked for. */
struct logfiles {
	struct controller *c;
	struct http_request *r; /* NULL: gone */
	uv_timer_t timer;	/* while it is the first */
	struct wire_log_work m;
	TAILQ_ENTRY(logfiles) all;
};

static void ask_next(struct controller *c);

static void on_closed(uv_handle_t *h)
{
	mem_free(h->data);
}

static void end(struct logfiles *l)
{
	TAILQ_REMOVE(&l->c->logfiles, l, all);
	l->c->n_logfiles--;
	uv_close((uv_handle_t *)&l->timer, on_closed);
}

/* What the logger was asked for stays until it answers: it does one thing at a time. */
static void on_gone(struct http_request *r, void *user)
{
	struct logfiles *l = user;

	http_request_forget(r);
	l->r = NULL;
	if (l->c->closed || l != TAILQ_FIRST(&l->c->logfiles))
		end(l);
}

static void on_timeout(uv_timer_t *timer)
{
	struct logfiles *l = timer->data;
	struct controller *c = l->c;

	if (l->r)
		api_reply_error(
			l->r, 503, "timeout",
			"the logger has not answered: the disk with the logs of %s may hang "
			"(see aictl doctor)",
			l->m.service);
	end(l);
	ask_next(c);
}

static void ask_next(struct controller *c)
{
	struct logfiles *l = TAILQ_FIRST(&c->logfiles);
	_cleanup_buf_ struct buf packet = {0};

	if (!l)
		return;
	l->m.id = ++c->next_logfiles;
	wire_logs_encode_work(&packet, &l->m);
	link_send(c->link, &packet);
	uv_update_time(c->loop);
	uv_timer_start(&l->timer, on_timeout, PATIENCE_MS, 0);
}

static void write_answer(struct jsonw *w, const struct wire_log_work *m,
			 const struct wire_log_done *d)
{
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "service", m->service);
	jsonw_int(w, "files", (int64_t)d->files);
	if (m->what == WIRE_LOG_PRUNE) {
		jsonw_int(w, "bytes", (int64_t)d->bytes);
		jsonw_int(w, "kept_files", (int64_t)d->kept);
		jsonw_int(w, "kept_bytes", (int64_t)d->kept_bytes);
		jsonw_int(w, "failed_files", (int64_t)d->failed);
		jsonw_bool(w, "dry_run", m->dry_run);
	}
	jsonw_object_end(w);
}

static void answer(struct logfiles *l, const struct wire_log_done *d)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	if (d->err) {
		api_reply_error(l->r, 503, "unavailable",
				"the log files of %s cannot be looked at: %s", l->m.service,
				strerror(d->err));
		return;
	}
	if (d->files + d->kept == 0 && !controller_find(l->c, l->m.service)) {
		api_reply_error(l->r, 404, "not_found",
				"no service \"%s\", and no log files of one", l->m.service);
		return;
	}
	write_answer(&w, &l->m, d);
	api_reply(l->r, 200, &b);
}

void api_logfiles_told(struct controller *c, const struct wire_log_done *m)
{
	struct logfiles *l = TAILQ_FIRST(&c->logfiles);

	if (!l || l->m.id != m->id)
		return; /* too late */
	if (l->m.what == WIRE_LOG_PRUNE && !l->m.dry_run && m->files > 0)
		log_info("service=%s files=%llu bytes=%llu log files deleted, as asked for",
			 l->m.service, (unsigned long long)m->files, (unsigned long long)m->bytes);
	if (l->r)
		answer(l, m);
	end(l);
	ask_next(c);
}

/* Whose client is still there ends with its connection (on_gone). */
void api_logfiles_close(struct controller *c)
{
	struct logfiles *l = TAILQ_FIRST(&c->logfiles);

	while (l) {
		struct logfiles *next = TAILQ_NEXT(l, all);

		if (l->r)
			uv_timer_stop(&l->timer);
		else
			end(l);
		l = next;
	}
}

/* ---- requests ---- */

static bool refuse(struct api_call *call, const char *name, const char *what)
{
	api_reply_error(call->r, 400, "invalid", "%s: must be %s", name, what);
	return false;
}

/* False: answered. Absent: *ret stays. */
static bool get_number(struct api_call *call, const cJSON *body, const char *name, double max,
		       double *ret)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(body, name);

	if (!v)
		return true;
	if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > max ||
	    v->valuedouble != (double)(int64_t)v->valuedouble)
		return refuse(call, name, "a whole number, not negative");
	*ret = v->valuedouble;
	return true;
}

static bool get_bool(struct api_call *call, const cJSON *body, const char *name, bool *ret)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(body, name);

	if (v && !cJSON_IsBool(v))
		return refuse(call, name, "true or false");
	*ret = cJSON_IsTrue(v);
	return true;
}

static bool is_label(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && s[n] == '\0' && n < WIRE_SERVICE_SIZE && s[0] != '-';
}

/* Only what the service has no more: replicas that are there keep all they have. */
static void spare_present(const struct controller *c, struct wire_log_work *m)
{
	const struct service *s = controller_find(c, m->service);

	for (size_t i = 0; s && i < s->n_replicas && m->n_stay < WIRE_LOG_STAY_MAX; i++)
		m->stay[m->n_stay++] = (uint32_t)s->replicas[i]->index;
}

static bool read_body(struct api_call *call, const cJSON *body, struct wire_log_work *m)
{
	const cJSON *service = cJSON_GetObjectItemCaseSensitive(body, "service");
	double replica = -1, older = 0, keep = 0;
	bool gone = false;

	if (!cJSON_IsString(service) || !is_label(service->valuestring))
		return refuse(call, "service", "the name of a service");
	memccpy(m->service, service->valuestring, '\0', sizeof(m->service));
	if (!get_number(call, body, "replica", 100000, &replica))
		return false;
	m->index = (int64_t)replica;
	if (m->what == WIRE_LOG_ROTATE)
		return true;
	if (!get_number(call, body, "older_than_ms", NUMBER_MAX, &older) ||
	    !get_number(call, body, "keep", 1000000, &keep) ||
	    !get_bool(call, body, "gone", &gone) || !get_bool(call, body, "dry_run", &m->dry_run))
		return false;
	m->older_than_ms = (int64_t)older;
	m->keep = (uint64_t)keep;
	if (gone)
		spare_present(call->c, m);
	return true;
}

/* Is there a replica of that name whose file could be closed? False: answered. */
static bool is_there(struct api_call *call, const struct wire_log_work *m)
{
	const struct service *s = controller_find(call->c, m->service);

	if (!s) {
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", m->service);
		return false;
	}
	for (size_t i = 0; i < s->n_replicas; i++)
		if ((int64_t)s->replicas[i]->index == m->index)
			return true;
	if (m->index >= 0)
		api_reply_error(call->r, 404, "not_found", "no replica \"%s/%lld\"", m->service,
				(long long)m->index);
	return m->index < 0;
}

static void post(struct api_call *call, enum wire_log_what what)
{
	struct controller *c = call->c;
	struct logfiles *l;
	cJSON *body;

	if (!api_ready(call) || !(body = api_body_object(call)))
		return;
	l = c->n_logfiles < WAITING_MAX ? mem_alloc(sizeof(*l)) : NULL;
	if (!l) {
		api_reply_error(call->r, 503, "busy", "too many requests of this kind: try again");
	} else {
		l->m.what = what;
		if (read_body(call, body, &l->m) &&
		    (what == WIRE_LOG_PRUNE || is_there(call, &l->m))) {
			l->c = c;
			l->r = call->r;
			uv_timer_init(c->loop, &l->timer);
			l->timer.data = l;
			http_request_set_user(call->r, l, on_gone);
			TAILQ_INSERT_TAIL(&c->logfiles, l, all);
			if (c->n_logfiles++ == 0)
				ask_next(c);
		} else {
			mem_free(l);
		}
	}
	cJSON_Delete(body);
}

void api_logfiles_rotate(struct api_call *call)
{
	post(call, WIRE_LOG_ROTATE);
}

void api_logfiles_prune(struct api_call *call)
{
	post(call, WIRE_LOG_PRUNE);
}
