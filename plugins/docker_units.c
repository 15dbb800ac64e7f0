/*
 * docker_units: see docker_units.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_units.h"

#include <stdio.h>
#include <string.h>

#include "docker.h"
#include "docker_engine.h"
#include "docker_json.h"
#include "docker_look.h"
#include "docker_mem.h"
#include "docker_oom.h"
#include "docker_ref.h"

#define ASK_MS 15000
#define AT_ONCE 8 /* inspections of a list */
#define LIST_MAX (64 << 20)
#define OWED_MIN_MS 500
#define OWED_MAX_MS 10000

struct docker_units_asking {
	struct docker_units *us;
	struct docker_http_call *call;
	char *name;
	docker_units_fn *done;
	void *user;
	LIST_ENTRY(docker_units_asking) all;
};

struct docker_units {
	struct docker *d;
	uint64_t n_lists;
	struct aictl_timer *timer; /* asks for those that are owed */
	int64_t owed_ms;
	LIST_HEAD(, docker_unit) all;
	LIST_HEAD(, docker_units_asking) asking;
};

static void look_again(struct docker_units *us, struct docker_unit *u);

/* ---- the table ---- */

bool docker_units_name_ok(const char *name)
{
	static const char ok[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(name);

	return n > 1 && n < 256 && strspn(name, ok) == n && !strchr("_.-", name[0]);
}

struct docker_unit *docker_units_find(struct docker_units *us, const char *name)
{
	struct docker_unit *u;

	LIST_FOREACH (u, &us->all, all) {
		if (strcmp(u->name, name) == 0)
			return u;
	}
	return NULL;
}

static struct docker_unit *add(struct docker_units *us, const char *name)
{
	struct docker_unit *u = docker_mem_zalloc(sizeof(*u));

	if (!u)
		return NULL;
	u->name = docker_mem_dup(name);
	if (!u->name) {
		docker_mem_free(u);
		return NULL;
	}
	u->seen = us->n_lists;
	u->of = us;
	LIST_INSERT_HEAD(&us->all, u, all);
	return u;
}

static void drop(struct docker_unit *u)
{
	docker_units_forget(u->asking);
	docker_oom_free(u->oom);
	LIST_REMOVE(u, all);
	docker_mem_free(u->name);
	docker_mem_free(u->id);
	docker_mem_free(u);
}

void docker_units_gone(struct docker_units *us, const char *name)
{
	const struct aictl_host *host = us->d->host;
	struct docker_unit *u = docker_units_find(us, name);
	const struct aictl_unit_state s = {
		.struct_size = sizeof(s), .phase = AICTL_UNIT_GONE, .unit = name};

	if (u && u->quiet)
		return; /* who makes it finds out, and tells */
	host->unit_state(host, &s);
	if (u)
		drop(u);
}

struct docker_unit *docker_units_expect(struct docker_units *us, const char *name)
{
	struct docker_unit *u = docker_units_find(us, name);

	if (!u)
		u = add(us, name);
	if (u) {
		u->quiet = true;
		u->again = false;
	}
	return u;
}

void docker_units_expect_end(struct docker_units *us, const char *name)
{
	struct docker_unit *u = docker_units_find(us, name);

	if (!u)
		return;
	u->quiet = false;
	if (!u->id)
		drop(u);
	else if (u->again)
		look_again(us, u);
}

/* ---- what inspect says ---- */

/* Answers overtake each other; but somebody may have started it anew. */
static bool stale(const struct docker_unit *u, const struct aictl_unit_state *s)
{
	return s->phase != AICTL_UNIT_UNKNOWN && s->phase < u->phase &&
	       s->started_wall_ms <= u->started_ms;
}

static void look_for_oom(struct docker *d, struct docker_unit *u, struct aictl_unit_state *s)
{
	if (s->phase == AICTL_UNIT_RUNNING && !u->oom && docker_engine_kind(d->engine)->podman &&
	    s->pid > 0)
		u->oom = docker_oom_new(d->host, s->pid);
	if (s->phase == AICTL_UNIT_EXITED && u->oom) {
		u->killed = docker_oom_happened(u->oom);
		docker_oom_free(u->oom);
		u->oom = NULL;
	}
	if (s->phase == AICTL_UNIT_EXITED && u->killed && s->exit_status == 137)
		s->flags |= AICTL_UNIT_OOM;
}

/* Takes an answer over; NULL: not ours, or old, with *ret_code. */
static struct docker_unit *take(struct docker_units *us, struct docker_look *l, int *ret_code)
{
	struct aictl_unit_state *s = &l->state;
	struct docker_unit *u;

	*ret_code = AICTL_CONFLICT;
	if (!l->instance || strcmp(l->instance, us->d->instance) != 0)
		return NULL;
	*ret_code = AICTL_NO_MEMORY;
	u = docker_units_find(us, s->unit);
	if (!u)
		u = add(us, s->unit);
	if (!u)
		return NULL;
	if (!u->id || strcmp(u->id, s->engine_id) != 0) {
		char *id = docker_mem_dup(s->engine_id);

		if (!id)
			return NULL;
		docker_mem_free(u->id);
		u->id = id;
		u->phase = AICTL_UNIT_UNKNOWN;
		u->started_ms = 0;
	}
	*ret_code = AICTL_OK;
	u->tty = l->tty;
	if (stale(u, s))
		return u;
	look_for_oom(us->d, u, s);
	u->phase = s->phase;
	u->started_ms = s->started_wall_ms;
	u->finished_ms = s->finished_wall_ms;
	return u;
}

static int parse(struct docker_units *us, const struct docker_http_answer *a,
		 struct docker_unit **ret, char *error, size_t size, uint64_t list)
{
	const struct aictl_host *host = us->d->host;
	struct docker_look l;
	int code;

	*ret = NULL;
	if (!docker_look_inspect(a->body, a->len, &l)) {
		snprintf(error, size, "the engine's answer is not understood");
		return AICTL_UNREACHABLE;
	}
	*ret = take(us, &l, &code);
	if (code == AICTL_CONFLICT)
		snprintf(error, size, "the container %.80s is not of this instance of aictl",
			 l.state.unit);
	else if (code != AICTL_OK)
		snprintf(error, size, "out of memory");
	if (*ret && (*ret)->phase == l.state.phase) {
		if (list)
			host->list_item(host, list, &l.state);
		else
			host->unit_state(host, &l.state);
	}
	docker_look_done(&l);
	return code;
}

static int judge(struct docker_units *us, const struct docker_http_answer *a,
		 struct docker_unit **ret, char *error, size_t size, uint64_t list)
{
	*ret = NULL;
	if (a->code != AICTL_OK) {
		snprintf(error, size, "%s", a->error);
		docker_engine_doubt(us->d->engine);
		return a->code;
	}
	if (a->status == 200)
		return parse(us, a, ret, error, size, list);
	docker_look_error(a->body, a->len, error, size);
	return a->status == 404 ? AICTL_NOT_FOUND : AICTL_FAILED;
}

/* ---- asking for one ---- */

static void asked(void *user, const struct docker_http_answer *a)
{
	struct docker_units_asking *q = user;
	struct docker_units *us = q->us;
	struct docker *d = us->d;
	docker_units_fn *done = q->done;
	_docker_free_ char *name = q->name;
	void *with = q->user;
	struct docker_unit *u;
	char error[256];
	int code;

	LIST_REMOVE(q, all);
	docker_mem_free(q);
	code = judge(us, a, &u, error, sizeof(error), 0);
	done(with, u, code, error);
	if (code == AICTL_NOT_FOUND)
		docker_units_gone(us, name);
	if (code == AICTL_OK || code == AICTL_NOT_FOUND)
		docker_changed(d, name);
}

struct docker_units_asking *docker_units_ask(struct docker_units *us, const char *name,
					     docker_units_fn *done, void *user)
{
	struct docker_units_asking *q = docker_mem_zalloc(sizeof(*q));
	const struct docker_http_ask ask = {.timeout_ms = ASK_MS, .done = asked, .user = q};

	if (!q)
		return NULL;
	*q = (struct docker_units_asking){
		.us = us, .done = done, .user = user, .name = docker_mem_dup(name)};
	LIST_INSERT_HEAD(&us->asking, q, all);
	if (q->name)
		q->call = docker_engine_send(us->d->engine, &ask, "/containers/%s/json", name);
	if (!q->call) {
		docker_units_forget(q);
		return NULL;
	}
	return q;
}

void docker_units_forget(struct docker_units_asking *q)
{
	if (!q)
		return;
	docker_http_cancel(q->call);
	LIST_REMOVE(q, all);
	docker_mem_free(q->name);
	docker_mem_free(q);
}

/* ---- events ---- */

static void owe(struct docker_unit *u)
{
	struct docker_units *us = u->of;
	const struct aictl_host *host = us->d->host;

	u->owed = true;
	host->timer_set(host, us->timer, us->owed_ms);
}

static void looked(void *user, struct docker_unit *now, int code, const char *error)
{
	struct docker_unit *u = user;

	(void)now;
	(void)error;
	u->asking = NULL;
	if (code == AICTL_CONFLICT && !u->id && !u->quiet)
		drop(u);
	else if (code == AICTL_OK)
		u->of->owed_ms = OWED_MIN_MS;
	else if (code != AICTL_NOT_FOUND && code != AICTL_CONFLICT)
		owe(u);
}

static void look_again(struct docker_units *us, struct docker_unit *u)
{
	u->again = u->owed = false;
	/* The answer under way may be older than this event. */
	docker_units_forget(u->asking);
	u->asking = docker_units_ask(us, u->name, looked, u);
	if (u->asking)
		return;
	docker_engine_doubt(us->d->engine);
	owe(u);
}

static void on_timer(void *user)
{
	struct docker_units *us = user;
	struct docker_unit *u, *next;

	us->owed_ms = us->owed_ms * 2 > OWED_MAX_MS ? OWED_MAX_MS : us->owed_ms * 2;
	for (u = LIST_FIRST(&us->all); u; u = next) {
		next = LIST_NEXT(u, all);
		if (!u->owed)
			continue;
		if (u->quiet || !docker_engine_up(us->d->engine))
			owe(u);
		else
			look_again(us, u);
	}
}

static bool one_of(const char *word, const char *const *words)
{
	for (; *words; words++) {
		if (strcmp(word, *words) == 0)
			return true;
	}
	return false;
}

void docker_units_event(struct docker_units *us, const struct docker_look_event *ev)
{
	static const char *const ends[] = {"destroy", "remove", NULL};
	static const char *const births[] = {"create", "start", NULL};
	static const char *const news[] = {"create", "start",	"die", "died",
					   "pause",  "unpause", NULL};
	struct docker_unit *u = docker_units_find(us, ev->name);

	if (one_of(ev->action, ends)) {
		/* The events of before the list are told again: of a namesake, maybe. */
		if (u && (!u->id || strcmp(u->id, ev->id) == 0))
			docker_units_gone(us, ev->name);
		return;
	}
	if (!one_of(ev->action, news) || !docker_units_name_ok(ev->name))
		return;
	if (!u)
		u = add(us, ev->name);
	if (!u)
		return;
	if (!u->quiet)
		look_again(us, u);
	else if (!one_of(ev->action, births))
		u->again = true;
}

/* ---- list ---- */

struct row {
	struct listing *of;
	const cJSON *said; /* in the list */
	struct docker_http_call *call;
};

struct listing {
	struct docker_op op;
	struct docker_http_call *call;
	cJSON *root;
	const cJSON *next;
	uint64_t number;
	struct row rows[AT_ONCE];
	int n_open;
};

static void list_free(struct listing *l)
{
	docker_http_cancel(l->call);
	for (int i = 0; i < AT_ONCE; i++)
		docker_http_cancel(l->rows[i].call);
	cJSON_Delete(l->root);
	docker_mem_free(l);
}

static void list_end(struct listing *l, int code, const char *error)
{
	docker_end(&l->op, code, "%s", error);
	list_free(l);
}

static void list_cancel(struct docker_op *op)
{
	list_end((struct listing *)op, AICTL_CANCELED, "canceled");
}

/* What was there before the list, and is not in it, is gone. */
static void list_whole(struct listing *l)
{
	struct docker_units *us = l->op.d->units;
	struct docker_unit *u, *next;

	for (u = LIST_FIRST(&us->all); u; u = next) {
		next = LIST_NEXT(u, all);
		if (u->seen < l->number && !u->quiet && u->id) {
			_docker_free_ char *name = u->name;

			u->name = NULL;
			drop(u);
			if (name)
				docker_changed(us->d, name);
		}
	}
	list_end(l, AICTL_OK, "");
}

static void list_go_on(struct listing *l);

/* One that the engine cannot look into does not keep the others from being told. */
static int list_unknown(struct listing *l, const cJSON *said, const char *error)
{
	struct docker *d = l->op.d;
	struct docker_look look;
	struct docker_unit *u;

	docker_look_unknown(said, &look);
	docker_log(d, AICTL_WARNING, "what became of %.100s is not known: %s", look.state.unit,
		   error);
	u = docker_units_find(d->units, look.state.unit);
	if (!u)
		u = add(d->units, look.state.unit);
	if (!u)
		return AICTL_NO_MEMORY;
	u->seen = l->number;
	owe(u);
	d->host->list_item(d->host, l->op.op, &look.state);
	return AICTL_OK;
}

static void on_row(void *user, const struct docker_http_answer *a)
{
	struct row *row = user;
	struct listing *l = row->of;
	struct docker_unit *u;
	char error[256];
	int code;

	row->call = NULL;
	l->n_open--;
	code = judge(l->op.d->units, a, &u, error, sizeof(error), l->op.op);
	if (u) {
		u->seen = l->number;
		docker_changed(l->op.d, u->name);
	} else if (a->code == AICTL_OK && (code == AICTL_FAILED || code == AICTL_UNREACHABLE)) {
		code = list_unknown(l, row->said, error);
	}
	if (code == AICTL_OK || code == AICTL_NOT_FOUND || code == AICTL_CONFLICT)
		list_go_on(l);
	else
		list_end(l, code, error);
}

static bool ask_row(struct listing *l, const cJSON *said, const char *id)
{
	struct docker_http_ask ask = {.timeout_ms = ASK_MS, .done = on_row};
	struct row *row = l->rows;

	while (row->call)
		row++;
	row->of = l;
	row->said = said;
	ask.user = row;
	row->call = docker_engine_send(l->op.d->engine, &ask, "/containers/%s/json", id);
	l->n_open += row->call != NULL;
	return row->call != NULL;
}

static void list_go_on(struct listing *l)
{
	while (l->next && l->n_open < AT_ONCE) {
		struct docker_look_row row;
		const cJSON *at = l->next;

		l->next = at->next;
		if (!docker_look_row(at, l->op.d->instance, &row) || !docker_units_name_ok(row.id))
			continue;
		if (!ask_row(l, at, row.id)) {
			list_end(l, AICTL_NO_MEMORY, "out of memory");
			return;
		}
	}
	if (l->n_open == 0 && !l->next)
		list_whole(l);
}

static void on_list(void *user, const struct docker_http_answer *a)
{
	struct listing *l = user;
	char error[256];

	l->call = NULL;
	if (a->code != AICTL_OK) {
		docker_engine_doubt(l->op.d->engine);
		list_end(l, a->code, a->error);
		return;
	}
	l->root = docker_json_parse(a->body, a->len);
	if (a->status != 200) {
		docker_look_error(a->body, a->len, error, sizeof(error));
		list_end(l, AICTL_FAILED, error);
	} else if (!cJSON_IsArray(l->root)) {
		list_end(l, AICTL_UNREACHABLE, "the engine's answer is not understood");
	} else {
		l->next = l->root->child;
		list_go_on(l);
	}
}

void docker_units_list(struct docker *d, uint64_t op)
{
	struct listing *l = docker_mem_zalloc(sizeof(*l));
	const struct docker_http_ask ask = {
		.timeout_ms = ASK_MS, .done = on_list, .user = l, .max = LIST_MAX};
	_docker_free_ char *filter =
		docker_mem_printf("{\"label\":[\"%s=%s\"]}", AICTL_LABEL_INSTANCE, d->instance);
	struct docker_buf escaped = {0};

	if (!l) {
		docker_refuse(d, op, AICTL_NO_MEMORY, "out of memory");
		return;
	}
	docker_begin(d, &l->op, op, list_cancel);
	l->number = ++d->units->n_lists;
	if (filter)
		docker_ref_escape(&escaped, filter);
	if (filter && !escaped.failed)
		l->call = docker_engine_send(d->engine, &ask,
					     "/containers/json?all=true&filters=%s", escaped.data);
	docker_mem_done(&escaped);
	if (!l->call)
		list_end(l, AICTL_NO_MEMORY, "out of memory");
}

/* ---- */

struct docker_units *docker_units_new(struct docker *d)
{
	struct docker_units *us = docker_mem_zalloc(sizeof(*us));

	if (!us)
		return NULL;
	us->d = d;
	us->owed_ms = OWED_MIN_MS;
	us->timer = d->host->timer_new(d->host, on_timer, us);
	if (!us->timer) {
		docker_mem_free(us);
		return NULL;
	}
	return us;
}

void docker_units_free(struct docker_units *us)
{
	if (!us)
		return;
	while (!LIST_EMPTY(&us->all))
		drop(LIST_FIRST(&us->all));
	while (!LIST_EMPTY(&us->asking))
		docker_units_forget(LIST_FIRST(&us->asking));
	us->d->host->timer_free(us->d->host, us->timer);
	docker_mem_free(us);
}
