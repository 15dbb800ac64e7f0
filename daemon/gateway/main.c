/*
 * aictl-gateway: the stable ports of services: takes connections from the listeners that aictld
 * keeps, and passes requests on to replicas that are ready.
 *
 * A helper of aictld (fd 3 is the socket to it), of a user of its own when aictld is root. One thread
 * on libuv, or several that have a part of the ports each (spread.h). When aictld dies it serves on and gives the listeners to the next one (orphan.h); when
 * the controller dies, by the last routes. Signals meant for a whole process group or session are not
 * for it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/gateway/control.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/listener.h"
#include "daemon/gateway/orphan.h"
#include "daemon/gateway/share.h"
#include "daemon/gateway/spread.h"
#include "daemon/wire/wire.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"
#include "lib/sock.h"
#include "lib/version.h"

struct options {
	const char *sup_dir; /* NULL: end with aictld */
	int level;
	unsigned threads;
};

struct program {
	struct gateway gateway;
	struct control control;
	struct orphan orphan;
	const struct options *opts;
	uid_t aictld;
	int status;
};

static int usage(FILE *to)
{
	fputs("usage: aictl-gateway [--sup-dir DIR] [--threads N] [--log-level error|warn|info|debug]\n"
	      "A helper of aictld, which starts it; fd 3 is the socket to it.\n",
	      to);
	return to == stdout ? 0 : 2;
}

/* -1 = go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {{"sup-dir", required_argument, NULL, 's'},
					      {"log-level", required_argument, NULL, 'l'},
					      {"threads", required_argument, NULL, 't'},
					      {"version", no_argument, NULL, 'V'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int64_t n;
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 's':
			o->sup_dir = optarg;
			break;
		case 'l':
			o->level = log_parse_level(optarg);
			if (o->level < 0)
				return usage(stderr);
			break;
		case 't':
			if (parse_i64(optarg, 1, SHARE_THREADS_MAX, &n, NULL) < 0)
				return usage(stderr);
			o->threads = (unsigned)n;
			break;
		case 'V':
			printf("aictl-gateway %s\n", version_text);
			return 0;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	return optind == argc ? -1 : usage(stderr);
}

static void set_up_process(unsigned threads)
{
	static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT};
	struct sigaction sa = {.sa_handler = SIG_IGN};
	struct rlimit lim;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		sigaction(ignored[i], &sa, NULL);
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	umask(077);
	fcntl(WIRE_HELPER_FD, F_SETFD, FD_CLOEXEC);
	/* None waits for another one's memory. */
	mallopt(M_ARENA_MAX, threads > 1 ? (int)threads + 1 : 1);
}

static void on_routed(void *user)
{
	struct program *p = user;

	control_routed(&p->control);
}

static void on_drained(void *user)
{
	struct program *p = user;

	uv_stop(&p->gateway.uv);
}

static bool nth_listener(void *user, unsigned i, const struct wire_listen_at **at, int *fd)
{
	const struct program *p = user;
	const struct listener *l = p->gateway.listeners;

	while (l && i-- > 0)
		l = l->next;
	if (l) {
		*at = &l->at;
		*fd = l->fd;
	}
	return l;
}

static void drain(void *user)
{
	struct program *p = user;

	gateway_drain(&p->gateway);
}

static void on_lost(void *user, int err)
{
	struct program *p = user;
	const struct orphan_of of = {
		.uv = &p->gateway.uv, .listener = nth_listener, .drain = drain, .user = p};

	if (err == 0 && p->opts->sup_dir && p->control.greeted) {
		orphan_begin(&p->orphan, &of, p->opts->sup_dir, p->aictld);
		return;
	}
	p->status = err < 0;
	uv_stop(&p->gateway.uv);
}

static int run_one(struct program *p)
{
	int r = gateway_init(&p->gateway, 1);

	if (r == 0)
		r = control_init(&p->control, &p->gateway, WIRE_HELPER_FD);
	if (r < 0) {
		fprintf(stderr, "aictl-gateway: cannot start: %s\n", strerror(-r));
		return 1;
	}
	p->control.on_lost = on_lost;
	p->control.user = p;
	p->gateway.on_routed = on_routed;
	p->gateway.on_drained = on_drained;
	p->gateway.user = p;
	uv_run(&p->gateway.uv, UV_RUN_DEFAULT);
	control_close(&p->control);
	orphan_close(&p->orphan);
	if (!gateway_done(&p->gateway))
		_exit(p->status);
	return p->status;
}

static int run_several(const struct program *p)
{
	const struct spread_options o = {.threads = p->opts->threads,
					 .sup_dir = p->opts->sup_dir,
					 .fd = WIRE_HELPER_FD,
					 .aictld = p->aictld};
	int status;

	if (!spread_run(&o, &status))
		_exit(status);
	return status;
}

static int run(struct program *p)
{
	struct sock_peer peer;

	if (sock_peer(WIRE_HELPER_FD, &peer) < 0) {
		fputs("aictl-gateway: fd 3 is no socket; this program is started by aictld\n",
		      stderr);
		return 2;
	}
	p->aictld = peer.uid;
	return p->opts->threads > 1 ? run_several(p) : run_one(p);
}

int main(int argc, char **argv)
{
	struct options o = {.level = LOG_LVL_INFO, .threads = 1};
	struct program *p;
	int status;

	log_open("aictl-gateway", STDERR_FILENO, LOG_LVL_INFO);
	if (point_list(argc, argv))
		return 0;
	status = parse_options(argc, argv, &o);
	if (status >= 0)
		return status;
	log_set_level((enum log_level)o.level);
	set_up_process(o.threads);
	p = mem_alloc(sizeof(*p));
	if (!p)
		return 1;
	p->opts = &o;
	status = run(p);
	mem_free(p);
	return status;
}
