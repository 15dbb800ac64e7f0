/*
 * cmd_up: aictl up, a manifest run in the foreground by a daemon of its own. Everything ends with
 * us: by Ctrl-C, a signal, a closed terminal, `aictl down` from elsewhere, or our death.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/report.h"
#include "cli/sources.h"
#include "cli/tail.h"
#include "cli/text.h"
#include "cli/up_daemon.h"
#include "cli/up_loop.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/logview.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* From now on: what a former `up` of this directory left is not shown. */
static void follow_logs(struct up_loop *u, const char *service)
{
	_cleanup_err_ struct err *e = NULL;
	const struct logview_opts opts = {.log_dir = u->daemon->paths.log_dir,
					  .service = service,
					  .index = -1,
					  .tail = 0,
					  .follow = true};

	if (tail_add_files(u->tail, &opts, &e) < 0)
		report_warning("no logs of %s here: %s", service, err_msg(e));
}

/* What is started without a request. */
static int64_t at_first(const struct service_spec *s)
{
	return s->replicas_max > 0 && s->replicas_min == 0 ? 0 : s->replicas;
}

/* Column widths, and the logs to follow. */
static void expect_replicas(struct up_loop *u)
{
	for (size_t i = 0; i < u->manifest->n_services; i++) {
		const struct service_spec *s = u->manifest->services[i];

		for (int64_t k = 0; k < at_first(s); k++) {
			_cleanup_free_ char *object = x_printf("%s/%lld", s->name, (long long)k);

			view_expect(&u->out.view, object);
		}
		follow_logs(u, s->name);
	}
}

static int64_t count_replicas(const struct manifest *m)
{
	int64_t n = 0;

	for (size_t i = 0; i < m->n_services; i++)
		n += at_first(m->services[i]);
	return n;
}

static void announce(const struct up_loop *u)
{
	const struct manifest *m = u->manifest;
	_cleanup_free_ char *cwd = x_check(getcwd(NULL, 0));
	_cleanup_free_ char *services = text_count((int64_t)m->n_services, "service");
	_cleanup_free_ char *replicas = text_count(count_replicas(m), "replica");

	if (geteuid() == 0)
		report_warning("running as root: services without `user:` run as root too");
	printf("%s: starting %s, %s (Ctrl-C stops all)\n", m->name, services, replicas);
	if (strcmp(cwd, u->sources->dir) != 0)
		printf("%s: other commands find it in %s, or by --socket %s\n", m->name,
		       u->sources->dir, u->daemon->socket);
	fflush(stdout);
}

/* What does not begin is stopped again; its exit code is the one that counts. */
static int run_daemon(struct up_loop *u)
{
	int code, begun;

	up_loop_init(u);
	code = up_daemon_start(u->daemon, u->signal_fd);
	if (code != CODE_OK)
		return code;
	begun = up_loop_wait_answer(u);
	if (begun == CODE_OK) {
		up_loop_open_events(u);
		expect_replicas(u);
		begun = up_loop_apply(u);
	}
	if (begun > 0)
		up_loop_stop(u);
	code = up_loop_run(u);
	return begun > 0 ? begun : code;
}

static int refuse_second(const struct up_daemon *d)
{
	report_plain("`aictl up` runs in this directory already");
	report_hint("look with: aictl ps; end it with: aictl down; its socket is %s", d->socket);
	return CODE_CONFLICT;
}

static int run_loop(struct up_loop *u)
{
	int code;

	u->client = client_new(u->daemon->socket);
	u->events = client_new(u->daemon->socket);
	u->tail = tail_new();
	u->out.view = (struct view){.term = &u->cli->term, .prefix = true};
	u->out.safe = isatty(STDOUT_FILENO);
	announce(u);
	code = run_daemon(u);
	tail_free(u->tail);
	client_free(u->events);
	client_free(u->client);
	up_loop_done(u);
	return code;
}

/* NAME[=CONFIG] is for this runtime. */
static bool is_for(const char *option, const char *name)
{
	size_t n = strlen(name);

	return strncmp(option, name, n) == 0 && (option[n] == '\0' || option[n] == '=');
}

static void add_runtime(struct up_daemon *d, const char *option)
{
	x_grow(&d->runtimes, &d->cap_runtimes, d->n_runtimes + 1, sizeof(*d->runtimes));
	d->runtimes[d->n_runtimes++] = x_strdup(option);
}

/* Those asked for, and those that the manifest names: what the engine lets this user do, it lets
 * this user do without us. */
static void choose_runtimes(struct up_daemon *d, const struct manifest *m, const struct args *args)
{
	const char *option;

	for (size_t i = 0; (option = args_nth(args, "runtime", i)); i++)
		add_runtime(d, option);
	for (size_t i = 0; i < m->n_services; i++) {
		const struct service_spec *s = m->services[i];
		bool known = !service_spec_is_container(s);

		for (size_t k = 0; k < d->n_runtimes && !known; k++)
			known = is_for(d->runtimes[k], s->container.runtime);
		if (!known)
			add_runtime(d, s->container.runtime);
	}
}

static int run(struct cli *cli, const struct args *args)
{
	struct up_daemon daemon;
	struct sources sources;
	struct manifest *m;
	struct up_loop u = {.cli = cli, .daemon = &daemon, .sources = &sources, .signal_fd = -1};
	int code;

	sources_load(cli, args, &sources);
	u.manifest = m = sources_check(&sources);
	up_daemon_init(&daemon, sources.dir);
	choose_runtimes(&daemon, m, args);
	code = up_daemon_is_running(&daemon) ? refuse_second(&daemon) : run_loop(&u);
	up_daemon_done(&daemon);
	manifest_free(m);
	cli->dir = NULL;
	sources_done(&sources);
	return code;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "manifest; may be repeated", NULL},
	{0, "runtime", "NAME[=CONFIG]", "containers by this runtime; may be repeated", NULL},
	{0},
};

const struct command cmd_up_command = {
	.name = "up",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS]",
	.summary = "Run a manifest here, in the foreground, until Ctrl-C",
	.details =
		"Starts a daemon for this directory alone, applies the manifest to it and shows\n"
		"each transition and each log line. Ctrl-C (or SIGTERM, or closing the\n"
		"terminal) stops all services in their grace period, then the daemon; a second\n"
		"Ctrl-C kills. Exit code 0 after a clean stop.\n\n"
		"Services get the environment of this shell. Other commands given in the same\n"
		"directory talk to this daemon. A second `up` here exits 8.\n\n"
		"Services with `image:` are containers of the engine at DOCKER_HOST, or at\n"
		"another one with --runtime docker=unix:///PATH.",
	.examples = "aictl up\n"
		    "aictl up -f examples/sentiment",
	.options = options,
	.run = run,
};
