/* options: see options.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/sock.h"

enum {
	OPT_RUNTIME = 256,
	OPT_STATE,
	OPT_LOG,
	OPT_MANIFESTS,
	OPT_DEFAULT_USER,
	OPT_PORT_RANGE,
	OPT_METRICS,
	OPT_HELPER_RESTART,
	OPT_HELPER_DIR,
	OPT_ENGINE,
	OPT_PLUGIN_DIR,
	OPT_GATEWAY_THREADS,
	OPT_CGROUP,
	OPT_LOG_LEVEL,
	OPT_LOG_TOTAL,
	OPT_LOG_FREE,
	OPT_INHERIT_ENV,
	OPT_PARENT_FD,
	OPT_CHECK_STATE,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option table[] = {
	{"runtime-dir", required_argument, NULL, OPT_RUNTIME},
	{"state-dir", required_argument, NULL, OPT_STATE},
	{"log-dir", required_argument, NULL, OPT_LOG},
	{"manifests", required_argument, NULL, OPT_MANIFESTS},
	{"default-user", required_argument, NULL, OPT_DEFAULT_USER},
	{"port-range", required_argument, NULL, OPT_PORT_RANGE},
	{"metrics", required_argument, NULL, OPT_METRICS},
	{"helper-restart", required_argument, NULL, OPT_HELPER_RESTART},
	{"runtime", required_argument, NULL, OPT_ENGINE},
	{"plugin-dir", required_argument, NULL, OPT_PLUGIN_DIR},
	{"helper-dir", required_argument, NULL, OPT_HELPER_DIR},
	{"gateway-threads", required_argument, NULL, OPT_GATEWAY_THREADS},
	{"cgroup", required_argument, NULL, OPT_CGROUP},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"log-max-total", required_argument, NULL, OPT_LOG_TOTAL},
	{"log-keep-free", required_argument, NULL, OPT_LOG_FREE},
	{"inherit-env", no_argument, NULL, OPT_INHERIT_ENV},
	{"parent-fd", required_argument, NULL, OPT_PARENT_FD},
	{"check-state", no_argument, NULL, OPT_CHECK_STATE},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

const char *options_help(void)
{
	return "usage: aictld [OPTION...]\n"
	       "Keeps model services running. Control it with aictl.\n"
	       "\n"
	       "Directories (root / user):\n"
	       "  --runtime-dir DIR     socket and table [/run/aictl / $XDG_RUNTIME_DIR/aictl]\n"
	       "  --state-dir DIR       database [/var/lib/aictl / ~/.local/state/aictl]\n"
	       "  --log-dir DIR         what services write [/var/log/aictl / STATE-DIR/log]\n"
	       "  --manifests DIR       manifests applied at start and on SIGHUP\n"
	       "                        [/etc/aictl/services if it exists / none]\n"
	       "Services:\n"
	       "  --default-user NAME   user of services that name none (root only)\n"
	       "  --port-range A-B      ports given to replicas [20000-29999]\n"
	       "  --inherit-env         services start from aictld's own environment\n"
	       "  --cgroup auto|none|PATH\n"
	       "                        the cgroup below which services get their own [auto:\n"
	       "                        ours, where we may]\n"
	       "  --gateway-threads N   the stable ports are served by so many threads, each port\n"
	       "                        by one of them; 1 to 64 [1]\n"
	       "  --runtime NAME[=CONFIG]\n"
	       "                        containers by this runtime, such as docker or\n"
	       "                        docker=unix:///run/podman/podman.sock; may be repeated. Whoever\n"
	       "                        may start services is root on this machine then [none]\n"
	       "  --plugin-dir DIR      runtime modules [" PLUGINDIR "]\n"
	       "Logs of all services together, on each file system that holds some:\n"
	       "  --log-max-total SIZE  more than that is not kept: the oldest go [no limit]\n"
	       "  --log-keep-free SIZE  so much of the disk is left free [5 %, at most 256MiB]\n"
	       "aictld itself:\n"
	       "  --helper-restart INITIAL,MAX,LIMIT\n"
	       "                        back-off of a dying helper, and how many early deaths within a\n"
	       "                        minute lead to safe mode; LIMIT 0 = never [100ms,5s,5]\n"
	       "  --helper-dir DIR      where aictl-controller and aictl-logger are [beside aictld]\n"
	       "  --parent-fd N         stop everything when the pipe N reports end of file\n"
	       "  --log-level LEVEL     error, warn, info or debug [info]\n"
	       "  --metrics ADDRESS:PORT\n"
	       "                        serve /metrics there, for Prometheus [nowhere]\n"
	       "  --version, --help\n"
	       "\n"
	       "Signals: SIGTERM and SIGINT stop everything (a second one kills at once), SIGHUP\n"
	       "applies --manifests again and leaves safe mode.\n"
	       "Exit codes: 0 all stopped, 1 failed or something could not be stopped, 2 usage,\n"
	       "100 detached: the services run on.\n";
}

static int set_path(char **to, const char *value, struct err **reterr)
{
	_cleanup_free_ char *cwd = NULL;
	char *path;

	if (value[0] == '\0')
		return err_set(reterr, ERR_INVALID, "an empty directory name");
	if (value[0] != '/') {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return err_sys(reterr, errno, "cannot find the working directory");
	}
	path = fs_join(cwd ? cwd : "/", value);
	if (!path)
		return err_nomem(reterr);
	mem_free(*to);
	*to = path;
	return 0;
}

static int set_text(char **to, const char *value, struct err **reterr)
{
	char *copy = mem_strdup(value);

	if (!copy)
		return err_nomem(reterr);
	mem_free(*to);
	*to = copy;
	return 0;
}

static int set_ports(struct options *o, const char *value, struct err **reterr)
{
	_cleanup_free_ char *low = mem_strdup(value);
	char *high = low ? strchr(low, '-') : NULL;
	int64_t a, b;

	if (!low)
		return err_nomem(reterr);
	if (!high)
		return err_set(reterr, ERR_INVALID, "want A-B, such as 20000-29999");
	*high++ = '\0';
	if (parse_i64(low, 1, 65535, &a, reterr) < 0 || parse_i64(high, 1, 65535, &b, reterr) < 0)
		return -ERR_INVALID;
	if (a > b)
		return err_set(reterr, ERR_INVALID, "the first port is above the last");
	return set_text(&o->port_range, value, reterr);
}

static int set_metrics(struct options *o, const char *value, struct err **reterr)
{
	struct sockaddr_storage at;
	socklen_t len;

	if (!sock_parse_tcp(value, &at, &len))
		return err_set(reterr, ERR_INVALID, "want ADDRESS:PORT, such as 127.0.0.1:9145");
	return set_text(&o->metrics, value, reterr);
}

static int set_restart(struct options *o, const char *value, struct err **reterr)
{
	_cleanup_free_ char *initial = mem_strdup(value);
	char *max = initial ? strchr(initial, ',') : NULL;
	char *limit = max ? strchr(max + 1, ',') : NULL;
	int64_t n;

	if (!initial)
		return err_nomem(reterr);
	if (!max || !limit)
		return err_set(reterr, ERR_INVALID, "want INITIAL,MAX,LIMIT, such as 100ms,5s,5");
	*max++ = *limit++ = '\0';
	if (parse_duration_ms(initial, 1, 3600000, &o->restart_initial_ms, reterr) < 0 ||
	    parse_duration_ms(max, 1, 3600000, &o->restart_max_ms, reterr) < 0 ||
	    parse_i64(limit, 0, OPTIONS_RESTART_LIMIT_MAX, &n, reterr) < 0)
		return -ERR_INVALID;
	if (o->restart_initial_ms > o->restart_max_ms)
		return err_set(reterr, ERR_INVALID, "INITIAL is above MAX");
	o->restart_limit = (unsigned)n;
	return 0;
}

/* NAME[=CONFIG]; of the same name the last counts. */
static int set_engine(struct options *o, const char *value, struct err **reterr)
{
	const char *config = strchr(value, '=');
	size_t n = config ? (size_t)(config - value) : strlen(value);
	struct options_runtime *r = o->runtimes;

	if (n == 0 || n >= WIRE_RUNTIME_SIZE || value[0] == '-' ||
	    strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != n)
		return err_set(reterr, ERR_INVALID, "want NAME or NAME=CONFIG, such as docker");
	while (r < o->runtimes + o->n_runtimes &&
	       (strlen(r->name) != n || memcmp(r->name, value, n) != 0))
		r++;
	if (r == o->runtimes + OPTIONS_RUNTIMES_MAX)
		return err_set(reterr, ERR_INVALID, "more than %d runtimes", OPTIONS_RUNTIMES_MAX);
	if (r == o->runtimes + o->n_runtimes)
		o->n_runtimes++;
	memcpy(r->name, value, n);
	if (config)
		return set_text(&r->config, config + 1, reterr);
	mem_free(r->config);
	r->config = NULL;
	return 0;
}

/* The helpers read it again. */
static int set_size(char **to, const char *value, struct err **reterr)
{
	int64_t n;

	if (parse_size(value, OPTIONS_LOG_SIZE_MIN, INT64_MAX, &n, reterr) < 0)
		return -ERR_INVALID;
	return set_text(to, value, reterr);
}

static int set_cgroup(struct options *o, const char *value, struct err **reterr)
{
	if (strcmp(value, "auto") == 0) {
		mem_free(o->cgroup);
		o->cgroup = NULL;
		return 0;
	}
	if (strcmp(value, "none") != 0 && value[0] != '/')
		return err_set(reterr, ERR_INVALID, "want auto, none or an absolute path");
	return set_text(&o->cgroup, value, reterr);
}

static int set_threads(struct options *o, const char *value, struct err **reterr)
{
	int64_t n;

	if (parse_i64(value, 1, OPTIONS_GATEWAY_THREADS_MAX, &n, reterr) < 0)
		return -ERR_INVALID;
	o->gateway_threads = (unsigned)n;
	return 0;
}

static int set_parent_fd(struct options *o, const char *value, struct err **reterr)
{
	int64_t n;

	if (parse_i64(value, 3, INT_MAX, &n, reterr) < 0)
		return -ERR_INVALID;
	if (!o->check_state && fcntl((int)n, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(reterr, errno, "descriptor %d", (int)n);
	o->parent_fd = (int)n;
	return 0;
}

static int set_option(struct options *o, int opt, const char *value, struct err **reterr)
{
	int level;

	switch (opt) {
	case OPT_RUNTIME:
		return set_path(&o->paths.runtime_dir, value, reterr);
	case OPT_STATE:
		return set_path(&o->paths.state_dir, value, reterr);
	case OPT_LOG:
		return set_path(&o->paths.log_dir, value, reterr);
	case OPT_MANIFESTS:
		return set_path(&o->paths.manifests, value, reterr);
	case OPT_HELPER_DIR:
		return set_path(&o->helper_dir, value, reterr);
	case OPT_ENGINE:
		return set_engine(o, value, reterr);
	case OPT_PLUGIN_DIR:
		return set_path(&o->plugin_dir, value, reterr);
	case OPT_GATEWAY_THREADS:
		return set_threads(o, value, reterr);
	case OPT_CGROUP:
		return set_cgroup(o, value, reterr);
	case OPT_DEFAULT_USER:
		return set_text(&o->default_user, value, reterr);
	case OPT_PORT_RANGE:
		return set_ports(o, value, reterr);
	case OPT_METRICS:
		return set_metrics(o, value, reterr);
	case OPT_HELPER_RESTART:
		return set_restart(o, value, reterr);
	case OPT_PARENT_FD:
		return set_parent_fd(o, value, reterr);
	case OPT_LOG_TOTAL:
		return set_size(&o->log_max_total, value, reterr);
	case OPT_LOG_FREE:
		return set_size(&o->log_keep_free, value, reterr);
	case OPT_LOG_LEVEL:
		level = log_parse_level(value);
		if (level < 0)
			return err_set(reterr, ERR_INVALID, "want error, warn, info or debug");
		o->log_level = (enum log_level)level;
		return 0;
	case OPT_INHERIT_ENV:
		o->inherit_env = true;
		return 0;
	case OPT_CHECK_STATE: /* first of all: what follows is another process's */
		o->check_state = true;
		return 0;
	case OPT_VERSION:
		o->version = true;
		return 0;
	default:
		o->help = true;
		return 0;
	}
}

/* The user's log directory follows a given state directory unless it is given too. */
static int set_defaults(struct options *o, struct err **reterr)
{
	struct paths given = o->paths, def = {0};
	int r = paths_defaults(&def, reterr);

	if (r < 0)
		return r;
	if (!given.log_dir && given.state_dir && geteuid() != 0) {
		given.log_dir = fs_join(given.state_dir, "log");
		if (!given.log_dir) {
			paths_done(&def);
			return err_nomem(reterr);
		}
	}
	if (!given.manifests && def.manifests && access(def.manifests, F_OK) == 0)
		given.manifests = TAKE_PTR(def.manifests);
	if (!given.runtime_dir)
		given.runtime_dir = TAKE_PTR(def.runtime_dir);
	if (!given.state_dir)
		given.state_dir = TAKE_PTR(def.state_dir);
	if (!given.log_dir)
		given.log_dir = TAKE_PTR(def.log_dir);
	o->paths = given;
	paths_done(&def);
	if (!o->port_range)
		return set_text(&o->port_range, "20000-29999", reterr);
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err **reterr)
{
	int opt, at, r;

	*o = (struct options){.restart_initial_ms = 100,
			      .restart_max_ms = 5000,
			      .restart_limit = 5,
			      .gateway_threads = 1,
			      .log_level = LOG_LVL_INFO,
			      .parent_fd = -1};
	opterr = 0;
	for (;;) {
		at = optind ? optind : 1;
		opt = getopt_long(argc, argv, "+:", table, NULL);
		if (opt == -1)
			break;
		if (opt == ':')
			return err_set(reterr, ERR_INVALID, "%s needs a value", argv[at]);
		if (opt == '?')
			return err_set(reterr, ERR_INVALID, "unknown option %s", argv[at]);
		r = set_option(o, opt, optarg, reterr);
		if (r < 0) {
			err_wrap(reterr, "%s", argv[at]);
			return r;
		}
	}
	if (optind < argc)
		return err_set(reterr, ERR_INVALID, "unexpected argument %s", argv[optind]);
	return o->help || o->version ? 0 : set_defaults(o, reterr);
}

void options_done(struct options *o)
{
	paths_done(&o->paths);
	mem_free(o->default_user);
	mem_free(o->port_range);
	mem_free(o->metrics);
	mem_free(o->log_max_total);
	mem_free(o->log_keep_free);
	mem_free(o->helper_dir);
	mem_free(o->plugin_dir);
	for (unsigned i = 0; i < o->n_runtimes; i++)
		mem_free(o->runtimes[i].config);
	mem_free(o->cgroup);
	*o = (struct options){.parent_fd = -1};
}
