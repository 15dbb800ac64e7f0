/* replica_reload: see replica_reload.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_reload.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/prober.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/service.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"

/* ---- one replica ---- */

/* The event; what is said of the replica stays. */
static void publish(struct replica *r, const char *reason, const char *text)
{
	const char *before = r->reason;
	_cleanup_free_ char *message = mem_strdup(replica_message(r));

	replica_say(r, reason, "%s", text);
	replica_publish(r, "reload", NULL, NULL, NULL);
	replica_say(r, before, "%s", message ? message : "");
	log_info("replica=%s/%u reload: %s", r->service->name, r->index, text);
}

static void succeeded(struct replica *r, const char *text)
{
	if (r->secrets_asked) {
		r->secrets_read = r->secrets_asked;
		r->note_dirty = true;
	}
	r->secrets_refused = 0;
	publish(r, "reloaded", text);
	controller_touch(r->service); /* the next one's turn */
}

static void failed(struct replica *r, const char *text)
{
	r->secrets_refused = r->secrets_asked;
	mem_free(r->reload_failure);
	r->reload_failure = mem_strdup(text);
	publish(r, "reload_failed", text);
	controller_touch(r->service);
}

static void on_answer(const struct probe_result *result, void *user)
{
	struct replica *r = user;

	r->reload = NULL;
	(result->ok ? succeeded : failed)(r, result->message);
}

static void ask(struct replica *r, const struct reload_spec *spec)
{
	_cleanup_err_ struct err *err = NULL;
	char path[REPLICA_PORTS_PATH_SIZE];
	struct probe_http req = prober_request(
		&spec->request, replica_ports_resolve(r, spec->request.port), spec->timeout_ms);

	req.host = replica_ports_host(r, req.host, spec->request.port, path);
	if (prober_http(r->service->controller->prober, &req, on_answer, r, &r->reload, &err) < 0)
		failed(r, err_msg(err));
}

bool replica_reload_is_able(const struct replica *r)
{
	return (r->state == REPLICA_READY || r->state == REPLICA_UNREADY) && !r->frozen;
}

void replica_reload(struct replica *r, const char *why)
{
	const struct reload_spec *spec = r->spec ? &r->spec->reload : NULL;
	const struct secrets_sent *sent = &r->service->secrets;
	char text[REPLICA_MESSAGE_MAX];

	if (!spec || !spec->enabled || !r->pid || r->reload || replica_sm_is_ending(r->state))
		return;
	reaction_begun(r);
	r->secrets_asked = sent->written && replica_is_current(r) ? sent->version : 0;
	if (spec->http) {
		ask(r, spec);
		return;
	}
	replica_signal(r, (int)spec->signal);
	snprintf(text, sizeof(text), "%s: %s was sent", why, parse_signal_name((int)spec->signal));
	succeeded(r, text);
}

void replica_reload_cancel(struct replica *r)
{
	if (r->reload)
		prober_cancel(TAKE_PTR(r->reload));
}

void replica_reload_started(struct replica *r)
{
	const struct service *s = r->service;
	bool shared =
		s->spec && r->spec && r->spec->secrets_generation == s->spec->secrets_generation;

	/* what lies there, not what it would have found when it was first started */
	r->secrets_read = shared ? s->secrets.version : secrets_version(r->spec);
	r->secrets_refused = 0;
}

/* ---- all of a service ---- */

/* It lives with contents that are not those of now. */
static bool is_due(const struct replica *r)
{
	return r->pid && !replica_sm_is_ending(r->state) && replica_is_current(r) &&
	       r->secrets_read != r->service->secrets.version;
}

static bool has_refused(const struct replica *r)
{
	return r->secrets_refused == r->service->secrets.version;
}

static bool has_versions(const struct service *s)
{
	return s->spec && !s->deleted && !s->left_alone && s->secrets.version != 0;
}

void replica_reload_settle(struct service *s)
{
	if (!has_versions(s) || !s->secrets.written || controller_frozen(s->controller))
		return;
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->reload)
			return; /* one after the other */
	for (size_t i = 0; i < s->n_replicas; i++) {
		struct replica *r = s->replicas[i];

		if (!is_due(r) || has_refused(r) || !replica_reload_is_able(r))
			continue;
		POINT("controller.reload.asking");
		replica_reload(r, "secrets changed");
		POINT("controller.reload.asked");
		if (r->reload)
			return;
	}
}

int replica_reload_progress(const struct service *s)
{
	int p = 1;

	if (!has_versions(s))
		return 1;
	if (s->secrets.error)
		return -1;
	if (!s->secrets.written)
		return 0;
	for (size_t i = 0; i < s->n_replicas; i++) {
		if (!is_due(s->replicas[i]))
			continue;
		if (!has_refused(s->replicas[i]))
			return 0;
		p = -1;
	}
	return p;
}

const char *replica_reload_failure(const struct replica *r)
{
	if (!has_versions(r->service) || !is_due(r) || !has_refused(r))
		return NULL;
	return r->reload_failure ? r->reload_failure : "its answer is lost: out of memory";
}

int replica_reload_describe(const struct service *s, struct err **reterr)
{
	if (s && has_versions(s) && s->secrets.error)
		return err_set(reterr, ERR_SYS, "the secrets of \"%s\" cannot be written: %s",
			       s->name, strerror(s->secrets.error));
	for (size_t i = 0; s && i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		if (replica_reload_failure(r))
			return err_set(reterr, ERR_BUSY,
				       "\"%s/%u\" has not reloaded: %s; it runs on with the former "
				       "secrets (again: aictl reload %s)",
				       s->name, r->index, replica_reload_failure(r), s->name);
	}
	return 0;
}
