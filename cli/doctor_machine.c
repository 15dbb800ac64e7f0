/*
 * doctor_machine: the facts for doctor_checks, asked of the kernel and of the daemon's directories.
 * System calls that a container may refuse are tried with arguments that do nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/doctor_look.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/paths.h"

/* Of Linux 6.13; older headers lack it. The size is that of its first version. */
struct pidfd_info_v0 {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ids[8];
	uint32_t spare;
};
#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)

/* errno of a call that must fail when it is there, for its arguments are wrong; 0 = there. */
static int there(long r)
{
	return r < 0 && (errno == ENOSYS || errno == EPERM) ? errno : 0;
}

static void read_calls(struct doctor_machine *m)
{
	struct pidfd_info_v0 info = {0};
	int fd;

	m->clone3 = there(syscall(SYS_clone3, NULL, 0));
	m->close_range = there(syscall(SYS_close_range, 1U, 0U, 0U));
	fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	m->pidfd_open = fd < 0 ? errno : 0;
	m->pidfd_info = fd < 0 || ioctl(fd, PIDFD_GET_INFO_V0, &info) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
}

/* A limit as /proc/PID/limits has it. */
static uint64_t limit_of(const char *word)
{
	int64_t n;

	return parse_i64(word, 0, INT64_MAX, &n, NULL) < 0 ? UINT64_MAX : (uint64_t)n;
}

/* The limit of a running process, of /proc/PID/limits. */
static bool read_limits_of(struct doctor_machine *m, int64_t pid)
{
	_cleanup_free_ char *path = x_printf("/proc/%lld/limits", (long long)pid), *text = NULL;
	const char *line;
	char soft[24], hard[24];
	size_t len;

	if (pid <= 0 || fs_read_file(path, 65536, &text, &len, NULL) < 0)
		return false;
	line = strstr(text, "Max open files");
	if (!line || sscanf(line, "Max open files %23s %23s", soft, hard) != 2)
		return false;
	m->nofile_soft = limit_of(soft);
	m->nofile_hard = limit_of(hard);
	return true;
}

static void read_limits(struct doctor_machine *m)
{
	struct rlimit l;

	m->nofile_of_daemon = m->daemon && read_limits_of(m, js_int(m->daemon, "pid", 0));
	if (m->nofile_of_daemon || getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	m->nofile_soft = l.rlim_cur;
	m->nofile_hard = l.rlim_max;
}

/* One that hangs is not touched. */
static void read_dir(struct doctor_dir *d, const char *path, bool hangs)
{
	if (!hangs) {
		doctor_look_at(d, path);
		return;
	}
	*d = (struct doctor_dir){.path = x_strdup(path),
				 .looked_at = x_strdup(path),
				 .free_bytes = -1,
				 .total_bytes = -1,
				 .hangs = true};
}

/* The daemon's directories where one answers, else those it would have. */
static void read_dirs(struct doctor_machine *m)
{
	_cleanup_err_ struct err *err = NULL;
	const char *paths[3];
	bool hangs[3];
	struct statfs st;
	struct paths p;

	if (paths_defaults(&p, &err) < 0)
		report_die(err);
	paths[0] = js_str(m->daemon, "runtime_dir", p.runtime_dir);
	paths[1] = js_str(m->daemon, "state_dir", p.state_dir);
	paths[2] = js_str(m->daemon, "log_dir", p.log_dir);
	doctor_look_all(paths, hangs, ARRAY_SIZE(paths));
	read_dir(&m->runtime, paths[0], hangs[0]);
	read_dir(&m->state, paths[1], hangs[1]);
	read_dir(&m->logs, paths[2], hangs[2]);
	paths_done(&p);
	m->shm_tmpfs = statfs("/dev/shm", &st) == 0 && st.f_type == TMPFS_MAGIC;
}

static void read_clock(struct doctor_machine *m)
{
	struct timex t = {0};

	m->clock_synced = adjtimex(&t) != -1 && !(t.status & STA_UNSYNC);
	m->wall_ms = clock_wall_ms();
}

void doctor_machine_read(struct doctor_machine *m, const cJSON *daemon, const char *socket,
			 const char *why)
{
	const struct passwd *pw = getpwuid(geteuid());
	struct utsname u;

	*m = (struct doctor_machine){.root = "",
				     .uid = geteuid(),
				     .user = x_strdup(pw ? pw->pw_name : "?"),
				     .daemon = daemon,
				     .daemon_socket = socket,
				     .daemon_why = why,
				     .our_version = PKGVERSION};
	if (uname(&u) == 0)
		snprintf(m->release, sizeof(m->release), "%s", u.release);
	read_calls(m);
	read_limits(m);
	read_dirs(m);
	read_clock(m);
	m->helper_users = getpwnam("aictl") && getpwnam("aictl-log");
	m->system_users = m->helper_users && getpwnam("aictl-gw");
	m->port_first = (unsigned)js_int(daemon, "port_first", 20000);
	m->port_last = (unsigned)js_int(daemon, "port_last", 29999);
}

static void dir_done(struct doctor_dir *d)
{
	mem_free(d->path);
	mem_free(d->looked_at);
}

void doctor_machine_done(struct doctor_machine *m)
{
	dir_done(&m->runtime);
	dir_done(&m->state);
	dir_done(&m->logs);
	mem_free(m->user);
}
