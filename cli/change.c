/* change: see change.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/plan_view.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/report_manifest.h"
#include "cli/sources.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/manifest_host.h"
#include "lib/mem.h"

#define REVISION_MAX (INT64_C(1) << 53) /* JSON numbers are whole up to there */

#define ROUND_MS 999 /* an hour that has just begun is an hour */

const struct option_spec change_wait_options[] = {
	{0, "no-wait", NULL, "return when the daemon has accepted it", NULL},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

cJSON *change_new(const char *kind)
{
	cJSON *body = x_check(cJSON_CreateObject());
	unsigned char raw[16];
	char id[33];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
		report_plain("cannot get random bytes");
		exit(CODE_FAILED);
	}
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(id + 2 * i, 3, "%02x", raw[i]);
	x_check(cJSON_AddStringToObject(body, "id", id));
	x_check(cJSON_AddStringToObject(body, "kind", kind));
	return body;
}

/* "created", "live" ... as people say it. */
static const char *action_word(const char *action)
{
	return strcmp(action, "live") == 0 ? "updated without a restart" : action;
}

static void print_service(const struct cli *cli, struct table *t, const cJSON *s)
{
	const char *state = js_str(s, "state", ""), *action = js_str(s, "action", "");
	long long desired = js_int(s, "desired", 0), ready = js_int(s, "ready", 0);

	table_row(t);
	table_cell(t, NULL, "%s", js_str(s, "name", "?"));
	table_cell(t, NULL, "%s", action_word(action));
	table_cell(t, term_state_color(&cli->term, state), "%s",
		   strcmp(action, "removed") == 0 || strcmp(action, state) == 0 ? "" : state);
	if (strcmp(state, "idle") == 0 && strcmp(action, "removed") != 0)
		table_cell(t, NULL, "0/0 (from zero)");
	else if (desired > 0 && strcmp(state, "stopped") != 0 && strcmp(action, "removed") != 0)
		table_cell(t, NULL, "%lld/%lld ready", ready, desired);
	else
		table_cell(t, NULL, "%s", "");
}

static void print_services(const struct cli *cli, const cJSON *change)
{
	struct table t = {.term = &cli->term};
	const cJSON *s;

	table_plain(&t, 4);
	cJSON_ArrayForEach (s, js_get(change, "services"))
		print_service(cli, &t, s);
	table_print(&t);
	table_done(&t);
	cJSON_ArrayForEach (s, js_get(change, "services")) {
		const char *error = js_str(s, "endpoint_error", NULL);

		if (error)
			report_warning("%s: not open at %s", js_str(s, "name", "?"), error);
	}
}

/* Of a scale: for how long it is. */
static void print_overrides(const cJSON *change)
{
	const cJSON *s;

	cJSON_ArrayForEach (s, js_get(change, "services")) {
		const char *name = js_str(s, "name", "?");
		int64_t left = js_time(s, "override_until") - clock_wall_ms();
		char human[32];

		if (left > 0 && strcmp(js_str(change, "kind", ""), "scale") == 0)
			printf("%s: for %s, then %s number counts again (at once: aictl scale %s --auto)\n",
			       name, clock_human(left + ROUND_MS, human, sizeof(human)),
			       js_bool(s, "autoscaled") ? "the scaler's" : "the manifest's", name);
	}
}

/* With --prune they are among the services. */
static bool is_removed(const cJSON *change, const char *name)
{
	const cJSON *s;

	cJSON_ArrayForEach (s, js_get(change, "services")) {
		if (strcmp(js_str(s, "name", ""), name) == 0)
			return true;
	}
	return false;
}

static void print_leftovers(const cJSON *change)
{
	const cJSON *name;

	cJSON_ArrayForEach (name, js_get(change, "not_in_manifest")) {
		if (!cJSON_IsString(name) || is_removed(change, name->valuestring))
			continue;
		report_warning("%s is in set %s but no longer in the manifest; it is left as it is",
			       name->valuestring, js_str(change, "set", "?"));
		report_hint("remove it with: aictl apply --prune, or: aictl delete %s",
			    name->valuestring);
	}
}

/* An apply of what is there already. */
static bool is_unchanged(const cJSON *change)
{
	const cJSON *s;

	if (strcmp(js_str(change, "kind", ""), "apply") != 0)
		return false;
	cJSON_ArrayForEach (s, js_get(change, "services")) {
		if (strcmp(js_str(s, "action", ""), "unchanged") != 0)
			return false;
	}
	return true;
}

/* Which of its services are not as wanted. */
static void print_hints(const cJSON *change)
{
	const cJSON *s;

	cJSON_ArrayForEach (s, js_get(change, "services")) {
		const char *name = js_str(s, "name", "?");

		if (js_int(s, "ready", 0) < js_int(s, "desired", 0) &&
		    strcmp(js_str(s, "state", ""), "succeeded") != 0)
			report_hint(
				"%s is %s (%lld/%lld ready), see: aictl describe %s, aictl logs %s",
				name, js_str(s, "state", "?"), (long long)js_int(s, "ready", 0),
				(long long)js_int(s, "desired", 0), name, name);
	}
}

static int print_failure(const struct change_opts *o, const cJSON *change)
{
	const cJSON *error = js_get(change, "error");
	int code = CODE_FAILED;

	if (error)
		code = report_manifest_json(o->sources, error);
	else
		report_plain("the change failed");
	print_hints(change);
	return code;
}

/* A change that is over, or was not waited for. */
static int print_outcome(const struct cli *cli, const cJSON *change, const struct change_opts *o)
{
	const char *state = js_str(change, "state", "");

	if (is_unchanged(change))
		printf("nothing to change (revision %lld)\n",
		       (long long)js_int(change, "revision", 0));
	else
		print_services(cli, change);
	print_overrides(change);
	print_leftovers(change);
	fflush(stdout);
	report_manifest_warnings_json(o->sources, js_get(change, "machine_warnings"));
	if (strcmp(state, "failed") == 0 || js_get(change, "error"))
		return print_failure(o, change);
	if (strcmp(state, "running") == 0 && !is_unchanged(change))
		printf("accepted; it goes on in the daemon (see: aictl ps)\n");
	return CODE_OK;
}

static void print_timeout(const cJSON *change, int64_t timeout_ms)
{
	char human[32];

	report_plain("timed out after %s; the change goes on, nothing is undone",
		     clock_human(timeout_ms, human, sizeof(human)));
	print_hints(change);
}

static int refused(const struct sources *sources, const struct reply *reply)
{
	int code = report_manifest_reply(sources, reply);

	if (strcmp(js_str(js_get(reply->json, "error"), "code", ""), "revision_conflict") == 0)
		report_hint("see what was applied since: aictl rollout history");
	return code;
}

struct waiting {
	struct client *client;
	struct progress progress;
	const char *body; /* of the request */
	char *id;
	int64_t deadline_mono_ms;
};

static bool is_running(const struct reply *change)
{
	return strcmp(js_str(change->json, "state", ""), "running") == 0;
}

/*
 * One wait of at most step_ms. Changes live in the controller's memory: one that died took ours
 * along, so it is asked for again, under the same id. False when that is refused.
 */
static bool wait_step(struct waiting *w, int64_t step_ms, struct reply *change)
{
	_cleanup_free_ char *path =
		x_printf("/v1/changes/%s/wait?timeout_ms=%lld", w->id, (long long)step_ms);
	_cleanup_err_ struct err *e = NULL;

	client_reply_done(change);
	if (client_call(w->client,
			&(struct client_request){.method = "GET", .path = path, .wait_ms = step_ms},
			change, &e) < 0)
		report_die(e);
	if (change->status != 404)
		return change->status == 200;
	client_reply_done(change);
	return client_send(w->client, "POST", "/v1/changes", w->body, change) / 100 == 2;
}

/* Until the change is over (1), refused (-1) or the time is up (0); *change is the last seen. */
static int wait_over(struct waiting *w, struct reply *change)
{
	while (is_running(change)) {
		int64_t left = w->deadline_mono_ms - clock_mono_ms();
		int64_t step = progress_step_ms(&w->progress);

		if (left <= 0)
			return 0;
		if (!wait_step(w, left < step ? left : step, change))
			return -1;
		if (is_running(change))
			progress_update(&w->progress, change->json);
	}
	return 1;
}

/* What has become of the services between its end and now: one that ended at once may wait for its
 * next attempt already. */
static void look_again(const struct waiting *w, struct reply *change)
{
	_cleanup_free_ char *path = x_printf("/v1/changes/%s", w->id);
	struct reply again = {0};

	if (strcmp(js_str(change->json, "state", ""), "done") != 0 ||
	    client_send(w->client, "GET", path, NULL, &again) != 200) {
		client_reply_done(&again);
		return;
	}
	client_reply_done(change);
	*change = again;
}

static int wait_and_print(const struct cli *cli, struct waiting *w, struct reply *change,
			  const struct change_opts *o)
{
	int over;

	w->id = x_strdup(js_str(change->json, "id", ""));
	w->deadline_mono_ms = clock_add(clock_mono_ms(), o->timeout_ms);
	intr_change();
	over = wait_over(w, change);
	progress_end(&w->progress, change->json);
	if (over > 0)
		look_again(w, change);
	mem_free(w->id);
	if (over < 0)
		return report_manifest_reply(o->sources, change);
	if (over > 0)
		return print_outcome(cli, change->json, o);
	print_services(cli, change->json);
	print_timeout(change->json, o->timeout_ms);
	return CODE_TIMEOUT;
}

int change_run(struct cli *cli, struct client *client, cJSON *body, const struct change_opts *o)
{
	_cleanup_free_ char *text = x_check(cJSON_PrintUnformatted(body));
	_cleanup_reply_ struct reply change = {0};
	struct waiting w = {.client = client, .body = text};

	cJSON_Delete(body);
	if (o->wait)
		progress_begin(&w.progress, cli, client, o->lines);
	if (client_send(client, "POST", "/v1/changes", text, &change) / 100 != 2)
		return refused(o->sources, &change);
	return o->wait ? wait_and_print(cli, &w, &change, o) : print_outcome(cli, change.json, o);
}

void change_check_host(const struct sources *sources, const struct manifest *m)
{
	struct manifest_errors errors = {0};

	manifest_host_check(m, HOST_APPLY_ROOT, &errors);
	if (errors.n == 0)
		return;
	report_manifest_errors(sources, &errors);
	exit(CODE_MANIFEST);
}

void change_add_conditions(cJSON *body, const struct args *args)
{
	int64_t n = args_number(args, "if-revision", 0, REVISION_MAX, -1);

	x_check(cJSON_AddBoolToObject(body, "prune", args_flag(args, "prune")));
	if (n >= 0)
		x_check(cJSON_AddNumberToObject(body, "if_revision", (double)n));
}

void change_show_plan(const struct cli *cli, const struct sources *sources,
		      const struct reply *plan, bool diff)
{
	cJSON_DeleteItemFromObjectCaseSensitive(plan->json, "warnings");
	plan_view(cli, plan->json, diff);
	fflush(stdout);
	report_manifest_warnings_json(sources, js_get(plan->json, "machine_warnings"));
}

int change_plan(struct client *client, const struct sources *sources, const struct args *args,
		struct reply *ret)
{
	cJSON *body = x_check(cJSON_CreateObject());
	_cleanup_free_ char *text = NULL;

	sources_to_json(sources, body);
	change_add_conditions(body, args);
	text = x_check(cJSON_PrintUnformatted(body));
	cJSON_Delete(body);
	if (client_send(client, "POST", "/v1/plan", text, ret) == 200 && ret->json)
		return CODE_OK;
	return refused(sources, ret);
}

void change_add_services(cJSON *body, const struct args *args)
{
	cJSON *list = x_check(cJSON_AddArrayToObject(body, "services"));

	for (size_t i = 0; i < args->n_operands; i++)
		cJSON_AddItemToArray(list, x_check(cJSON_CreateString(args->operands[i])));
}

int change_services(struct cli *cli, const struct args *args, const char *kind)
{
	struct change_opts o = {.wait = !args_flag(args, "no-wait"),
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS)};
	_cleanup_client_ struct client *client = client_open(cli);
	cJSON *body = change_new(kind);

	change_add_services(body, args);
	return change_run(cli, client, body, &o);
}
