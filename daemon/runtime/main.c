/*
 * aictl-runtime: runs units by one plugin (runtime.h). A helper of aictld, which starts one for each
 * runtime that is enabled; fd 3 is the socket to it. It may talk to an engine that is root, so it
 * has a user of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/runtime/runtime.h"
#include "daemon/wire/wire.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "lib/version.h"

static int usage(FILE *to)
{
	fputs("usage: aictl-runtime --name NAME --plugin-dir DIR --instance ID [--config TEXT]\n"
	      "                     [--log-level error|warn|info|debug]\n"
	      "A helper of aictld, which starts it; fd 3 is the socket to it.\n",
	      to);
	return to == stdout ? 0 : 2;
}

/* -1 = go on, else the exit status. */
static int parse_options(int argc, char **argv, struct runtime_options *o, int *level)
{
	static const struct option known[] = {{"name", required_argument, NULL, 'n'},
					      {"config", required_argument, NULL, 'c'},
					      {"plugin-dir", required_argument, NULL, 'p'},
					      {"instance", required_argument, NULL, 'i'},
					      {"log-level", required_argument, NULL, 'l'},
					      {"version", no_argument, NULL, 'V'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'n':
			o->name = optarg;
			break;
		case 'c':
			o->config = optarg;
			break;
		case 'p':
			o->plugin_dir = optarg;
			break;
		case 'i':
			o->instance = optarg;
			break;
		case 'l':
			*level = log_parse_level(optarg);
			if (*level < 0)
				return usage(stderr);
			break;
		case 'V':
			printf("aictl-runtime %s\n", version_text);
			return 0;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind < argc || !o->name || !o->plugin_dir || !o->instance)
		return usage(stderr);
	return -1;
}

static void set_up_process(void)
{
	static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction sa = {.sa_handler = SIG_IGN};
	struct rlimit lim;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		sigaction(ignored[i], &sa, NULL);
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	fcntl(WIRE_HELPER_FD, F_SETFD, FD_CLOEXEC);
}

int main(int argc, char **argv)
{
	struct runtime_options o = {0};
	struct sock_peer peer;
	struct runtime *r;
	int level = LOG_LVL_INFO, status;

	status = parse_options(argc, argv, &o, &level);
	if (status >= 0)
		return status;
	if (sock_peer(WIRE_HELPER_FD, &peer) < 0) {
		fputs("aictl-runtime: fd 3 is no socket; this program is started by aictld\n",
		      stderr);
		return 2;
	}
	set_up_process();
	log_open("aictl-runtime", STDERR_FILENO, (enum log_level)level);
	r = mem_alloc(sizeof(*r));
	status = r ? runtime_init(r, &o, WIRE_HELPER_FD) : -ENOMEM;
	if (status < 0) {
		log_error("error=\"%s\" cannot start", strerror(-status));
		mem_free(r);
		return 1;
	}
	status = runtime_run(r);
	runtime_done(r);
	mem_free(r);
	return status;
}
