/*
 * api_revisions: GET /v1/revisions (who applied what to a set, and when) and GET /v1/sets. Shown
 * from memory; only the text of a revision (number=N, for who may apply) is read by the store's
 * thread.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdbool.h>
#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/revisions.h"
#include "daemon/controller/service.h"
#include "daemon/controller/sources.h"
#include "daemon/controller/store.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

struct pending {
	struct http_request *r; /* NULL: the client has left */
	struct buf text;	/* the reply up to the revision's text */
	struct jsonw w;
};

static struct set *set_named(struct controller *c, const char *name)
{
	for (size_t i = 0; i < c->n_sets; i++)
		if (strcmp(c->sets[i].name, name) == 0)
			return &c->sets[i];
	return NULL;
}

/* By the query: a set's name or else a service's, which is *ret_service then; without one the only
 * set there is. NULL: the request is answered. */
static struct set *find_set(struct api_call *call, const char **ret_service)
{
	const char *name = http_request_query(call->r, "set");
	struct controller *c = call->c;
	const struct service *s = name ? controller_find(c, name) : NULL;
	struct set *set = name ? set_named(c, name) : NULL;

	if (!name && c->n_sets == 1)
		return &c->sets[0];
	if (set)
		return set;
	if (s && (set = set_named(c, s->set))) {
		*ret_service = s->name;
		return set;
	}
	if (name)
		api_reply_error(call->r, 404, "not_found", "no set and no service \"%s\"", name);
	else if (c->n_sets == 0)
		api_reply_error(call->r, 404, "not_found", "nothing has been applied yet");
	else
		api_reply_error(call->r, 400, "invalid", "set: there are %zu of them, name one",
				c->n_sets);
	return NULL;
}

static void begin(struct jsonw *w, const struct set *set)
{
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "set", set->name);
	jsonw_array_begin(w, "revisions");
}

static void end(struct jsonw *w)
{
	jsonw_array_end(w);
	jsonw_object_end(w);
}

/* names: separated by spaces. */
static bool holds(const char *names, const char *service)
{
	size_t n = strlen(service);

	for (const char *at = names; (at = strstr(at, service)); at += n)
		if ((at == names || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			return true;
	return false;
}

/* All, or one, or those that hold a service. */
static void reply_list(struct api_call *call, const struct set *set, const struct revision *only,
		       const char *service)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	begin(&w, set);
	for (size_t i = 0; i < set->n_revisions; i++) {
		if ((only && &set->revisions[i] != only) ||
		    (service && !holds(set->revisions[i].services, service)))
			continue;
		jsonw_object_begin(&w, NULL);
		revisions_write_json(&set->revisions[i], api_role_sees_values(call), &w);
		jsonw_object_end(&w);
	}
	end(&w);
	api_reply(call->r, 200, &b);
}

/* ---- with its text ---- */

static void on_gone(struct http_request *r, void *user)
{
	struct pending *p = user;

	p->r = NULL;
	http_request_forget(r);
}

static void on_read(void *user, const char *sources, const struct err *err)
{
	struct pending *p = user;

	if (p->r && err) {
		api_reply_err(p->r, err);
	} else if (p->r) {
		_cleanup_free_ char *shown = sources ? sources_without_contents(sources) : NULL;

		if (shown)
			jsonw_raw(&p->w, "manifests", shown);
		else
			jsonw_null(&p->w, "manifests");
		jsonw_object_end(&p->w);
		end(&p->w);
		api_reply(p->r, 200, &p->text);
	}
	buf_done(&p->text);
	mem_free(p);
}

static void reply_text(struct api_call *call, const struct set *set, const struct revision *rev)
{
	struct pending *p = mem_alloc(sizeof(*p));

	if (!p) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	p->r = call->r;
	p->w.out = &p->text;
	begin(&p->w, set);
	jsonw_object_begin(&p->w, NULL);
	revisions_write_json(rev, true, &p->w);
	http_request_set_user(call->r, p, on_gone);
	if (store_read_revision(call->c->store, set->name, rev->number, on_read, p) == 0)
		return;
	api_reply_error(call->r, 503, "busy",
			"the state directory does not keep up (hung disk?): try again");
	buf_done(&p->text);
	mem_free(p);
}

void api_revisions_get(struct api_call *call)
{
	const struct revision *rev = NULL;
	const char *service = NULL;
	const struct set *set;
	int64_t number;

	if (!api_ready(call))
		return;
	number = api_query_int(call, "number", 0, 1, INT64_MAX);
	if (number < 0)
		return;
	set = find_set(call, &service);
	if (!set)
		return;
	if (number > 0) {
		rev = revisions_find(set, (uint64_t)number);
		if (!rev) {
			api_reply_error(call->r, 404, "not_found",
					"set \"%s\" has no revision %lld (the last %d are kept)",
					set->name, (long long)number, STORE_REVISIONS_KEPT);
			return;
		}
	}
	if (rev && api_role_sees_values(call))
		reply_text(call, set, rev);
	else
		reply_list(call, set, rev, rev ? NULL : service);
}

/* ---- sets ---- */

static void write_set(struct jsonw *w, const struct controller *c, const struct set *set)
{
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "name", set->name);
	jsonw_int(w, "revision", (int64_t)set->revision);
	jsonw_array_begin(w, "services");
	for (size_t i = 0; i < c->n_services; i++)
		if (!c->services[i]->deleted && strcmp(c->services[i]->set, set->name) == 0)
			jsonw_string(w, NULL, c->services[i]->name);
	jsonw_array_end(w);
	jsonw_object_end(w);
}

void api_revisions_sets(struct api_call *call)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	if (!api_ready(call))
		return;
	jsonw_object_begin(&w, NULL);
	jsonw_array_begin(&w, "sets");
	for (size_t i = 0; i < call->c->n_sets; i++)
		write_set(&w, call->c, &call->c->sets[i]);
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	api_reply(call->r, 200, &b);
}
