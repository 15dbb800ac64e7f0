/*
 * aictl-logger: moves what services write from their pipes to segment files.
 *
 * A helper of aictld (fd 3 is the socket to it), of a user of its own when aictld is root. One
 * process, one loop, libc only. A full or slow disk stalls only what logs; a death of this process
 * loses and doubles nothing, for aictld keeps copies of all read ends and the intent table. It ends
 * when aictld says so; when aictld dies it works on and gives what it holds to the next one
 * (orphan.h). Signals meant for a whole process group or session are not for it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/capture.h"
#include "daemon/logger/control.h"
#include "daemon/logger/orphan.h"
#include "daemon/logger/ownlog.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/mem.h"
#include "lib/point.h"
#include "lib/sock.h"
#include "lib/version.h"

#define LAST_DRAIN_MS 3000

struct options {
	const char *log_dir;
	const char *sup_dir; /* NULL: end with aictld */
	int level;
};

struct logger {
	struct loop loop;
	struct ownlog ownlog;
	struct capture_set set;
	struct control control;
	struct orphan orphan;
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
	int r = control_init(&l->control, &l->loop, WIRE_HELPER_FD, &l->set, &l->ownlog);

	if (r == 0)
		r = loop_run(&l->loop);
	if (r == CONTROL_LOST && o->sup_dir && l->control.greeted) {
		control_done(&l->control);
		return orphan_run(&l->orphan, &l->loop, &l->set, o->sup_dir, aictld);
	}
	capture_drain_all(&l->set, LAST_DRAIN_MS);
	control_done(&l->control);
	return r == CONTROL_LOST ? 0 : r;
}

static int run(struct logger *l, const struct options *o)
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
	r = capture_set_init(&l->set, &l->loop, o->log_dir, peer.uid == 0);
	if (r < 0) /* a missing directory is looked for again with each byte to store */
		log_error("path=%s error=\"%s\" cannot open the log directory", o->log_dir,
			  strerror(-r));
	r = store_is_usable(&l->set.store) ? 0 : -ENOMEM;
	if (r == 0)
		r = capture(l, o, peer.uid);
	capture_set_done(&l->set);
	ownlog_flush(&l->ownlog);
	ownlog_done(&l->ownlog);
	loop_done(&l->loop);
	return r < 0 ? 1 : r;
}

int main(int argc, char **argv)
{
	struct options o = {.level = LOG_LVL_INFO};
	struct logger *l;
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
	status = run(l, &o);
	mem_free(l);
	return status;
}
