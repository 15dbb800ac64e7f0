/*
 * docker_start: see docker_start.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_start.h"

#include <stdio.h>
#include <string.h>

#include "docker.h"
#include "docker_auth.h"
#include "docker_engine.h"
#include "docker_http.h"
#include "docker_json.h"
#include "docker_look.h"
#include "docker_mem.h"
#include "docker_pull.h"
#include "docker_ref.h"
#include "docker_spec.h"
#include "docker_units.h"

#define CREATE_MS 50000
#define START_MS 50000
#define CANCEL_MS (AICTL_CANCEL_MS - 1000)
#define REMOVE_MS 25000
#define PULL_MS (6 * 3600 * 1000)
#define TELL_EVERY_MS 200
#define RETRY_MS 500
#define WAIT_MS 50
#define STARTS_MAX 5

struct starting {
	struct docker_op op;
	char *name, *image, *body;
	char *network; /* the body of its making; NULL: it is not ours to make, or was made */
	enum docker_spec_pull policy;
	bool pulled;
	bool made; /* it is there, or was */
	int n_starts;
	bool lost; /* the outcome of a request is not known */
	bool creating, canceled;
	bool waits; /* for another start, which makes a network */
	struct docker_pull *pull;
	int64_t told_ms;
	struct docker_http_call *call;
	struct docker_units_asking *asking;
	struct aictl_timer *timer; /* look again */
	const char *auth_note;
};

static void create(struct starting *s);
static void pull(struct starting *s);
static void look(struct starting *s);
static void start(struct starting *s);
static void fail(struct starting *s, int code, const char *text);

static void starting_free(struct starting *s)
{
	const struct aictl_host *host = s->op.d->host;

	if (s->op.d->network_maker == s)
		s->op.d->network_maker = NULL;
	docker_http_cancel(s->call);
	docker_units_forget(s->asking);
	host->timer_free(host, s->timer);
	docker_mem_free(s->name);
	docker_mem_free(s->image);
	docker_mem_free(s->body);
	docker_mem_free(s->network);
	docker_mem_free(s->pull);
	docker_mem_free(s);
}

static void end(struct starting *s, int code, const char *text)
{
	docker_units_expect_end(s->op.d->units, s->name);
	docker_end(&s->op, code, "%s", text);
	starting_free(s);
}

/* An engine goes on with what nobody waits for any more. A container that is made is there only after
 * whoever canceled has removed it, and one that starts would end without its grace. */
static void cancel(struct docker_op *op)
{
	struct starting *s = (struct starting *)op;
	const struct aictl_host *host = op->d->host;

	if (s->waits) {
		fail(s, AICTL_CANCELED, "canceled");
	} else if ((!s->creating && !s->made) || op->d->closing) {
		end(s, AICTL_CANCELED, "canceled");
	} else if (!s->canceled) {
		s->canceled = true;
		host->timer_set(host, s->timer, CANCEL_MS);
	}
}

static void no_memory(struct starting *s)
{
	end(s, AICTL_NO_MEMORY, "out of memory");
}

/* doing: NULL, or what is done with the image. */
static void tell(struct starting *s, const char *doing)
{
	const struct aictl_host *host = s->op.d->host;
	struct aictl_progress p = {.struct_size = sizeof(p)};
	char text[256];

	if (s->pull)
		docker_pull_progress(s->pull, &p);
	if (doing) {
		snprintf(text, sizeof(text), "%s %.200s", doing, s->image);
		p.text = text;
	}
	s->told_ms = host->now_ms(host);
	host->progress(host, s->op.op, &p);
}

static void again(struct starting *s)
{
	s->waits = false;
	s->n_starts = 0;
	if (s->made)
		start(s);
	else
		create(s);
}

/* ---- when the outcome is not known ---- */

static void on_timer(void *user)
{
	struct starting *s = user;

	if (s->canceled)
		end(s, AICTL_CANCELED,
		    "canceled; the engine has not said whether it made a container");
	else if (s->waits)
		again(s);
	else if (s->lost && !s->asking && docker_engine_up(s->op.d->engine))
		look(s);
}

static void engine(struct docker_op *op, bool up)
{
	if (up)
		on_timer(op);
}

static void lose(struct starting *s)
{
	const struct aictl_host *host = s->op.d->host;

	s->lost = true;
	docker_engine_doubt(s->op.d->engine);
	host->timer_set(host, s->timer, RETRY_MS);
}

static void looked(void *user, struct docker_unit *u, int code, const char *error)
{
	struct starting *s = user;

	s->asking = NULL;
	if (code == AICTL_UNREACHABLE || code == AICTL_TIMEOUT) {
		lose(s);
		return;
	}
	s->lost = false;
	if (code == AICTL_NOT_FOUND && !s->made)
		create(s);
	else if (code == AICTL_NOT_FOUND)
		end(s, code, "the container was removed while it was being started");
	else if (code != AICTL_OK)
		end(s, code, error);
	else if (u->phase == AICTL_UNIT_CREATED && s->n_starts < STARTS_MAX)
		start(s);
	else if (u->phase == AICTL_UNIT_CREATED)
		fail(s, AICTL_FAILED, "the engine says that it was started, but it was not");
	else
		end(s, AICTL_OK, "");
}

static void look(struct starting *s)
{
	struct docker *d = s->op.d;
	struct docker_unit *u = docker_units_expect(d->units, s->name);

	if (u)
		s->asking = docker_units_ask(d->units, s->name, looked, s);
	if (!s->asking)
		no_memory(s);
}

/* ---- a start that failed leaves nothing ---- */

static void on_removed(void *user, const struct docker_http_answer *a)
{
	(void)user;
	(void)a;
}

/* Nobody waits for it: what is left after all, the next list shows. */
static void clean_up(struct docker *d, const char *name)
{
	const struct docker_http_ask ask = {
		.method = "DELETE", .timeout_ms = REMOVE_MS, .done = on_removed};

	docker_engine_send(d->engine, &ask, "/containers/%s?force=true&v=true", name);
}

static void fail(struct starting *s, int code, const char *text)
{
	_docker_free_ char *name = docker_mem_dup(s->name);
	struct docker *d = s->op.d;

	end(s, code, text);
	if (name)
		clean_up(d, name);
}

/* ---- its network, as Compose makes it ---- */

/* Another start has made it since ours was told that there is none. Podman: 500. */
static bool is_there(int status, const char *text)
{
	return status == 409 || (status == 500 && strstr(text, "already"));
}

static void on_network(void *user, const struct docker_http_answer *a)
{
	struct starting *s = user;
	char text[300], why[400];

	s->call = NULL;
	s->op.d->network_maker = NULL;
	if (a->code == AICTL_NO_MEMORY) {
		no_memory(s);
		return;
	}
	if (a->code != AICTL_OK) {
		lose(s);
		return;
	}
	docker_look_error(a->body, a->len, text, sizeof(text));
	if (s->canceled)
		fail(s, AICTL_CANCELED, "canceled");
	else if (a->status != 200 && a->status != 201 && !is_there(a->status, text)) {
		snprintf(why, sizeof(why), "its network cannot be made: %s", text);
		fail(s, AICTL_FAILED, why);
	} else
		again(s);
}

/* Docker looks for it at the start, Podman when it makes the container. One is made at a time: two
 * of a name would be two networks, whatever CheckDuplicate says. */
static bool makes_network(struct starting *s, int status, const char *text)
{
	struct docker *d = s->op.d;
	_docker_free_ char *body = s->network;
	const struct docker_http_ask ask = {.method = "POST",
					    .body = body,
					    .timeout_ms = CREATE_MS,
					    .done = on_network,
					    .user = s};

	if (!body || (status != 404 && status != 500) || !strstr(text, "network") ||
	    !strstr(text, "not found")) {
		body = NULL;
		return false;
	}
	if (d->network_maker) {
		body = NULL;
		s->waits = true;
		d->host->timer_set(d->host, s->timer, WAIT_MS);
		return true;
	}
	s->network = NULL;
	d->network_maker = s;
	s->call = docker_engine_send(d->engine, &ask, "/networks/create");
	if (!s->call)
		no_memory(s);
	return true;
}

/* ---- start ---- */

static int code_of(int status, const char *text)
{
	if (strstr(text, "already allocated") || strstr(text, "address already in use"))
		return AICTL_CONFLICT;
	if (strstr(text, "permission denied"))
		return AICTL_DENIED;
	if (status == 404)
		return AICTL_NOT_FOUND;
	return status == 400 ? AICTL_INVALID : AICTL_FAILED;
}

static void on_started(void *user, const struct docker_http_answer *a)
{
	struct starting *s = user;
	char text[300], why[450];

	s->call = NULL;
	if (a->code == AICTL_NO_MEMORY) {
		no_memory(s);
		return;
	}
	if (a->code != AICTL_OK) {
		lose(s);
		return;
	}
	if (a->status == 204 || a->status == 304) {
		look(s); /* tells that it runs, or what became of it */
		return;
	}
	docker_look_error(a->body, a->len, text, sizeof(text));
	if (makes_network(s, a->status, text))
		return;
	snprintf(why, sizeof(why), "%s%s", text,
		 strstr(text, "rlimit type") && docker_engine_kind(s->op.d->engine)->podman
			 ? " (this Podman swaps soft and hard of default_ulimits in "
			   "containers.conf: make them equal)"
			 : "");
	fail(s, code_of(a->status, text), why);
}

static void start(struct starting *s)
{
	const struct docker_http_ask ask = {
		.method = "POST", .timeout_ms = START_MS, .done = on_started, .user = s};

	s->made = true;
	s->n_starts++;
	tell(s, NULL);
	s->call = docker_engine_send(s->op.d->engine, &ask, "/containers/%s/start", s->name);
	if (!s->call)
		no_memory(s);
}

/* ---- create ---- */

static bool about_image(const char *text)
{
	return strstr(text, "image") || strstr(text, "manifest");
}

static void refused(struct starting *s, int status, const char *text)
{
	char why[500];

	if (status == 409 || (status == 500 && strstr(text, "already in use"))) {
		look(s);
		return;
	}
	if (makes_network(s, status, text))
		return;
	if (status == 404 && about_image(text) && s->policy != DOCKER_SPEC_NEVER && !s->pulled) {
		pull(s);
		return;
	}
	snprintf(why, sizeof(why), "%s%s", text,
		 status == 404 && s->policy == DOCKER_SPEC_NEVER ? " (pull_policy is never)" : "");
	end(s, code_of(status, text), why);
}

static void on_created(void *user, const struct docker_http_answer *a)
{
	struct starting *s = user;
	char text[400];

	s->call = NULL;
	s->creating = false;
	if (s->canceled && a->code == AICTL_OK && a->status == 201) {
		fail(s, AICTL_CANCELED, "canceled");
	} else if (s->canceled) {
		end(s, AICTL_CANCELED, "canceled");
	} else if (a->code == AICTL_NO_MEMORY) {
		no_memory(s);
	} else if (a->code != AICTL_OK) {
		lose(s);
	} else if (a->status == 201) {
		start(s);
	} else {
		docker_look_error(a->body, a->len, text, sizeof(text));
		refused(s, a->status, text);
	}
}

static void create(struct starting *s)
{
	const struct docker_http_ask ask = {.method = "POST",
					    .body = s->body,
					    .timeout_ms = CREATE_MS,
					    .done = on_created,
					    .user = s};

	tell(s, NULL);
	s->call = docker_engine_send(s->op.d->engine, &ask, "/containers/create?name=%s", s->name);
	s->creating = s->call != NULL;
	if (!s->call)
		no_memory(s);
}

/* ---- pull ---- */

static void on_pull_line(void *user, const char *line, size_t len)
{
	struct starting *s = user;
	const struct aictl_host *host = s->op.d->host;

	if (docker_pull_line(s->pull, line, len) &&
	    host->now_ms(host) - s->told_ms >= TELL_EVERY_MS)
		tell(s, "pulling");
}

/* The engine lives, though it may be silent about a pull for minutes. */
static void alive(struct docker_op *op)
{
	struct starting *s = (struct starting *)op;

	if (s->pull && s->call)
		tell(s, "pulling");
}

static void pull_failed(struct starting *s, int code, const char *text)
{
	char why[500];

	snprintf(why, sizeof(why), "pull of %.150s: %s%s%s", s->image, text,
		 s->auth_note ? "; " : "", s->auth_note ? s->auth_note : "");
	end(s, code, why);
}

static void on_pulled(void *user, const struct docker_http_answer *a)
{
	struct starting *s = user;
	char text[300];

	s->call = NULL;
	if (a->code != AICTL_OK) {
		docker_engine_doubt(s->op.d->engine);
		pull_failed(s, a->code, a->error);
		return;
	}
	if (a->status != 200) {
		docker_look_error(a->body, a->len, text, sizeof(text));
		pull_failed(s, docker_pull_code(text), text);
		return;
	}
	if (s->pull->error[0]) {
		snprintf(text, sizeof(text), "%s", s->pull->error);
		pull_failed(s, docker_pull_code(text), text);
		return;
	}
	tell(s, "pulled");
	docker_mem_free(s->pull);
	s->pull = NULL;
	create(s);
}

static char *credentials(struct starting *s, const char *registry)
{
	size_t len = 0;
	_docker_free_ char *config = docker_auth_read(&len);
	char *header = NULL;

	if (config && docker_auth_header(config, len, registry, &header, &s->auth_note) == -1)
		docker_log(s->op.d, AICTL_WARNING,
			   "config.json of the Docker client is not understood, ignoring");
	return header;
}

static void send_pull(struct starting *s, const struct docker_ref *ref)
{
	_docker_free_ char *auth = credentials(s, ref->registry);
	const struct docker_http_ask ask = {.method = "POST",
					    .auth = auth,
					    .timeout_ms = PULL_MS,
					    .on_line = on_pull_line,
					    .done = on_pulled,
					    .user = s};
	struct docker_buf name = {0}, tag = {0};

	docker_ref_escape(&name, ref->name);
	docker_ref_escape(&tag, ref->tag);
	if (!name.failed && !tag.failed)
		s->call = docker_engine_send(s->op.d->engine, &ask,
					     "/images/create?fromImage=%s&tag=%s", name.data,
					     tag.data);
	docker_mem_done(&name);
	docker_mem_done(&tag);
}

static void pull(struct starting *s)
{
	struct docker_ref ref = {0};
	const char *why = NULL;
	int r = docker_ref_parse(s->image, &ref, &why);

	s->pulled = true;
	s->pull = docker_mem_zalloc(sizeof(*s->pull));
	if (r == 0 && ref.id) {
		pull_failed(s, AICTL_NOT_FOUND,
			    "there is no image of this id, and ids cannot be pulled");
	} else if (r == -1) {
		pull_failed(s, AICTL_INVALID, why);
	} else {
		if (r == 0 && s->pull) {
			tell(s, "pulling");
			send_pull(s, &ref);
		}
		if (!s->call)
			no_memory(s);
	}
	docker_ref_done(&ref);
}

/* ---- */

static int prepare(struct starting *s, const struct aictl_start *what, char *error, size_t size)
{
	struct docker *d = s->op.d;
	cJSON *spec = docker_json_parse(what->spec, what->spec_len);
	const char *image = docker_json_text(spec, "image");
	const struct docker_spec_with with = {.engine = docker_engine_kind(d->engine),
					      .labels = what->labels,
					      .n_labels = what->n_labels};
	int r;

	if (!spec) {
		snprintf(error, size, "the specification is no JSON");
		return AICTL_INVALID;
	}
	s->policy = docker_spec_pull(spec);
	s->image = docker_mem_dup(image ? image : "");
	r = docker_spec_body(spec, &with, &s->body, error, size);
	if (r == AICTL_OK)
		r = docker_spec_network(spec, &with, &s->network, error, size);
	cJSON_Delete(spec);
	return r;
}

void docker_start_begin(struct docker *d, uint64_t op, const struct aictl_start *what)
{
	struct starting *s = docker_mem_zalloc(sizeof(*s));
	struct docker_unit *u = docker_units_find(d->units, what->unit);
	char error[256] = "out of memory";
	bool known = u && u->id;
	int r;

	if (!s) {
		docker_refuse(d, op, AICTL_NO_MEMORY, error);
		return;
	}
	docker_begin(d, &s->op, op, cancel);
	s->op.engine = engine;
	s->op.alive = alive;
	s->name = docker_mem_dup(what->unit);
	s->timer = d->host->timer_new(d->host, on_timer, s);
	r = prepare(s, what, error, sizeof(error));
	if (r == AICTL_OK &&
	    (!s->name || !s->image || !s->timer || !docker_units_expect(d->units, s->name)))
		r = AICTL_NO_MEMORY;
	if (r != AICTL_OK && !s->name) {
		docker_end(&s->op, r, "%s", error);
		starting_free(s);
	} else if (r != AICTL_OK) {
		end(s, r, error);
	} else if (known) {
		look(s);
	} else if (s->policy == DOCKER_SPEC_ALWAYS) {
		pull(s);
	} else {
		create(s);
	}
}
