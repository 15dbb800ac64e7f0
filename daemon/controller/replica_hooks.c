/* replica_hooks: see replica_hooks.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_hooks.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/link.h"
#include "daemon/controller/prober.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_standby.h"
#include "daemon/controller/run.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"

#define LAST_GRACE_MS 2000 /* of a process whose pre_stop took all of its time */

static const char *const names[HOOK_KIND_MAX_] = {"pre_start", "post_start", "pre_stop",
						  "post_stop"};

struct replica_hooks {
	struct replica *r;
	struct spec_source *source; /* keeps spec */
	const struct service_spec
		*spec; /* whose steps these are; a live change is for the next hook */
	enum hook_kind kind;
	size_t i;	 /* the step */
	struct run *run; /* one of them while it runs */
	struct probe_run *request;
	char incarnation[WIRE_INCARNATION_SIZE]; /* of the step's output; "" = a request */
	bool cancelled;				 /* pre_start: only its end is awaited */
	int64_t deadline_mono_ms;		 /* pre_stop */
	struct replica_last_exit ended;		 /* post_stop: of what */
};

static void advance(struct replica_hooks *h);

static const struct spec_table *steps_of(const struct service_spec *spec, enum hook_kind kind)
{
	static const struct spec_table none;

	return spec ? &spec->hooks[kind] : &none;
}

static const struct hook_spec *step_of(const struct replica_hooks *h)
{
	const struct hook_spec *v = h->spec->hooks[h->kind].v;

	return &v[h->i];
}

const char *replica_hooks_running(const struct replica *r)
{
	return r->hooks ? names[r->hooks->kind] : NULL;
}

bool replica_hooks_hold(const struct replica *r)
{
	return r->hooks && r->hooks->kind == HOOK_POST_START;
}

bool replica_hooks_need_us(const struct service_spec *spec)
{
	return spec->hooks[HOOK_PRE_START].n || spec->hooks[HOOK_POST_START].n ||
	       spec->hooks[HOOK_POST_STOP].n;
}

/* ---- begin and end ---- */

/* -ERR_NOMEM. */
static int begin(struct replica *r, enum hook_kind kind)
{
	struct replica_hooks *h = mem_alloc(sizeof(*h));

	if (!h) {
		log_error("replica=%s/%u hook=%s cannot run: out of memory", r->service->name,
			  r->index, names[kind]);
		return -ERR_NOMEM;
	}
	h->r = r;
	h->source = service_source_ref(r->source);
	h->spec = r->spec;
	h->kind = kind;
	h->deadline_mono_ms = INT64_MAX;
	r->hooks = h;
	r->preparing = kind == HOOK_PRE_START;
	r->note_dirty = true;
	return 0;
}

static void forget(struct replica *r)
{
	struct replica_hooks *h = TAKE_PTR(r->hooks);

	if (!h)
		return;
	if (h->run)
		run_forget(h->run);
	if (h->request)
		prober_cancel(h->request);
	service_source_unref(h->source);
	mem_free(h);
	r->preparing = false;
	r->note_dirty = true;
}

void replica_hooks_free(struct replica *r)
{
	forget(r);
}

/* The event of a step that failed; what is said of the replica stays. */
static void publish_failure(const struct replica_hooks *h, const char *what)
{
	struct replica *r = h->r;
	const char *reason = r->reason;
	_cleanup_free_ char *message = mem_strdup(replica_message(r));

	mem_free(r->failed_hook);
	r->failed_hook = h->incarnation[0] ? mem_strdup(h->incarnation) : NULL;
	replica_say(r, "hook_failed", "hooks.%s[%zu]: %s", names[h->kind], h->i, what);
	replica_publish(r, "hook", NULL, NULL, NULL);
	replica_say(r, reason, "%s", message ? message : "");
}

static void pre_start_over(struct replica *r, bool cancelled, const char *failure)
{
	if (cancelled) {
		replica_post(r, REPLICA_EV_CLEARED); /* nothing else of it was there to stop */
	} else if (failure) {
		replica_start_failed(r, "hook", failure);
	} else {
		POINT("controller.hook.prepared");
		/* newer than the hook's: its output comes after */
		controller_new_incarnation(r->service->controller, r->incarnation, r->incarnation);
		replica_spawn_prepared(r);
	}
}

static void post_start_over(struct replica *r, const char *failure)
{
	if (!r->pid || replica_sm_is_ending(r->state))
		return;
	if (failure) {
		replica_say(r, "hook_failed", "%s", failure);
		replica_condemn(r, "hook");
	} else if (r->state == REPLICA_STARTING && r->health.ready) {
		replica_verdict(r, HEALTH_READY, PROBE_READINESS);
	}
}

/* All of its steps are done, or one has failed (failure says which and how). */
static void finish(struct replica_hooks *h, const char *failure)
{
	struct replica *r = h->r;
	enum hook_kind kind = h->kind;
	bool cancelled = h->cancelled;

	log_info("replica=%s/%u hook=%s %s", r->service->name, r->index, names[kind],
		 cancelled ? "cancelled"
		 : failure ? failure
			   : "done");
	forget(r);
	switch (kind) {
	case HOOK_PRE_START:
		pre_start_over(r, cancelled, failure);
		break;
	case HOOK_POST_START:
		post_start_over(r, failure);
		break;
	case HOOK_PRE_STOP:
		replica_send_stop(r);
		break;
	case HOOK_POST_STOP:
		r->attempt = false;
		break;
	case HOOK_KIND_MAX_:
		break;
	}
	controller_touch(r->service);
	replica_hooks_report(r->service->controller);
}

/* ---- one step ---- */

/* The step is over; NULL: with success. h may be gone after it. */
static void step_over(struct replica_hooks *h, const char *failure)
{
	char text[REPLICA_MESSAGE_MAX];

	if (h->cancelled) {
		finish(h, NULL);
		return;
	}
	if (failure) {
		publish_failure(h, failure);
		snprintf(text, sizeof(text), "hooks.%s[%zu]: %s", names[h->kind], h->i, failure);
		if (step_of(h)->on_failure == HOOK_ABORT) {
			finish(h, text);
			return;
		}
		log_warn("replica=%s/%u %s, ignoring", h->r->service->name, h->r->index, text);
	}
	h->i++;
	advance(h);
}

static void on_run_end(const struct wire_run_end *end, void *user)
{
	struct replica_hooks *h = user;
	char how[160];

	h->run = NULL;
	if (run_has_run(end) && !end->timed_out && end->signal == 0 && end->code == 0) {
		step_over(h, NULL);
		return;
	}
	if (end->timed_out)
		snprintf(how, sizeof(how), "no end within its timeout, killed");
	else
		run_describe_end(end, how, sizeof(how));
	step_over(h, how);
}

static void on_answer(const struct probe_result *result, void *user)
{
	struct replica_hooks *h = user;

	h->request = NULL;
	step_over(h, result->ok ? NULL : result->message);
}

/* What the step may take; 0 = nothing is left. */
static int64_t time_of(const struct replica_hooks *h)
{
	int64_t most = step_of(h)->timeout_ms, left = h->deadline_mono_ms - clock_mono_ms();

	if (h->deadline_mono_ms == INT64_MAX || left >= most)
		return most;
	return left > 0 ? left : 0;
}

#define ENV_SIZE 80
#define ENV_MAX 6

/* NAME=value lines; v has room for ENV_MAX. */
static void fill_env(const struct replica_hooks *h, const char *incarnation,
		     char text[ENV_MAX][ENV_SIZE], char *v[ENV_MAX])
{
	const char *signal = parse_signal_name(h->ended.signal);
	size_t n = 0;

	snprintf(text[n++], ENV_SIZE, "AICTL_HOOK=%s", names[h->kind]);
	snprintf(text[n++], ENV_SIZE, "AICTL_INCARNATION=%s", incarnation);
	if (h->kind == HOOK_POST_STOP) {
		if (h->ended.code >= 0)
			snprintf(text[n++], ENV_SIZE, "AICTL_EXIT_CODE=%d", h->ended.code);
		else
			snprintf(text[n++], ENV_SIZE, "AICTL_EXIT_CODE=");
		snprintf(text[n++], ENV_SIZE, "AICTL_EXIT_SIGNAL=%s",
			 h->ended.signal && signal ? signal + 3 : "");
		snprintf(text[n++], ENV_SIZE, "AICTL_EXIT_CAUSE=%s",
			 h->ended.cause ? h->ended.cause : "unknown");
	}
	for (size_t i = 0; i < n; i++)
		v[i] = text[i];
	v[n] = NULL;
}

static int start_command(struct replica_hooks *h, int64_t timeout_ms, struct err **reterr)
{
	struct replica *r = h->r;
	char text[ENV_MAX][ENV_SIZE], *env[ENV_MAX];
	struct run_opts o = {.what = {.command = step_of(h)->command, .environment = env},
			     .log = h->incarnation,
			     .timeout_ms = timeout_ms,
			     .on_end = on_run_end,
			     .user = h};

	controller_new_incarnation(r->service->controller, r->incarnation, h->incarnation);
	fill_env(h, h->incarnation, text, env);
	return run_start(r->service->controller, r, &o, &h->run, reterr);
}

static int start_request(struct replica_hooks *h, int64_t timeout_ms, struct err **reterr)
{
	const struct request_spec *spec = &step_of(h)->request;
	char path[REPLICA_PORTS_PATH_SIZE];
	struct probe_http req =
		prober_request(spec, replica_ports_resolve(h->r, spec->port), timeout_ms);

	req.host = replica_ports_host(h->r, req.host, spec->port, path);
	return prober_http(h->r->service->controller->prober, &req, on_answer, h, &h->request,
			   reterr);
}

/* The next step, if there is one left: it goes on when that is over. */
static void advance(struct replica_hooks *h)
{
	_cleanup_err_ struct err *err = NULL;
	int64_t timeout_ms;
	int rc;

	if (h->i >= h->spec->hooks[h->kind].n) {
		finish(h, NULL);
		return;
	}
	timeout_ms = time_of(h);
	if (timeout_ms == 0) {
		h->i = h->spec->hooks[h->kind].n - 1; /* its failure ends the rest as well */
		finish(h, "the grace period is over");
		return;
	}
	POINT("controller.hook.step");
	h->incarnation[0] = '\0';
	rc = step_of(h)->exec ? start_command(h, timeout_ms, &err)
			      : start_request(h, timeout_ms, &err);
	if (rc < 0)
		step_over(h, err_msg(err));
}

/* ---- when ---- */

bool replica_hooks_before_start(struct replica *r)
{
	if (steps_of(r->spec, HOOK_PRE_START)->n == 0)
		return false;
	if (begin(r, HOOK_PRE_START) < 0) {
		replica_start_failed(r, "hook", "hooks.pre_start: out of memory");
		return true;
	}
	replica_say(r, "pre_start", "pre_start runs");
	advance(r->hooks);
	return true;
}

void replica_hooks_after_start(struct replica *r)
{
	if (steps_of(r->spec, HOOK_POST_START)->n == 0)
		return;
	forget(r);
	if (begin(r, HOOK_POST_START) < 0) {
		post_start_over(r, "hooks.post_start: out of memory");
		return;
	}
	advance(r->hooks);
}

/* A pre_start is killed, and its end awaited. true: it was one. */
static bool cancel_start(struct replica *r)
{
	struct replica_hooks *h = r->hooks;

	if (!h || h->kind != HOOK_PRE_START)
		return false;
	h->cancelled = true;
	if (h->run) {
		run_kill(h->run, SIGKILL);
		return true;
	}
	if (h->request)
		prober_cancel(TAKE_PTR(h->request));
	finish(h, NULL);
	return true;
}

bool replica_hooks_before_stop(struct replica *r)
{
	if (r->state != REPLICA_STOPPING)
		return false;
	if (cancel_start(r))
		return true;
	if (replica_hooks_hold(r))
		forget(r);
	if (!r->pid || r->hooks || steps_of(r->spec, HOOK_PRE_STOP)->n == 0 ||
	    r->spec->grace_period_ms == 0 || begin(r, HOOK_PRE_STOP) < 0)
		return false;
	r->hooks->deadline_mono_ms = clock_add(clock_mono_ms(), r->spec->grace_period_ms);
	replica_probe_end(r);
	r->standby[0] = '\0'; /* nobody starts anything now */
	replica_standby_off(r);
	advance(r->hooks);
	return true;
}

int64_t replica_hooks_grace(const struct replica *r)
{
	int64_t all = r->spec->grace_period_ms, least = all < LAST_GRACE_MS ? all : LAST_GRACE_MS;
	int64_t left;

	if (r->state != REPLICA_STOPPING || !r->stopping_mono_ms ||
	    steps_of(r->spec, HOOK_PRE_STOP)->n == 0)
		return all;
	left = r->stopping_mono_ms + all - clock_mono_ms();
	return left > least ? left : least;
}

void replica_hooks_process_gone(struct replica *r)
{
	if (!r->hooks || r->hooks->kind != HOOK_PRE_STOP)
		return;
	forget(r);
	replica_send_stop(r); /* what is left of it */
}

static void run_post_stop(struct replica *r, const struct replica_last_exit *ended)
{
	if (begin(r, HOOK_POST_STOP) < 0)
		return;
	r->hooks->ended = *ended;
	advance(r->hooks);
}

void replica_hooks_after_end(struct replica *r)
{
	struct replica_last_exit ended = r->last_exit;

	if (r->hooks && r->hooks->kind == HOOK_POST_STOP)
		return;
	forget(r);
	if (!r->attempt || steps_of(r->spec, HOOK_POST_STOP)->n == 0) {
		r->attempt = false;
		replica_hooks_report(r->service->controller);
		return;
	}
	if (!r->attempt_ran) { /* the last exit is of another one */
		bool stopped = r->state == REPLICA_EXITED || r->state == REPLICA_PENDING;

		ended = (struct replica_last_exit){
			.code = -1, .cause = stopped ? r->stop_cause : r->last_exit.cause};
	}
	run_post_stop(r, &ended);
}

void replica_hooks_resume(struct replica *r)
{
	if (r->spec && r->attempt && !r->hooks && !replica_sm_is_live(r->state) &&
	    r->service->controller->status.mode != WIRE_MODE_SAFE)
		replica_hooks_after_end(r);
}

/* ---- at a shutdown ---- */

static bool any_left(const struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++)
			if (s->replicas[k]->hooks || replica_sm_is_live(s->replicas[k]->state))
				return true;
	}
	return false;
}

static void tell(struct controller *c, bool any)
{
	_cleanup_buf_ struct buf packet = {0};

	if (any == c->hooks_told)
		return;
	c->hooks_told = any;
	wire_encode_u32(&packet, WIRE_CONTROL, any ? WIRE_CONTROL_HOOKS : WIRE_CONTROL_NO_HOOKS);
	link_send(c->link, &packet);
}

bool replica_hooks_relink(struct controller *c)
{
	bool any = false;

	for (size_t i = 0; !any && i < c->n_services; i++) {
		const struct service_spec *spec = c->services[i]->spec;

		any = steps_of(spec, HOOK_PRE_STOP)->n || steps_of(spec, HOOK_POST_STOP)->n;
	}
	if (!c->shutting_down)
		tell(c, any);
	return any;
}

void replica_hooks_report(struct controller *c)
{
	if (c->shutting_down && c->hooks_told && !any_left(c))
		tell(c, false);
}
