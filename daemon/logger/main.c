/*
 * aictl-logger: moves what services write from their pipes to segment files.
 *
 * A helper of aictld (fd 3 is the socket to it), of a user of its own when aictld is root. One
 * process, libc only: a thread with a loop for the sockets, which touches no log, one for each
 * file system that is logged to (lane.h), and one that tells aictld at once when we are killed
 * (witness.h). A full or slow disk stalls only what logs there; a death
 * of this process loses and doubles nothing, for aictld keeps copies of all read ends and the intent table. It ends
 * when aictld says so; when aictld dies it works on and gives what it holds to the next one
 * (orphan.h). Signals meant for a whole process group or session are not for it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/control.h"
#include "daemon/logger/forward.h"
#include "daemon/logger/journal.h"
#include "daemon/logger/orphan.h"
#include "daemon/logger/ownlog.h"
#include "daemon/logger/roster.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"
#include "lib/sock.h"
#include "lib/version.h"

#define LAST_DRAIN_MS 3000
#define FORWARD_DONE_MS 2000

struct options {
	const char *log_dir;
	const char *sup_dir; /* NULL: end with aictld */
	int level;
	int64_t max_total, keep_free; /* 0 = none, and the store's own floor */
};

struct logger {
	struct loop loop;
	struct ownlog ownlog;
	struct roster roster;
	struct control control;
	struct orphan orphan;
	struct forward forward;
	int64_t drain_ms; /* at the end */
};

static int usage(FILE *to)
{
	fputs("usage: aictl-logger --log-dir DIR [--sup-dir DIR] [--log-level "
	      "error|warn|info|debug]\n"
	      "A helper of aictld, which starts it; fd 3 is the socket to it.\n",
	      to);
	return to == stdout ? 0 : 2;
}

/* -1 = go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {{"log-dir", required_argument, NULL, 'd'},
					      {"sup-dir", required_argument, NULL, 's'},
					      {"log-level", required_argument, NULL, 'l'},
					      {"log-max-total", required_argument, NULL, 't'},
					      {"log-keep-free", required_argument, NULL, 'f'},
					      {"version", no_argument, NULL, 'V'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->log_dir = optarg;
			break;
		case 's':
			o->sup_dir = optarg;
			break;
		case 'l':
			o->level = log_parse_level(optarg);
			if (o->level < 0)
				return usage(stderr);
			break;
		case 't':
			if (parse_size(optarg, 1, INT64_MAX, &o->max_total, NULL) < 0)
				return usage(stderr);
			break;
		case 'f':
			if (parse_size(optarg, 1, INT64_MAX, &o->keep_free, NULL) < 0)
				return usage(stderr);
			break;
		case 'V':
			printf("aictl-logger %s\n", version_text);
			return 0;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	return optind < argc || !o->log_dir ? usage(stderr) : -1;
}

static void set_up_process(void)
{
	static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct sched_param none = {.sched_priority = 0};
	struct sigaction sa = {.sa_handler = SIG_IGN};
	struct rlimit lim;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		sigaction(ignored[i], &sa, NULL);
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	/*
	 * Closing its pipes, a dying process wakes us, and we would push it off its processor
	 * before it is dead: 80 us of each restart. A batch task gets the same share but preempts
	 * nobody.
	 */
	sched_setscheduler(0, SCHED_BATCH, &none);
	umask(0);
	fcntl(WIRE_HELPER_FD, F_SETFD, FD_CLOEXEC);
}

/* Our own lines go the way of all: through a pipe that never blocks, then ownlog. */
static int redirect_own_log(struct ownlog *o, int level)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	ownlog_source(o, 1, fds[0]);
	log_open("aictl-logger", fds[1], (enum log_level)level);
	return 0;
}

/* Until the end of aictld, or of what came after it. What was given back is no more ours to read. */
static int capture(struct logger *l, const struct options *o, uid_t aictld)
{
	int r = control_init(&l->control, &l->loop, WIRE_HELPER_FD, &l->roster, &l->ownlog,
			     &l->forward);

	if (r == 0)
		r = loop_run(&l->loop);
	if (r == CONTROL_LOST && o->sup_dir && l->control.greeted) {
		control_done(&l->control);
		return orphan_run(&l->orphan, &l->loop, &l->roster, o->sup_dir, aictld);
	}
	l->drain_ms = LAST_DRAIN_MS;
	control_done(&l->control);
	return r == CONTROL_LOST ? 0 : r;
}

/* *ret_hung: a thread hangs, and l is in use for ever. */
static int run(struct logger *l, const struct options *o, bool *ret_hung)
{
	struct sock_peer peer;
	int r;

	if (sock_peer(WIRE_HELPER_FD, &peer) < 0) {
		fputs("aictl-logger: fd 3 is no socket; this program is started by aictld\n",
		      stderr);
		return 2;
	}
	r = loop_init(&l->loop);
	if (r == 0) {
		ownlog_init(&l->ownlog, &l->loop, STDERR_FILENO);
		r = redirect_own_log(&l->ownlog, o->level);
	}
	if (r < 0) {
		fprintf(stderr, "aictl-logger: cannot start: %s\n", strerror(-r));
		return 1;
	}
	mallopt(M_ARENA_MAX,
		1); /* the other threads allocate little: not worth a heap of their own */
	forward_init(&l->forward, o->log_dir, JOURNAL_SOCKET);
	r = roster_init(&l->roster, &l->loop, o->log_dir, peer.uid == 0);
	roster_set_limits(&l->roster, (uint64_t)o->max_total, (uint64_t)o->keep_free);
	if (r == 0)
		r = capture(l, o, peer.uid);
	*ret_hung = !roster_done(&l->roster, l->drain_ms);
	if (!forward_done(&l->forward, FORWARD_DONE_MS))
		*ret_hung = true;
	ownlog_flush(&l->ownlog);
	ownlog_done(&l->ownlog);
	loop_done(&l->loop);
	return r < 0 ? 1 : r;
}

int main(int argc, char **argv)
{
	struct options o = {.level = LOG_LVL_INFO};
	struct logger *l;
	bool hung = false;
	int status;

	if (point_list(argc, argv))
		return 0;
	status = parse_options(argc, argv, &o);
	if (status >= 0)
		return status;
	set_up_process();
	l = mem_alloc(sizeof(*l));
	if (!l)
		return 1;
	status = run(l, &o, &hung);
	if (!hung)
		mem_free(l);
	return status;
}
