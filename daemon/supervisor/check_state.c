/* check_state: see check_state.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/check_state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/version.h"

#define HELPER_MS 2000
#define TRIES 5 /* a slot may be caught while it changes */
#define PAUSE_MS 20

/* ---- the helpers ---- */

static int spawn_version(int binary_fd, int out_fd, pid_t *ret_pid)
{
	char arg0[] = "helper", arg1[] = "--version";
	char *const argv[] = {arg0, arg1, NULL};
	posix_spawn_file_actions_t files;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", binary_fd);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out_fd, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out_fd, STDERR_FILENO);
	r = posix_spawn(ret_pid, path, &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* What it says, up to HELPER_MS. */
static void read_answer(int fd, char *text, size_t size)
{
	int64_t deadline = clock_mono_ms() + HELPER_MS, left;
	size_t len = 0;

	while (len < size - 1 && (left = deadline - clock_mono_ms()) > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n = poll(&p, 1, (int)left) > 0
				    ? fs_read_some(fd, text + len, size - 1 - len)
				    : 0;

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static int check_helper(const char *name, int binary_fd, struct err **reterr)
{
	_cleanup_free_ char *want = mem_printf("%s %s", name, version_text);
	char text[256];
	int p[2], r, status = 0;
	pid_t pid;

	if (!want)
		return err_nomem(reterr);
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(reterr, errno, "cannot make a pipe");
	r = spawn_version(binary_fd, p[1], &pid);
	close(p[1]);
	if (r == 0) {
		read_answer(p[0], text, sizeof(text));
		kill(pid, SIGKILL); /* not yet reaped: nobody else's pid */
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(p[0]);
	if (r < 0)
		return err_sys(reterr, -r, "cannot run %s", name);
	if (strcmp(text, want) != 0)
		return err_set(reterr, ERR_CONFLICT,
			       "%s is not of this build (%s): it says \"%.60s\"", name,
			       version_text, text);
	return 0;
}

static int check_helpers(struct supervisor *sup, struct err **reterr)
{
	int r = helpers_find(sup, reterr);

	if (r == 0)
		r = check_helper("aictl-controller", sup->controller.binary_fd, reterr);
	if (r == 0)
		r = check_helper("aictl-logger", sup->logger.binary_fd, reterr);
	if (r == 0 && sup->gateway.binary_fd >= 0)
		r = check_helper("aictl-gateway", sup->gateway.binary_fd, reterr);
	return r;
}

/* ---- the table ---- */

static int check_table(const struct options *o, struct err **reterr)
{
	_cleanup_free_ char *path = mem_printf("%s/sup", o->paths.runtime_dir);
	_cleanup_close_ int sup_fd =
		path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	int r = -ERR_SYS;

	if (!path)
		return err_nomem(reterr);
	if (sup_fd < 0)
		return err_sys(reterr, errno, "cannot open %s", path);
	for (int i = 0; i < TRIES; i++) {
		_cleanup_err_ struct err *e = NULL;

		r = table_check(STDIN_FILENO, o->paths.runtime_dir, sup_fd, &e);
		if (r == 0)
			return 0;
		if (i == TRIES - 1)
			return err_set(reterr, ERR_CONFLICT, "%s", err_msg(e));
		poll(NULL, 0, PAUSE_MS);
	}
	return r;
}

int check_state_main(const struct options *o)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ struct supervisor *sup = mem_alloc(sizeof(*sup));
	struct dirs dirs;
	int r = sup ? 0 : err_nomem(&e);

	if (r == 0) {
		sup->opt = o;
		r = spawn_supported(&e) ? 0 : -ERR_SYS;
	}
	if (r == 0)
		r = dirs_find_users(&dirs, &e);
	if (r == 0)
		r = check_helpers(sup, &e);
	if (r == 0)
		r = check_table(o, &e);
	if (r < 0)
		fprintf(stderr, "%s\n", err_msg(e));
	if (sup)
		mem_free(sup->runtimes.plugin_dir);
	return r < 0 ? 1 : 0;
}
