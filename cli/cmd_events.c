/*
 * cmd_events: aictl events, prints events as they are stored, or follows them; a stream that breaks
 * because the controller died is taken up again after the last event seen.
 *
 * SPDX-License-Identifier: MIT
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/event.h"
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/since.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define LINES_DEFAULT 100
#define LINES_MAX 2000
#define COLUMNS 8
#define SILENCE_MS 30000

/* The usual widths of what is followed, lest the first lines make the header too narrow. */
static const size_t widths_table[COLUMNS] = {19, 6, 8};
static const size_t widths_wide[COLUMNS] = {4, 19, 6, 8, 8, 8, 14};

struct printer {
	struct output out;
	bool follow;
	int64_t seq;	  /* last seen, to go on after a broken connection */
	int64_t since_ms; /* wall clock; 0 = all */
	int64_t now_ms;
	struct table table; /* of what is not followed */
	size_t widths[COLUMNS];
};

/* ---- table ---- */

/* Ages would be wrong a second later: what is followed has times. */
static void header(struct printer *p, struct table *t)
{
	const char *when = p->follow ? "TIME" : "AGE";

	t->drop = "SEQ FROM TO TYPE";
	if (p->out.format == OUTPUT_WIDE)
		table_header(t, "SEQ", "TIME", "TYPE", "OBJECT", "FROM", "TO", "REASON", "MESSAGE",
			     NULL);
	else
		table_header(t, when, "TYPE", "OBJECT", "MESSAGE", NULL);
}

static void wide_cells(struct table *t, const cJSON *e)
{
	const char *from = js_str(e, "from", "-"), *to = js_str(e, "to", "-");

	table_cell(t, NULL, "%s", from);
	table_cell(t, term_state_color(t->term, to), "%s", to);
	table_cell(t, NULL, "%s", js_str(e, "reason", "-"));
	table_cell(t, NULL, "%s", js_str(e, "message", ""));
}

static void row(struct printer *p, struct table *t, const cJSON *e)
{
	bool wide = p->out.format == OUTPUT_WIDE, absolute = wide || p->follow;
	_cleanup_free_ char *when = absolute ? event_time(e) : text_age(e, "at", p->now_ms);
	_cleanup_free_ char *object = event_object(e), *what = event_what(e);

	table_row(t);
	if (wide)
		table_cell(t, NULL, "%lld", (long long)js_int(e, "seq", 0));
	table_cell(t, term_paint(t->term, TERM_DIM), "%s", when);
	table_cell(t, NULL, "%s", js_str(e, "type", "-"));
	table_cell(t, term_state_color(t->term, js_str(e, "to", "")), "%s", object);
	if (wide)
		wide_cells(t, e);
	else
		table_cell(t, NULL, "%s", what);
}

/* One line now, in columns that grow with what comes. */
static void print_row(struct printer *p, const cJSON *e)
{
	struct term term = p->out.cli->term;
	struct table t = {.term = &term, .widths = p->widths};

	if (term.tty)
		term.columns = term_columns(STDOUT_FILENO);
	header(p, &t); /* it says which columns a narrow terminal loses */
	t.header_shown = p->out.shown++ > 0;
	row(p, &t, e);
	table_print(&t);
	table_done(&t);
}

static void print_event(struct printer *p, const cJSON *e, const char *text)
{
	switch (p->out.format) {
	case OUTPUT_TABLE:
	case OUTPUT_WIDE:
		if (p->follow) {
			print_row(p, e);
			break;
		}
		if (p->table.n_rows == 0)
			header(p, &p->table);
		row(p, &p->table, e);
		break;
	case OUTPUT_JSON:
	case OUTPUT_YAML:
		output_line(&p->out, text);
		break;
	case OUTPUT_NAME:
		printf("%lld\n", (long long)js_int(e, "seq", 0));
		break;
	}
}

static void take_line(struct printer *p, const char *text)
{
	_cleanup_js_ cJSON *event = js_parse(text, strlen(text));

	if (!event)
		return;
	p->seq = js_int(event, "seq", p->seq);
	if (js_time(event, "at") >= p->since_ms)
		print_event(p, event, text);
}

/* ---- the stream ---- */

/* For a line, while somebody reads us; what is not followed has to come at once. */
static int wait_more(const struct client *client, bool follow, struct err **reterr)
{
	struct pollfd p[2] = {{.fd = client_stream_fd(client), .events = POLLIN},
			      {.fd = STDOUT_FILENO, .events = 0}};

	if (output_is_broken())
		return err_set(reterr, ERR_SYS, "cannot write the output");
	if (poll(p, 2, follow ? -1 : SILENCE_MS) == 0)
		return err_set(reterr, ERR_UNREACHABLE, "the daemon does not answer");
	if (p[1].revents & (POLLERR | POLLHUP | POLLNVAL))
		output_end_of_reader();
	return 0;
}

/* Prints the stream to its end. */
static int print_stream(struct client *client, const char *path, struct printer *p,
			struct err **reterr)
{
	int r = client_stream_begin(client, path, reterr);
	const char *text;

	if (r < 0)
		return r;
	for (;;) {
		r = client_stream_next(client, false, &text, reterr);
		if (r > 0) {
			take_line(p, text);
			continue;
		}
		if (r != -ERR_TIMEOUT || *reterr)
			return r;
		r = wait_more(client, p->follow, reterr);
		if (r < 0)
			return r;
	}
}

static char *first_path(const struct args *args, bool follow)
{
	int fallback = args_flag(args, "since") ? LINES_MAX : LINES_DEFAULT;
	long long n = args_number(args, "lines", 0, LINES_MAX, fallback);
	_cleanup_free_ char *base = x_printf("/v1/events?n=%lld%s", n, follow ? "&follow=1" : "");

	return client_path_services(base, args->operands, args->n_operands);
}

/* From the last event seen. */
static char *next_path(const struct args *args, int64_t seq)
{
	_cleanup_free_ char *base = x_printf("/v1/events?since=%lld&follow=1", (long long)seq);

	return client_path_services(base, args->operands, args->n_operands);
}

/* SERVICE or SERVICE/N. */
static void check_operands(const struct args *args)
{
	for (size_t i = 0; i < args->n_operands; i++) {
		_cleanup_err_ struct err *e = NULL;
		char service[MANIFEST_NAME_MAX + 1];
		int replica;

		if (parse_replica_id(args->operands[i], service, &replica, &e) < 0)
			report_usage(args->command, "%s", err_msg(e));
	}
}

/* Nothing came: a mistyped name ends here with 4. A deleted service still has its events. */
static int check_services(struct client *client, const struct args *args)
{
	for (size_t i = 0; i < args->n_operands; i++) {
		const char *operand = args->operands[i], *name;
		_cleanup_free_ char *service = x_strndup(operand, strcspn(operand, "/"));
		_cleanup_free_ char *path = NULL;
		_cleanup_reply_ struct reply r = {0};

		name = service;
		path = client_path_services("/v1/services", &name, 1);
		client_get(client, path, &r);
		if (strcmp(service, operand) != 0 && !js_has_replica(r.json, operand)) {
			report_plain("no replica \"%s\", and no events of one", operand);
			return CODE_UNKNOWN;
		}
	}
	return CODE_OK;
}

static int finish(struct printer *p, int code)
{
	if (p->table.n_rows)
		table_print(&p->table);
	table_done(&p->table);
	return code;
}

static int run(struct cli *cli, const struct args *args)
{
	struct printer p = {.follow = args_flag(args, "follow"), .now_ms = clock_wall_ms()};
	_cleanup_free_ char *path = first_path(args, p.follow);
	_cleanup_client_ struct client *client = NULL;

	check_operands(args);
	output_begin(&p.out, cli, args);
	p.since_ms = since_option(args, p.now_ms);
	p.table.term = &cli->term;
	memcpy(p.widths, p.out.format == OUTPUT_WIDE ? widths_wide : widths_table,
	       sizeof(p.widths));
	client = client_open(cli);
	intr_quiet();
	for (;;) {
		_cleanup_err_ struct err *e = NULL;

		if (print_stream(client, path, &p, &e) < 0 && (!p.follow || !client_is_passing(e)))
			return finish(&p, (int)report_err(e));
		if (!p.follow)
			return finish(&p, p.seq ? CODE_OK : check_services(client, args));
		mem_free(path); /* the controller died: the next one goes on */
		path = next_path(args, p.seq);
	}
}

static const struct option_spec options[] = {
	{'f', "follow", NULL, "go on with what happens next", NULL},
	{'n', "lines", "N", "start with the last N events (default 100, at most 2000)", NULL},
	OUTPUT_OPTION,
	{0, "since", "TIME", "only what is younger: 10m, or 2026-01-02T03:04:05Z", NULL},
	{0},
};

const struct command cmd_events_command = {
	.name = "events",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] [SERVICE[/N]...]",
	.summary = "Show what happened: states, exits, probes, changes",
	.details = "Oldest first. The table has ages, or local times with --follow and in wide;\n"
		   "json has an object a line with UTC times (RFC 3339), name the numbers.",
	.examples = "aictl events -n 20 sentiment\n"
		    "aictl events --since 1h -o wide\n"
		    "aictl events -f\n"
		    "aictl events -f -o json | jq 'select(.type == \"exit\")'",
	.options = options,
	.args_max = ARGS_MANY,
	.run = run,
};
