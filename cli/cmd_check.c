/*
 * cmd_check: aictl check, the health of services or single replicas: the last result of each probe,
 * with --now of one that is made for it. The exit code says whether all is well.
 *
 * SPDX-License-Identifier: MIT
 */
#include <poll.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define POLL_MS 100
#define TIMEOUT_MS 60000

struct check {
	struct client *client;
	bool now;
	int64_t deadline_mono_ms;
	cJSON *replicas; /* of the document that is shown */
	bool failed;
};

/* One operand: a service or a replica of it. */
struct wanted {
	char name[MANIFEST_NAME_MAX + 1];
	int replica; /* -1 = all */
	char *path;  /* /v1/services/NAME */
};

static bool is_wanted(const struct wanted *w, const cJSON *replica)
{
	return w->replica < 0 || js_int(replica, "index", INT64_C(-1)) == w->replica;
}

static const cJSON *replica_of(const cJSON *service, int64_t index)
{
	const cJSON *r;

	cJSON_ArrayForEach (r, js_get(service, "replicas"))
		if (js_int(r, "index", INT64_C(-1)) == index)
			return r;
	return NULL;
}

/* Has every probe that was active before a newer result, or none to wait for any more? */
static bool is_done(const cJSON *before, const cJSON *after)
{
	const cJSON *probe;

	if (!after ||
	    strcmp(js_str(before, "incarnation", ""), js_str(after, "incarnation", "")) != 0)
		return true;
	cJSON_ArrayForEach (probe, js_get(before, "probes")) {
		const cJSON *now = js_get(js_get(after, "probes"), probe->string);

		if (js_bool(probe, "active") && js_bool(now, "active") &&
		    js_int(now, "results", 0) == js_int(probe, "results", 0))
			return false;
	}
	return true;
}

static bool all_done(const struct wanted *w, const cJSON *before, const cJSON *after)
{
	const cJSON *r;

	cJSON_ArrayForEach (r, js_get(before, "replicas"))
		if (is_wanted(w, r) && !is_done(r, replica_of(after, js_int(r, "index", 0))))
			return false;
	return true;
}

/* Runs the probes and waits for their results, which end in *reply. An exit code. */
static int run_now(const struct check *c, const struct wanted *w, struct reply *reply)
{
	_cleanup_free_ char *path = w->replica < 0
					    ? x_printf("%s/check", w->path)
					    : x_printf("%s/check?replica=%d", w->path, w->replica);
	_cleanup_reply_ struct reply asked = {0};
	struct reply before = *reply;
	int code = CODE_OK;

	*reply = (struct reply){0};
	client_post(c->client, path, NULL, &asked);
	for (;;) {
		client_get(c->client, w->path, reply);
		if (all_done(w, before.json, reply->json))
			break;
		if (clock_mono_ms() >= c->deadline_mono_ms) {
			report_plain("timed out: not all probes of %s have ended", w->name);
			code = CODE_TIMEOUT;
			break;
		}
		client_reply_done(reply);
		*reply = (struct reply){0};
		(void)!poll(NULL, 0, POLL_MS);
	}
	client_reply_done(&before);
	return code;
}

static void copy(cJSON *to, const cJSON *from, const char *name)
{
	const cJSON *value = js_get(from, name);

	cJSON_AddItemToObject(to, name,
			      x_check(value ? cJSON_Duplicate(value, true) : cJSON_CreateNull()));
}

/* What is shown of one replica. */
static void add_replica(struct check *c, const cJSON *r)
{
	cJSON *o = x_check(cJSON_CreateObject()), *list;
	const char *state = text_replica_state(r);
	bool ok = strcmp(state, "ready") == 0 || strcmp(state, "succeeded") == 0;
	const cJSON *probe;

	copy(o, r, "id");
	copy(o, r, "state");
	copy(o, r, "message");
	list = x_check(cJSON_AddArrayToObject(o, "probes"));
	cJSON_ArrayForEach (probe, js_get(r, "probes")) {
		cJSON *p = x_check(cJSON_CreateObject());

		x_check(cJSON_AddStringToObject(p, "probe", probe->string));
		copy(p, probe, "ok");
		copy(p, probe, "at");
		cJSON_AddItemToObject(p, "duration_ms",
				      x_check(cJSON_CreateNumber((double)js_int(
					      cJSON_GetArrayItem(js_get(probe, "history"), 0),
					      "duration_ms", 0))));
		copy(p, probe, "message");
		copy(p, probe, "handler");
		ok = ok && !cJSON_IsFalse(js_get(probe, "ok"));
		cJSON_AddItemToArray(list, p);
	}
	x_check(cJSON_AddBoolToObject(o, "ok", ok));
	c->failed |= !ok;
	cJSON_AddItemToArray(c->replicas, o);
}

static int check_one(struct check *c, const char *operand)
{
	_cleanup_free_ char *escaped = NULL;
	_cleanup_reply_ struct reply reply = {0};
	struct wanted w = {.replica = -1};
	_cleanup_err_ struct err *e = NULL;
	const cJSON *r;
	int code = CODE_OK;
	bool any = false;

	if (parse_replica_id(operand, w.name, &w.replica, &e) < 0)
		report_die(e);
	escaped = client_escape(w.name);
	w.path = x_printf("/v1/services/%s", escaped);
	client_get(c->client, w.path, &reply);
	if (c->now)
		code = run_now(c, &w, &reply);
	cJSON_ArrayForEach (r, js_get(reply.json, "replicas")) {
		if (!is_wanted(&w, r))
			continue;
		add_replica(c, r);
		any = true;
	}
	if (!any && w.replica >= 0) {
		report_plain("no replica \"%s\"", operand);
		code = CODE_UNKNOWN;
	} else if (!any) {
		report_plain("%s has no replica", w.name);
		c->failed = true;
	}
	mem_free(w.path);
	return code;
}

static void probe_row(struct table *t, const cJSON *probe, int64_t now_ms)
{
	_cleanup_free_ char *ago = text_age(probe, "at", now_ms);
	_cleanup_free_ char *took = text_duration(js_int(probe, "duration_ms", 0));
	bool ran = js_time(probe, "at") != 0, ok = js_bool(probe, "ok");

	table_cell(t, NULL, "%s", js_str(probe, "probe", "?"));
	table_cell(t,
		   !ran ? TERM_DIM
		   : ok ? TERM_GREEN
			: TERM_RED,
		   "%s",
		   !ran ? "not run"
		   : ok ? "passed"
			: "failed");
	table_cell(t, NULL, "%s", ran ? took : "-");
	table_cell(t, NULL, "%s", ago);
	table_cell(t, NULL, "%s", js_str(probe, "message", ""));
}

static void table(const struct output *out, const cJSON *reply)
{
	struct table t = {.term = &out->cli->term, .drop = "TOOK AGE"};
	int64_t now_ms = clock_wall_ms();
	const cJSON *r, *probe;

	table_header(&t, "REPLICA", "STATE", "PROBE", "RESULT", "TOOK", "AGE", "MESSAGE", NULL);
	cJSON_ArrayForEach (r, js_get(reply, "replicas")) {
		const cJSON *probes = js_get(r, "probes");
		const char *state = text_replica_state(r);

		if (cJSON_GetArraySize(probes) == 0) {
			table_row(&t);
			table_cell(&t, NULL, "%s", js_str(r, "id", "?"));
			table_cell(&t, term_state_color(t.term, state), "%s", state);
			for (int i = 0; i < 4; i++)
				table_cell(&t, NULL, "-");
			table_cell(&t, NULL, "%s", js_str(r, "message", ""));
		}
		cJSON_ArrayForEach (probe, probes) {
			table_row(&t);
			table_cell(&t, NULL, "%s", js_str(r, "id", "?"));
			table_cell(&t, term_state_color(t.term, state), "%s", state);
			probe_row(&t, probe, now_ms);
		}
	}
	table_print(&t);
	table_done(&t);
}

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {table, "replicas", "id"};
	_cleanup_js_ cJSON *result = x_check(cJSON_CreateObject());
	_cleanup_client_ struct client *client = NULL;
	struct check c = {.now = args_flag(args, "now")};
	struct output out;
	int code = CODE_OK;

	output_begin(&out, cli, args);
	c.deadline_mono_ms = clock_add(clock_mono_ms(), args_duration(args, "timeout", TIMEOUT_MS));
	c.replicas = x_check(cJSON_AddArrayToObject(result, "replicas"));
	c.client = client = client_open(cli);
	intr_quiet();
	for (size_t i = 0; i < args->n_operands && code == CODE_OK; i++)
		code = check_one(&c, args->operands[i]);
	output_json(&out, &view, result);
	return code != CODE_OK ? code : c.failed ? CODE_NOT_READY : CODE_OK;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0, "now", NULL, "run the probes now and wait for their results", NULL},
	{0, "timeout", "TIME", "with --now wait at most so long (default 1m); exit code 5", NULL},
	{0},
};

const struct command cmd_check_command = {
	.name = "check",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Show the results of probes, or run them now",
	.details =
		"One line for each probe with its last result; the ten last ones are shown by\n"
		"`aictl describe`. With --now those that may run do so at once; the results count\n"
		"as any others do. Exit code 3 when a replica is not ready or a probe failed.",
	.examples = "aictl check sentiment\n"
		    "aictl check --now sentiment/0",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
