/* import_deploy: see import_deploy.h. `deploy` and the older keys beside it that say the same. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_deploy.h"

#include <inttypes.h>
#include <string.h>

#include "cli/compose.h"
#include "cli/compose_value.h"
#include "cli/import.h"
#include "cli/import_out.h"
#include "cli/x.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

#define UNSET INT64_MIN

static const struct ynode *deploy(const struct import_part *p, const char *key)
{
	const struct ynode *node = yamltree_get(import_key(p, "deploy"), key);

	return node && !yamltree_is_null(node) ? node : NULL;
}

/* UNSET when there is none or it is wrong, which is an error then. */
static int64_t read_int(const struct import_part *p, const struct ynode *node, const char *field,
			int64_t min, int64_t max)
{
	int64_t n = UNSET;

	if (node && !yamltree_is_null(node) &&
	    (node->kind != YNODE_SCALAR || !compose_value_int(node->text, min, max, &n)))
		import_bad(p, node, field, "a number in its range");
	return n;
}

static int64_t read_duration(const struct import_part *p, const struct ynode *node,
			     const char *field)
{
	int64_t ms = UNSET;

	if (node && !yamltree_is_null(node) &&
	    (node->kind != YNODE_SCALAR || !compose_value_duration(node->text, &ms)))
		import_bad(p, node, field, "a time such as 30s or 1m30s");
	return ms;
}

static int64_t read_size(const struct import_part *p, const struct ynode *node, const char *field)
{
	int64_t n = UNSET;

	if (!node || yamltree_is_null(node) ||
	    (node->kind == YNODE_SCALAR && strcmp(node->text, "-1") == 0))
		return UNSET;
	if (node->kind != YNODE_SCALAR || !compose_value_size(node->text, &n))
		import_bad(p, node, field, "a size such as 512m");
	return n > 0 ? n : UNSET;
}

static void put_duration(struct buf *out, int depth, const char *key, int64_t ms)
{
	import_out_key(out, depth, key);
	buf_char(out, ' ');
	import_out_duration(out, ms);
	buf_char(out, '\n');
}

/* ---- replicas ---- */

static void replicas(const struct import_part *p)
{
	const struct ynode *scale = import_key(p, "scale"), *node = deploy(p, "replicas");
	int64_t n = read_int(p, scale ? scale : node, "replicas", 0, MANIFEST_REPLICAS_MAX);
	const char *mode = compose_value_text(deploy(p, "mode"));

	if (mode && strcmp(mode, "global") == 0)
		import_note(p, IMPORT_CHANGED, "deploy.mode",
			    "global: one replica, for there is one machine");
	if (n != UNSET && n != 1)
		import_out_word(p->out, IMPORT_DEPTH, "replicas", "%" PRId64, n);
}

/* ---- restart ---- */

struct restart {
	const char *policy;
	int64_t delay_ms, attempts, window_ms; /* UNSET: not said */
};

/* "always", "unless-stopped", "on-failure[:N]", "no". */
static void read_restart(const struct import_part *p, const struct ynode *node, struct restart *ret)
{
	const char *text = node->kind == YNODE_SCALAR ? node->text : "";
	static const char on_failure[] = "on-failure";
	size_t n = strlen(on_failure);

	if (strcmp(text, "always") == 0 || strcmp(text, "unless-stopped") == 0)
		ret->policy = "always";
	else if (strncmp(text, on_failure, n) == 0 && (!text[n] || text[n] == ':'))
		ret->policy = on_failure;
	else if (strcmp(text, "no") != 0 && strcmp(text, "false") != 0 && text[0])
		import_bad(p, node, "restart", "no, always, on-failure[:N] or unless-stopped");
	if (strcmp(ret->policy, on_failure) == 0 && text[n] == ':' &&
	    !compose_value_int(text + n + 1, 0, 100000, &ret->attempts))
		import_bad(p, node, "restart", "on-failure:N");
}

static void read_restart_policy(const struct import_part *p, const struct ynode *map,
				struct restart *ret)
{
	static const char *const known[] = {"condition", "delay", "max_attempts", "window", NULL};
	const char *condition = compose_value_get(map, "condition");

	import_unknown(p, map, "deploy.restart_policy.", known);
	ret->policy = !condition || strcmp(condition, "any") == 0 ? "always"
		      : strcmp(condition, "none") == 0		  ? "never"
								  : "on-failure";
	ret->delay_ms = read_duration(p, yamltree_get(map, "delay"), "deploy.restart_policy.delay");
	ret->attempts = read_int(p, yamltree_get(map, "max_attempts"),
				 "deploy.restart_policy.max_attempts", 0, 100000);
	ret->window_ms =
		read_duration(p, yamltree_get(map, "window"), "deploy.restart_policy.window");
}

static void put_restart(const struct import_part *p, const struct restart *r)
{
	int64_t window = r->window_ms >= 1000 ? r->window_ms : 0;

	if (r->delay_ms == UNSET && r->attempts == UNSET) {
		import_out_text(p->out, IMPORT_DEPTH, "restart", r->policy);
		return;
	}
	import_out_open(p->out, IMPORT_DEPTH, "restart");
	import_out_text(p->out, 3, "policy", r->policy);
	if (r->delay_ms != UNSET) {
		import_out_key(p->out, 3, "backoff");
		buf_str(p->out, " { initial: ");
		import_out_duration(p->out, r->delay_ms);
		buf_str(p->out, ", factor: 1 }\n");
	}
	if (r->attempts == UNSET || r->attempts == 0)
		return;
	import_out_key(p->out, 3, "budget");
	buf_printf(p->out, " { restarts: %" PRId64, r->attempts);
	buf_str(p->out, ", window: ");
	import_out_duration(p->out, window ? window : INT64_C(600000));
	buf_str(p->out, ", then: fail }\n");
}

static void restart(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "restart"), *policy = deploy(p, "restart_policy");
	struct restart r = {"never", UNSET, UNSET, UNSET};

	if (policy && policy->kind == YNODE_MAP)
		read_restart_policy(p, policy, &r);
	else if (node)
		read_restart(p, node, &r);
	if (p->s->task) {
		import_out_text(p->out, IMPORT_DEPTH, "type", "task");
		if (r.attempts > 0 && strcmp(r.policy, "never") != 0)
			import_out_word(p->out, IMPORT_DEPTH, "retries", "%" PRId64,
					r.attempts < 1000 ? r.attempts : 1000);
		else if (strcmp(r.policy, "never") != 0)
			import_out_word(p->out, IMPORT_DEPTH, "retries", "10");
		return;
	}
	put_restart(p, &r);
}

/* ---- stop, update ---- */

static void stop(const struct import_part *p)
{
	const struct ynode *grace = import_key(p, "stop_grace_period");
	const char *signal = compose_value_text(import_key(p, "stop_signal"));
	int64_t ms = read_duration(p, grace, "stop_grace_period");

	if (!signal && ms == UNSET)
		return;
	import_out_open(p->out, IMPORT_DEPTH, "stop");
	if (signal)
		import_out_text(p->out, 3, "signal", signal);
	if (ms != UNSET)
		put_duration(p->out, 3, "grace_period", ms);
}

static void put_batch(const struct import_part *p, const struct ynode *map, bool start_first)
{
	int64_t n = read_int(p, yamltree_get(map, "parallelism"),
			     "deploy.update_config.parallelism", 0, MANIFEST_REPLICAS_MAX);

	if (n == 0)
		import_out_text(p->out, 3, start_first ? "max_surge" : "max_unavailable", "100%");
	else if (n > 1)
		import_out_word(p->out, 3, start_first ? "max_surge" : "max_unavailable",
				"%" PRId64, n);
}

static void put_waits(const struct import_part *p, const struct ynode *map)
{
	int64_t monitor =
		read_duration(p, yamltree_get(map, "monitor"), "deploy.update_config.monitor");
	int64_t delay = read_duration(p, yamltree_get(map, "delay"), "deploy.update_config.delay");
	int64_t wait = monitor > delay ? monitor : delay;

	if (wait > 0)
		put_duration(p->out, 3, "min_ready", wait);
	if (monitor > 0 && delay > 0)
		import_note(p, IMPORT_CHANGED, "deploy.update_config",
			    "monitor and delay are one wait here: the longer one");
}

/* Compose stops the old one first: two of a database at one volume would be the end of it. */
static void update(const struct import_part *p)
{
	static const char *const known[] = {"order",   "parallelism",	 "delay",
					    "monitor", "failure_action", NULL};
	const struct ynode *map = deploy(p, "update_config");
	const char *order = compose_value_get(map, "order");
	const char *failure = compose_value_get(map, "failure_action");
	bool start_first = order && strcmp(order, "start-first") == 0;

	if (p->s->task)
		return;
	if (!map) {
		import_out_word(p->out, IMPORT_DEPTH, "update", "{ order: stop-first }");
		return;
	}
	import_unknown(p, map, "deploy.update_config.", known);
	import_out_open(p->out, IMPORT_DEPTH, "update");
	import_out_text(p->out, 3, "order", start_first ? "start-first" : "stop-first");
	put_batch(p, map, start_first);
	put_waits(p, map);
	if (failure)
		import_out_text(p->out, 3, "on_failure", failure);
}

/* ---- resources ---- */

static const struct ynode *limit(const struct import_part *p, const char *key, const char *older)
{
	const struct ynode *node = yamltree_get(deploy(p, "resources"), "limits");

	node = yamltree_get(node, key);
	return node && !yamltree_is_null(node) ? node : older ? import_key(p, older) : NULL;
}

static void put_memory(const struct import_part *p, struct buf *out)
{
	const struct ynode *swap = import_key(p, "memswap_limit");
	int64_t memory = read_size(p, limit(p, "memory", "mem_limit"), "memory");
	int64_t both = read_size(p, swap, "memswap_limit");

	if (memory != UNSET) {
		import_out_key(out, 4, "memory");
		buf_char(out, ' ');
		import_out_size(out, memory);
		buf_char(out, '\n');
	}
	if (both != UNSET && memory != UNSET && both >= memory) {
		import_out_key(out, 4, "swap");
		buf_char(out, ' ');
		import_out_size(out, both - memory);
		buf_char(out, '\n');
	} else if (both != UNSET) {
		import_note(p, IMPORT_DROPPED, "memswap_limit", "it needs a mem_limit below it");
	}
}

/* In thousandths: cpus, or the older pair; UNSET. */
static int64_t read_cpus(const struct import_part *p)
{
	const struct ynode *node = limit(p, "cpus", "cpus");
	int64_t quota = read_int(p, import_key(p, "cpu_quota"), "cpu_quota", -1, INT64_C(1) << 40);
	int64_t period = read_int(p, import_key(p, "cpu_period"), "cpu_period", 1, 1000000);
	int64_t n = UNSET;

	if (node && (node->kind != YNODE_SCALAR || !compose_value_thousandths(node->text, &n)))
		import_bad(p, node, "cpus", "a number of processors");
	if (!node && quota > 0)
		n = quota * 1000 / (period > 0 ? period : 100000);
	return n > 0 ? n : UNSET;
}

static void resources(const struct import_part *p)
{
	static const char *const known[] = {"memory", "cpus", "pids", NULL};
	static const char *const known_reserved[] = {"devices", NULL};
	const struct ynode *node = deploy(p, "resources");
	int64_t cpus = read_cpus(p), weight, pids, shares;
	const char *set = compose_value_text(import_key(p, "cpuset"));
	_cleanup_buf_ struct buf out = {0};

	import_unknown(p, yamltree_get(node, "limits"), "deploy.resources.limits.", known);
	import_unknown(p, yamltree_get(node, "reservations"), "deploy.resources.reservations.",
		       known_reserved);
	put_memory(p, &out);
	if (cpus != UNSET) {
		import_out_key(&out, 4, "cpus");
		buf_char(&out, ' ');
		import_out_thousandths(&out, cpus);
		buf_char(&out, '\n');
	}
	shares = read_int(p, import_key(p, "cpu_shares"), "cpu_shares", 0, 262144);
	weight = shares >= 2 ? 1 + (shares - 2) * 9999 / 262142 : 0; /* as runc */
	if (weight)
		import_out_word(&out, 4, "cpu_weight", "%" PRId64, weight);
	pids = read_int(p, limit(p, "pids", "pids_limit"), "pids_limit", -1, 4194304);
	if (pids > 0)
		import_out_word(&out, 4, "pids", "%" PRId64, pids);
	if (set)
		import_out_text(&out, 4, "cpuset", set);
	if (out.len == 0)
		return;
	import_out_open(p->out, IMPORT_DEPTH, "resources");
	import_out_open(p->out, 3, "limits");
	buf_str(p->out, buf_cstr(&out));
}

void import_deploy_emit(const struct import_part *p)
{
	static const char *const known[] = {"mode",	      "replicas",      "resources",
					    "restart_policy", "update_config", NULL};
	const struct ynode *node = import_key(p, "deploy");

	if (node && node->kind != YNODE_MAP) {
		import_bad(p, node, "deploy", "a map");
		return;
	}
	import_unknown(p, node, "deploy.", known);
	replicas(p);
	restart(p);
	stop(p);
	update(p);
	resources(p);
}
