/*
 * cmd_daemon: aictl daemon, looks at the daemon, makes it read its manifests again, ends it, or
 * replaces it while the services run on.
 * info works in safe mode too.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/attach.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/halt.h"
#include "cli/handover.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/suggest.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define START_TIMEOUT_MS 30000

static void field(const char *label, const char *text)
{
	printf("%-12s %s\n", label, text);
}

/* "controller 4243 (restarted 2 times)"; 0: it does not run at the moment. */
static void helper(const cJSON *d, const char *name)
{
	_cleanup_free_ char *pid = x_printf("%s_pid", name), *many = x_printf("%s_restarts", name);
	long long restarts = js_int(d, many, 0);
	_cleanup_free_ char *times = text_count(restarts, "time");

	if (js_int(d, pid, 0))
		printf(", %s %lld", name, (long long)js_int(d, pid, 0));
	else
		printf(", no %s", name);
	if (restarts)
		printf(" (restarted %s)", times);
}

static void processes(const cJSON *d)
{
	const cJSON *one;

	printf("%-12s aictld %lld", "Processes", (long long)js_int(d, "pid", 0));
	helper(d, "controller");
	helper(d, "logger");
	if (js_int(d, "gateway_pid", 0) || js_int(d, "gateway_restarts", 0))
		helper(d, "gateway");
	if (js_int(d, "gateway_pid", 0) && js_int(d, "gateway_threads", 1) > 1)
		printf(" (%lld threads)", (long long)js_int(d, "gateway_threads", 1));
	cJSON_ArrayForEach (one, js_get(d, "runtimes"))
		if (js_int(one, "pid", 0))
			printf(", runtime %s %lld", js_str(one, "name", "?"),
			       (long long)js_int(one, "pid", 0));
	putchar('\n');
}

static void services(const cJSON *d)
{
	long long adopted = js_int(d, "adopted", 0), all = js_int(d, "replicas", 0);
	long long running = js_int(d, "running", all);
	_cleanup_free_ char *replicas = text_count(all, "replica");

	printf("%-12s %lld, %s", "Services", (long long)js_int(d, "services", 0), replicas);
	if (running < all)
		printf(", %lld of them running", running);
	if (adopted)
		printf(" (%lld taken over from the aictld before)", adopted);
	putchar('\n');
}

/* What the kernel does for replicas here: `aictl doctor` says what follows from it. */
static void cgroups(const cJSON *c)
{
	const char *dir = js_str(c, "dir", NULL);
	const cJSON *word;
	unsigned limits = 0;

	if (!c)
		return;
	if (!dir) {
		field("Cgroups", "none: no limits, no freezing (see aictl doctor)");
		return;
	}
	printf("%-12s %s: tracking, freezing, ", "Cgroups", dir);
	cJSON_ArrayForEach (word, js_get(c, "can")) {
		if (cJSON_IsString(word) && strcmp(word->valuestring, "track") != 0)
			printf("%s%s", limits++ ? ", " : "limits (", word->valuestring);
	}
	puts(limits ? ")" : "no limits (see aictl doctor)");
}

/* "docker: Docker Engine 26.1.4, API 1.45", "docker: unreachable for 2m: Connection refused" */
static void runtime(const cJSON *r, const char *label)
{
	_cleanup_free_ char *age = text_age(r, "since", clock_wall_ms());
	const char *name = js_str(r, "name", "?"), *error = js_str(r, "error", "no answer yet");

	if (js_bool(r, "reachable"))
		printf("%-12s %s: %s\n", label, name, js_str(r, "engine", "the engine answers"));
	else
		printf("%-12s %s: %s for %s: %s\n", label, name, js_str(r, "state", "unreachable"),
		       age, error);
}

static void runtimes(const cJSON *d)
{
	const char *label = "Runtimes";
	const cJSON *r;

	cJSON_ArrayForEach (r, js_get(d, "runtimes")) {
		runtime(r, label);
		label = "";
	}
}

static void store(const cJSON *s)
{
	if (!s)
		return;
	printf("%-12s %s, %lld writes queued, %lld dropped\n", "Store",
	       js_bool(s, "ok") ? "ok" : "failing", (long long)js_int(s, "queued", 0),
	       (long long)js_int(s, "dropped", 0));
}

static void logs(const cJSON *d)
{
	_cleanup_free_ char *total = text_bytes(js_int(d, "log_max_total", 0));
	_cleanup_free_ char *keep = text_bytes(js_int(d, "log_keep_free", 0));

	printf("%-12s %s", "Logs", js_str(d, "log_dir", "-"));
	if (js_int(d, "log_max_total", 0))
		printf(", at most %s", total);
	if (js_int(d, "log_keep_free", 0))
		printf(", %s of the disk stay free", keep);
	putchar('\n');
}

static void page(const struct output *out, const cJSON *d)
{
	const struct cli *cli = out->cli;
	const char *mode = js_str(d, "mode", "?");
	char human[32];

	field("Version", js_str(d, "version", "?"));
	printf("%-12s %s%s%s\n", "Mode",
	       term_paint(&cli->term, strcmp(mode, "normal") == 0 ? TERM_GREEN : TERM_YELLOW), mode,
	       term_paint(&cli->term, TERM_RESET));
	field("Uptime", clock_human(js_int(d, "uptime_s", 0) * 1000, human, sizeof(human)));
	processes(d);
	services(d);
	cgroups(js_get(d, "cgroup"));
	runtimes(d);
	store(js_get(d, "store"));
	field("Log level", js_str(d, "log_level", "?"));
	field("Your role", js_str(d, "role", "?"));
	field("Socket", js_str(d, "socket", "?"));
	field("Runtime", js_str(d, "runtime_dir", "-"));
	field("State", js_str(d, "state_dir", "-"));
	logs(d);
	field("Manifests", js_str(d, "manifests", "-"));
}

static int info(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {.table = page, .id = "pid"};
	_cleanup_client_ struct client *client = NULL;
	_cleanup_reply_ struct reply r = {0};
	struct output out;

	output_begin(&out, cli, args);
	client = client_open(cli);
	client_get(client, "/v1/daemon", &r);
	x_check(cJSON_AddStringToObject(r.json, "socket", client_socket(client)));
	output_json(&out, &view, r.json);
	return CODE_OK;
}

static int reload(struct cli *cli, const struct args *args)
{
	_cleanup_client_ struct client *client = client_open(cli);
	_cleanup_reply_ struct reply d = {0}, r = {0};

	(void)args;
	client_get(client, "/v1/daemon", &d);
	client_post(client, "/v1/daemon/reload", NULL, &r);
	if (strcmp(js_str(d.json, "mode", ""), "normal") == 0 && !js_str(d.json, "manifests", NULL))
		report_warning("the daemon has no manifest directory, so nothing was applied");
	return CODE_OK;
}

static int stop(struct cli *cli, const struct args *args)
{
	int64_t timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS);
	_cleanup_client_ struct client *client = client_open(cli);

	return halt_daemon(client, args_flag(args, "no-wait") ? 0 : timeout_ms);
}

static int detach(struct cli *cli, const struct args *args)
{
	int64_t timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS);
	_cleanup_client_ struct client *client = client_open(cli);

	return handover_detach(client, timeout_ms);
}

static int attach(struct cli *cli, const struct args *args)
{
	return attach_run(cli, args->operands + 1, args->n_operands - 1,
			  args_duration(args, "timeout", START_TIMEOUT_MS));
}

static int reexec(struct cli *cli, const struct args *args)
{
	int64_t timeout_ms = args_duration(args, "timeout", START_TIMEOUT_MS);
	_cleanup_client_ struct client *client = client_open(cli);

	return handover_reexec(client, timeout_ms);
}

static void level_line(const struct output *out, const cJSON *d)
{
	(void)out;
	puts(js_str(d, "level", "?"));
}

static void show_level(struct cli *cli, const struct args *args, const char *level)
{
	static const struct output_view view = {.table = level_line, .id = "level"};
	_cleanup_js_ cJSON *o = x_check(cJSON_CreateObject());
	struct output out;

	x_check(cJSON_AddStringToObject(o, "level", level));
	output_begin(&out, cli, args);
	output_json(&out, &view, o);
}

/* Without a level: shows it. */
static int log_level(struct cli *cli, const struct args *args)
{
	const char *level = args->n_operands > 1 ? args->operands[1] : NULL;
	_cleanup_client_ struct client *client = NULL;
	_cleanup_reply_ struct reply r = {0};
	_cleanup_free_ char *body = NULL;

	if (level && log_parse_level(level) < 0)
		report_usage(args->command,
			     "daemon log-level %s: expected error, warn, info or debug", level);
	client = client_open(cli);
	if (!level) {
		client_get(client, "/v1/daemon", &r);
		show_level(cli, args, js_str(r.json, "log_level", "?"));
		return CODE_OK;
	}
	body = x_printf("{\"level\":\"%s\"}", level);
	client_post(client, "/v1/daemon/log-level", body, &r);
	return CODE_OK;
}

static const struct {
	const char *name;
	unsigned operands_max; /* besides the name */
	int (*run)(struct cli *cli, const struct args *args);
} verbs[] = {{"info", 0, info},		 {"reload", 0, reload}, {"stop", 0, stop},
	     {"detach", 0, detach},	 {"reexec", 0, reexec}, {"attach", ARGS_MANY, attach},
	     {"log-level", 1, log_level}};

static int run(struct cli *cli, const struct args *args)
{
	struct suggest s = {.wanted = args->operands[0]};

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, args->operands[0]) == 0) {
			if (args->n_operands > 1 + verbs[i].operands_max)
				report_usage(args->command, "daemon %s: unexpected argument \"%s\"",
					     verbs[i].name, args->operands[args->n_operands - 1]);
			return verbs[i].run(cli, args);
		}
		suggest_offer(&s, verbs[i].name);
	}
	report_plain("daemon: unknown command \"%s\"", args->operands[0]);
	if (s.best)
		report_hint("did you mean \"%s\"?", s.best);
	else
		report_hint("expected info, reload, stop, detach, attach, reexec or log-level");
	return CODE_USAGE;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0, "no-wait", NULL, "stop: return at once", NULL},
	{0, "timeout", "TIME",
	 "wait at most so long (default 10m; attach, reexec 30s); exit code 5", NULL},
	{0},
};

const struct command cmd_daemon_command = {
	.name = "daemon",
	.group = GROUP_OTHER,
	.synopsis = "info|reload|stop|detach|attach|reexec|log-level [LEVEL]",
	.summary = "Look at the daemon; reload, stop or replace it",
	.details =
		"info       version, mode, processes, directories\n"
		"reload     apply its manifest directory again; leave safe mode\n"
		"stop       stop all services, then the daemon; waits for its end\n"
		"detach     end the daemon and leave all services running\n"
		"attach     start it again where it was detached or killed: it takes over what\n"
		"           runs. It starts as the last one did; options of aictld behind -- go\n"
		"           over that\n"
		"reexec     become the installed program, in place: same process, services\n"
		"           untouched. One that could not take over is refused before anything\n"
		"           changes\n"
		"log-level  show or set what its own log holds: error, warn, info, debug;\n"
		"           until the daemon ends, for its helpers too",
	.examples = "aictl daemon info\n"
		    "aictl daemon log-level debug\n"
		    "aictl daemon stop --timeout 1m\n"
		    "aictl daemon attach -- --log-level debug",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
