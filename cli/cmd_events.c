/*
 * cmd_events: aictl events, prints events as they are stored, or follows them; a stream that breaks
 * because the controller died is taken up again after the last event seen.
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
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"

struct printer {
	const struct term *term;
	bool json;
	int64_t seq; /* last seen, to go on after a broken connection */
};

static void print_text(const struct term *term, const cJSON *event)
{
	_cleanup_free_ char *time = event_time(event), *object = event_object(event);
	_cleanup_free_ char *what = event_what(event);
	_cleanup_buf_ struct buf out = {0};
	size_t width = term_width(term, object);

	buf_printf(&out, "%s%s%s  ", term_paint(term, TERM_DIM), time,
		   term_paint(term, TERM_RESET));
	buf_str(&out, term_state_color(term, js_str(event, "to", "")));
	term_put(term, &out, object, 0);
	buf_str(&out, term_paint(term, TERM_RESET));
	buf_printf(&out, "%*s  ", width < 16 ? (int)(16 - width) : 0, "");
	term_put(term, &out, what, 0);
	puts(buf_cstr(&out));
}

static void print_line(struct printer *p, const char *text)
{
	_cleanup_js_ cJSON *event = js_parse(text, strlen(text));

	if (!event)
		return;
	p->seq = js_int(event, "seq", p->seq);
	if (p->json)
		puts(text);
	else
		print_text(p->term, event);
	fflush(stdout);
}

/* Prints the stream to its end. */
static int print_stream(struct client *client, const char *path, struct printer *p,
			struct err **reterr)
{
	int r = client_stream_begin(client, path, reterr);
	const char *text;

	while (r == 0) {
		r = client_stream_next(client, true, &text, reterr);
		if (r <= 0)
			return r;
		print_line(p, text);
		r = 0;
	}
	return r;
}

static char *first_path(const struct args *args, bool follow)
{
	_cleanup_free_ char *base = NULL;
	long long n = args_number(args, "lines", 0, 2000, 100);

	base = x_printf("/v1/events?n=%lld%s", n, follow ? "&follow=1" : "");
	return client_path_services(base, args->operands, args->n_operands);
}

/* From the last event seen. */
static char *next_path(const struct args *args, int64_t seq)
{
	_cleanup_free_ char *base = x_printf("/v1/events?since=%lld&follow=1", (long long)seq);

	return client_path_services(base, args->operands, args->n_operands);
}

static int run(struct cli *cli, const struct args *args)
{
	struct printer p = {.term = &cli->term,
			    .json = strcmp(args_value(args, "output", "text"), "json") == 0};
	bool follow = args_flag(args, "follow");
	_cleanup_free_ char *path = first_path(args, follow);
	_cleanup_client_ struct client *client = client_open(cli);

	intr_quiet();
	for (;;) {
		_cleanup_err_ struct err *e = NULL;

		if (print_stream(client, path, &p, &e) < 0 && (!follow || !client_is_passing(e)))
			return (int)report_err(e);
		if (!follow)
			return CODE_OK;
		mem_free(path); /* the controller died: the next one goes on */
		path = next_path(args, p.seq);
	}
}

static const struct option_spec options[] = {
	{'f', "follow", NULL, "go on with what happens next", NULL},
	{'n', "lines", "N", "start with the last N events (default 100, at most 2000)", NULL},
	{'o', "output", "FORMAT", "text, or json: an object a line (default text)", "text|json"},
	{0},
};

const struct command cmd_events_command = {
	.name = "events",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] [SERVICE...]",
	.summary = "Show what happened: states, exits, probes, changes",
	.details = "Oldest first. Times are local in text and UTC (RFC 3339) in json.",
	.examples = "aictl events -n 20 sentiment\n"
		    "aictl events -f\n"
		    "aictl events -f -o json | jq 'select(.type == \"exit\")'",
	.options = options,
	.args_max = ARGS_MANY,
	.run = run,
};
