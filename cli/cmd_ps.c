/*
 * cmd_ps: aictl ps, lists services, once or again and again. `status` is the same with an exit code
 * that says whether the named services are ready.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/selector.h"
#include "cli/services_view.h"
#include "cli/term.h"
#include "cli/watch.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define PATIENCE_MS 3000 /* while watching: then the last view gets a notice */

struct ps {
	const struct args *args;
	struct client *client;
	char *path;
	struct output out;
	struct reply reply; /* the last one */
};

/* `status NAME` answers as systemctl does. */
static int status_code(const struct args *args, const cJSON *reply)
{
	const cJSON *s;

	if (strcmp(args->verb, "status") != 0 || args->n_operands == 0)
		return CODE_OK;
	cJSON_ArrayForEach (s, js_get(reply, "services")) {
		const char *state = js_str(s, "state", "");

		if (strcmp(state, "ready") != 0 && strcmp(state, "idle") != 0)
			return CODE_NOT_READY;
	}
	return CODE_OK;
}

/* Takes out of the reply what --set and -l do not mean. */
static void filter(struct ps *p)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(p->reply.json, "services");
	cJSON *s = list ? list->child : NULL, *next;

	for (; s; s = next) {
		next = s->next;
		if (!selector_matches(p->args, s))
			cJSON_Delete(cJSON_DetachItemViaPointer(list, s));
	}
}

static bool is_empty(const cJSON *reply)
{
	return cJSON_GetArraySize(js_get(reply, "services")) == 0;
}

static unsigned flags_of(const struct ps *p)
{
	return (p->out.format == OUTPUT_WIDE ? SERVICES_VIEW_WIDE : 0) |
	       (args_flag(p->args, "usage") ? SERVICES_VIEW_USAGE : 0);
}

static void table(const struct output *out, const cJSON *reply)
{
	const struct ps *p = (const void *)((const char *)out - offsetof(struct ps, out));
	_cleanup_buf_ struct buf b = {0};

	services_view_render(&out->cli->term, reply, flags_of(p), "\n", &b);
	if (b.failed)
		x_check(NULL);
	fwrite(buf_cstr(&b), 1, b.len, stdout);
}

static const struct output_view view = {.table = table, .list = "services", .id = "name"};

static void print(void *user)
{
	struct ps *p = user;

	if (selector_is_used(p->args)) /* the reply's text has all of them */
		output_json(&p->out, &view, p->reply.json);
	else
		output_reply(&p->out, &view, &p->reply);
}

static int look(void *user, struct err **reterr)
{
	struct client_request rq = {.method = "GET"};
	struct reply reply = {0};
	struct ps *p = user;
	int r;

	rq.path = p->path;
	r = client_call(p->client, &rq, &reply, reterr);
	if (r < 0)
		return r;
	client_check(&reply);
	client_reply_done(&p->reply);
	p->reply = reply;
	filter(p);
	return 0;
}

/* In place: even nothing at all is worth a line. */
static void render(void *user, const struct term *term, const char *eol, struct buf *out)
{
	const struct ps *p = user;

	services_view_render(term, p->reply.json, flags_of(p), eol, out);
	if (is_empty(p->reply.json))
		buf_printf(out, "no services%s", eol);
}

static void signature(void *user, struct buf *out)
{
	const struct ps *p = user;

	services_view_signature(p->reply.json, out);
}

static int64_t interval(const struct args *args)
{
	const char *value = args_value(args, "watch", "");
	_cleanup_err_ struct err *e = NULL;
	int64_t seconds;

	if (!*value)
		return WATCH_DEFAULT_MS;
	if (parse_i64(value, 1, 86400, &seconds, NULL) == 0)
		return seconds * 1000;
	return args_duration(args, "watch", WATCH_DEFAULT_MS);
}

static int watch(struct cli *cli, struct ps *p)
{
	const struct watch w = {.cli = cli,
				.socket = client_socket(p->client),
				.interval_ms = interval(p->args),
				.redraw = p->out.format <= OUTPUT_WIDE &&
					  term_can_redraw(STDOUT_FILENO),
				.user = p,
				.look = look,
				.render = render,
				.signature = signature,
				.print = print};

	client_set_patience(p->client, PATIENCE_MS);
	return watch_run(&w);
}

static void once(struct ps *p)
{
	client_get(p->client, p->path, &p->reply);
	filter(p);
	print(p);
	if (!is_empty(p->reply.json) || p->out.format > OUTPUT_WIDE)
		return;
	if (selector_is_used(p->args))
		fputs("no such services\n", stderr);
	else
		fputs("no services; apply a manifest with: aictl apply -f FILE\n", stderr);
}

static char *path_of(const struct ps *p)
{
	_cleanup_free_ char *path =
		client_path_services("/v1/services", p->args->operands, p->args->n_operands);

	const char *more = flags_of(p)			   ? "usage=1"
			   : p->out.format == OUTPUT_TABLE ? "brief=1"
							   : NULL;

	if (!more)
		return TAKE_PTR(path);
	return x_printf("%s%s%s", path, strchr(path, '?') ? "&" : "?", more);
}

static int run(struct cli *cli, const struct args *args)
{
	struct ps p = {.args = args};
	int code = CODE_OK;

	selector_check(args);
	output_begin(&p.out, cli, args);
	interval(args);
	p.client = client_open(cli);
	p.path = path_of(&p);
	if (args_flag(args, "watch"))
		code = watch(cli, &p);
	else
		once(&p);
	if (code == CODE_OK)
		code = status_code(args, p.reply.json);
	client_reply_done(&p.reply);
	client_free(p.client);
	mem_free(p.path);
	return code;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{'w', "watch", "[=TIME]", "look again and again, once a second, or every TIME", NULL},
	{0, "usage", NULL, "with memory, CPU time and processes, as -o wide has them", NULL},
	SELECTOR_OPTIONS,
	{0},
};

const struct command cmd_ps_command = {
	.name = "ps",
	.aliases = {"ls", "status"},
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] [SERVICE...]",
	.summary = "List services and their replicas",
	.details =
		"A row for each replica; a service that runs none, or not as many as its manifest\n"
		"says, has a row of its own. AGE counts from the start of the process, RESTARTS\n"
		"what we restarted. A narrow terminal shows fewer columns.\n\n"
		"-o wide and --usage show what each replica uses: memory (MEM, without file cache\n"
		"that can be dropped), CPU time so far, processes and threads (PIDS). In a cgroup\n"
		"these are of all its descendants; without one (see aictl doctor) only of the\n"
		"processes in its session, which a daemon that calls setsid has left.\n\n"
		"--watch redraws in place on a terminal; elsewhere it prints again when something\n"
		"has changed. Changes show at once, ages with the next look. Ctrl-C ends it.\n\n"
		"`aictl ps NAME` exits 0 when the service exists. `aictl status NAME` exits 3\n"
		"when a named service is neither ready nor idle, as systemctl does. Both exit 4\n"
		"when there is no such service.",
	.examples = "aictl ps\n"
		    "aictl ps -o wide sentiment\n"
		    "aictl ps --usage -o json | jq '.services[].replicas[].usage'\n"
		    "aictl ps --watch=2s -l team=nlp,stage!=test\n"
		    "aictl ps -o json | jq '.services[].state'\n"
		    "aictl status sentiment || echo not ready",
	.options = options,
	.args_max = ARGS_MANY,
	.run = run,
};
