/*
 * cmd_describe: aictl describe, a page about one service: state, replicas with their probes and
 * last exits, events, and where in the manifest it comes from.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/event.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/writer.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"

struct page {
	const struct term *term;
	int64_t now_ms;
};

/* "  LABEL        text"; nothing for an empty text. */
static void field(const struct page *p, const char *label, const char *color, const char *text)
{
	_cleanup_buf_ struct buf out = {0};

	if (!*text)
		return;
	buf_printf(&out, "  %-11s ", label);
	buf_str(&out, term_paint(p->term, color));
	term_put(p->term, &out, text, 0);
	buf_str(&out, *color ? term_paint(p->term, TERM_RESET) : "");
	puts(buf_cstr(&out));
}

static void field_take(const struct page *p, const char *label, char *text)
{
	field(p, label, "", text);
	mem_free(text);
}

static void heading(const struct page *p, const char *title)
{
	printf("\n%s%s%s\n", term_paint(p->term, TERM_BOLD), title,
	       term_paint(p->term, TERM_RESET));
}

static void state_field(const struct page *p, const cJSON *s)
{
	const char *state = js_str(s, "state", "unknown");
	_cleanup_free_ char *text = NULL;
	long long desired = js_int(s, "desired", 0);

	if (strcmp(state, "stopped") == 0)
		text = x_strdup(state);
	else
		text = x_printf("%s, %lld of %lld ready", state, (long long)js_int(s, "ready", 0),
				desired);
	field(p, "State", term_state_color(p->term, state), text);
}

/* A word of a command as one would type it. */
static void quote(struct buf *out, const char *word)
{
	if (*word && !strpbrk(word, " \t\n\"'\\$`*?[]{}()<>|&;#~!")) {
		buf_str(out, word);
		return;
	}
	buf_char(out, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			buf_str(out, "'\\''");
		else
			buf_char(out, *word);
	}
	buf_char(out, '\'');
}

static void command_field(const struct page *p, const cJSON *spec)
{
	_cleanup_buf_ struct buf out = {0};
	const cJSON *word;

	cJSON_ArrayForEach (word, js_get(spec, "command")) {
		if (out.len)
			buf_char(&out, ' ');
		if (cJSON_IsString(word))
			quote(&out, word->valuestring);
	}
	field(p, "Command", "", buf_cstr(&out));
}

static void origin_fields(const struct page *p, const cJSON *s)
{
	const char *set = js_str(s, "set", NULL), *file = js_str(s, "file", NULL);
	_cleanup_free_ char *ago = text_age(s, "updated_at", p->now_ms);
	long long revision = js_int(s, "revision", 0);

	if (set)
		field_take(p, "Set",
			   x_printf("%s, revision %lld, applied %s ago", set, revision, ago));
	if (file)
		field_take(p, "Manifest",
			   x_printf("%s:%lld", file, (long long)js_int(s, "line", 1)));
}

static void environment_field(const struct page *p, const cJSON *spec)
{
	_cleanup_buf_ struct buf out = {0};
	const cJSON *e;

	cJSON_ArrayForEach (e, js_get(spec, "environment"))
		buf_printf(&out, "%s%s=%s", out.len ? " " : "", e->string,
			   cJSON_IsString(e) ? e->valuestring : "");
	field(p, "Environment", "", buf_cstr(&out));
}

static void stop_field(const struct page *p, const cJSON *spec)
{
	int64_t grace_ms = js_int(spec, "grace_period_ms", -1);
	char human[32];

	if (grace_ms >= 0)
		field_take(p, "Stop",
			   x_printf("%s, then SIGKILL after %s", js_str(spec, "stop_signal", "?"),
				    clock_human(grace_ms, human, sizeof(human))));
}

static void spec_fields(const struct page *p, const cJSON *service)
{
	const cJSON *spec = js_get(service, "spec");
	long long port = js_int(spec, "port", 0);
	bool served = cJSON_GetArraySize(js_get(service, "endpoints")) > 0;

	field(p, "About", "", js_str(spec, "description", ""));
	command_field(p, spec);
	field(p, "Directory", "", js_str(spec, "working_dir", ""));
	field(p, "User", "", js_str(spec, "user", ""));
	environment_field(p, spec);
	if (port)
		field_take(
			p, "Port",
			x_printf("%lld%s", port,
				 served ? ""
					: " (not served yet; replicas have ports of their own)"));
	field(p, "Restart", "", js_str(spec, "restart_policy", ""));
	stop_field(p, spec);
}

static void probe_line(const struct page *p, const char *kind, const cJSON *probe)
{
	_cleanup_buf_ struct buf out = {0};
	_cleanup_free_ char *ago = text_age(probe, "at", p->now_ms);
	bool ok = js_bool(probe, "ok"), ran = js_time(probe, "at") != 0;
	const char *message = js_str(probe, "message", "");
	long long failures = js_int(probe, "failures", 0);
	long long limit = js_int(probe, "failure_threshold", 0);

	if (!probe || !js_bool(probe, "enabled"))
		return;
	buf_printf(&out, "    %-10s ", kind);
	buf_str(&out, term_paint(p->term, !ran ? TERM_DIM : ok ? TERM_GREEN : TERM_RED));
	buf_str(&out, !ran ? "not run yet" : ok ? "passed" : "failed");
	buf_str(&out, term_paint(p->term, TERM_RESET));
	if (ran && !ok && limit > 1)
		buf_printf(&out, " %lld of %lld", failures, limit);
	if (ran)
		buf_printf(&out, ", %s ago", ago);
	if (*message) {
		buf_str(&out, ": ");
		term_put(p->term, &out, message, 0);
	}
	puts(buf_cstr(&out));
}

static void replica_head(const struct page *p, const cJSON *r)
{
	_cleanup_free_ char *age = text_age(r, "started_at", p->now_ms);
	const char *state = js_str(r, "state", "unknown");
	long long pid = js_int(r, "pid", 0), port = js_int(r, "port", 0);
	long long restarts = js_int(r, "restarts", 0);
	_cleanup_free_ char *count = text_count(restarts, "restart");

	printf("  %s  %s%s%s", js_str(r, "id", "?"), term_state_color(p->term, state), state,
	       term_paint(p->term, TERM_RESET));
	if (pid)
		printf("  pid %lld, up %s", pid, age);
	if (port)
		printf(", port %lld", port);
	printf(", %s%s\n", count, js_bool(r, "slow_mode") ? ", in slow mode" : "");
}

static void replica(const struct page *p, const cJSON *r)
{
	static const char *const kinds[] = {"startup", "readiness", "liveness"};
	_cleanup_free_ char *message = text_replica_message(r, p->now_ms);
	const cJSON *last = js_get(r, "last_exit"), *probes = js_get(r, "probes");
	_cleanup_buf_ struct buf out = {0};

	replica_head(p, r);
	if (*message) {
		term_put(p->term, &out, message, 0);
		printf("    %s\n", buf_cstr(&out));
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		probe_line(p, kinds[i], js_get(probes, kinds[i]));
	if (last) {
		_cleanup_free_ char *how = text_exit(last), *ago = text_age(last, "at", p->now_ms);

		printf("    %-10s %s, %s ago\n", "last exit", how, ago);
	}
}

static void exit_row(const struct page *p, struct table *t, const cJSON *service, const cJSON *e)
{
	_cleanup_free_ char *how = text_exit(e), *ago = text_age(e, "at", p->now_ms);
	_cleanup_free_ char *ran = text_age(e, "started_at", js_time(e, "at"));

	table_row(t);
	table_cell(t, NULL, "  %s ago", ago);
	table_cell(t, NULL, "%s/%lld", js_str(service, "name", ""),
		   (long long)js_int(e, "replica", 0));
	table_cell(t, NULL, "%s", how);
	table_cell(t, NULL, "after %s", ran);
}

static void exits(const struct page *p, const cJSON *service)
{
	const cJSON *list = js_get(service, "exits"), *e;
	struct table t = {.term = p->term};

	if (cJSON_GetArraySize(list) == 0)
		return;
	heading(p, "Last exits");
	table_plain(&t, 4);
	cJSON_ArrayForEach (e, list)
		exit_row(p, &t, service, e);
	table_print(&t);
	table_done(&t);
}

static void event_row(const struct page *p, struct table *t, const cJSON *e)
{
	_cleanup_free_ char *ago = text_age(e, "at", p->now_ms), *object = event_object(e);
	_cleanup_free_ char *what = event_what(e);

	table_row(t);
	table_cell(t, NULL, "  %s ago", ago);
	table_cell(t, NULL, "%s", object);
	table_cell(t, NULL, "%s", what);
}

static void events(const struct page *p, const cJSON *service)
{
	const cJSON *list = js_get(service, "events"), *e;
	struct table t = {.term = p->term};

	if (cJSON_GetArraySize(list) == 0)
		return;
	heading(p, "Events");
	table_plain(&t, 3);
	cJSON_ArrayForEach (e, list)
		event_row(p, &t, e);
	table_print(&t);
	table_done(&t);
}

static void endpoints(const struct page *p, const cJSON *service)
{
	const cJSON *e;

	cJSON_ArrayForEach (e, js_get(service, "endpoints"))
		field_take(p, "Endpoint",
			   x_printf("%s %s", js_str(e, "protocol", ""), js_str(e, "address", "")));
}

static void page(const struct cli *cli, const cJSON *service)
{
	struct term term = cli->term;
	const struct page p = {.term = &term, .now_ms = clock_wall_ms()};
	const cJSON *replicas = js_get(service, "replicas"), *r;

	term.columns = 0; /* a page to read: nothing is cut */
	printf("%s%s%s\n", term_paint(p.term, TERM_BOLD), js_str(service, "name", "?"),
	       term_paint(p.term, TERM_RESET));
	state_field(&p, service);
	field(&p, "Message", "", js_str(service, "message", ""));
	origin_fields(&p, service);
	spec_fields(&p, service);
	endpoints(&p, service);
	if (cJSON_GetArraySize(replicas) > 0)
		heading(&p, "Replicas");
	cJSON_ArrayForEach (r, replicas)
		replica(&p, r);
	exits(&p, service);
	events(&p, service);
}

static int run(struct cli *cli, const struct args *args)
{
	_cleanup_client_ struct client *client = client_open(cli);
	bool json = strcmp(args_value(args, "output", "text"), "json") == 0;

	for (size_t i = 0; i < args->n_operands; i++) {
		_cleanup_free_ char *name = client_escape(args->operands[i]);
		_cleanup_free_ char *path = x_printf("/v1/services/%s", name);
		_cleanup_reply_ struct reply reply = {0};

		client_get(client, path, &reply);
		if (json) {
			writer_json_print(reply.text, reply.len);
			continue;
		}
		if (i)
			putchar('\n');
		page(cli, reply.json);
	}
	return CODE_OK;
}

static const struct option_spec options[] = {
	{'o', "output", "FORMAT", "text or json (default text)", "text|json"},
	{0},
};

const struct command cmd_describe_command = {
	.name = "describe",
	.aliases = {"show"},
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Show all about a service",
	.details =
		"State and why, each replica with the last result of its probes, the last exits,\n"
		"the time of the next attempt, events, and where in the manifest it stands.",
	.examples = "aictl describe sentiment\n"
		    "aictl describe -o json sentiment | jq .events",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
