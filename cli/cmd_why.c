/*
 * cmd_why: aictl why, the chain of causes of what a service or a replica is now: each link with its
 * evidence and the line of the manifest that decides, its causes below it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define STEP 2	       /* columns that a cause stands further in */
#define LABEL_WIDTH 10 /* "restarts  " */

struct page {
	const struct term *term;
	int64_t now_ms;
	size_t indent;
};

static void print(const struct buf *b)
{
	if (b->failed)
		x_check(NULL);
	puts(buf_cstr(b));
}

/* "  LABEL     text", wrapped. */
static void field(const struct page *p, const char *label, const char *color, const char *text)
{
	size_t at = p->indent + STEP + LABEL_WIDTH;
	_cleanup_buf_ struct buf out = {0};

	buf_printf(&out, "%*s%s%-*s%s", (int)(p->indent + STEP), "", term_paint(p->term, TERM_DIM),
		   LABEL_WIDTH, label, term_paint(p->term, TERM_RESET));
	buf_str(&out, term_paint(p->term, color));
	term_wrap(p->term, &out, text, at);
	buf_str(&out, *color ? term_paint(p->term, TERM_RESET) : "");
	print(&out);
}

/* ", 12s ago", ", in 3s", or nothing. Of log lines nothing: they are in order. */
static char *when(const struct page *p, const cJSON *e)
{
	int64_t at = js_time(e, "at"), away = at - p->now_ms;
	char human[32];

	if (!at || strcmp(js_str(e, "kind", ""), "log") == 0)
		return x_strdup("");
	if (away >= 1000)
		return x_printf(", in %s", clock_human(away, human, sizeof(human)));
	if (strcmp(js_str(e, "kind", ""), "next") == 0 ||
	    strcmp(js_str(e, "kind", ""), "deadline") == 0)
		return x_strdup(", now");
	if (away > -1000)
		return x_strdup(", just now");
	return x_printf(", %s ago", clock_human(-away, human, sizeof(human)));
}

/* A label that repeats the one above is left out. */
static void evidence(const struct page *p, const cJSON *list)
{
	const char *before = "";
	const cJSON *e;

	cJSON_ArrayForEach (e, list) {
		const char *kind = js_str(e, "kind", "?");
		_cleanup_free_ char *at = when(p, e);
		_cleanup_free_ char *text = x_printf("%s%s", js_str(e, "text", ""), at);

		field(p, strcmp(kind, before) == 0 ? "" : kind,
		      strcmp(kind, "log") == 0 ? TERM_CYAN : "", text);
		before = kind;
	}
}

static void place(const struct page *p, const cJSON *link)
{
	const cJSON *at = js_get(link, "place");
	_cleanup_free_ char *file = NULL, *text = NULL;

	if (!at)
		return;
	file = text_place(at);
	text = x_printf("%s: %s%s", file, js_str(at, "key", "?"),
			js_bool(at, "default") ? " (not given: the default)" : "");
	field(p, "manifest", "", text);
}

/* Plain: the terminal is too narrow for the head of a link in one line. */
static void narrow_head(const struct page *p, const char *head, const char *text)
{
	_cleanup_free_ char *all = x_printf("%s%s%s", head, *text ? ": " : "", text);
	_cleanup_buf_ struct buf out = {0};

	buf_printf(&out, "%*s", (int)p->indent, "");
	term_wrap(p->term, &out, all, p->indent);
	print(&out);
}

/* "rolled_back" as people say it. */
static char *words(const char *state)
{
	char *s = x_strdup(state);

	for (char *p = s; *p; p++)
		if (*p == '_')
			*p = ' ';
	return s;
}

static void link_head(const struct page *p, const cJSON *link)
{
	const char *state = js_str(link, "state", "unknown"), *text = js_str(link, "text", "");
	const char *what = js_str(link, "what", "?");
	const char *verb = strcmp(state, "backoff") == 0 ? "is in" : "is";
	bool since = js_time(link, "since");
	_cleanup_free_ char *age = text_age(link, "since", p->now_ms);
	_cleanup_free_ char *rest = x_printf("%s%s", since ? ", for " : "", since ? age : "");
	_cleanup_free_ char *said = words(state);
	_cleanup_free_ char *head = x_printf("%s %s %s%s", what, verb, said, rest);
	size_t width = p->indent + term_width(p->term, head) + strlen(": ");
	unsigned columns = term_columns(STDOUT_FILENO);
	_cleanup_buf_ struct buf out = {0};

	if (columns && width >= columns) {
		narrow_head(p, head, text);
		return;
	}
	buf_printf(&out, "%*s%s", (int)p->indent, "", term_paint(p->term, TERM_BOLD));
	term_put(p->term, &out, what, 0);
	buf_printf(&out, "%s %s %s%s%s%s", term_paint(p->term, TERM_RESET), verb,
		   term_paint(p->term, term_state_color(p->term, state)), said,
		   term_paint(p->term, TERM_RESET), rest);
	if (*text) {
		buf_str(&out, ": ");
		term_wrap(p->term, &out, text, width);
	}
	print(&out);
}

static void table(const struct output *out, const cJSON *reply)
{
	struct page p = {.term = &out->cli->term, .now_ms = clock_wall_ms()};
	const cJSON *link;

	cJSON_ArrayForEach (link, js_get(reply, "links")) {
		p.indent = STEP * (size_t)js_int(link, "depth", 0);
		link_head(&p, link);
		evidence(&p, js_get(link, "evidence"));
		place(&p, link);
	}
	p.indent = 0;
	if (!js_bool(reply, "logs_read"))
		narrow_head(&p, "(the log could not be read in time)", "");
}

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {table, "links", "what"};
	_cleanup_client_ struct client *client = client_open(cli);
	struct output out;

	output_begin(&out, cli, args);
	for (size_t i = 0; i < args->n_operands; i++) {
		_cleanup_free_ char *name = NULL, *path = NULL;
		char service[MANIFEST_NAME_MAX + 1];
		_cleanup_reply_ struct reply reply = {0};
		_cleanup_err_ struct err *e = NULL;
		int replica;

		if (parse_replica_id(args->operands[i], service, &replica, &e) < 0)
			report_usage(args->command, "%s", err_msg(e));
		name = client_escape(service);
		path = replica < 0 ? x_printf("/v1/services/%s/why", name)
				   : x_printf("/v1/services/%s/why?replica=%d", name, replica);
		client_get(client, path, &reply);
		output_reply(&out, &view, &reply);
	}
	return CODE_OK;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_why_command = {
	.name = "why",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Say why a service or a replica is as it is",
	.details =
		"The chain of causes, from what was asked for down to the root: what is waited for,\n"
		"the last exit and what was logged before it, results of probes, memory, what is\n"
		"left of the restart budget, when the next attempt is due, and the line of the\n"
		"manifest that decides. One line says that all is well.",
	.examples = "aictl why chat\n"
		    "aictl why chat/1\n"
		    "aictl why -o json chat | jq '.links[-1].text'",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
