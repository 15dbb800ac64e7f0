/* why: see why.h. Services and their dependencies; replicas are why_replica.c's. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/why.h"

#include <stdarg.h>
#include <string.h>
#include <cjson/cJSON.h>

#include "daemon/controller/api_autoscale.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/hold.h"
#include "daemon/controller/order.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_log_fault.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_canary.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_scale.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/usage.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/traffic.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/logview.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/when.h"

#define LINKS_MAX 64
#define DEPTH_MAX 16
#define GROUPS_MAX 3	/* replicas that are shown of a service */
#define DEPENDS_SHOWN 4 /* dependencies that are followed */
#define LINE_MAX_SHOWN 400

/* ---- links ---- */

struct why_link *why_add(struct why *y, unsigned depth, char *what)
{
	struct why_link *l;

	if (!what || y->n >= LINKS_MAX ||
	    mem_grow(&y->links, &y->cap, y->n + 1, sizeof(*y->links)) < 0) {
		y->failed |= y->n < LINKS_MAX;
		mem_free(what);
		return NULL;
	}
	l = &y->links[y->n++];
	*l = (struct why_link){.depth = depth, .what = what, .state = "unknown"};
	return l;
}

void why_say(struct why *y, struct why_link *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mem_free(l->text);
	l->text = mem_vprintf(fmt, ap);
	va_end(ap);
	y->failed |= !l->text;
}

void why_prove(struct why *y, struct why_link *l, const char *kind, int64_t at_wall_ms,
	       const char *fmt, ...)
{
	struct why_evidence e = {.kind = kind, .at_wall_ms = at_wall_ms};
	va_list ap;

	if (l->n >= WHY_EVIDENCE_MAX)
		return;
	va_start(ap, fmt);
	e.text = mem_vprintf(fmt, ap);
	va_end(ap);
	if (e.text)
		l->evidence[l->n++] = e;
	else
		y->failed = true;
}

void why_show_log(struct why_link *l, const char *incarnation)
{
	memcpy(l->log_of, incarnation, sizeof(l->log_of));
	l->log_at = l->n;
}

/* The key itself, else the nearest parent that is given, else the service. */
static const struct spec_place *place_of(const struct service_spec *spec, const char *key)
{
	const struct spec_place *v = spec->places.v, *best = NULL;

	for (size_t i = 0; i < spec->places.n; i++) {
		size_t n = strlen(v[i].key);
		bool parent = n == 0 ||
			      (strncmp(v[i].key, key, n) == 0 && (key[n] == '.' || key[n] == '\0'));

		if (parent && (!best || n > strlen(best->key)))
			best = &v[i];
	}
	return best;
}

/* Has the manifest a line of its own for key, or for something below it? */
static const struct spec_place *below(const struct service_spec *spec, const char *key)
{
	const struct spec_place *v = spec->places.v;
	size_t n = strlen(key);

	for (size_t i = 0; i < spec->places.n; i++)
		if (strncmp(v[i].key, key, n) == 0 && v[i].key[n] == '.')
			return &v[i];
	return NULL;
}

void why_decide(struct why *y, struct why_link *l, const struct service *s, const char *key)
{
	const struct spec_place *p = s->spec ? place_of(s->spec, key) : NULL;
	const struct spec_place *part = s->spec ? below(s->spec, key) : NULL;

	if (p && strcmp(p->key, key) != 0 && part)
		p = part; /* "restart.backoff": where its first member stands */
	if (!p || !p->at.file || l->key)
		return;
	l->key = mem_strdup(key);
	l->file = mem_strdup(p->at.file);
	l->line = p->at.line;
	l->is_default = p != part && strcmp(p->key, key) != 0;
	y->failed |= !l->key || !l->file;
}

void why_done(struct why *y)
{
	for (size_t i = 0; i < y->n; i++) {
		struct why_link *l = &y->links[i];

		for (size_t k = 0; k < l->n; k++)
			mem_free(l->evidence[k].text);
		mem_free(l->what);
		mem_free(l->text);
		mem_free(l->key);
		mem_free(l->file);
	}
	mem_free(y->links);
	*y = (struct why){0};
}

/* ---- services ---- */

static void explain_service(struct why *y, const struct service *s, unsigned depth,
			    const char *need);

/* The newest event of the service with that reason; 0 = none is known. */
static int64_t when(const struct service *s, const char *reason)
{
	const struct events *e = s->controller->events;

	for (size_t i = events_count(e); i-- > 0;) {
		const struct event *ev = events_at(e, i);

		if (strcmp(ev->service, s->name) == 0 && ev->reason &&
		    strcmp(ev->reason, reason) == 0)
			return ev->at_wall_ms;
	}
	return 0;
}

/* Since when the service is not as it should be: when the first replica that is not ready left
 * that state; before that, the start of what is known of it. */
static int64_t bad_since(const struct service *s)
{
	const struct events *e = s->controller->events;
	int64_t since = 0;

	for (size_t i = events_count(e); i-- > 0;) {
		const struct event *ev = events_at(e, i);
		const struct replica *r = NULL;

		if (strcmp(ev->service, s->name) != 0 || strcmp(ev->type, "state") != 0)
			continue;
		if (ev->replica >= 0)
			r = service_replica(s, (unsigned)ev->replica);
		if (ev->to && strcmp(ev->to, "ready") == 0)
			break;
		if (r && r->state != REPLICA_READY)
			since = ev->at_wall_ms;
	}
	return since;
}

static int64_t good_since(const struct service *s)
{
	int64_t since = 0;

	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->since_wall_ms > since)
			since = s->replicas[i]->since_wall_ms;
	return since;
}

/* What keeps all of it from running, whatever its replicas are. */
static bool explain_absence(struct why *y, struct why_link *l, const struct service *s)
{
	if (s->left_alone) {
		why_say(y, l, "its manifest is lost: left alone until it is applied again");
	} else if (s->deleted || !s->spec) {
		why_say(y, l, "deleted: it goes when its last process has ended");
		l->since_wall_ms = when(s, "deleted");
	} else if (s->stopped) {
		why_say(y, l, "stopped by the user");
		l->since_wall_ms = when(s, "user_stop");
		why_prove(y, l, "hint", 0, "aictl start %s starts it", s->name);
	} else if (service_zero_is_asleep(s)) {
		why_say(y, l, "%s", service_zero_message(s));
		l->since_wall_ms = when(s, "idle");
		why_prove(y, l, "hint", 0, "aictl start %s starts one now", s->name);
		why_decide(y, l, s, "idle");
	} else if (service_desired(s) > 0) {
		return false;
	} else if (s->replicas_override == 0 && s->spec->replicas != 0) {
		why_say(y, l, "scaled to 0 by the user; the manifest says %lld",
			(long long)s->spec->replicas);
		l->since_wall_ms = when(s, "scale_down");
		why_decide(y, l, s, "replicas");
	} else if (s->scale && s->scale->bounds.max == 0) {
		why_say(y, l, "a window of the schedule allows none");
		why_decide(y, l, s, "autoscale.schedule");
	} else {
		why_say(y, l, "no replica is wanted");
		why_decide(y, l, s, "replicas");
	}
	return true;
}

static bool is_held(const struct service *s)
{
	return s->spec && !order_is_open(s);
}

static void explain_count(struct why *y, struct why_link *l, const struct service *s,
			  const char *need)
{
	unsigned desired = service_desired(s), ready = service_ready(s);
	enum service_state state = service_state(s);
	const char *sep = need ? "; it has to be " : "";

	need = need ? need : "";
	if (state == SERVICE_SUCCEEDED)
		why_say(y, l, "it has succeeded%s%s", sep, need);
	else if (is_held(s))
		why_say(y, l, "%u of %u ready, %s%s%s", ready, desired, s->order.text, sep, need);
	else
		why_say(y, l, "%u of %u ready%s%s", ready, desired, sep, need);
}

/* Each dependency that is in the way, down to its root. */
static void explain_dependencies(struct why *y, const struct service *s, unsigned depth)
{
	const struct depend_spec *v = s->spec->depends_on.v;
	unsigned shown = 0;

	for (size_t i = 0; i < s->spec->depends_on.n && shown < DEPENDS_SHOWN; i++) {
		const struct service *d = controller_find(s->controller, v[i].name);
		struct why_link *l;

		if (order_holds(s, &v[i]))
			continue;
		shown++;
		if (d) {
			explain_service(y, d, depth, deps_condition_name(&v[i]));
			continue;
		}
		l = why_add(y, depth, mem_strdup(v[i].name));
		if (l)
			why_say(y, l, "there is no such service");
	}
}

static void decide_dependency(struct why *y, struct why_link *l, const struct service *s)
{
	const struct depend_spec *v = s->spec->depends_on.v;

	for (size_t i = 0; i < s->spec->depends_on.n; i++) {
		_cleanup_free_ char *key = NULL;

		if (order_holds(s, &v[i]))
			continue;
		key = mem_printf("depends_on.%s", v[i].name);
		if (key)
			why_decide(y, l, s, key);
		return;
	}
}

static bool alike(const struct replica *a, const struct replica *b)
{
	return a->state == b->state && a->frozen == b->frozen &&
	       replica_unit_is_lost(a) == replica_unit_is_lost(b) &&
	       replica_log_fault_is(a) == replica_log_fault_is(b) &&
	       strcmp(replica_message(a), replica_message(b)) == 0;
}

static bool is_worth(const struct replica *r, bool held)
{
	if (held && r->state == REPLICA_WAITING)
		return false; /* the dependencies say it */
	return r->frozen || r->recycle || replica_log_fault_is(r) || replica_unit_is_lost(r) ||
	       r->above_until_mono_ms || !replica_is_current(r) ||
	       (r->state != REPLICA_READY && r->state != REPLICA_SUCCEEDED) ||
	       why_replica_is_told(r);
}

/* The first of each kind. */
static void explain_replicas(struct why *y, const struct service *s, unsigned depth)
{
	const struct replica *group[GROUPS_MAX];
	unsigned n[GROUPS_MAX] = {0}, groups = 0, k;
	bool held = is_held(s);

	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		if (!is_worth(r, held))
			continue;
		for (k = 0; k < groups && !alike(group[k], r); k++)
			;
		if (k == GROUPS_MAX)
			continue;
		if (k == groups)
			group[groups++] = r;
		n[k]++;
	}
	for (k = 0; k < groups; k++)
		why_replica(y, group[k], depth, n[k] - 1);
}

/* The newest end since then that nobody wished for. One that was stopped before it ran comes last. */
static const struct exits_entry *end_since(const struct service *s, int64_t from_wall_ms)
{
	const struct exits_entry *found = NULL;

	for (size_t i = s->exits->n; i-- > 0;) {
		const struct exits_entry *e = &s->exits->list[i];

		if (e->exit.at_wall_ms < from_wall_ms)
			break;
		if (!why_replica_is_trouble(e->exit.cause))
			continue;
		if (strcmp(e->exit.cause, "start") != 0)
			return e;
		if (!found)
			found = e;
	}
	return found;
}

static const char *key_of_rollout(enum rollout_state state, const struct service *s)
{
	if (state == ROLLOUT_PROGRESSING)
		return service_rollout_is_canary(s) ? "update.steps" : "update";
	if (state == ROLLOUT_PAUSED && !s->rollout->now.ended_wall_ms &&
	    s->spec->update.pause_after)
		return "update.pause_after";
	return "update.on_failure";
}

/* The first deployment is an update only when it has failed. */
static bool is_told(const struct service *s)
{
	enum rollout_state state = s->rollout ? s->rollout->now.state : ROLLOUT_COMPLETE;

	if (state == ROLLOUT_PROGRESSING && service_zero_is_asleep(s))
		return false; /* it waits for a request, as all of it does */
	return s->spec && state != ROLLOUT_COMPLETE && state != ROLLOUT_SUPERSEDED &&
	       (state != ROLLOUT_PROGRESSING || s->rollout->good.source);
}

static void explain_canary(struct why *y, struct why_link *l, const struct service *s)
{
	struct judge_result judged;
	char text[ROLLOUT_REASON_MAX];

	if (!service_rollout_is_canary(s))
		return;
	judged = service_canary_judged(s);
	judge_say(&judged, &s->spec->update.judge, text, sizeof(text));
	why_prove(y, l, "canary", 0, "its canary has %u %% of the requests: %s",
		  service_canary_share(s), text);
	why_prove(y, l, "hint", 0, "aictl rollout promote %s, or aictl rollout abort %s", s->name,
		  s->name);
}

/* An update that is not over, or did not end well. */
static void explain_rollout(struct why *y, const struct service *s, unsigned depth)
{
	const struct rollout *r = s->rollout ? &s->rollout->now : NULL;
	const struct exits_entry *end;
	struct why_link *l;

	if (!is_told(s))
		return;
	l = why_add(y, depth, mem_printf("the update of %s", s->name));
	if (!l)
		return;
	l->state = rollout_state_name(r->state);
	l->since_wall_ms = r->ended_wall_ms ? r->ended_wall_ms : r->started_wall_ms;
	why_say(y, l, "revision %llu%s%s%s%s%s", (unsigned long long)r->revision,
		s->rollout->keys[0] ? " (" : "", s->rollout->keys, s->rollout->keys[0] ? ")" : "",
		r->reason[0] ? ": " : "", r->reason);
	end = r->state == ROLLOUT_PROGRESSING ? NULL : end_since(s, r->started_wall_ms);
	if (end) {
		why_replica_prove_exit(y, l, &end->exit);
		memccpy(l->service, s->name, '\0', sizeof(l->service) - 1);
		l->index = end->index;
	}
	explain_canary(y, l, s);
	if (r->state == ROLLOUT_PAUSED)
		why_prove(y, l, "hint", 0, "aictl rollout resume %s, or aictl rollout undo %s",
			  s->name, s->name);
	why_decide(y, l, s, key_of_rollout(r->state, s));
}

static void explain_mode(struct why *y, const struct controller *c, unsigned depth)
{
	struct why_link *l;

	if (!controller_frozen(c))
		return;
	l = why_add(y, depth, mem_strdup("aictld"));
	if (!l)
		return;
	l->state = controller_mode_name(c);
	if (strcmp(l->state, "safe") == 0)
		why_say(y, l,
			"safe mode: its controller died again and again, nothing is changed "
			"until it has run for a minute");
	else
		why_say(y, l, "nothing is started or stopped now");
}

static bool has_log_fault(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (replica_log_fault_is(s->replicas[i]))
			return true;
	return false;
}

static bool is_fine(const struct service *s)
{
	return (service_desired(s) > 0 || service_zero_is_asleep(s)) && service_is_settled(s) &&
	       !service_has_frozen(s) && !s->left_alone && !hold_is(s) && !is_told(s) &&
	       !has_log_fault(s) && !traffic_bad_port(s, &(struct wire_listen_at){0}, &(int){0});
}

static void prove_next_run(struct why *y, struct why_link *l, const struct service *s)
{
	int64_t at = service_task_next_wall_ms(s);

	if (!at)
		return;
	why_prove(y, l, "next", at, "the next run");
	why_decide(y, l, s, "schedule");
}

/* Why it is so many. */
static void prove_scaler(struct why *y, struct why_link *l, const struct service *s)
{
	const struct service_scale *x = s->scale;
	_cleanup_free_ char *said = x ? api_autoscale_say(s) : NULL;

	if (s->replicas_override >= 0)
		why_prove(y, l, "scaler", s->override_until_wall_ms,
			  s->override_until_wall_ms ? "%lld by the user, over" : "%lld by the user",
			  (long long)s->replicas_override);
	if (x)
		why_prove(y, l, "scaler", x->changed_wall_ms, "%u of %u..%u%s%s", x->number,
			  x->bounds.min, x->bounds.max, said && *said ? ": " : "",
			  said ? said : "");
}

/* A stable port that is not open. */
static void explain_port(struct why *y, const struct service *s, unsigned depth)
{
	struct wire_listen_at at;
	int err;
	const struct port_spec *p = traffic_bad_port(s, &at, &err);
	struct why_link *l =
		p ? why_add(y, depth, mem_printf("%s port %s", s->name, p->name)) : NULL;
	_cleanup_free_ char *key = p ? mem_printf("ports.%s.port", p->name) : NULL;
	_cleanup_buf_ struct buf where = {0};

	if (!l || !key)
		return;
	l->state = "closed";
	routes_say(&at, &where);
	why_say(y, l, "%s cannot be opened: %s", buf_cstr(&where), strerror(err));
	if (err == EADDRINUSE)
		why_prove(y, l, "hint", 0,
			  "another program has it; it is tried again, at least every 30s: ss -ltnp "
			  "'sport = :%u' names the program",
			  at.port);
	why_decide(y, l, s, key);
}

static void explain_hold(struct why *y, const struct service *s, unsigned depth)
{
	_cleanup_free_ char *said = hold_say(s);
	struct why_link *l = said ? why_add(y, depth, mem_printf("%s requests", s->name)) : NULL;

	if (!l)
		return;
	l->state = "held";
	why_say(y, l, "%s", said);
	l->since_wall_ms = when(s, "user_hold");
}

/* They wait for what is explained here. */
static void prove_waiting(struct why *y, struct why_link *l, const struct service *s)
{
	uint32_t n = service_zero_waiting(s);
	char human[24];

	if (n)
		why_prove(y, l, "requests", 0, "%u held at its stable port, each for %s at most", n,
			  clock_human(s->spec->hold_ms, human, sizeof(human)));
}

static void explain_service(struct why *y, const struct service *s, unsigned depth,
			    const char *need)
{
	struct why_link *l = why_add(y, depth, mem_strdup(s->name));

	if (!l)
		return;
	l->state = service_state_name(service_state(s));
	if (!explain_absence(y, l, s)) {
		explain_count(y, l, s, need);
		l->since_wall_ms = service_is_settled(s) ? good_since(s) : bad_since(s);
		if (is_held(s))
			decide_dependency(y, l, s);
		prove_next_run(y, l, s);
		prove_waiting(y, l, s);
		prove_scaler(y, l, s);
	}
	if (depth >= DEPTH_MAX)
		return;
	if (is_held(s) && !s->stopped && !s->deleted)
		explain_dependencies(y, s, depth + 1);
	explain_port(y, s, depth + 1);
	explain_hold(y, s, depth + 1);
	explain_rollout(y, s, depth + 1);
	explain_replicas(y, s, depth + 1);
}

void why_explain(struct why *y, const struct service *s, int64_t replica)
{
	const struct replica *r = replica >= 0 ? service_replica(s, (unsigned)replica) : NULL;

	if (!r) {
		y->fine = is_fine(s);
		explain_service(y, s, 0, NULL);
	} else {
		y->fine = replica_unit_shown(r) == REPLICA_READY && !r->frozen &&
			  !replica_log_fault_is(r);
		why_replica(y, r, 0, 0);
		if (r->state == REPLICA_WAITING && is_held(s)) {
			if (y->n)
				decide_dependency(y, &y->links[0], s);
			explain_dependencies(y, s, 1);
		}
	}
	if (!y->fine)
		explain_mode(y, s->controller, 1);
}

/* ---- what needs files ---- */

/* The last piece of evidence comes to that place. */
static void move_last(struct why_link *l, size_t at)
{
	struct why_evidence last;

	if (l->n == 0 || at >= l->n)
		return;
	last = l->evidence[l->n - 1];
	memmove(&l->evidence[at + 1], &l->evidence[at], (l->n - 1 - at) * sizeof(last));
	l->evidence[at] = last;
}

/* The last lines of that incarnation. */
static void look_at_log(struct why *y, struct why_link *l, const char *log_dir)
{
	const struct logview_opts opts = {.log_dir = log_dir,
					  .service = l->service,
					  .index = l->index,
					  .incarnation = l->log_of,
					  .tail = WHY_LOG_LINES};
	_cleanup_err_ struct err *err = NULL;
	struct why_evidence kept[WHY_LOG_LINES] = {0};
	struct logview *view = NULL;
	struct logview_line line;
	size_t n = 0;

	if (logview_open(&opts, &view, &err) < 0)
		return;
	while (logview_next(view, &line, &err) == 1) {
		struct why_evidence *at = &kept[n % WHY_LOG_LINES];
		size_t len = line.len < LINE_MAX_SHOWN ? line.len : LINE_MAX_SHOWN;

		mem_free(at->text);
		*at = (struct why_evidence){"log", line.wall_ms, mem_strndup(line.text, len)};
		n++;
	}
	logview_free(view);
	l->log_gone = n == 0;
	for (size_t i = n > WHY_LOG_LINES ? n - WHY_LOG_LINES : 0; i < n; i++) {
		const struct why_evidence *e = &kept[i % WHY_LOG_LINES];

		if (!e->text)
			continue;
		why_prove(y, l, e->kind, e->at_wall_ms, "%s", e->text);
		move_last(l, l->log_at++);
	}
	for (size_t i = 0; i < WHY_LOG_LINES; i++)
		mem_free(kept[i].text);
}

void why_take_lines(struct why *y, size_t i, const char *lines)
{
	cJSON *array = cJSON_Parse(lines);
	const cJSON *entry, *text, *at;
	int skip = cJSON_GetArraySize(array) - WHY_LOG_LINES;
	struct why_link *l = &y->links[i];
	int64_t wall_ms;

	cJSON_ArrayForEach (entry, array) {
		text = cJSON_GetObjectItemCaseSensitive(entry, "line");
		at = cJSON_GetObjectItemCaseSensitive(entry, "at");
		if (skip-- > 0 || !cJSON_IsString(text))
			continue;
		if (!cJSON_IsString(at) ||
		    when_parse(at->valuestring, 0, false, &wall_ms, NULL) < 0)
			wall_ms = 0;
		why_prove(y, l, "log", wall_ms, "%.*s", LINE_MAX_SHOWN, text->valuestring);
		move_last(l, l->log_at++);
	}
	cJSON_Delete(array);
}

static void look_at_memory(struct why *y, struct why_link *l, const char *cgroup_dir)
{
	const struct schema_row *row = schema_find("services.*.resources.limits.memory");
	char used[MANIFEST_WRITE_NUMBER_SIZE], limit[MANIFEST_WRITE_NUMBER_SIZE];
	struct usage_item item = {.index = l->index, .pid = l->pid, .container = l->container};

	memcpy(item.service, l->service, sizeof(item.service));
	usage_read(&item, 1, USAGE_HERE(cgroup_dir));
	if (!item.usage.source)
		return;
	manifest_write_number(row, item.usage.memory_bytes >> 20 << 20, used);
	manifest_write_number(row, l->memory_limit, limit);
	why_prove(y, l, "memory", 0, "%s of %s in use", used, limit);
}

void why_look(struct why *y, const char *log_dir, const char *cgroup_dir)
{
	for (size_t i = 0; i < y->n; i++) {
		struct why_link *l = &y->links[i];

		if (l->log_of[0])
			look_at_log(y, l, log_dir);
		if (l->pid && l->memory_limit)
			look_at_memory(y, l, cgroup_dir);
	}
}

/* ---- JSON ---- */

static void write_place(const struct why_link *l, struct jsonw *w)
{
	if (!l->key) {
		jsonw_null(w, "place");
		return;
	}
	jsonw_object_begin(w, "place");
	jsonw_string(w, "key", l->key);
	jsonw_string(w, "file", l->file);
	jsonw_int(w, "line", l->line);
	jsonw_bool(w, "default", l->is_default);
	jsonw_object_end(w);
}

static void write_link(const struct why_link *l, struct jsonw *w)
{
	jsonw_object_begin(w, NULL);
	jsonw_int(w, "depth", l->depth);
	jsonw_string(w, "what", l->what);
	jsonw_string(w, "state", l->state);
	jsonw_time(w, "since", l->since_wall_ms);
	jsonw_string(w, "reason", l->reason);
	jsonw_string(w, "text", l->text ? l->text : "");
	jsonw_array_begin(w, "evidence");
	for (size_t i = 0; i < l->n; i++) {
		jsonw_object_begin(w, NULL);
		jsonw_string(w, "kind", l->evidence[i].kind);
		jsonw_string(w, "text", l->evidence[i].text);
		jsonw_time(w, "at", l->evidence[i].at_wall_ms);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
	write_place(l, w);
	jsonw_object_end(w);
}

void why_write_json(const struct why *y, struct jsonw *w)
{
	jsonw_array_begin(w, "links");
	for (size_t i = 0; i < y->n; i++)
		write_link(&y->links[i], w);
	jsonw_array_end(w);
}
