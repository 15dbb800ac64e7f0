/*
 * cmd_top: aictl top, what passes each service and what it uses, as it changes.
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
#include "cli/js.h"
#include "cli/output.h"
#include "cli/selector.h"
#include "cli/term.h"
#include "cli/top_view.h"
#include "cli/watch.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"

#define PATIENCE_MS 3000 /* while watching: then the last view gets a notice */
#define INTERVAL_MIN_MS 100
#define SPAN_MS 500 /* between the two looks of which one table is made */

struct top {
	const struct cli *cli;
	const struct args *args;
	struct client *client;
	char *path;
	struct top_view view;
	struct reply reply; /* the last one */
};

/* Takes out of the reply what --set and -l do not mean. */
static void filter(struct top *t)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(t->reply.json, "services");
	cJSON *s = list ? list->child : NULL, *next;

	for (; s; s = next) {
		next = s->next;
		if (!selector_matches(t->args, s))
			cJSON_Delete(cJSON_DetachItemViaPointer(list, s));
	}
}

static void take(struct top *t, struct reply *reply)
{
	client_reply_done(&t->reply);
	t->reply = *reply;
	*reply = (struct reply){0};
	filter(t);
	top_view_take(&t->view, t->reply.json);
}

/* A terminal may have our settings: an error is returned, not printed and ended with. */
static int look(void *user, struct err **reterr)
{
	struct top *t = user;
	const struct client_request rq = {.method = "GET", .path = t->path};
	struct reply reply = {0};
	int r = client_call(t->client, &rq, &reply, reterr);

	if (r == 0 && reply.status != 200)
		r = err_set(reterr, reply.status == 404 ? ERR_NOTFOUND : ERR_SYS, "%s",
			    js_str(js_get(reply.json, "error"), "message", "no answer"));
	if (r == 0)
		take(t, &reply);
	client_reply_done(&reply);
	return r;
}

static bool is_empty(const struct top *t)
{
	return cJSON_GetArraySize(js_get(t->reply.json, "services")) == 0;
}

static void render(void *user, const struct term *term, const char *eol, struct buf *out)
{
	const struct top *t = user;

	if (is_empty(t))
		buf_printf(out, "no services%s", eol);
	else
		top_view_render(&t->view, term, t->reply.json, eol, out);
}

static void print(struct top *t)
{
	_cleanup_buf_ struct buf b = {0};

	if (is_empty(t)) {
		fputs("no services\n", stderr);
		return;
	}
	top_view_render(&t->view, &t->cli->term, t->reply.json, "\n", &b);
	if (b.failed)
		x_check(NULL);
	fwrite(buf_cstr(&b), 1, b.len, stdout);
}

/* Of the processor there is nothing to tell before the second look. */
static void get(struct top *t)
{
	struct reply reply = {0};

	client_get(t->client, t->path, &reply);
	take(t, &reply);
}

static int plain(struct top *t, int64_t n, int64_t interval_ms)
{
	get(t);
	poll(NULL, 0, SPAN_MS);
	for (int64_t i = 0; i < n; i++) {
		if (i > 0) {
			poll(NULL, 0, (int)interval_ms);
			putchar('\n');
		}
		get(t);
		print(t);
		if (output_is_broken())
			return CODE_FAILED;
	}
	return CODE_OK;
}

static int live(struct cli *cli, struct top *t, int64_t interval_ms)
{
	const struct watch w = {.cli = cli,
				.socket = client_socket(t->client),
				.interval_ms = interval_ms,
				.redraw = true,
				.keys = true,
				.user = t,
				.look = look,
				.render = render};

	client_set_patience(t->client, PATIENCE_MS);
	return watch_run(&w);
}

static int run(struct cli *cli, const struct args *args)
{
	struct top t = {.cli = cli, .args = args};
	int64_t interval_ms = args_duration(args, "interval", WATCH_DEFAULT_MS);
	int64_t n = args_number(args, "times", 1, 1000000, 0);
	_cleanup_free_ char *path = NULL;
	int code;

	if (interval_ms < INTERVAL_MIN_MS)
		interval_ms = INTERVAL_MIN_MS;
	selector_check(args);
	t.client = client_open(cli);
	path = client_path_services("/v1/services", args->operands, args->n_operands);
	t.path = x_printf("%s%susage=1", path, strchr(path, '?') ? "&" : "?");
	if (n > 0 || !term_can_redraw(STDOUT_FILENO))
		code = plain(&t, n > 0 ? n : 1, interval_ms);
	else
		code = live(cli, &t, interval_ms);
	top_view_done(&t.view);
	client_reply_done(&t.reply);
	client_free(t.client);
	mem_free(t.path);
	return code;
}

static const struct option_spec options[] = {
	{'n', "times", "N", "print the table N times and end", NULL},
	{'i', "interval", "TIME", "look again every TIME (default 1s)", NULL},
	SELECTOR_OPTIONS,
	{0},
};

const struct command cmd_top_command = {
	.name = "top",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] [SERVICE...]",
	.summary = "Show what passes each service, and what it uses, live",
	.details =
		"A row for each service, drawn again each second; q ends it. Without a terminal,\n"
		"or with -n 1, it is one plain table.\n\n"
		"REQ/S is of the last ten seconds; P50 and P95, the times that so many percent of\n"
		"the requests took at most, TTFB, the same (95 %) to the first byte of the answer,\n"
		"and ERRORS, answered 5xx or not wholly, are of the last minute. IN-FLIGHT is\n"
		"under way at replicas now, QUEUE waits for one. CPU is the share of one processor\n"
		"since the last look, of all its replicas. LAST-MINUTE is its requests, four\n"
		"seconds a sign. A service without a stable port has only CPU and MEM.",
	.examples = "aictl top\n"
		    "aictl top -l team=nlp\n"
		    "aictl top -n 1 sentiment",
	.options = options,
	.args_max = ARGS_MANY,
	.run = run,
};
