/* import_health: see import_health.h. A healthcheck says whether a container may be used, and restarts
 * nothing: a readiness probe. Its start_period is the time of a startup probe, which asks more often. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_health.h"

#include <inttypes.h>
#include <string.h>

#include "cli/compose_merge.h"
#include "cli/compose.h"
#include "cli/compose_value.h"
#include "cli/import.h"
#include "cli/import_out.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

#define START_INTERVAL_MS 5000 /* Docker's */
#define STALL_MS 120000	       /* ours */
#define STALL_MAX_MS 604800000 /* the same */

struct range {
	int64_t min_ms, max_ms;
};

struct check {
	struct compose_texts command;
	int64_t interval_ms, timeout_ms, retries, start_period_ms, start_interval_ms;
};

/* ---- healthcheck ---- */

/* What a probe of ours takes. */
static int64_t limited(const struct import_part *p, const char *field, int64_t ms,
		       const struct range *range)
{
	int64_t within = ms < range->min_ms   ? range->min_ms
			 : ms > range->max_ms ? range->max_ms
					      : ms;
	_cleanup_buf_ struct buf text = {0};

	if (within == ms)
		return ms;
	import_out_duration(&text, within);
	import_note(p, IMPORT_CHANGED, field, "it is at %s %s here", within > ms ? "least" : "most",
		    buf_cstr(&text));
	return within;
}

static void read_duration(const struct import_part *p, const struct ynode *map, const char *key,
			  int64_t *ret)
{
	static const struct range any = {100, 86400000}, timeout = {10, 3600000};
	const struct ynode *node = yamltree_get(map, key);
	_cleanup_free_ char *field = x_printf("healthcheck.%s", key);
	int64_t ms = 0;

	if (!node || yamltree_is_null(node))
		return;
	if (node->kind != YNODE_SCALAR || !compose_value_duration(node->text, &ms))
		import_bad(p, node, field, "a time such as 30s or 1m30s");
	else if (ms > 0)
		*ret = limited(p, field, ms, strcmp(key, "timeout") == 0 ? &timeout : &any);
}

static void add_shell(struct compose_texts *t, const char *line)
{
	compose_value_add(t, "/bin/sh", 7);
	compose_value_add(t, "-c", 2);
	compose_value_add(t, line, strlen(line));
}

/* false: there is none, or an error was added. */
static bool read_test(const struct import_part *p, const struct ynode *test,
		      struct compose_texts *ret)
{
	_cleanup_texts_ struct compose_texts t = {0};

	if (test->kind == YNODE_SCALAR) {
		add_shell(ret, test->text);
		return true;
	}
	if (!compose_value_texts(test, &t) || t.n == 0) {
		import_bad(p, test, "healthcheck.test", "a text or a list of texts");
		return false;
	}
	if (strcmp(t.v[0], "NONE") == 0)
		return false;
	if (strcmp(t.v[0], "CMD-SHELL") == 0 && t.n == 2)
		add_shell(ret, t.v[1]);
	for (size_t i = 1; strcmp(t.v[0], "CMD") == 0 && i < t.n; i++)
		compose_value_add(ret, t.v[i], strlen(t.v[i]));
	if (ret->n == 0)
		compose_fail(p->im->c, test, NULL,
			     "services.%s.healthcheck.test: a list begins with NONE, CMD or "
			     "CMD-SHELL",
			     p->s->from);
	return ret->n > 0;
}

static void put_probe(struct buf *out, const char *name, const struct check *c, int64_t period_ms)
{
	import_out_open(out, 3, name);
	import_out_open(out, 4, "exec");
	import_out_list(out, 5, "command", &c->command);
	import_out_key(out, 4, "period");
	buf_char(out, ' ');
	import_out_duration(out, period_ms);
	buf_char(out, '\n');
	import_out_key(out, 4, "timeout");
	buf_char(out, ' ');
	import_out_duration(out, c->timeout_ms);
	buf_char(out, '\n');
}

static void put_check(const struct import_part *p, const struct check *c, bool starts)
{
	int64_t stall = c->start_period_ms + c->retries * c->interval_ms;

	import_out_open(p->out, IMPORT_DEPTH, "probes");
	if (starts) {
		put_probe(p->out, "startup", c, c->start_interval_ms);
		import_out_key(p->out, 4, "stall");
		buf_char(p->out, ' ');
		import_out_duration(p->out, stall < STALL_MS	   ? STALL_MS
					    : stall > STALL_MAX_MS ? STALL_MAX_MS
								   : stall);
		buf_char(p->out, '\n');
	}
	put_probe(p->out, "readiness", c, c->interval_ms);
	import_out_word(p->out, 4, "failure_threshold", "%" PRId64, c->retries);
}

static void healthcheck(const struct import_part *p)
{
	static const char *const known[] = {"test",	    "interval",	      "timeout", "retries",
					    "start_period", "start_interval", "disable", NULL};
	const struct ynode *node = import_key(p, "healthcheck"), *test, *retries;
	const char *disable = compose_value_get(node, "disable");
	struct check c = {{0}, 30000, 30000, 3, 0, START_INTERVAL_MS};
	bool off = false;

	if (!node || (disable && compose_value_bool(disable, &off) && off))
		return;
	test = yamltree_get(node, "test");
	retries = yamltree_get(node, "retries");
	if (!test && p->s->task)
		return;
	if (!test || p->s->task) {
		import_note(p, IMPORT_DROPPED, "healthcheck", "%s",
			    test ? "it is a task: its exit code counts"
				 : "the image's own check is not known here: write its `test`");
		return;
	}
	import_unknown(p, node, "healthcheck.", known);
	read_duration(p, node, "interval", &c.interval_ms);
	read_duration(p, node, "timeout", &c.timeout_ms);
	read_duration(p, node, "start_period", &c.start_period_ms);
	read_duration(p, node, "start_interval", &c.start_interval_ms);
	if (compose_value_text(retries) && !compose_value_int(retries->text, 0, 1000, &c.retries))
		import_bad(p, retries, "healthcheck.retries", "a number from 0 to 1000");
	if (c.retries == 0)
		c.retries = 3;
	if (!yamltree_get(node, "timeout") && c.timeout_ms > c.interval_ms)
		c.timeout_ms = c.interval_ms;
	if (!yamltree_get(node, "start_interval") && c.start_interval_ms < c.timeout_ms)
		c.start_interval_ms = c.timeout_ms;
	if (read_test(p, test, &c.command)) {
		import_escape(&c.command);
		put_check(p, &c,
			  c.start_period_ms > 0 || yamltree_get(node, "start_interval") != NULL);
	}
	compose_value_done(&c.command);
}

/* ---- depends_on ---- */

static const char *condition_of(const char *theirs)
{
	static const char *const pairs[][2] = {{"service_started", "started"},
					       {"service_healthy", "ready"},
					       {"service_completed_successfully", "completed"}};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (strcmp(pairs[i][0], theirs) == 0)
			return pairs[i][1];
	return NULL;
}

/* It is in a profile, or nowhere. */
static void no_dependency(const struct import_part *p, const struct ynode *key, bool needed)
{
	const struct ynode *services = yamltree_get(p->im->c->root, "services");

	if (yamltree_get(services, key->text))
		import_note(p, IMPORT_DROPPED, "depends_on", "%s is in a profile that is left out",
			    key->text);
	else if (!needed)
		import_note(p, IMPORT_DROPPED, "depends_on", "%s is not among the services",
			    key->text);
	else
		compose_fail(p->im->c, key, NULL, "services.%s.depends_on: there is no service %s",
			     p->s->from, key->text);
}

static void put_dependency(const struct import_part *p, const struct yitem *item, struct buf *out,
			   bool *restart)
{
	static const char *const known[] = {"condition", "restart", "required", NULL};
	const char *name = import_service_name(p->im, item->key->text);
	const char *theirs = compose_value_get(item->value, "condition"), *ours = NULL;
	const char *again = compose_value_get(item->value, "restart");
	const char *required = compose_value_get(item->value, "required");
	bool needed = true, also = false;

	if (required)
		compose_value_bool(required, &needed);
	if (!name) {
		no_dependency(p, item->key, needed);
		return;
	}
	import_unknown(p, item->value, "depends_on.", known);
	ours = condition_of(theirs ? theirs : "service_started");
	if (!ours) {
		import_bad(p, yamltree_get(item->value, "condition"), "depends_on",
			   "a condition such as service_healthy");
		return;
	}
	if (strcmp(ours, "ready") == 0 &&
	    !yamltree_get(import_service_find(p->im, item->key->text)->node, "healthcheck"))
		import_note(p, IMPORT_TODO, "depends_on",
			    "%s has no healthcheck here: give it a readiness probe", name);
	if (again && compose_value_bool(again, &also) && also)
		*restart = true;
	import_out_key(out, IMPORT_DEPTH + 1, name);
	buf_printf(out, " { condition: %s%s }\n", ours, needed ? "" : ", required: false");
}

static void depends_on(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "depends_on");
	_cleanup_buf_ struct buf lines = {0};
	bool restart = false;

	if (!node)
		return;
	node = compose_merge_to_map(p->im->c->tree, node, "");
	if (node->kind != YNODE_MAP) {
		import_bad(p, node, "depends_on", "a list or a map");
		return;
	}
	for (size_t i = 0; i < node->n; i++)
		put_dependency(p, &node->items[i], &lines, &restart);
	if (lines.len > 0)
		import_out_open(p->out, IMPORT_DEPTH, "depends_on");
	buf_str(p->out, buf_cstr(&lines));
	if (restart)
		import_out_text(p->out, IMPORT_DEPTH, "on_dependency_restart", "restart");
}

/* ---- hooks ---- */

static void put_hooks(const struct import_part *p, const char *key, struct buf *out)
{
	static const char *const known[] = {"command", NULL};
	const struct ynode *node = import_key(p, key);
	_cleanup_free_ char *prefix = x_printf("%s.", key);

	if (node && node->kind != YNODE_LIST)
		import_bad(p, node, key, "a list");
	for (size_t i = 0; node && node->kind == YNODE_LIST && i < node->n; i++) {
		const struct ynode *step = node->items[i].value;
		const struct ynode *command = yamltree_get(step, "command");
		_cleanup_texts_ struct compose_texts t = {0};

		if (!command) {
			import_bad(p, step, key, "a map with a command");
			continue;
		}
		import_unknown(p, step, prefix, known);
		if (!import_command(p, command, key, &t) || t.n == 0)
			continue;
		if (i == 0)
			import_out_open(out, 3, key);
		buf_str(out, "        - exec:\n");
		import_out_list(out, 6, "command", &t);
	}
}

void import_health_emit(const struct import_part *p)
{
	_cleanup_buf_ struct buf hooks = {0};

	depends_on(p);
	healthcheck(p);
	put_hooks(p, "post_start", &hooks);
	put_hooks(p, "pre_stop", &hooks);
	if (hooks.len > 0)
		import_out_open(p->out, IMPORT_DEPTH, "hooks");
	buf_str(p->out, buf_cstr(&hooks));
}
