/*
 * aictl-controller: the brain (DESIGN.md 2): manifests, plan, probes, API, store. Started by aictld
 * with the socket to it as descriptor 3; exits when that reports its end. It holds nothing that
 * must outlive it: killed at any moment, the next one rebuilds everything from the store and from
 * aictld's inventory.
 *
 * SPDX-License-Identifier: MIT
 */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/brain.h"
#include "daemon/controller/controller.h"
#include "daemon/wire/wire.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"
#include "lib/version.h"

static int run(const struct controller_opts *opts, struct err **reterr)
{
	struct controller *c = mem_alloc(sizeof(*c));
	uv_loop_t *loop = mem_alloc(sizeof(*loop));
	int r;

	if (!c || !loop || uv_loop_init(loop) < 0) {
		mem_free(c);
		mem_free(loop);
		return err_nomem(reterr);
	}
	r = brain_begin(c, loop, opts, WIRE_HELPER_FD, reterr);
	if (r == 0)
		uv_run(loop, UV_RUN_DEFAULT);
	brain_close(c);
	uv_run(loop, UV_RUN_NOWAIT); /* close callbacks: requests under way let go */
	controller_done(c);
	uv_run(loop, UV_RUN_NOWAIT);	/* and what those closed */
	if (uv_loop_close(loop) == 0) { /* else a worker still runs: the process ends now */
		mem_free(loop);
		mem_free(c);
	}
	return r;
}

enum {
	OPT_RUNTIME_DIR = 256,
	OPT_STATE_DIR,
	OPT_LOG_DIR,
	OPT_MANIFESTS,
	OPT_DEFAULT_USER,
	OPT_PORT_RANGE,
	OPT_METRICS,
	OPT_INHERIT_ENV,
	OPT_LOG_LEVEL,
	OPT_LOG_TOTAL,
	OPT_LOG_FREE,
	OPT_PLUGIN_DIR
};

static const struct option options[] = {{"runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR},
					{"state-dir", required_argument, NULL, OPT_STATE_DIR},
					{"log-dir", required_argument, NULL, OPT_LOG_DIR},
					{"manifests", required_argument, NULL, OPT_MANIFESTS},
					{"default-user", required_argument, NULL, OPT_DEFAULT_USER},
					{"port-range", required_argument, NULL, OPT_PORT_RANGE},
					{"metrics", required_argument, NULL, OPT_METRICS},
					{"inherit-env", no_argument, NULL, OPT_INHERIT_ENV},
					{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
					{"log-max-total", required_argument, NULL, OPT_LOG_TOTAL},
					{"log-keep-free", required_argument, NULL, OPT_LOG_FREE},
					{"plugin-dir", required_argument, NULL, OPT_PLUGIN_DIR},
					{NULL, 0, NULL, 0}};

static int parse_range(char *text, struct controller_opts *o)
{
	char *dash = strchr(text, '-');
	int64_t first, last;

	if (!dash)
		return -1;
	*dash = '\0';
	if (parse_i64(text, 1, 65535, &first, NULL) < 0 ||
	    parse_i64(dash + 1, first, 65535, &last, NULL) < 0)
		return -1;
	o->port_first = (unsigned)first;
	o->port_last = (unsigned)last;
	return 0;
}

/* aictld has checked everything: a wrong option here is our own mistake. */
static int parse_options(int argc, char **argv, struct controller_opts *o)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case OPT_RUNTIME_DIR:
			o->runtime_dir = optarg;
			break;
		case OPT_STATE_DIR:
			o->state_dir = optarg;
			break;
		case OPT_LOG_DIR:
			o->log_dir = optarg;
			break;
		case OPT_MANIFESTS:
			o->manifests = optarg;
			break;
		case OPT_PLUGIN_DIR:
			o->plugin_dir = optarg;
			break;
		case OPT_DEFAULT_USER:
			o->default_user = optarg;
			break;
		case OPT_PORT_RANGE:
			if (parse_range(optarg, o) < 0)
				return -1;
			break;
		case OPT_METRICS:
			o->metrics = optarg;
			break;
		case OPT_LOG_TOTAL:
			if (parse_size(optarg, 1, INT64_MAX, &o->log_max_total, NULL) < 0)
				return -1;
			break;
		case OPT_LOG_FREE:
			if (parse_size(optarg, 1, INT64_MAX, &o->log_keep_free, NULL) < 0)
				return -1;
			break;
		case OPT_INHERIT_ENV:
			o->inherit_env = true;
			break;
		case OPT_LOG_LEVEL:
			if (log_parse_level(optarg) < 0)
				return -1;
			log_set_level((enum log_level)log_parse_level(optarg));
			break;
		default:
			return -1;
		}
	}
	return o->runtime_dir && o->state_dir && o->log_dir ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct controller_opts opts = {.port_first = 20000, .port_last = 29999};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	_cleanup_err_ struct err *err = NULL;
	int r;

	log_open("aictl-controller", STDERR_FILENO, LOG_LVL_INFO);
	if (point_list(argc, argv))
		return 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("aictl-controller %s\n", version_text);
		return 0;
	}
	if (parse_options(argc, argv, &opts) < 0) {
		fprintf(stderr, "aictl-controller is started by aictld: see aictld(8)\n");
		return 2;
	}
	sigaction(SIGPIPE, &ignore, NULL);
	umask(077);
	mallopt(M_ARENA_MAX, 1); /* other threads allocate little: not worth a heap of their own */
	log_hold();		 /* a restart goes out before the lines about it */
	r = run(&opts, &err);
	if (r < 0)
		log_error("%s", err_msg(err));
	log_flush();
	return r < 0;
}
