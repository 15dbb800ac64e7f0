/*
 * aictld: the supervisor. Parent of every service and of its two helpers; libc only; parses
 * nothing, resolves nothing, and never blocks on disk, network or a child after its start.
 *
 * The program is also some of its own children: `aictld --sweep SIGNAL COOKIE...` (scan.h),
 * `aictld --cgroup-write DIR FILE=VALUE...` and `--cgroup-kill DIR` (cgroup_tool.h),
 * `aictld --look-at RUNTIME-DIR DIR...` (dirs.h), `aictld --probe-file PATH [MAX_AGE_MS]` (probe_file.h), and `aictld --open-manifests DIR` (opener.h).
 *
 * Exit codes: 0 all stopped, 1 failed or something could not be stopped, 2 usage or missing users,
 * 100 detached (detach.h).
 */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/cgroup_tool.h"
#include "daemon/supervisor/check_state.h"
#include "daemon/supervisor/opener.h"
#include "daemon/supervisor/options.h"
#include "daemon/supervisor/probe_file.h"
#include "daemon/supervisor/scan.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/point.h"
#include "lib/version.h"

static int report(struct err *e, int code)
{
	fprintf(stderr, "aictld: %s\n", err_msg(e));
	if (e && e->hint)
		fprintf(stderr, "hint: %s\n", e->hint);
	return code;
}

static int run(const struct options *o)
{
	_cleanup_err_ struct err *e = NULL;
	struct supervisor sup;
	int r = supervisor_init(&sup, o, &e);

	if (r < 0)
		r = report(e, e && e->code == ERR_NOTFOUND && e->hint ? 2 : 1);
	else
		r = supervisor_run(&sup);
	if (r == DETACH_EXIT && sup.detach.reexec)
		r = reexec_exec(&sup);
	supervisor_done(&sup, r);
	return r;
}

int main(int argc, char **argv)
{
	_cleanup_err_ struct err *e = NULL;
	struct reexec_self self;
	struct options o;
	int r;

	log_open("aictld", STDERR_FILENO, LOG_LVL_INFO);
	if (point_list(argc, argv))
		return 0;
	if (argc > 1 && strcmp(argv[1], "--sweep") == 0)
		return scan_main(argc - 1, argv + 1);
	if (argc > 1 &&
	    (strcmp(argv[1], "--cgroup-write") == 0 || strcmp(argv[1], "--cgroup-kill") == 0))
		return cgroup_tool_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "--look-at") == 0)
		return dirs_look_main(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "--probe-file") == 0)
		return probe_file_main(argc - 1, argv + 1);
	if (argc == 3 && strcmp(argv[1], "--open-manifests") == 0)
		return opener_main(argv[2]);
	if (reexec_remember(&self, argv) < 0)
		return report(NULL, 1);
	r = options_parse(&o, argc, argv, &e);
	o.self = &self;
	if (r < 0) {
		r = report(e, 2);
	} else if (o.help) {
		fputs(options_help(), stdout);
	} else if (o.version) {
		printf("aictld %s\n", version_text);
	} else if (o.check_state) {
		r = check_state_main(&o);
	} else {
		log_set_level(o.log_level);
		r = run(&o);
	}
	options_done(&o);
	reexec_forget(&self);
	return r;
}
