/* attach: see attach.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/aictld.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/halt.h"
#include "cli/handover.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/paths.h"
#include "lib/sock.h"

#define COMMAND_MAX (256 << 10)
#define LOOK_MS 20
#define PATIENCE_MS 2000
#define RIVAL_MS 1000 /* another aictld was faster: how long until it answers */
#define WORDS_MAX 1024

struct attach {
	char *socket, *runtime_dir;
	char *command;	 /* the file's text */
	const char *dir; /* of the former one, or NULL */
	char **argv;
	size_t n, cap;
	char *log;
	size_t log_begin; /* what stands behind is of our aictld */
	int64_t deadline_mono_ms;
	int pid, pidfd;
};

/* Options, and the directory that relative paths in them are of. */
struct words {
	const char *const *v;
	size_t n;
	const char *dir;
};

static void attach_done(struct attach *a)
{
	mem_free(a->socket);
	mem_free(a->runtime_dir);
	mem_free(a->command);
	mem_strv_free(a->argv);
	mem_free(a->log);
	mem_closep(&a->pidfd);
}

static void add(struct attach *a, char *arg)
{
	x_grow(&a->argv, &a->cap, a->n + 2, sizeof(*a->argv));
	a->argv[a->n++] = arg;
	a->argv[a->n] = NULL;
}

/* aictld is started in another directory. */
static void make_absolute(char **path)
{
	_cleanup_free_ char *cwd = x_check(getcwd(NULL, 0)), *old = *path;

	*path = x_check(fs_join(cwd, old));
}

/* An `up` is no daemon to come back to: only what is named, or the caller's own. */
static void find_place(struct attach *a, const struct cli *cli)
{
	const char *env = getenv("AICTL_SOCKET");
	_cleanup_err_ struct err *e = NULL;
	struct paths p;

	if (cli->socket || (env && *env)) {
		a->socket = x_strdup(cli->socket ? cli->socket : env);
		make_absolute(&a->socket);
		a->runtime_dir = x_check(fs_dirname(a->socket));
		return;
	}
	if (paths_defaults(&p, &e) < 0)
		report_die(e);
	a->runtime_dir = x_strdup(p.runtime_dir);
	a->socket = x_printf("%s/aictl.sock", a->runtime_dir);
	paths_done(&p);
}

/* 0 or an errno. */
static int try_connect(const struct attach *a)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int fd = -1;

	return sock_connect(a->socket, 1000, &fd, &e) == 0 ? 0 : e ? e->sys : ENOMEM;
}

static bool connects(const struct attach *a)
{
	return try_connect(a) == 0;
}

/* ---- the command line ---- */

static size_t name_length(const char *option)
{
	return strcspn(option, "=");
}

static bool is_same(const char *a, const char *b)
{
	size_t n = name_length(a);

	return n == name_length(b) && strncmp(a, b, n) == 0;
}

/* Its value stands beside it, or in it. */
static size_t count_words(const struct words *w, size_t i)
{
	bool alone = strncmp(w->v[i], "--", 2) != 0 || strchr(w->v[i], '=') ||
		     strcmp(w->v[i], "--inherit-env") == 0;

	return alone || i + 1 == w->n ? 1 : 2;
}

static bool has(const struct words *w, const char *option)
{
	for (size_t i = 0; i < w->n; i += count_words(w, i))
		if (is_same(w->v[i], option))
			return true;
	return false;
}

static bool is_path(const char *option)
{
	static const char *const options[] = {"--state-dir", "--log-dir", "--manifests",
					      "--helper-dir"};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (is_same(option, options[i]))
			return true;
	return false;
}

/* One option, with its path absolute. */
static void add_option(struct attach *a, const struct words *w, size_t i)
{
	const char *option = w->v[i], *equals = strchr(option, '=');
	_cleanup_free_ char *path = NULL;

	if (count_words(w, i) == 1 && !(equals && is_path(option))) {
		add(a, x_strdup(option));
		return;
	}
	path = equals ? x_strdup(equals + 1) : x_strdup(w->v[i + 1]);
	if (is_path(option) && *path && w->dir) {
		char *full = x_check(fs_join(w->dir, path));

		mem_free(path);
		path = full;
	}
	add(a, x_printf("%.*s", (int)name_length(option), option));
	add(a, TAKE_PTR(path));
}

/* All but the runtime directory, which is known, and what `better` says otherwise. */
static void add_words(struct attach *a, const struct words *w, const struct words *better)
{
	for (size_t i = 0; i < w->n; i += count_words(w, i))
		if (!is_same(w->v[i], "--runtime-dir") && !(better && has(better, w->v[i])))
			add_option(a, w, i);
}

/* The former one's own, without its program, and the caller's over them: only so is what runs
 * known to the new one, whose state directory must be the same. */
static void add_former(struct attach *a, const struct words *own)
{
	_cleanup_free_ char *path = x_printf("%s/sup/command", a->runtime_dir);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *v[WORDS_MAX], *p, *end;
	struct words former = {.v = v};
	struct stat st;
	size_t len;
	int i = 0;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    st.st_uid != geteuid()) /* another's is not for us to run */
		return;
	if (fs_read_fd(fd, path, COMMAND_MAX, &a->command, &len, NULL) < 0)
		return;
	for (p = a->command, end = p + len; p < end && former.n < WORDS_MAX;
	     p += strlen(p) + 1, i++) {
		if (i == 0)
			a->dir = p;
		else if (i > 1)
			v[former.n++] = p;
	}
	former.dir = a->dir;
	add_words(a, &former, own);
}

/* Where the state lies, by these options. Caller frees. */
static char *state_dir(const struct attach *a)
{
	static const char name[] = "--state-dir";
	_cleanup_err_ struct err *e = NULL;
	const char *value = NULL;
	struct paths p;
	char *path;

	for (size_t i = 1; i + 1 < a->n; i++)
		if (strcmp(a->argv[i], name) == 0)
			value = a->argv[i + 1];
	if (value)
		return x_strdup(value);
	if (paths_defaults(&p, &e) < 0)
		report_die(e);
	path = x_strdup(p.state_dir);
	paths_done(&p);
	return path;
}

static int open_log(struct attach *a, int *ret_fd)
{
	_cleanup_free_ char *dir = state_dir(a);
	_cleanup_err_ struct err *e = NULL;
	struct stat st;

	a->log = x_printf("%s/aictld.log", dir);
	if (access(dir, F_OK) < 0 && fs_mkdir_p(dir, 0700, &e) < 0)
		return (int)report_err(e);
	*ret_fd = open(a->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		       0600);
	if (*ret_fd >= 0 && fstat(*ret_fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    fcntl(*ret_fd, F_SETFL, O_APPEND) == 0) {
		a->log_begin = (size_t)st.st_size;
		return CODE_OK;
	}
	err_sys(&e, *ret_fd < 0 ? errno : EINVAL, "cannot write %s", a->log);
	return (int)report_err(e);
}

static int start(struct attach *a, const char *const *options, size_t n)
{
	_cleanup_free_ char *program = aictld_find(), *cwd = x_check(getcwd(NULL, 0));
	const struct words own = {options, n, cwd};
	_cleanup_close_ int log_fd = -1;
	struct aictld_start s = {.life_fd = -1};
	int code, r;

	add(a, x_strdup(program));
	add_former(a, &own);
	add_words(a, &own, NULL);
	add(a, x_strdup("--runtime-dir"));
	add(a, x_strdup(a->runtime_dir));
	code = open_log(a, &log_fd);
	if (code != CODE_OK)
		return code;
	s.argv = (const char *const *)a->argv;
	s.dir = a->dir && access(a->dir, X_OK) == 0 ? a->dir : NULL;
	s.log_fd = log_fd;
	r = aictld_spawn(&s, &a->pid);
	if (r != 0) {
		report_plain("cannot run %s: %s", program, strerror(r));
		return CODE_FAILED;
	}
	a->pidfd = halt_pidfd(a->pid);
	return CODE_OK;
}

static bool ended(const struct attach *a)
{
	struct pollfd p = {.fd = a->pidfd, .events = POLLIN};

	return poll(&p, 1, LOOK_MS) > 0;
}

static int say_answers(const struct attach *a)
{
	printf("an aictld answers already on %s\n", a->socket);
	return CODE_OK;
}

/* It has ended: by an error, or because another one was started at the same time. */
static int start_failed(const struct attach *a)
{
	const int64_t until = clock_add(clock_mono_ms(), RIVAL_MS);
	int status = 0;

	waitpid(a->pid, &status, 0);
	while (WIFEXITED(status) && WEXITSTATUS(status) == 1 && clock_mono_ms() < until) {
		if (connects(a))
			return say_answers(a);
		poll(NULL, 0, LOOK_MS);
	}
	report_plain("aictld did not start");
	aictld_show_log(a->log, a->log_begin);
	return CODE_FAILED;
}

/* Until its controller knows what runs. */
static int wait_answer(struct attach *a, struct client *client, struct reply *d)
{
	const struct client_request rq = {.method = "GET", .path = "/v1/daemon"};

	client_set_patience(client, PATIENCE_MS);
	while (clock_mono_ms() < a->deadline_mono_ms) {
		_cleanup_err_ struct err *e = NULL;

		if (ended(a))
			return start_failed(a);
		if (connects(a) && client_call(client, &rq, d, &e) == 0 && d->status == 200 &&
		    js_int(d->json, "pid", 0) == a->pid && /* else ours is about to give up */
		    strcmp(js_str(d->json, "mode", "starting"), "starting") != 0)
			return CODE_OK;
		client_reply_done(d);
	}
	report_plain("timed out: aictld does not answer; its log is %s", a->log);
	return CODE_TIMEOUT;
}

static void tell(const struct attach *a, const struct reply *d)
{
	_cleanup_free_ char *replicas = text_count(js_int(d->json, "adopted", 0), "replica");

	printf("aictld %lld runs, and took over %s\n", (long long)js_int(d->json, "pid", 0),
	       replicas);
	printf("its log is %s\n", a->log);
}

/* The last one was a unit's: systemd knows nothing of this one, and could not start another. */
static void warn_of_unit(const struct attach *a)
{
	static const char mark[] = "aictl-workloads/cgroup";
	bool is_unit = false;

	for (size_t i = 0; i < a->n; i++) {
		size_t len = strlen(a->argv[i]), tail = sizeof(mark) - 1;

		is_unit |= len >= tail && strcmp(a->argv[i] + len - tail, mark) == 0;
	}
	if (!is_unit)
		return;
	report_warning("the last aictld here was systemd's; this one runs outside of its unit");
	report_hint("to have it in the unit: aictl daemon detach, then %s",
		    handover_start_command());
}

static int run(struct attach *a, const struct cli *cli, const char *const *options, size_t n)
{
	_cleanup_reply_ struct reply d = {0};
	_cleanup_client_ struct client *client = NULL;
	int code, failure;

	find_place(a, cli);
	failure = try_connect(a);
	if (failure == 0)
		return say_answers(a);
	if (failure == EACCES || failure == EPERM) {
		report_plain("not permitted to talk to the daemon on %s", a->socket);
		report_hint("be root, or join the group aictl: usermod -aG aictl USER");
		return CODE_NOT_PERMITTED;
	}
	code = start(a, options, n);
	if (code != CODE_OK)
		return code;
	client = client_new(a->socket);
	code = wait_answer(a, client, &d);
	if (code == CODE_OK && d.json) { /* else another one does */
		tell(a, &d);
		warn_of_unit(a);
	}
	return code;
}

int attach_run(const struct cli *cli, const char *const *options, size_t n, int64_t timeout_ms)
{
	struct attach a = {.deadline_mono_ms = clock_add(clock_mono_ms(), timeout_ms), .pidfd = -1};
	int code = run(&a, cli, options, n);

	attach_done(&a);
	return code;
}
