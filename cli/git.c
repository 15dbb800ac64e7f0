/* git: see git.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/git.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cjson/cJSON.h>

#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define DEADLINE_MS 2000
#define OUTPUT_MAX                                                                                 \
	65536 /* the headers come first; more changes than that are changes all the same */

extern char **environ;

void git_done(struct git_state *g)
{
	mem_free(g->commit);
	mem_free(g->branch);
	*g = (struct git_state){0};
}

static bool is_hash(const char *text, size_t n)
{
	return n >= 40 && strspn(text, "0123456789abcdef") >= n;
}

static void read_line(const char *line, size_t n, struct git_state *g)
{
	static const char oid[] = "# branch.oid ", head[] = "# branch.head ";
	const size_t l_oid = sizeof(oid) - 1, l_head = sizeof(head) - 1;

	if (n > l_oid && strncmp(line, oid, l_oid) == 0) {
		if (is_hash(line + l_oid, n - l_oid))
			g->commit = x_strndup(line + l_oid, n - l_oid);
	} else if (n > l_head && strncmp(line, head, l_head) == 0) {
		if (line[l_head] != '(') /* "(detached)" */
			g->branch = x_strndup(line + l_head, n - l_head);
	} else if (n > 0 && line[0] != '#') {
		g->dirty = true;
	}
}

void git_read(const char *text, struct git_state *ret)
{
	*ret = (struct git_state){0};
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (!text[n] && text[0] == '#') /* cut */
			break;
		read_line(text, n, ret);
		text += n + (text[n] == '\n');
	}
	if (!ret->commit) /* nothing committed yet */
		git_done(ret);
}

/* Our environment with GIT_OPTIONAL_LOCKS=0; the strings are borrowed. */
static char **environment(void)
{
	static const char name[] = "GIT_OPTIONAL_LOCKS=";
	size_t n = 0, k = 0;
	char **env;

	while (environ[n])
		n++;
	env = x_alloc((n + 2) * sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], name, sizeof(name) - 1) != 0)
			env[k++] = environ[i];
	env[k] = (char *)(uintptr_t) "GIT_OPTIONAL_LOCKS=0";
	return env;
}

/*
 * git runs programs that a repository's configuration names (filters). It refuses repositories of
 * others itself, since 2.35.2; older ones do not. The one who typed sudo counts as ourselves.
 */
static bool is_ours(const char *dir)
{
	const char *sudo = geteuid() == 0 ? getenv("SUDO_UID") : NULL;
	int64_t uid = -1;
	struct stat st;

	if (stat(dir, &st) < 0)
		return false;
	return st.st_uid == geteuid() || (sudo && parse_i64(sudo, 0, UINT32_MAX, &uid, NULL) == 0 &&
					  (int64_t)st.st_uid == uid);
}

static int spawn(const char *dir, int out, pid_t *ret)
{
	const char *const argv[] = {"git",
				    "-C",
				    dir,
				    "-c",
				    "core.fsmonitor=false",
				    "status",
				    "--porcelain=v2",
				    "--branch",
				    "--untracked-files=no",
				    NULL};
	_cleanup_free_ char **env = environment();
	posix_spawn_file_actions_t files;
	int r;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(ret, "git", &files, NULL, (char *const *)(uintptr_t)argv, env);
	posix_spawn_file_actions_destroy(&files);
	return r;
}

/* To its end, the limit or the deadline; false: the deadline, what came is not to be trusted. */
static bool read_until(int fd, int64_t deadline_mono_ms, struct buf *out)
{
	for (;;) {
		int64_t left = deadline_mono_ms - clock_mono_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char *to;
		ssize_t n;

		if (left <= 0)
			return false;
		n = poll(&p, 1, (int)left);
		if (n < 0 && errno == EINTR)
			continue;
		to = n > 0 ? buf_reserve(out, 4096) : NULL;
		if (!to)
			return n > 0; /* the limit, or the deadline */
		n = read(fd, to, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		buf_added(out, (size_t)n);
	}
}

/* It may be killed, hung in a file system: it is not waited for then. */
static bool ended_well(pid_t pid, int64_t deadline_mono_ms)
{
	int status = 0;
	pid_t r;

	while ((r = waitpid(pid, &status, WNOHANG)) == 0 && clock_mono_ms() < deadline_mono_ms)
		poll(NULL, 0, 1);
	return r == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void git_look(const char *dir, struct git_state *ret)
{
	int64_t deadline = clock_mono_ms() + DEADLINE_MS;
	_cleanup_buf_ struct buf out = {.limit = OUTPUT_MAX};
	_cleanup_close_ int from = -1, to = -1;
	bool whole, good;
	int fds[2];
	pid_t pid;

	*ret = (struct git_state){0};
	if (!is_ours(dir) || pipe2(fds, O_CLOEXEC) < 0)
		return;
	from = fds[0];
	to = fds[1];
	if (spawn(dir, to, &pid) != 0)
		return;
	mem_closep(&to);
	to = -1;
	whole = read_until(from, deadline, &out);
	if (!whole || out.failed)
		kill(pid, SIGKILL);
	mem_closep(&from);
	from = -1;
	good = ended_well(pid, deadline);
	if (whole && (good || out.failed))
		git_read(buf_cstr(&out), ret);
}

static const char *own_name(void)
{
	const char *sudo = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
	const struct passwd *pw = sudo && *sudo ? NULL : getpwuid(geteuid());

	return pw ? pw->pw_name : sudo;
}

void git_add_origin(const char *dir, cJSON *body)
{
	cJSON *origin = x_check(cJSON_AddObjectToObject(body, "origin")), *git;
	const char *name = own_name();
	struct git_state g;

	if (name && strlen(name) <= 256)
		x_check(cJSON_AddStringToObject(origin, "user", name));
	git_look(dir, &g);
	if (g.commit && strlen(g.commit) <= 256 && (!g.branch || strlen(g.branch) <= 256)) {
		git = x_check(cJSON_AddObjectToObject(origin, "git"));
		x_check(cJSON_AddStringToObject(git, "commit", g.commit));
		x_check(g.branch ? cJSON_AddStringToObject(git, "branch", g.branch)
				 : cJSON_AddNullToObject(git, "branch"));
		x_check(cJSON_AddBoolToObject(git, "dirty", g.dirty));
	} else {
		x_check(cJSON_AddNullToObject(origin, "git"));
	}
	git_done(&g);
}
