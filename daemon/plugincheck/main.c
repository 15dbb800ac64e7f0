/*
 * aictl-plugin-check: drives one plugin without a daemon (check.h).
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/plugincheck/ask.h"
#include "daemon/plugincheck/check.h"
#include "daemon/plugincheck/job.h"
#include "daemon/plugincheck/report.h"
#include "daemon/plugincheck/script.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/version.h"

struct options {
	const char *file, *name, *config, *instance, *script;
	bool query;
};

static int usage(FILE *to)
{
	fputs("usage: aictl-plugin-check [--query] [--config TEXT] [--name NAME] [--instance ID]\n"
	      "                          [--script FILE] PLUGIN.so\n"
	      "Loads a plugin of aictl and does with it what the script says (default: stdin). All that\n"
	      "happens is printed, a JSON object per line.\n"
	      "  --query          only say what it is\n"
	      "  --config TEXT    what the administrator would write after NAME=\n"
	      "  --name NAME      what the runtime is called (default: as the plugin)\n"
	      "  --instance ID    value of the label " AICTL_LABEL_INSTANCE " (default: check)\n\n",
	      to);
	fputs(script_help, to);
	fputs("\nExit status: 0, 1 a wait in vain or a wrong line, 2 usage, 3 it could not be loaded or\n"
	      "opened, 4 it broke a rule of the interface.\n",
	      to);
	return to == stdout ? 0 : CHECK_USAGE;
}

/* -1 = go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {{"query", no_argument, NULL, 'q'},
					      {"config", required_argument, NULL, 'c'},
					      {"name", required_argument, NULL, 'n'},
					      {"instance", required_argument, NULL, 'i'},
					      {"script", required_argument, NULL, 's'},
					      {"version", no_argument, NULL, 'V'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'q':
			o->query = true;
			break;
		case 'c':
			o->config = optarg;
			break;
		case 'n':
			o->name = optarg;
			break;
		case 'i':
			o->instance = optarg;
			break;
		case 's':
			o->script = optarg;
			break;
		case 'V':
			printf("aictl-plugin-check %s\n", version_text);
			return 0;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (argc - optind != 1)
		return usage(stderr);
	o->file = argv[optind];
	return -1;
}

/* ---- what the plugin tells ---- */

static void on_unit(void *user, const struct aictl_unit_state *s)
{
	struct check *c = user;
	struct check_unit *u = NULL;

	report_state(c, "unit", 0, s);
	for (size_t i = 0; i < c->n_units && !u; i++) {
		if (strcmp(c->units[i].name, s->unit) == 0)
			u = &c->units[i];
	}
	if (!u && mem_grow(&c->units, &c->cap_units, c->n_units + 1, sizeof(*u)) == 0) {
		char *name = mem_strdup(s->unit);

		if (name) {
			u = &c->units[c->n_units++];
			u->name = name;
		}
	}
	if (u)
		u->phase = s->phase;
	script_go_on(c);
}

static void on_engine(void *user, const struct aictl_engine_state *s)
{
	struct check *c = user;

	report_engine(c, s);
	c->engine = s->reachable ? 1 : 0;
	script_go_on(c);
}

static void on_log(void *user, int level, const char *text)
{
	static const char *const levels[] = {"error", "warning", "info", "debug"};
	struct report r = report_begin(user, "log");

	jsonw_string(&r.w, "level", levels[level]);
	jsonw_string(&r.w, "text", text);
	report_end(&r);
}

static void on_fault(void *user, const char *text)
{
	struct check *c = user;

	report_text(c, "fault", text);
	c->status = CHECK_FAULTS;
}

static int open_plugin(struct check *c, const struct options *o)
{
	_cleanup_err_ struct err *err = NULL;
	struct aictl_open with = {.struct_size = sizeof(with),
				  .name = o->name ? o->name : c->loader.plugin->name,
				  .config = o->config,
				  .instance = o->instance};

	host_init(&c->host, &c->loop, c->loader.plugin);
	c->host.events = (struct host_events){.user = c,
					      .unit_state = on_unit,
					      .engine_state = on_engine,
					      .log = on_log,
					      .fault = on_fault};
	if (host_open(&c->host, &with, &err) < 0) {
		report_text(c, "error", err_msg(err));
		return CHECK_NOT_LOADED;
	}
	report_plain(c, "opened");
	return 0;
}

static int follow_script(struct check *c, const struct options *o)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (o->script) {
		fd = open(o->script, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			fprintf(stderr, "aictl-plugin-check: %s: %s\n", o->script, strerror(errno));
			return CHECK_USAGE;
		}
	}
	r = script_begin(c, fd >= 0 ? fd : STDIN_FILENO);
	if (r == 0)
		r = loop_run(&c->loop);
	if (r < 0) {
		fprintf(stderr, "aictl-plugin-check: %s\n", strerror(-r));
		return CHECK_SCRIPT_FAILED;
	}
	return c->status;
}

static int run(struct check *c, const struct options *o)
{
	_cleanup_err_ struct err *err = NULL;
	int status;

	if (loader_open_file(&c->loader, o->file, &err) < 0) {
		report_text(c, "error", err_msg(err));
		return CHECK_NOT_LOADED;
	}
	report_plugin(c);
	if (o->query)
		return 0;
	status = open_plugin(c, o);
	if (status == 0)
		status = follow_script(c, o);
	host_done(&c->host);
	job_free_all(c);
	script_done(c);
	return status != CHECK_FINE ? status : c->status;
}

int main(int argc, char **argv)
{
	struct options o = {.config = "", .instance = "check"};
	struct sigaction sa = {.sa_handler = SIG_IGN};
	struct check *c;
	int status = parse_options(argc, argv, &o);

	if (status >= 0)
		return status;
	sigaction(SIGPIPE, &sa, NULL);
	c = mem_alloc(sizeof(*c));
	if (!c || loop_init(&c->loop) < 0)
		return CHECK_SCRIPT_FAILED;
	c->loader.fd = -1;
	c->engine = -1;
	c->instance = o.instance;
	script_init(c);
	status = run(c, &o);
	for (size_t i = 0; i < c->n_units; i++)
		mem_free(c->units[i].name);
	mem_free(c->units);
	buf_done(&c->out);
	loader_close(&c->loader);
	loop_done(&c->loop);
	mem_free(c);
	return status;
}
