/*
 * cmd_logs: aictl logs. The files are read here when the daemon's log directory is open to us
 * (root, the group aictl, a daemon of our own), so a busy or dead controller does not matter, and
 * neither does it when nothing of ours runs at all; else GET /v1/logs.
 *
 * SPDX-License-Identifier: MIT
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/client_find.h"
#include "cli/cmd.h"
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/log_exits.h"
#include "cli/log_out.h"
#include "cli/log_stream.h"
#include "cli/log_where.h"
#include "cli/logs_files.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/since.h"
#include "cli/tail.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/loggrep.h"
#include "lib/logview.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"

#define LINES_MAX 1000000
#define PATIENCE_MS 5000 /* with the daemon, since there are the files */
#define FILES_MAX 256	 /* replicas with open files, of all services together */

/* A service, or one replica of it. */
struct wanted {
	char *service;
	int replica; /* -1 = all */
	bool gone;   /* the daemon does not know it (any more) */
};

struct request {
	const struct args *args;
	struct logview_opts opts; /* but for service and replica */
	const char *grep;	  /* its filter's pattern, or NULL */
	struct client *client;	  /* NULL: no daemon answers */
	char *log_dir;
	bool files; /* they are read, not the API */
	struct wanted *v;
	size_t n, cap;
	const char *unknown;	   /* an operand: a replica that is not there now */
	struct log_exits exits;	   /* previous: who gave lines */
	struct logview_runs *runs; /* of one service */
	size_t n_runs, cap_runs;
};

static void want(struct request *rq, const char *service, int replica)
{
	x_grow(&rq->v, &rq->cap, rq->n + 1, sizeof(*rq->v));
	rq->v[rq->n++] = (struct wanted){.service = x_strdup(service), .replica = replica};
}

static bool is_wanted(const struct request *rq, const char *service)
{
	for (size_t i = 0; i < rq->n; i++)
		if (strcmp(rq->v[i].service, service) == 0)
			return true;
	return false;
}

static void request_done(struct request *rq)
{
	for (size_t i = 0; i < rq->n; i++)
		mem_free(rq->v[i].service);
	mem_free(rq->v);
	mem_free(rq->runs);
	log_exits_done(&rq->exits);
	mem_free(rq->log_dir);
	loggrep_free(rq->opts.filter_user);
	client_free(rq->client);
}

/* ---- where they are ---- */

static bool is_open_to_us(const char *dir)
{
	return access(dir, R_OK | X_OK) == 0;
}

static void use_directory(struct request *rq, const char *dir)
{
	struct stat st;
	int e = ENOTDIR;

	rq->log_dir = x_strdup(dir);
	rq->files = true;
	if (stat(dir, &st) < 0 || S_ISDIR(st.st_mode)) {
		if (is_open_to_us(dir))
			return;
		e = errno;
	}
	report_plain("%s: %s", dir, strerror(e));
	exit(e == EACCES ? CODE_NOT_PERMITTED : CODE_UNKNOWN);
}

/* Asks the daemon; false: it does not answer, *e says why unless there is none. */
static bool ask_daemon(struct cli *cli, struct request *rq, struct err **e)
{
	const struct client_request ask = {.method = "GET", .path = "/v1/daemon"};
	_cleanup_free_ char *socket = client_find_try(cli);
	_cleanup_reply_ struct reply reply = {0};

	if (!socket)
		return false;
	rq->client = client_new(socket);
	client_set_patience(rq->client, PATIENCE_MS);
	if (client_call(rq->client, &ask, &reply, e) < 0 || reply.status >= 500) {
		rq->client = client_free(rq->client);
		return false;
	}
	client_check(&reply);
	rq->log_dir = x_strdup(js_str(reply.json, "log_dir", ""));
	rq->files = is_open_to_us(rq->log_dir);
	return true;
}

static void find_logs(struct cli *cli, struct request *rq)
{
	const char *dir = args_value(rq->args, "log-dir", NULL);
	_cleanup_err_ struct err *e = NULL;

	if (dir) {
		use_directory(rq, dir);
		return;
	}
	if (ask_daemon(cli, rq, &e))
		return;
	rq->log_dir = log_where_find(cli);
	if (!rq->log_dir && e)
		report_die(e);
	if (!rq->log_dir) {
		client_free(client_open(cli)); /* mostly says where it looked, and exits */
		report_plain("the daemon does not answer, and there are no log files to be read");
		exit(CODE_UNREACHABLE);
	}
	rq->files = true;
	report_warning("no daemon answers; these are the log files in %s", rq->log_dir);
}

/* ---- of whom ---- */

/* SERVICE or SERVICE/N; *replica -1 = all. */
static void parse_operand(const struct args *args, const char *operand, char *service, int *replica)
{
	_cleanup_err_ struct err *e = NULL;

	if (parse_replica_id(operand, service, replica, &e) < 0)
		report_usage(args->command, "%s", err_msg(e));
}

static bool has_files(const struct request *rq, const char *service)
{
	_cleanup_free_ char *dir = x_printf("%s/%s", rq->log_dir, service);

	return is_open_to_us(dir);
}

/* The incarnation of a replica's last end but this; "" when the daemon does not remember one. */
static const char *previous_of(const cJSON *service, uint32_t index, const char *present)
{
	const cJSON *x, *list = js_get(service, "exits");

	for (int i = cJSON_GetArraySize(list); i-- > 0;) {
		x = cJSON_GetArrayItem(list, i);
		if (js_int(x, "replica", -1) == index &&
		    strcmp(js_str(x, "incarnation", ""), present) != 0)
			return js_str(x, "incarnation", "");
	}
	return "";
}

/* Which runs of its replicas are the present ones, and which those before. */
static void ask_runs(struct request *rq, const char *service)
{
	_cleanup_free_ char *name = client_escape(service),
			    *path = x_printf("/v1/services/%s", name);
	_cleanup_reply_ struct reply reply = {0};
	const cJSON *r;

	rq->n_runs = 0;
	if (client_send(rq->client, "GET", path, NULL, &reply) == 404)
		return;
	client_check(&reply);
	cJSON_ArrayForEach (r, js_get(reply.json, "replicas")) {
		const char *present = js_str(r, "incarnation", "");
		struct logview_runs runs = {.index = (uint32_t)js_int(r, "index", 0)};

		snprintf(runs.present, sizeof(runs.present), "%s", present);
		snprintf(runs.previous, sizeof(runs.previous), "%s",
			 previous_of(reply.json, runs.index, present));
		x_grow(&rq->runs, &rq->cap_runs, rq->n_runs + 1, sizeof(runs));
		rq->runs[rq->n_runs++] = runs;
	}
}

/* Of a service that it does not know the daemon may have files that we may not read. */
static bool has_stream(const struct request *rq, const char *service)
{
	_cleanup_free_ char *name = client_escape(service),
			    *path = x_printf("/v1/logs?service=%s&n=0", name);
	_cleanup_client_ struct client *client = client_new(client_socket(rq->client));
	_cleanup_err_ struct err *e = NULL;

	return !rq->files && client_stream_begin(client, path, &e) == 0;
}

/* What the daemon knows of a service. Unknown ones end here with 4, but for a deleted one whose
 * files are there. */
static void ask_about(struct request *rq, const char *service, struct reply *reply)
{
	_cleanup_free_ char *path = client_path_services("/v1/services", &service, 1);

	if (client_send(rq->client, "GET", path, NULL, reply) != 404 ||
	    !(has_files(rq, service) || has_stream(rq, service)))
		client_check(reply);
}

/* Each line once, also of what is named twice: "chat/0 chat" is all of chat. */
static void want_once(struct request *rq, const char *service, int replica)
{
	size_t out = 0;

	for (size_t i = 0; i < rq->n; i++)
		if (strcmp(rq->v[i].service, service) == 0 &&
		    (rq->v[i].replica < 0 || rq->v[i].replica == replica))
			return;
	for (size_t i = 0; i < rq->n; i++) {
		if (replica < 0 && strcmp(rq->v[i].service, service) == 0)
			mem_free(rq->v[i].service);
		else
			rq->v[out++] = rq->v[i];
	}
	rq->n = out;
	want(rq, service, replica);
}

static void check_operand(struct request *rq, const char *operand)
{
	char service[MANIFEST_NAME_MAX + 1];
	_cleanup_reply_ struct reply reply = {0};
	int replica;

	parse_operand(rq->args, operand, service, &replica);
	want_once(rq, service, replica);
	if (rq->client) {
		ask_about(rq, service, &reply);
		if (replica >= 0 && !js_has_replica(reply.json, operand))
			rq->unknown = operand;
	} else if (!has_files(rq, service)) {
		report_plain("no logs of a service \"%s\" in %s", service, rq->log_dir);
		exit(CODE_UNKNOWN);
	}
}

/* Services that the log directory has and the request has not. How many. */
static size_t want_directories(struct request *rq)
{
	DIR *d = opendir(rq->log_dir);
	size_t before = rq->n;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		_cleanup_free_ char *dir = x_printf("%s/%s", rq->log_dir, e->d_name);
		struct stat st;

		if (!schema_is_label(e->d_name) ||
		    is_wanted(rq, e->d_name)) /* "_gateway" is none */
			continue;
		if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && is_open_to_us(dir))
			want(rq, e->d_name, -1);
	}
	if (d)
		closedir(d);
	return rq->n - before;
}

static void want_all(struct request *rq)
{
	_cleanup_reply_ struct reply reply = {0};
	const cJSON *s;

	if (!rq->client) {
		want_directories(rq);
		return;
	}
	client_get(rq->client, "/v1/services", &reply);
	cJSON_ArrayForEach (s, js_get(reply.json, "services"))
		want(rq, js_str(s, "name", "?"), -1);
	if (!rq->files || !rq->opts.follow)
		return;
	for (size_t n = want_directories(rq); n > 0; n--) /* deleted ones, which may come back */
		rq->v[rq->n - n].gone = true;
}

/* ---- reading ---- */

static int add_files(struct tail *tail, struct request *rq, const struct wanted *w, int64_t lines,
		     struct err **reterr)
{
	struct logview_opts opts = rq->opts;

	opts.log_dir = rq->log_dir;
	opts.service = w->service;
	opts.index = w->replica;
	opts.tail = lines;
	opts.files_max = (unsigned)(FILES_MAX / rq->n < 4 ? 4 : FILES_MAX / rq->n);
	if (opts.previous && rq->client) {
		ask_runs(rq, w->service);
		opts.runs = rq->runs;
		opts.n_runs = rq->n_runs;
	}
	return tail_add_files(tail, &opts, reterr);
}

static int add_stream(struct tail *tail, const struct request *rq, const struct wanted *w,
		      struct err **reterr)
{
	const struct logview_opts *o = &rq->opts;
	_cleanup_buf_ struct buf query = {0};
	char stamp[CLOCK_RFC3339_SIZE];

	buf_printf(&query, "service=%s", w->service);
	if (w->replica >= 0)
		buf_printf(&query, "&replica=%d", w->replica);
	if (o->until_ms)
		buf_printf(&query, "&until=%.19s.%03dZ", clock_rfc3339(o->until_ms, stamp),
			   (int)(o->until_ms % 1000));
	if (o->streams)
		buf_printf(&query, "&stream=%s", args_value(rq->args, "stream", ""));
	if (rq->grep) {
		_cleanup_free_ char *pattern = client_escape(rq->grep);

		buf_printf(&query, "&grep=%s%s", pattern,
			   args_flag(rq->args, "ignore-case") ? "&ignore_case=1" : "");
	}
	buf_str(&query, o->previous ? "&previous=1" : "");
	buf_str(&query, o->raw ? "&raw=1" : "");
	if (query.failed)
		x_check(NULL);
	return tail_add_stream(tail,
			       &(struct log_stream_opts){.socket = client_socket(rq->client),
							 .query = buf_cstr(&query),
							 .n = o->tail,
							 .since_ms = o->since_ms,
							 .follow = o->follow},
			       reterr);
}

static void open_sources(struct request *rq, struct tail *tail)
{
	for (size_t i = 0; i < rq->n; i++) {
		_cleanup_err_ struct err *e = NULL;
		const struct wanted *w = &rq->v[i];

		if ((rq->files ? add_files(tail, rq, w, w->gone ? 0 : rq->opts.tail, &e)
			       : add_stream(tail, rq, w, &e)) < 0)
			report_die(e);
	}
}

/* Following all services: those that came since, from their first line on. */
static void open_new(struct request *rq, struct tail *tail)
{
	size_t n = want_directories(rq);

	while (n > 0) {
		_cleanup_err_ struct err *e = NULL;
		const struct wanted *w = &rq->v[rq->n - n--];

		if (add_files(tail, rq, w, -1, &e) < 0)
			report_warning("logs of %s: %s", w->service, err_msg(e));
	}
}

static void wait_more(const struct tail *tail)
{
	struct pollfd p[2] = {{.fd = tail_fd(tail), .events = POLLIN},
			      {.fd = STDOUT_FILENO, .events = 0}};

	fflush(stdout);
	if (poll(p, 2, tail_look_ms(tail)) > 0 && (p[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
		output_end_of_reader();
}

/* Nothing more can come that is old enough; what came at the last moment is stored by then. */
static bool is_past_until(const struct request *rq)
{
	return rq->opts.until_ms && clock_wall_ms() > rq->opts.until_ms + 2 * TAIL_LOOK_MS;
}

/* Whether there was a line. */
static bool print(struct tail *tail, struct log_out *out, struct request *rq)
{
	bool any = false, all = rq->args->n_operands == 0 && rq->files;
	struct tail_line line;

	for (;;) {
		for (; tail_next(tail, &line); any = true) {
			log_out_line(out, &line);
			if (rq->opts.previous)
				log_exits_saw(&rq->exits, &line);
		}
		log_out_flush(out);
		if ((rq->files && !rq->opts.follow) || is_past_until(rq) || output_is_broken())
			return any;
		if (tail_is_over(tail) && !(all && rq->opts.follow))
			return any;
		wait_more(tail);
		if (all)
			open_new(rq, tail);
	}
}

/* ---- the command ---- */

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

/* kubectl's -1 is all, too. */
static int64_t lines_in(const struct args *args, const char *name)
{
	const char *value = args_value(args, name, "all");

	if (strcmp(value, "all") == 0 || (strcmp(name, "tail") == 0 && strcmp(value, "-1") == 0))
		return -1;
	return args_number(args, name, 0, LINES_MAX, -1);
}

static int64_t lines_of(const struct args *args)
{
	int64_t tail = lines_in(args, "tail"), lines = lines_in(args, "lines");

	if (!args_flag(args, "tail"))
		return lines;
	if (args_flag(args, "lines") && lines != tail)
		report_usage(args->command, "--lines %s and --tail %s contradict each other",
			     args_value(args, "lines", ""), args_value(args, "tail", ""));
	return tail;
}

static uint32_t streams_of(const struct args *args)
{
	const char *name = args_value(args, "stream", NULL);

	for (uint32_t i = LOGIDX_STDOUT; name && i <= LOGIDX_NOTE; i++)
		if (strcmp(logidx_stream_name(i), name) == 0)
			return 1U << i;
	return 0;
}

static void add_pattern(const struct args *args, const char *pattern, struct logview_opts *o)
{
	_cleanup_err_ struct err *e = NULL;
	struct loggrep *g;

	if (!pattern)
		return;
	if (loggrep_new(pattern, args_flag(args, "ignore-case"), &g, &e) < 0)
		report_usage(args->command, "--grep: %s", err_msg(e));
	o->filter = loggrep_filter;
	o->filter_user = g;
}

static struct logview_opts opts_of(const struct args *args)
{
	int64_t now = clock_wall_ms();
	struct logview_opts o = {.tail = lines_of(args),
				 .since_ms = since_option_named(args, "since", now),
				 .until_ms = since_option_named(args, "until", now),
				 .streams = streams_of(args),
				 .previous = args_flag(args, "previous") || args_flag(args, "prev"),
				 .follow = args_flag(args, "follow"),
				 .raw = strcmp(args_value(args, "output", "text"), "raw") == 0};

	add_pattern(args, args_value(args, "grep", NULL), &o);
	if (o.previous && o.follow)
		report_usage(args->command,
			     "--previous with --follow: a former run writes no more");
	if (o.since_ms && o.until_ms && o.since_ms > o.until_ms)
		report_usage(args->command, "--since is later than --until");
	return o;
}

/* So that the first lines stand where the later ones do. */
static void expect_names(const struct request *rq, struct view *view)
{
	for (size_t i = 0; i < rq->n; i++) {
		const struct wanted *w = &rq->v[i];
		_cleanup_free_ char *name =
			x_printf("%s/%d", w->service, w->replica < 0 ? 0 : w->replica);

		if (!w->gone)
			view_expect(view, name);
	}
}

/* Nothing was left out, and still there was nothing: perhaps it is the wrong directory. */
static void say_nothing_there(const struct request *rq)
{
	const struct logview_opts *o = &rq->opts;

	if (args_value(rq->args, "log-dir", NULL) && o->tail != 0 && !o->since_ms && !o->until_ms &&
	    !o->streams && !o->filter && !o->previous)
		report_warning("there are no log lines in %s", rq->log_dir);
}

/* Where files are gone; whether there was anything. */
static bool show_kept(struct request *rq, struct log_out *out, int *code)
{
	bool any = false;

	for (size_t i = 0; rq->opts.previous && rq->client && i < rq->n; i++) {
		struct logview_opts choose = rq->opts;
		_cleanup_err_ struct err *e = NULL;
		int r;

		ask_runs(rq, rq->v[i].service);
		choose.service = rq->v[i].service;
		choose.index = rq->v[i].replica;
		choose.runs = rq->runs;
		choose.n_runs = rq->n_runs;
		r = log_exits_show(&rq->exits, rq->client, out, &choose, &e);
		if (r < 0)
			*code = report_err(e);
		any |= r > 0;
	}
	return any;
}

static int show(struct cli *cli, struct request *rq)
{
	const struct args *args = rq->args;
	const char *name = args_value(args, "output", "text");
	bool wide = output_format_of(name) == OUTPUT_WIDE;
	struct log_out out = {.format = format_of(name),
			      .view = {.term = &cli->term,
				       .prefix = !args_flag(args, "no-prefix") &&
						 !args_flag(args, "no-log-prefix")},
			      .timestamps = wide || args_flag(args, "timestamps"),
			      .streams = wide,
			      .as_written = args_flag(args, "no-parse"),
			      .safe = isatty(STDOUT_FILENO),
			      .gather = true};
	struct tail *tail = tail_new();
	int code = CODE_OK;
	bool any;

	if (out.format == LOG_OUT_TEXT)
		expect_names(rq, &out.view);
	open_sources(rq, tail);
	intr_quiet();
	any = print(tail, &out, rq);
	any |= show_kept(rq, &out, &code);
	if (!any && rq->args->n_operands == 0)
		say_nothing_there(rq);
	if (!any && rq->unknown && rq->opts.tail != 0) {
		report_plain("no replica \"%s\", and no logs of one", rq->unknown);
		code = CODE_UNKNOWN;
	}
	if (code == CODE_OK && tail_has_failed(tail))
		code = CODE_FAILED;
	tail_free(tail);
	log_out_done(&out);
	return code;
}

static int run(struct cli *cli, const struct args *args)
{
	struct request rq = {.args = args};
	int code;

	if (logs_files_is_meant(args))
		return logs_files_run(cli, args);
	rq.opts = opts_of(args);
	rq.grep = args_value(args, "grep", NULL);
	find_logs(cli, &rq);
	for (size_t i = 0; i < args->n_operands; i++)
		check_operand(&rq, args->operands[i]);
	if (args->n_operands == 0)
		want_all(&rq);
	code = show(cli, &rq);
	request_done(&rq);
	return code;
}

static const struct option_spec options[] = {
	{'f', "follow", NULL, "go on with what is written next", NULL},
	{'n', "lines", "N", "start with the last N lines of each service (default all)", NULL},
	{0, "tail", "N", "the same as --lines, as docker and kubectl call it", NULL},
	{0, "since", "TIME", "only what is younger: 10m, or 2026-01-02T03:04:05Z", NULL},
	{0, "until", "TIME", "only what is older", NULL},
	{'g', "grep", "PATTERN", "only lines that match this regular expression (PCRE2)", NULL},
	{'i', "ignore-case", NULL, "--grep: upper and lower case are the same", NULL},
	{0, "stream", "STREAM", "only stdout, stderr, or aictl: notes of the logger",
	 "stdout|stderr|aictl"},
	{'p', "previous", NULL, "each replica's run before the present one", NULL},
	{0, "prev", NULL, "the same", NULL},
	{'o', "output", "FORMAT", "text, wide, json, yaml, name, or raw: bytes as written",
	 "text|" OUTPUT_CHOICE "|raw"},
	{'t', "timestamps", NULL, "text: the time before each line", NULL},
	{0, "no-prefix", NULL, "text: no replica name before each line", NULL},
	{0, "no-log-prefix", NULL, "the same, as docker calls it", NULL},
	{0, "no-parse", NULL, "text: JSON lines as they were written, no colour by level", NULL},
	{0, "log-dir", "DIR", "read these files; no daemon is asked", NULL},
	LOGS_FILES_OPTIONS,
	{0},
};

const struct command cmd_logs_command = {
	.name = "logs",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] [SERVICE[/N]...]",
	.summary = "Show what services write; rotate or prune its files",
	.details =
		"Both streams of all replicas, past and present, in order of time; without a\n"
		"name those of all services. Replicas that come later are followed too. wide\n"
		"has the time and the stream before each line, json an object a line: service,\n"
		"replica, incarnation, stream, at, line; name only says which replicas wrote\n"
		"something. Lines of the logger itself (about lost ones) have the stream aictl;\n"
		"one over 64 KiB is cut and marked, but for raw.\n\n"
		"A line's time is that of its first byte. A TIME without a zone is local time.\n\n"
		"Where you may read the files they are read, without any daemon: one that dies\n"
		"does not end --follow, and what a deleted service wrote is shown.\n\n"
		"logs rotate closes the files that are written to: the next line begins a new one.\n"
		"logs prune deletes closed files and says what that freed: without options those of\n"
		"replicas and services that are gone; with --older-than, --keep or --all those\n"
		"of which all that is given is true. What is open is never deleted. For a service\n"
		"of that name write rotate/N, or rotate and other services.",
	.examples = "aictl logs -f sentiment\n"
		    "aictl logs -n 50 sentiment/0 tokenizer\n"
		    "aictl logs --since 10m -t sentiment\n"
		    "aictl logs -g 'error|timeout' -i --stream stderr\n"
		    "aictl logs -p chat/0                 # why did it end?\n"
		    "aictl logs -o raw sentiment/0 > sentiment.log\n"
		    "aictl logs --log-dir /mnt/var/log/aictl\n"
		    "aictl logs prune --older-than 7d --dry-run",
	.options = options,
	.args_max = ARGS_MANY,
	.run = run,
};
