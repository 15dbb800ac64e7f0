/* up_daemon: see up_daemon.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/up_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/aictld.h"
#include "cli/cli.h"
#include "cli/halt.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define START_MS 15000
#define STEP_MS 10

void up_daemon_init(struct up_daemon *d, const char *dir)
{
	_cleanup_err_ struct err *e = NULL;

	*d = (struct up_daemon){.pidfd = -1, .life_fd = -1};
	if (paths_up(dir, &d->paths, &e) < 0)
		report_die(e);
	d->socket = x_printf("%s/aictl.sock", d->paths.runtime_dir);
	d->log = x_printf("%s/aictld.log", d->paths.state_dir);
}

void up_daemon_done(struct up_daemon *d)
{
	mem_closep(&d->pidfd);
	mem_closep(&d->life_fd);
	mem_free(d->socket);
	mem_free(d->log);
	for (size_t i = 0; i < d->n_runtimes; i++)
		mem_free(d->runtimes[i]);
	mem_free(d->runtimes);
	paths_done(&d->paths);
}

static bool connects(const struct up_daemon *d)
{
	_cleanup_close_ int fd = -1;

	return sock_connect(d->socket, 1000, &fd, NULL) == 0;
}

bool up_daemon_is_running(const struct up_daemon *d)
{
	return connects(d);
}

/* The daemon of an `up` lives as long as the `up`: what a former one stored would only be started
 * before the manifest is applied. Logs stay. */
static int prepare_state(const struct up_daemon *d, struct err **reterr)
{
	static const char *const names[] = {"aictl.db", "aictl.db-wal", "aictl.db-shm"};
	int r = fs_mkdir_p(d->paths.state_dir, 0700, reterr);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = x_printf("%s/%s", d->paths.state_dir, names[i]);

		if (unlink(path) < 0 && errno != ENOENT)
			r = err_sys(reterr, errno, "cannot remove %s", path);
	}
	return r;
}

static const char *own_name(void)
{
	const struct passwd *pw = getpwuid(geteuid());

	return pw ? pw->pw_name : "root";
}

static int spawn_daemon(struct up_daemon *d, int log_flags, struct err **reterr)
{
	_cleanup_free_ char *program = aictld_find();
	_cleanup_close_ int log_fd = -1, read_fd = -1;
	_cleanup_free_ char *life = x_printf("%d", AICTLD_LIFE_FD);
	const char *user = geteuid() == 0 ? own_name() : NULL;
	size_t n = 0;
	const char *fixed[] = {program,
			       "--runtime-dir",
			       d->paths.runtime_dir,
			       "--state-dir",
			       d->paths.state_dir,
			       "--log-dir",
			       d->paths.log_dir,
			       "--inherit-env",
			       "--parent-fd",
			       life,
			       user ? "--default-user" : NULL,
			       user,
			       NULL};
	_cleanup_free_ const char **argv = NULL;
	struct aictld_start start = {0};
	int fds[2], r;

	argv = x_alloc((ARRAY_SIZE(fixed) + 2 * d->n_runtimes) * sizeof(*argv));
	for (; fixed[n]; n++)
		argv[n] = fixed[n];
	for (size_t i = 0; i < d->n_runtimes; i++) {
		argv[n++] = "--runtime";
		argv[n++] = d->runtimes[i];
	}
	start.argv = argv;

	log_fd = open(d->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | log_flags,
		      0600);
	if (log_fd < 0)
		return err_sys(reterr, errno, "cannot write %s", d->log);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(reterr, errno, "cannot make a pipe");
	read_fd = fds[0];
	mem_closep(&d->life_fd);
	d->life_fd = fds[1];
	start.log_fd = log_fd;
	start.life_fd = read_fd;
	r = aictld_spawn(&start, &d->pid);
	if (r != 0)
		return err_sys(reterr, r, "cannot run %s", program);
	d->pidfd = halt_pidfd(d->pid);
	return d->pidfd < 0 ? err_sys(reterr, errno, "cannot watch %s", program) : 0;
}

/* One look of STEP_MS: 0, or POLLIN in *ended or *told. */
static void look(const struct up_daemon *d, int signal_fd, bool *ended, bool *told)
{
	struct pollfd p[] = {{.fd = d->pidfd, .events = POLLIN},
			     {.fd = signal_fd, .events = POLLIN}};

	*ended = *told = false;
	if (poll(p, ARRAY_SIZE(p), STEP_MS) <= 0)
		return;
	*ended = p[0].revents != 0;
	*told = p[1].revents != 0;
}

static int start_failed(struct up_daemon *d)
{
	report_plain("aictld did not start (exit code %d)", up_daemon_reap(d));
	up_daemon_show_log(d);
	return CODE_FAILED;
}

static int wait_socket(struct up_daemon *d, int signal_fd)
{
	int64_t deadline = clock_add(clock_mono_ms(), START_MS);
	bool ended, told;

	while (clock_mono_ms() < deadline) {
		if (connects(d))
			return CODE_OK;
		look(d, signal_fd, &ended, &told);
		if (ended)
			return start_failed(d);
		if (told)
			return CODE_OK; /* the loop reads the signal and stops it */
	}
	report_plain("aictld does not answer after %d s", START_MS / 1000);
	up_daemon_show_log(d);
	up_daemon_stop(d);
	return CODE_FAILED;
}

int up_daemon_start(struct up_daemon *d, int signal_fd)
{
	_cleanup_err_ struct err *e = NULL;

	if (prepare_state(d, &e) < 0 || spawn_daemon(d, O_TRUNC, &e) < 0)
		return (int)report_err(e);
	return wait_socket(d, signal_fd);
}

int up_daemon_restart(struct up_daemon *d, int signal_fd)
{
	_cleanup_err_ struct err *e = NULL;

	if (spawn_daemon(d, 0, &e) < 0)
		return (int)report_err(e);
	return wait_socket(d, signal_fd);
}

void up_daemon_stop(const struct up_daemon *d)
{
	if (d->pidfd >= 0)
		kill(d->pid, SIGTERM); /* our child, not yet reaped: the pid is its own */
}

int up_daemon_reap(struct up_daemon *d)
{
	int status = 0;

	while (waitpid(d->pid, &status, 0) < 0 && errno == EINTR)
		;
	mem_closep(&d->pidfd);
	d->pidfd = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void up_daemon_show_log(const struct up_daemon *d)
{
	aictld_show_log(d->log, 0);
}
