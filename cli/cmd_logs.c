/*
 * cmd_logs: aictl logs. The files are read here when the daemon's log directory is open to us
 * (root, the group aictl, a daemon of our own), so a busy or dead controller does not matter; else
 * GET /v1/logs.
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
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/log_out.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/tail.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/logview.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define LINES_MAX 1000000

struct request {
	const struct args *args;
	int64_t lines; /* -1 = all */
	bool follow, raw;
};

/* SERVICE or SERVICE/N; *replica -1 = all. */
static void parse_operand(const struct args *args, const char *operand, char *service, int *replica)
{
	_cleanup_err_ struct err *e = NULL;

	if (parse_replica_id(operand, service, replica, &e) < 0)
		report_usage(args->command, "%s", err_msg(e));
}

/* Has the service replica N now? Former ones may have logs all the same. */
static bool has_replica(const cJSON *reply, const char *id)
{
	const cJSON *s = cJSON_GetArrayItem(js_get(reply, "services"), 0), *r;

	cJSON_ArrayForEach (r, js_get(s, "replicas")) {
		if (strcmp(js_str(r, "id", ""), id) == 0)
			return true;
	}
	return false;
}

/* Unknown services end here with 4; *unknown: an operand is a replica that is not there now. */
static void check_services(struct client *client, const struct args *args, const char **unknown)
{
	for (size_t i = 0; i < args->n_operands; i++) {
		char service[MANIFEST_NAME_MAX + 1];
		const char *name = service;
		_cleanup_reply_ struct reply r = {0};
		_cleanup_free_ char *path = NULL;
		int replica;

		parse_operand(args, args->operands[i], service, &replica);
		path = client_path_services("/v1/services", &name, 1);
		client_get(client, path, &r);
		if (replica >= 0 && !has_replica(r.json, args->operands[i]))
			*unknown = args->operands[i];
	}
}

static int add_files(struct tail *tail, const struct request *rq, const char *log_dir,
		     const char *operand, struct err **reterr)
{
	char service[MANIFEST_NAME_MAX + 1];
	int replica;

	parse_operand(rq->args, operand, service, &replica);
	return tail_add_files(tail,
			      &(struct logview_opts){.log_dir = log_dir,
						     .service = service,
						     .index = replica,
						     .tail = rq->lines,
						     .follow = rq->follow,
						     .raw = rq->raw},
			      reterr);
}

static int add_stream(struct tail *tail, const struct request *rq, const char *socket,
		      const char *operand, struct err **reterr)
{
	char service[MANIFEST_NAME_MAX + 1];
	_cleanup_free_ char *path = NULL, *only = NULL;
	int replica;

	parse_operand(rq->args, operand, service, &replica);
	only = replica < 0 ? x_strdup("") : x_printf("&replica=%d", replica);
	path = x_printf("/v1/logs?service=%s%s&n=%lld%s", service, only,
			rq->lines < 0 ? (long long)LINES_MAX : (long long)rq->lines,
			rq->follow ? "&follow=1" : "");
	return tail_add_stream(tail, socket, path, reterr);
}

/* Where the files may be read: there; else through the API. Returns whether it is the files. */
static bool open_sources(struct client *client, const struct request *rq, struct tail *tail)
{
	_cleanup_reply_ struct reply r = {0};
	const char *log_dir;
	bool files;

	client_get(client, "/v1/daemon", &r);
	log_dir = js_str(r.json, "log_dir", "");
	files = access(log_dir, R_OK | X_OK) == 0;
	for (size_t i = 0; i < rq->args->n_operands; i++) {
		_cleanup_err_ struct err *e = NULL;
		const char *operand = rq->args->operands[i];

		if ((files ? add_files(tail, rq, log_dir, operand, &e)
			   : add_stream(tail, rq, client_socket(client), operand, &e)) < 0)
			report_die(e);
	}
	return files;
}

static void wait_more(const struct tail *tail)
{
	struct pollfd p[2] = {{.fd = tail_fd(tail), .events = POLLIN},
			      {.fd = STDOUT_FILENO, .events = 0}};

	fflush(stdout);
	if (poll(p, 2, TAIL_LOOK_MS) > 0 && (p[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
		output_end_of_reader();
}

/* Whether there was a line. */
static bool print(struct tail *tail, struct log_out *out, const struct request *rq, bool files)
{
	struct tail_line line;
	bool any = false;

	for (;;) {
		for (; tail_next(tail, &line); any = true)
			log_out_line(out, &line);
		if (tail_is_over(tail) || (files && !rq->follow) || output_is_broken())
			return any;
		wait_more(tail);
	}
}

static enum log_out_format format_of(const char *name)
{
	if (strcmp(name, "raw") == 0)
		return LOG_OUT_RAW;
	switch (output_format_of(name)) {
	case OUTPUT_JSON:
		return LOG_OUT_JSON;
	case OUTPUT_YAML:
		return LOG_OUT_YAML;
	case OUTPUT_NAME:
		return LOG_OUT_NAME;
	case OUTPUT_TABLE:
	case OUTPUT_WIDE:
		break;
	}
	return LOG_OUT_TEXT;
}

static int64_t lines_of(const struct args *args)
{
	if (strcmp(args_value(args, "lines", "all"), "all") == 0)
		return -1;
	return args_number(args, "lines", 0, LINES_MAX, -1);
}

static int run(struct cli *cli, const struct args *args)
{
	const char *name = args_value(args, "output", "table");
	enum log_out_format format = format_of(name);
	bool wide = output_format_of(name) == OUTPUT_WIDE;
	struct request rq = {.args = args,
			     .lines = lines_of(args),
			     .follow = args_flag(args, "follow"),
			     .raw = format == LOG_OUT_RAW};
	struct log_out out = {.format = format,
			      .view = {.term = &cli->term, .prefix = !args_flag(args, "no-prefix")},
			      .timestamps = wide || args_flag(args, "timestamps"),
			      .streams = wide};
	_cleanup_client_ struct client *client = client_open(cli);
	struct tail *tail = tail_new();
	const char *unknown = NULL;
	int code = CODE_OK;
	bool files;

	check_services(client, args, &unknown);
	files = open_sources(client, &rq, tail);
	out.add_newline = !files;
	intr_quiet();
	if (!print(tail, &out, &rq, files) && unknown && rq.lines != 0) {
		report_plain("no replica \"%s\", and no logs of one", unknown);
		code = CODE_UNKNOWN;
	}
	tail_free(tail);
	view_done(&out.view);
	return code;
}

static const struct option_spec options[] = {
	{'f', "follow", NULL, "go on with what is written next", NULL},
	{'n', "lines", "N", "start with the last N lines of each service (default all)", NULL},
	{'o', "output", "FORMAT", "table, wide, json, yaml, name, or raw: bytes as written",
	 OUTPUT_CHOICE "|raw"},
	{'t', "timestamps", NULL, "table: the time before each line", NULL},
	{0, "no-prefix", NULL, "table: no replica name before each line", NULL},
	{0},
};

const struct command cmd_logs_command = {
	.name = "logs",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Show what services write",
	.details =
		"Both streams of all replicas, past and present, in order of time. Replicas that\n"
		"come later are followed too. wide has the time and the stream before each line,\n"
		"json an object a line: service, replica, incarnation, stream, at, line; name\n"
		"only says which replicas wrote something.",
	.examples = "aictl logs -f sentiment\n"
		    "aictl logs -n 50 sentiment/0 tokenizer\n"
		    "aictl logs -o raw sentiment/0 > sentiment.log",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
