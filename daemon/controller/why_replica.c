/*
 * why_replica: the links of why.h about replicas: for each state what it is about, the evidence for
 * it and the key of the manifest that decides. From why.c, in the loop's thread; nothing waits.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/limits.h"
#include "daemon/controller/policy.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_cgroup.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_log_fault.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_push.h"
#include "daemon/controller/replica_reload.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/runtimes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/strangers.h"
#include "daemon/controller/why.h"
#include "daemon/controller/traffic.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define RESULTS_SHOWN 3
#define HUMAN_SIZE 32

/* What ends or restarts a replica against nobody's wish. */
bool why_replica_is_trouble(const char *cause)
{
	static const char *const causes[] = {"exit",  "signal", "start",    "oom",
					     "probe", "stall",	"watchdog", "timeout",
					     "hook",  "lost",	"unknown"};

	for (size_t i = 0; cause && i < ARRAY_SIZE(causes); i++)
		if (strcmp(cause, causes[i]) == 0)
			return true;
	return false;
}

bool why_replica_is_told(const struct replica *r)
{
	return r->restarts > 0 && why_replica_is_trouble(r->last_exit.cause);
}

/* The newest end of it, or NULL. */
static const struct replica_exit *last_exit(const struct replica *r)
{
	const struct exits *e = r->service->exits;

	for (size_t i = e->n; i-- > 0;)
		if (e->list[i].index == r->index)
			return &e->list[i].exit;
	return NULL;
}

static void put_status(struct buf *out, const struct replica_exit *x)
{
	const char *name = x->signal ? parse_signal_name(x->signal) : NULL;

	if (name)
		buf_printf(out, "signal %s", name);
	else if (x->signal)
		buf_printf(out, "signal %d", x->signal);
	else if (x->code >= 0)
		buf_printf(out, "exit code %d", x->code);
	else
		buf_str(out, "its status could not be read");
}

void why_replica_prove_exit(struct why *y, struct why_link *l, const struct replica_exit *x)
{
	_cleanup_buf_ struct buf out = {0};
	char ran[HUMAN_SIZE];

	if (strcmp(x->cause, "start") == 0) {
		why_prove(y, l, "exit", x->at_wall_ms, "it never ran");
		return;
	}
	put_status(&out, x);
	if (x->started_wall_ms && x->at_wall_ms >= x->started_wall_ms)
		buf_printf(&out, " after %s",
			   clock_human(x->at_wall_ms - x->started_wall_ms, ran, sizeof(ran)));
	if (strcmp(x->cause, "exit") != 0 && strcmp(x->cause, "signal") != 0)
		buf_printf(&out, ", cause: %s", x->cause);
	why_prove(y, l, "exit", x->at_wall_ms, "%s", buf_cstr(&out));
	why_show_log(l, x->incarnation);
}

/* Of what a hook ended, the hook's last lines say most. */
static void prove_exit(struct why *y, struct why_link *l, const struct replica *r)
{
	const struct replica_exit *x = last_exit(r);
	bool by_hook = r->last_exit.cause && strcmp(r->last_exit.cause, "hook") == 0;

	if (x && (!by_hook || x->at_wall_ms == r->last_exit.at_wall_ms))
		why_replica_prove_exit(y, l, x);
	if (by_hook && r->failed_hook)
		why_show_log(l, r->failed_hook);
}

/* The last results of a probe, newest first. */
static void prove_probe(struct why *y, struct why_link *l, const struct replica *r,
			enum probe_kind kind)
{
	const struct probe_history *h = r->probes[kind] ? &r->probes[kind]->history : NULL;
	const char *name = replica_probe_kind_name(kind);
	_cleanup_buf_ struct buf handler = {0}, target = {0};
	const struct probe_entry *e;

	if (!r->spec || !probe_spec_polls(&r->spec->probes[kind]))
		return;
	replica_probe_describe(r, kind, &handler, &target);
	if (target.len)
		buf_printf(&handler, " to %s", buf_cstr(&target));
	if (!h || !probe_history_at(h, 0))
		why_prove(y, l, "probe", 0, "%s probe (%s): no result yet", name,
			  buf_cstr(&handler));
	for (unsigned i = 0; h && i < RESULTS_SHOWN && (e = probe_history_at(h, i)); i++)
		why_prove(y, l, "probe", e->at_wall_ms, "%s probe%s%s%s %s%s%s", name,
			  i ? "" : " (", i ? "" : buf_cstr(&handler), i ? "" : ")",
			  e->ok ? "passed" : "failed", *probe_history_message(e) ? ": " : "",
			  probe_history_message(e));
}

static unsigned spent(const struct replica *r)
{
	int64_t from = clock_mono_ms() - r->service->spec->restart.budget_window_ms;
	unsigned n = 0;

	for (uint32_t i = 0; i < r->policy.n_recent; i++)
		n += r->policy.recent_mono_ms[i] > from;
	return n;
}

/* Of a task its retries count. */
static void prove_budget(struct why *y, struct why_link *l, const struct replica *r)
{
	const struct service *s = r->service;
	const struct restart_spec *spec = s->spec && !service_task_is(s) ? &s->spec->restart : NULL;
	char window[HUMAN_SIZE], slow[HUMAN_SIZE];
	unsigned n;

	if (!spec || spec->budget_restarts == 0)
		return;
	clock_human(spec->budget_window_ms, window, sizeof(window));
	clock_human(POLICY_SLOW_MS, slow, sizeof(slow));
	n = spent(r);
	if (r->policy.slow)
		why_prove(y, l, "restarts", 0,
			  "the budget of %lld within %s is spent: one attempt every %s",
			  (long long)spec->budget_restarts, window, slow);
	else if (n > 0)
		why_prove(y, l, "restarts", 0, "%u of %lld within %s%s%s", n,
			  (long long)spec->budget_restarts, window,
			  spec->budget_then == BUDGET_FAIL ? ", then it is given up"
							   : ", then one attempt every ",
			  spec->budget_then == BUDGET_FAIL ? "" : slow);
}

/* The key that the cause of an end is about, or NULL. */
static const char *key_of_cause(const struct service *s, const char *cause)
{
	static const char *const keys[][2] = {{"oom", "resources.limits.memory"},
					      {"probe", "probes.liveness"},
					      {"stall", "probes.startup.stall"},
					      {"timeout", "probes.startup.deadline"},
					      {"watchdog", "watchdog"},
					      {"hook", "hooks"},
					      {"dependency", "on_dependency_restart"},
					      {"max_age", "restart.max_age"},
					      {"memory", "restart.max_memory"}};

	if (cause && strcmp(cause, "timeout") == 0 && service_task_is(s))
		return "timeout";
	for (size_t i = 0; cause && i < ARRAY_SIZE(keys); i++)
		if (strcmp(cause, keys[i][0]) == 0)
			return keys[i][1];
	return NULL;
}

/* Of "cannot start: chdir /srv: ...". */
static const char *key_of_start(const struct replica *r, const char *message)
{
	static const char *const keys[][2] = {
		{"chdir", "working_dir"}, {"exec", "command"},
		{"user", "user"},	  {"limits", "resources"},
		{"secrets", "secrets"},	  {"hooks.pre_start", "hooks.pre_start"},
		{"no free port", "ports"}};
	const char *text = strchr(message, ':');

	if (replica_unit_is(r))
		return replica_unit_failed_key(r);
	for (size_t i = 0; text && i < ARRAY_SIZE(keys); i++)
		if (strncmp(text + 2, keys[i][0], strlen(keys[i][0])) == 0)
			return keys[i][1];
	return "command";
}

static const char *key_of_end(const struct replica *r)
{
	const char *message = replica_message(r), *cause = r->last_exit.cause;

	if (r->policy.slow || strcmp(r->reason, "budget_spent") == 0)
		return "restart.budget";
	if (cause && strcmp(cause, "start") == 0)
		return key_of_start(r, message);
	if (strstr(message, "rule says"))
		return "restart.rules";
	if (key_of_cause(r->service, cause))
		return key_of_cause(r->service, cause);
	if (service_task_is(r->service))
		return "retries";
	return r->state == REPLICA_BACKOFF ? "restart.backoff" : "restart.policy";
}

static const char *policy_name(const struct service *s)
{
	static const char *const names[] = {"always", "on-failure", "never"};

	return names[s->spec->restart.policy];
}

/* It has ended; what comes next? */
static void explain_end(struct why *y, struct why_link *l, const struct replica *r)
{
	const struct service *s = r->service;

	prove_exit(y, l, r);
	if (!s->spec)
		return;
	if (strcmp(r->reason, "dependency_timeout") != 0)
		prove_budget(y, l, r);
	why_decide(y, l, s,
		   strcmp(r->reason, "dependency_timeout") == 0 ? "depends_on" : key_of_end(r));
	if (r->state == REPLICA_BACKOFF) {
		why_prove(y, l, "next", replica_next_attempt_wall_ms(r), "the next attempt");
		return;
	}
	if (service_task_next_wall_ms(s))
		why_prove(y, l, "next", service_task_next_wall_ms(s), "the next run");
	else if (strcmp(r->reason, "dependency_timeout") == 0)
		why_prove(y, l, "next", 0, "it starts when the dependency is as it must be");
	else if (service_task_is(s))
		why_prove(y, l, "next", 0, "a task that has ended");
	else
		why_prove(y, l, "next", 0, "not started again (restart.policy: %s)",
			  policy_name(s));
	if (r->state == REPLICA_FAILED)
		why_prove(y, l, "hint", 0, "aictl reset %s starts it again", s->name);
}

static int64_t wall(int64_t mono_ms)
{
	return clock_wall_ms() + mono_ms - clock_mono_ms();
}

/* Until when it has to make progress, and to be through. */
static void prove_deadlines(struct why *y, struct why_link *l, const struct replica *r)
{
	const struct probe_spec *p = &r->spec->probes[PROBE_STARTUP];
	const struct health *h = &r->health;
	char human[HUMAN_SIZE];
	int64_t at;

	if (!p->enabled || !h->active || h->started)
		return;
	if (p->stall_ms) {
		at = clock_add(h->progress_mono_ms, p->stall_ms);
		if (h->extend_until_mono_ms > at)
			at = h->extend_until_mono_ms;
		why_prove(y, l, "deadline", wall(at),
			  "restarted unless it makes progress (probes.startup.stall: %s)",
			  clock_human(p->stall_ms, human, sizeof(human)));
	}
	if (p->deadline_ms)
		why_prove(y, l, "deadline", wall(clock_add(h->begun_mono_ms, p->deadline_ms)),
			  "restarted unless it has started (probes.startup.deadline: %s)",
			  clock_human(p->deadline_ms, human, sizeof(human)));
}

/* What its start waits for. */
static enum probe_kind explain_awaited(struct why *y, struct why_link *l, const struct replica *r)
{
	const struct probe_spec *p = r->spec->probes;
	enum probe_kind kind =
		p[PROBE_STARTUP].enabled && !r->health.started ? PROBE_STARTUP : PROBE_READINESS;
	bool notifies = probe_spec_is_pushed(&p[PROBE_READINESS]);

	if (notifies && !r->health.pushed &&
	    (kind == PROBE_READINESS || !probe_spec_polls(&p[kind]))) {
		why_say(y, l, "it has not said that it is ready");
		return PROBE_READINESS;
	}
	why_say(y, l, "its %s probe has not passed yet", replica_probe_kind_name(kind));
	prove_probe(y, l, r, kind);
	return kind;
}

static void explain_start(struct why *y, struct why_link *l, const struct replica *r)
{
	enum probe_kind kind;

	if (r->stranger) {
		strangers_explain(y, l, r);
		return;
	}
	if (r->restarts > 0) {
		prove_exit(y, l, r);
		prove_budget(y, l, r);
	}
	if (!r->pid || !r->spec) {
		why_say(y, l, "%s: the process is being started", replica_message(r));
		return;
	}
	kind = explain_awaited(y, l, r);
	if (!l->log_of[0])
		why_show_log(l, r->incarnation);
	prove_deadlines(y, l, r);
	why_decide(y, l, r->service, kind == PROBE_STARTUP ? "probes.startup" : "probes.readiness");
}

static void explain_unready(struct why *y, struct why_link *l, const struct replica *r)
{
	strangers_explain(y, l, r);
	if (r->stranger && r->health.ready)
		return; /* that is all */
	prove_probe(y, l, r, PROBE_READINESS);
	why_show_log(l, r->incarnation);
	why_prove(y, l, "next", 0, "readiness never restarts it");
	why_decide(y, l, r->service, "probes.readiness");
}

static void explain_drain(struct why *y, struct why_link *l, const struct replica *r)
{
	_cleanup_buf_ struct buf b = {0};

	traffic_say(r, &b);
	why_prove(y, l, "drain", 0, "no new requests; %s (stop.drain)", buf_cstr(&b));
	why_decide(y, l, r->service, "stop.drain");
}

static void explain_stop(struct why *y, struct why_link *l, const struct replica *r)
{
	char grace[HUMAN_SIZE];
	const char *key = key_of_cause(r->service, r->stop_cause);

	if (r->spec && r->stopping_mono_ms)
		why_prove(y, l, "deadline",
			  wall(clock_add(r->stopping_mono_ms, r->spec->grace_period_ms)),
			  "killed unless it has ended (stop.grace_period: %s)",
			  clock_human(r->spec->grace_period_ms, grace, sizeof(grace)));
	if (r->intent == STOP_HEAL && strcmp(r->stop_cause, "probe") == 0)
		prove_probe(y, l, r, PROBE_LIVENESS);
	if (r->intent == STOP_HEAL)
		why_show_log(l, r->incarnation);
	if (strcmp(r->stop_cause, "update") == 0 && r->service->spec) {
		_cleanup_free_ char *key1 = mem_strndup(r->service->changed_keys,
							strcspn(r->service->changed_keys, ","));

		if (key1)
			why_decide(y, l, r->service, key1);
		return;
	}
	why_decide(y, l, r->service, key ? key : "stop.grace_period");
}

/* Of those that are given, does somebody here keep the limit of memory? */
static bool is_kept(const struct replica *r)
{
	struct limits_gap gaps[LIMITS_GAPS_MAX];
	size_t n = limits_gaps(r->spec, r->service->controller->status.cgroup_can, gaps);

	while (n > 0)
		if (strcmp(gaps[--n].key, "resources.limits.memory") == 0)
			return false;
	return true;
}

/* It is to go, but the ones before it went too soon. */
static void prove_above(struct why *y, struct why_link *l, const struct replica *r)
{
	why_say(y, l,
		"it uses more than restart.max_memory, as those before it soon after their start");
	why_prove(y, l, "next", wall(r->above_until_mono_ms),
		  "it is replaced if it still does then");
	why_prove(y, l, "hint", 0,
		  "raise restart.max_memory above what the service needs, or have it need less");
	why_decide(y, l, r->service, "restart.max_memory");
}

static void explain_state(struct why *y, struct why_link *l, const struct replica *r)
{
	switch (r->state) {
	case REPLICA_BACKOFF:
	case REPLICA_FAILED:
	case REPLICA_SUCCEEDED:
		explain_end(y, l, r);
		break;
	case REPLICA_STARTING:
		explain_start(y, l, r);
		break;
	case REPLICA_UNREADY:
		explain_unready(y, l, r);
		break;
	case REPLICA_DRAINING:
		explain_drain(y, l, r);
		break;
	case REPLICA_STOPPING:
		explain_stop(y, l, r);
		break;
	case REPLICA_READY:
		if (r->above_until_mono_ms)
			prove_above(y, l, r);
		else if (why_replica_is_told(r)) {
			why_say(y, l, "restarted %u time%s; %s", r->restarts,
				r->restarts == 1 ? "" : "s", replica_message(r));
			prove_exit(y, l, r);
			if (key_of_cause(r->service, r->last_exit.cause))
				why_decide(y, l, r->service,
					   key_of_cause(r->service, r->last_exit.cause));
		}
		break;
	case REPLICA_UNKNOWN:
		why_prove(y, l, "hint", 0,
			  replica_unit_is(r)
				  ? "it is not started again before its engine says that it ended: "
				    "look into the engine's log, and at aictl doctor"
				  : "it is not started again before its processes have ended: a "
				    "kernel call that does not return, often a disk or a mount");
		break;
	case REPLICA_PENDING:
	case REPLICA_WAITING:
	case REPLICA_EXITED:
	case REPLICA_STATE_MAX_:
		break;
	}
}

/* Nobody can say what its container does. */
static void explain_lost(struct why *y, struct why_link *l, const struct replica *r)
{
	const char *name = runtimes_name_of(r->spec);
	const struct wire_runtime *m = runtimes_find(r->service->controller->runtimes, name);

	l->reason = RUNTIMES_REASON;
	l->since_wall_ms = m ? m->since_wall_ms : 0;
	why_say(y, l, "%s", replica_unit_why_lost(r));
	if (m && m->endpoint[0])
		why_prove(y, l, "engine", 0, "%s, at %s", m->engine[0] ? m->engine : name,
			  m->endpoint);
	why_prove(y, l, "status", 0, "before that: %s, %s", replica_sm_state_name(r->state),
		  replica_message(r));
	if (r->state == REPLICA_READY || r->state == REPLICA_UNREADY)
		prove_probe(y, l, r, PROBE_READINESS);
	why_prove(y, l, "next", 0,
		  "nothing is started or ended for it; what it is will be asked when the engine "
		  "answers");
	why_prove(y, l, "hint", 0,
		  m ? "aictl doctor says what to do about the engine"
		    : "start aictld with --runtime");
	why_decide(y, l, r->service, "image");
}

/* How far its image is, and what the engine has said. */
static void prove_unit(struct why *y, struct why_link *l, const struct replica *r)
{
	const struct wire_unit_state *m = replica_unit_said(r);

	if (!replica_unit_is(r) || !m || r->state != REPLICA_STARTING)
		return;
	if (m->state == WIRE_UNIT_PULLING)
		why_prove(y, l, "status", 0, "%s", replica_message(r));
	if (m->text[0])
		why_prove(y, l, "engine", 0, "%s", m->text);
}

/* What it is replaced for, when it runs on until its turn comes. */
static void prove_outdated(struct why *y, struct why_link *l, const struct replica *r)
{
	if (replica_sm_is_ending(r->state) || !r->service->spec)
		return;
	if (r->recycle)
		why_prove(y, l, "next", 0, "it is to be replaced: %s", r->recycle);
	else if (!replica_is_current(r))
		why_prove(y, l, "next", 0, "it is to be replaced: manifest changed: %s",
			  r->service->changed_keys);
}

/* Its lines are not stored, or some are lost. */
static void prove_logs(struct why *y, struct why_link *l, const struct replica *r)
{
	const struct wire_log_fault *f = r->log_fault;
	_cleanup_buf_ struct buf out = {0}, lost = {0};

	if (!f || !(replica_log_fault_is(r) || f->dropped_bytes > 0))
		return;
	replica_log_fault_say(r, &out);
	if (f->dropped_bytes > 0)
		replica_log_fault_amount(f->dropped_bytes, f->dropped_lines, &lost);
	if (!replica_log_fault_is(r))
		why_prove(y, l, "logs", f->since_wall_ms, "logs are stored again; lost: %s",
			  buf_cstr(&lost));
	else
		why_prove(y, l, "logs", f->since_wall_ms, "%s%s%s", buf_cstr(&out),
			  lost.len ? "; lost so far: " : "", lost.len ? buf_cstr(&lost) : "");
	if (f->state == WIRE_LOG_STALLED)
		why_prove(
			y, l, "hint", 0,
			"it runs on until its pipe is full, then its writes wait; nothing is lost");
}

void why_replica(struct why *y, const struct replica *r, unsigned depth, unsigned others)
{
	const struct wire_push *push = replica_push_levels(r);
	const char *hook = replica_hooks_running(r);
	struct why_link *l = why_add(y, depth, mem_printf("%s/%u", r->service->name, r->index));

	if (!l)
		return;
	memccpy(l->service, r->service->name, '\0', sizeof(l->service) - 1);
	l->index = r->index;
	l->pid = r->pid;
	l->container = replica_unit_is(r);
	if (r->spec && is_kept(r))
		l->memory_limit = r->spec->resources.memory;
	l->state = replica_sm_state_name(r->state);
	l->reason = r->reason;
	l->since_wall_ms = r->since_wall_ms;
	why_say(y, l, "%s", replica_message(r));
	if (replica_unit_is_lost(r)) {
		l->state = replica_sm_state_name(REPLICA_UNKNOWN);
		explain_lost(y, l, r);
	} else if (r->frozen) {
		l->state = l->reason = REPLICA_CGROUP_REASON;
		l->since_wall_ms = 0;
		why_say(y, l, REPLICA_CGROUP_MESSAGE);
		why_prove(y, l, "hint", 0, "aictl thaw %s lets it go on", r->service->name);
	} else {
		explain_state(y, l, r);
	}
	if (hook) {
		_cleanup_free_ char *key = mem_printf("hooks.%s", hook);

		why_prove(y, l, "hook", 0, "its %s hook runs", hook);
		if (key)
			why_decide(y, l, r->service, key);
	}
	if (push && push->status[0])
		why_prove(y, l, "status", 0, "it says: %s", push->status);
	if (replica_reload_failure(r)) {
		why_prove(y, l, "reload", 0,
			  "it has not reloaded: %s; it runs on with the former secrets",
			  replica_reload_failure(r));
		why_prove(y, l, "hint", 0, "aictl reload %s tries it again", r->service->name);
		why_decide(y, l, r->service, "reload");
	}
	if (r->limits_failed && r->pid) {
		why_prove(y, l, "limits", 0, REPLICA_LIMITS_MESSAGE, r->limits_failed);
		why_decide(y, l, r->service, "resources.limits");
	}
	prove_unit(y, l, r);
	prove_logs(y, l, r);
	prove_outdated(y, l, r);
	if (others)
		why_prove(y, l, "others", 0, "%u more of %s %s like it", others, r->service->name,
			  others == 1 ? "is" : "are");
}
