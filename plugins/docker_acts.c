/*
 * docker_acts: see docker_acts.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_acts.h"

#include <string.h>

#include "docker.h"
#include "docker_engine.h"
#include "docker_http.h"
#include "docker_look.h"
#include "docker_mem.h"
#include "docker_units.h"

#define SIGNAL_MS 12000
#define REMOVE_MS 25000
#define STATS_MS 8000
#define AGAIN_MS 100 /* a removal that somebody else has begun */

struct act {
	struct docker_op op;
	char *unit;
	int signal;
	void (*go)(struct act *a);
	struct docker_units_asking *asking;
	struct docker_http_call *call;
	struct aictl_timer *timer; /* remove */
	int64_t until_ms;
};

static void act_free(struct act *a)
{
	docker_units_forget(a->asking);
	docker_http_cancel(a->call);
	a->op.d->host->timer_free(a->op.d->host, a->timer);
	docker_mem_free(a->unit);
	docker_mem_free(a);
}

static void end(struct act *a, int code, const char *text)
{
	docker_end(&a->op, code, "%s", text);
	act_free(a);
}

static void cancel(struct docker_op *op)
{
	end((struct act *)op, AICTL_CANCELED, "canceled");
}

/* ---- first: is it ours? ---- */

static void found(void *user, struct docker_unit *u, int code, const char *error)
{
	struct act *a = user;

	(void)u;
	a->asking = NULL;
	if (code == AICTL_OK)
		a->go(a);
	else if (code == AICTL_NOT_FOUND && a->timer) /* remove */
		end(a, AICTL_OK, "");
	else
		end(a, code, error);
}

static struct act *begin(struct docker *d, uint64_t op, const char *unit)
{
	struct act *a = docker_mem_zalloc(sizeof(*a));

	if (a)
		a->unit = docker_mem_dup(unit);
	if (!a || !a->unit) {
		docker_mem_free(a);
		docker_refuse(d, op, AICTL_NO_MEMORY, "out of memory");
		return NULL;
	}
	docker_begin(d, &a->op, op, cancel);
	return a;
}

static void find(struct act *a)
{
	struct docker_units *us = a->op.d->units;
	struct docker_unit *u = docker_units_find(us, a->unit);

	if (u && u->id) {
		a->go(a);
		return;
	}
	a->asking = docker_units_ask(us, a->unit, found, a);
	if (!a->asking)
		end(a, AICTL_NO_MEMORY, "out of memory");
}

/* What all answers have in common; true: it has ended. */
static bool settled(struct act *a, const struct docker_http_answer *answer)
{
	a->call = NULL;
	if (answer->code == AICTL_OK)
		return false;
	docker_engine_doubt(a->op.d->engine);
	end(a, answer->code, answer->error);
	return true;
}

static void end_as(struct act *a, const struct docker_http_answer *answer)
{
	char text[300];

	docker_look_error(answer->body, answer->len, text, sizeof(text));
	end(a, answer->status == 404 ? AICTL_NOT_FOUND : AICTL_FAILED, text);
}

/* ---- signal ---- */

static void on_signaled(void *user, const struct docker_http_answer *answer)
{
	struct act *a = user;

	if (settled(a, answer))
		return;
	/* 409: it does not run, which is no fault; Podman has 500 for some of that. */
	if (answer->status == 204 || answer->status == 409 ||
	    (answer->status == 500 && strstr(answer->body, "state improper")))
		end(a, AICTL_OK, "");
	else
		end_as(a, answer);
}

static void do_signal(struct act *a)
{
	const struct docker_http_ask ask = {
		.method = "POST", .timeout_ms = SIGNAL_MS, .done = on_signaled, .user = a};

	a->call = docker_engine_send(a->op.d->engine, &ask, "/containers/%s/kill?signal=%d",
				     a->unit, a->signal);
	if (!a->call)
		end(a, AICTL_NO_MEMORY, "out of memory");
}

void docker_acts_signal(struct docker *d, uint64_t op, const char *unit, int number)
{
	struct act *a;

	if (number < 1 || number > 64) {
		docker_refuse(d, op, AICTL_INVALID, "there is no such signal");
		return;
	}
	a = begin(d, op, unit);
	if (!a)
		return;
	a->signal = number;
	a->go = do_signal;
	find(a);
}

/* ---- remove ---- */

static void do_remove(struct act *a);

static void on_removed(void *user, const struct docker_http_answer *answer)
{
	struct act *a = user;
	struct docker *d = a->op.d;

	if (settled(a, answer))
		return;
	if (answer->status == 204 || answer->status == 200 || answer->status == 404) {
		_docker_free_ char *unit = a->unit;

		a->unit = NULL;
		end(a, AICTL_OK, "");
		docker_units_gone(d->units, unit);
	} else if (answer->status == 409 && d->host->now_ms(d->host) < a->until_ms) {
		d->host->timer_set(d->host, a->timer, AGAIN_MS);
	} else {
		end_as(a, answer);
	}
}

static void do_remove(struct act *a)
{
	const struct docker_http_ask ask = {
		.method = "DELETE", .timeout_ms = REMOVE_MS, .done = on_removed, .user = a};

	a->call = docker_engine_send(a->op.d->engine, &ask, "/containers/%s?force=true&v=true",
				     a->unit);
	if (!a->call)
		end(a, AICTL_NO_MEMORY, "out of memory");
}

static void on_timer(void *user)
{
	do_remove(user);
}

void docker_acts_remove(struct docker *d, uint64_t op, const char *unit)
{
	struct act *a = begin(d, op, unit);

	if (!a)
		return;
	a->go = do_remove;
	a->until_ms = d->host->now_ms(d->host) + REMOVE_MS;
	a->timer = d->host->timer_new(d->host, on_timer, a);
	if (a->timer)
		find(a);
	else
		end(a, AICTL_NO_MEMORY, "out of memory");
}

/* ---- stats ---- */

static void on_stats(void *user, const struct docker_http_answer *answer)
{
	struct act *a = user;
	struct aictl_stats s;
	const struct aictl_result r = {.struct_size = sizeof(r), .stats = &s};

	if (settled(a, answer))
		return;
	if (answer->status != 200) {
		end_as(a, answer);
		return;
	}
	if (!docker_look_stats(answer->body, answer->len, &s)) {
		end(a, AICTL_UNREACHABLE, "the engine's answer is not understood");
		return;
	}
	docker_end_with(&a->op, &r);
	act_free(a);
}

static void do_stats(struct act *a)
{
	const struct docker_http_ask ask = {.timeout_ms = STATS_MS, .done = on_stats, .user = a};

	a->call = docker_engine_send(a->op.d->engine, &ask,
				     "/containers/%s/stats?stream=false&one-shot=true", a->unit);
	if (!a->call)
		end(a, AICTL_NO_MEMORY, "out of memory");
}

void docker_acts_stats(struct docker *d, uint64_t op, const char *unit)
{
	struct act *a = begin(d, op, unit);

	if (!a)
		return;
	a->go = do_stats;
	find(a);
}
