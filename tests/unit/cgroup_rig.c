/* cgroup_rig: see cgroup_rig.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/cgroup_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"

/* Skips the test where aictld cannot do all of `can`. */
void cgroup_rig_start(struct rig *r, const char *const *extra, uint32_t can)
{
	rig_start(r, extra);
	if (geteuid() == 0)
		assert_int_equal(chmod(r->dir, 0777), 0);
	if ((r->status.cgroup_can & can) == can)
		return;
	rig_clean_stop(r);
	print_message(
		"SKIP: no cgroup2 tree with all controllers here; tests/uml runs it in one\n");
	skip();
}

char *cgroup_rig_path(const struct rig *r, const struct wire_key *k, const char *file,
		      char path[512])
{
	int n = snprintf(path, 512, "%.300s/%s.%u%s%s", r->status.cgroup_dir, k->service, k->index,
			 file ? "/" : "", file ? file : "");

	assert_true(n < 512);
	return path;
}

/* The file's text, or "" when it is not there. */
const char *cgroup_rig_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

const char *cgroup_rig_text(const struct rig *r, const struct wire_key *k, const char *file)
{
	static char text[65536];
	char path[512];

	return cgroup_rig_file(cgroup_rig_path(r, k, file, path), text, sizeof(text));
}

int cgroup_rig_n_procs(const struct rig *r, const struct wire_key *k)
{
	int n = 0;

	for (const char *p = cgroup_rig_text(r, k, "cgroup.procs"); *p; p++)
		n += *p == '\n';
	return n;
}

struct wire_child cgroup_rig_shell(struct cgroup_rig_shell *v, const char *script)
{
	*v = (struct cgroup_rig_shell){
		{"/bin/sh", NULL}, {"sh", "-c", script, NULL}, {"PATH=/usr/bin:/bin", NULL}};
	return (struct wire_child){.cwd = "/",
				   .paths = (char *const *)(uintptr_t)v->paths,
				   .argv = (char *const *)(uintptr_t)v->argv,
				   .envp = (char *const *)(uintptr_t)v->envp,
				   .umask = 022};
}

void cgroup_rig_spawn(struct rig *r, const struct wire_key *k, const char *script,
		      const struct wire_limits *limits, bool standby)
{
	struct cgroup_rig_shell v;
	struct wire_spawn m = {.key = *k,
			       .standby = standby,
			       .child = cgroup_rig_shell(&v, script),
			       .stop_signal = SIGTERM,
			       .grace_ms = 2000,
			       .logs.max_size = 1 << 20,
			       .logs.max_files = 5};

	if (limits)
		m.limits = *limits;
	rig_spawn(r, &m);
}

/* SIGKILL to aictld; `meanwhile` happens while there is none. */
void cgroup_rig_kill_and_start(struct rig *r, void (*meanwhile)(void *user), void *user)
{
	kill(r->pid, SIGKILL);
	rig_wait_exit(r);
	if (meanwhile)
		meanwhile(user);
	rig_run(r, NULL);
	rig_wait_synced(r);
}
