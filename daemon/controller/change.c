/* change: see change.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/change.h"

#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_reload.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_scale.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/traffic.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

struct change_list {
	struct change *first;
	size_t n;
};

struct change_list *change_list_new(void)
{
	return mem_alloc(sizeof(struct change_list));
}

static void change_free(struct change *ch)
{
	for (size_t i = 0; i < ch->n_services; i++)
		mem_free(ch->services[i].name);
	mem_free(ch->services);
	mem_strv_free(ch->not_in_manifest);
	manifest_errors_done(&ch->warnings);
	mem_free(ch->set);
	err_free(ch->err);
	mem_free(ch);
}

void change_list_free(struct change_list *l)
{
	while (l && l->first) {
		struct change *ch = l->first;

		l->first = ch->next;
		change_free(ch);
	}
	mem_free(l);
}

struct change *change_find(struct controller *c, const char *id)
{
	for (struct change *ch = c->changes->first; ch; ch = ch->next)
		if (strcmp(ch->id, id) == 0)
			return ch;
	return NULL;
}

static bool may_go(const struct change *ch, bool finished)
{
	return !ch->waiters && (finished ? ch->state != CHANGE_RUNNING : ch->committed);
}

/* The oldest that may go; its link, or NULL. */
static struct change **oldest(struct change_list *l, bool finished)
{
	struct change **found = NULL;

	for (struct change **at = &l->first; *at; at = &(*at)->next)
		if (may_go(*at, finished))
			found = at;
	return found;
}

/* Room for one more: the oldest finished one goes, else the oldest that nobody waits for. */
static void trim(struct change_list *l)
{
	struct change **at, *ch;

	if (l->n < CHANGES_KEPT)
		return;
	at = oldest(l, true);
	if (!at)
		at = oldest(l, false);
	if (!at)
		return;
	ch = *at;
	*at = ch->next;
	change_free(ch);
	l->n--;
}

struct change *change_new(struct controller *c, const char *id, const char *kind)
{
	struct change_list *l = c->changes;
	struct change *ch;

	trim(l);
	ch = l->n < 2 * CHANGES_KEPT ? mem_alloc(sizeof(*ch)) : NULL;
	if (!ch)
		return NULL;
	memccpy(ch->id, id, '\0', sizeof(ch->id) - 1);
	ch->kind = kind;
	ch->at_wall_ms = clock_wall_ms();
	ch->next = l->first;
	l->first = ch;
	l->n++;
	return ch;
}

int change_add_service(struct change *ch, const char *name, const char *action, bool gone)
{
	struct change_service *s;

	if (mem_grow(&ch->services, &ch->cap_services, ch->n_services + 1, sizeof(*ch->services)) <
	    0)
		return -ERR_NOMEM;
	s = &ch->services[ch->n_services];
	*s = (struct change_service){
		.name = mem_strdup(name), .action = action, .gone = gone, .replica = -1};
	if (!s->name)
		return -ERR_NOMEM;
	ch->n_services++;
	return 0;
}

void change_name_replica(struct change *ch, int replica)
{
	ch->services[ch->n_services - 1].replica = replica;
}

static void tell(struct change *ch)
{
	while (ch->waiters) {
		struct change_waiter *w = ch->waiters;

		ch->waiters = w->next;
		w->next = NULL;
		w->on_change(w);
	}
}

void change_finish(struct controller *c, struct change *ch, struct err *err)
{
	(void)c;
	if (ch->state != CHANGE_RUNNING) {
		err_free(err);
		return;
	}
	ch->state = err ? CHANGE_FAILED : CHANGE_DONE;
	ch->err = err;
	tell(ch);
}

/* Is all that runs of it as wanted? What has ended meanwhile is, and what a later request has
 * turned round, of which aictld may tell only the outcome. */
static bool is_frozen(const struct service *s, int replica, bool wanted)
{
	for (size_t i = 0; s && i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		if ((replica < 0 || r->index == (unsigned)replica) && r->pid &&
		    r->state != REPLICA_STOPPING && r->frozen != wanted &&
		    r->freeze_asked == wanted)
			return false;
	}
	return true;
}

/* The replica of it that the kernel did not freeze or thaw, or NULL. */
static const struct replica *not_frozen(const struct service *s, int replica)
{
	for (size_t i = 0; s && i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		if ((replica < 0 || r->index == (unsigned)replica) && r->pid && r->freeze_failed)
			return r;
	}
	return NULL;
}

static bool is_about_freezing(const struct change_service *want)
{
	return strcmp(want->action, CHANGE_FROZEN) == 0 || strcmp(want->action, CHANGE_THAWED) == 0;
}

static bool is_reload(const struct change_service *want)
{
	return strcmp(want->action, CHANGE_RELOADS) == 0;
}

/* 1 = reached, 0 = under way, -1 = cannot be reached any more. */
static int progress(const struct service *s, const struct change *ch,
		    const struct change_service *want)
{
	if (strcmp(want->action, CHANGE_SIGNALLED) == 0 ||
	    strcmp(want->action, CHANGE_RELOADED) == 0 ||
	    strcmp(want->action, CHANGE_PAUSED) == 0 || strcmp(want->action, CHANGE_RESUMED) == 0)
		return 1;
	if (strcmp(want->action, CHANGE_HELD) == 0 || strcmp(want->action, CHANGE_RELEASED) == 0)
		return !s || traffic_is_told(s->controller->traffic);
	if (is_about_freezing(want) && not_frozen(s, want->replica))
		return -1;
	if (is_about_freezing(want))
		return is_frozen(s, want->replica, strcmp(want->action, CHANGE_FROZEN) == 0);
	/* overtaken by a later change: not ours to wait for */
	if (want->gone)
		return !s || s->n_replicas == 0 || !(s->deleted || s->stopped);
	if (!s || s->deleted || s->stopped)
		return 1;
	if (service_rollout_failure(s, ch->revision))
		return -1;
	if (service_rollout_is_paused(s))
		return 1; /* as far as it was to go */
	if (service_is_settled(s) && !service_rollout_is_open(s))
		return is_reload(want) ? replica_reload_progress(s) : 1;
	if (service_task_rests(s) && strcmp(ch->kind, "apply") == 0)
		return 1; /* how its last run ended is no matter of this change */
	return service_state(s) == SERVICE_FAILED ? -1 : 0;
}

static struct err *failure(const struct service *s, const struct change_service *want)
{
	const struct replica *r = is_about_freezing(want) ? not_frozen(s, want->replica) : NULL;
	struct err *err = NULL;

	if (is_reload(want) && replica_reload_describe(s, &err) < 0)
		return err;
	if (r)
		err_set(&err, ERR_SYS,
			"the kernel has not %s \"%s/%u\" (see aictl events %s and the daemon's log)",
			want->action, s->name, r->index, s->name);
	else
		err_set(&err, ERR_BUSY, "service \"%s\" failed: %s", s->name, service_message(s));
	return err;
}

static void review(struct controller *c, struct change *ch)
{
	bool all = true;

	for (size_t i = 0; i < ch->n_services; i++) {
		struct service *s = controller_find(c, ch->services[i].name);
		int p = progress(s, ch, &ch->services[i]);

		if (p < 0) {
			change_finish(c, ch, failure(s, &ch->services[i]));
			return;
		}
		all = all && p > 0;
	}
	if (all)
		change_finish(c, ch, NULL);
}

static bool names(const struct change *ch, const char *service)
{
	for (size_t i = 0; i < ch->n_services; i++)
		if (strcmp(ch->services[i].name, service) == 0)
			return true;
	return false;
}

void change_review(struct controller *c, const char *service)
{
	for (struct change *ch = c->changes->first; ch; ch = ch->next)
		if (ch->state == CHANGE_RUNNING && ch->committed &&
		    (!service || names(ch, service)))
			review(c, ch);
}

void change_wait(struct change *ch, struct change_waiter *w)
{
	w->next = ch->waiters;
	ch->waiters = w;
}

void change_unwait(struct change *ch, struct change_waiter *w)
{
	for (struct change_waiter **at = &ch->waiters; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			return;
		}
	}
}

static void write_error(struct jsonw *w, const struct err *e)
{
	if (!e) {
		jsonw_null(w, "error");
		return;
	}
	jsonw_object_begin(w, "error");
	jsonw_string(w, "code", err_code_name(e->code));
	jsonw_string(w, "message", e->msg);
	jsonw_object_end(w);
}

void change_write_json(struct controller *c, const struct change *ch, struct jsonw *w)
{
	static const char *const states[] = {"running", "done", "failed"};

	jsonw_object_begin(w, NULL);
	jsonw_string(w, "id", ch->id);
	jsonw_string(w, "kind", ch->kind);
	jsonw_string(w, "state", states[ch->state]);
	jsonw_string(w, "set", ch->set);
	if (ch->revision)
		jsonw_int(w, "revision", (int64_t)ch->revision);
	else
		jsonw_null(w, "revision");
	jsonw_time(w, "at", ch->at_wall_ms);
	write_error(w, ch->err);
	jsonw_array_begin(w, "services");
	for (size_t i = 0; i < ch->n_services; i++) {
		const struct service *s = controller_find(c, ch->services[i].name);
		_cleanup_free_ char *complaint = s ? traffic_complaint(s) : NULL;

		jsonw_object_begin(w, NULL);
		jsonw_string(w, "name", ch->services[i].name);
		jsonw_string(w, "action", ch->services[i].action);
		jsonw_string(w, "state", s ? service_state_name(service_state(s)) : "stopped");
		jsonw_int(w, "ready", s ? service_ready(s) : 0);
		jsonw_int(w, "desired", s ? service_desired(s) : 0);
		jsonw_string(w, "message", s ? service_message(s) : "");
		jsonw_string(w, "endpoint_error", complaint);
		jsonw_time(w, "override_until", s ? s->override_until_wall_ms : 0);
		jsonw_bool(w, "autoscaled", s && service_scale_is(s));
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
	jsonw_array_begin(w, "not_in_manifest");
	for (size_t i = 0; ch->not_in_manifest && ch->not_in_manifest[i]; i++)
		jsonw_string(w, NULL, ch->not_in_manifest[i]);
	jsonw_array_end(w);
	api_write_errors(w, "machine_warnings", &ch->warnings);
	jsonw_object_end(w);
}

bool change_valid_id(const char *id)
{
	size_t n = strlen(id);

	return n >= 16 && n <= CHANGE_ID_MAX &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}
