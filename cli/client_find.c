/* client_find: see client_find.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/client_find.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/paths.h"
#include "lib/sock.h"

#define CONNECT_MS 5000
#define CANDIDATES_MAX 3

struct candidate {
	char *path;
	const char *what;
	char *failure; /* why not */
};

struct search {
	struct candidate v[CANDIDATES_MAX];
	size_t n;
	bool denied; /* one of them is there but closed to us */
};

static void add(struct search *s, char *path, const char *what)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->v[i].path, path) == 0) {
			mem_free(path);
			return;
		}
	}
	s->v[s->n++] = (struct candidate){.path = path, .what = what};
}

char *client_find_up(const char *dir)
{
	_cleanup_err_ struct err *e = NULL;
	struct paths p;
	char *path;

	if (paths_up(dir ? dir : ".", &p, &e) < 0)
		report_die(e);
	path = x_printf("%s/aictl.sock", p.runtime_dir);
	paths_done(&p);
	return path;
}

static char *own_socket(void)
{
	_cleanup_err_ struct err *e = NULL;
	struct paths p;
	char *path;

	if (paths_defaults(&p, &e) < 0)
		report_die(e);
	path = x_printf("%s/aictl.sock", p.runtime_dir);
	paths_done(&p);
	return path;
}

static void candidates(const struct cli *cli, struct search *s)
{
	const char *env = getenv("AICTL_SOCKET");

	if (cli->socket) {
		add(s, x_strdup(cli->socket), "--socket");
	} else if (env && *env) {
		add(s, x_strdup(env), "AICTL_SOCKET");
	} else {
		add(s, client_find_up(cli->dir), "aictl up of this directory");
		add(s, own_socket(), geteuid() == 0 ? "system daemon" : "your own daemon");
		add(s, x_strdup("/run/aictl/aictl.sock"), "system daemon");
	}
}

static bool trusted(int fd)
{
	struct sock_peer peer;

	return sock_peer(fd, &peer) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static bool answers(struct search *s, struct candidate *c, bool any_owner)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int fd = -1;

	if (sock_connect(c->path, CONNECT_MS, &fd, &e) == 0) {
		if (any_owner || trusted(fd))
			return true;
		c->failure = x_strdup("belongs to another user");
		return false;
	}
	if (e->sys == EACCES || e->sys == EPERM)
		s->denied = true;
	c->failure = x_strdup(e->sys == ENOENT	       ? "not there"
			      : e->sys == ECONNREFUSED ? "nobody listens"
			      : e->sys == EACCES       ? "not permitted"
						       : err_msg(e));
	return false;
}

/* One that was started there by us has left its command line. An `up` leaves none. */
static bool was_there(const struct search *s)
{
	for (size_t i = 0; i < s->n; i++) {
		_cleanup_free_ char *dir = x_check(fs_dirname(s->v[i].path));
		_cleanup_free_ char *command = x_printf("%s/sup/command", dir);

		if (access(command, R_OK) == 0)
			return true;
	}
	return false;
}

static void give_up(const struct search *s) __attribute__((noreturn));
static void give_up(const struct search *s)
{
	if (s->denied)
		report_plain("not permitted to talk to the daemon");
	else
		report_plain("no daemon answers");
	for (size_t i = 0; i < s->n; i++)
		fprintf(stderr, "  %s  (%s): %s\n", s->v[i].path, s->v[i].what, s->v[i].failure);
	if (s->denied) {
		report_hint("be root, or join the group aictl: usermod -aG aictl USER");
		exit(CODE_NOT_PERMITTED);
	}
	if (was_there(s))
		report_hint(
			"start it as it was, what still runs is taken over: aictl daemon attach%s",
			geteuid() == 0 ? " (or systemctl start aictld)" : "");
	else
		report_hint(
			"run `aictl up` in the directory of a manifest, or start the daemon: aictld%s",
			geteuid() == 0 ? " (systemctl start aictld)" : "");
	exit(CODE_UNREACHABLE);
}

static void search_done(struct search *s)
{
	for (size_t i = 0; i < s->n; i++) {
		mem_free(s->v[i].path);
		mem_free(s->v[i].failure);
	}
}

static char *find(const struct cli *cli, struct search *s)
{
	candidates(cli, s);
	for (size_t i = 0; i < s->n; i++) {
		bool named = s->n == 1;

		if (answers(s, &s->v[i], named))
			return x_strdup(s->v[i].path);
	}
	return NULL;
}

char *client_find_try(const struct cli *cli)
{
	struct search s = {0};
	char *found = find(cli, &s);

	search_done(&s);
	return found;
}

char *client_find_socket(const struct cli *cli)
{
	struct search s = {0};
	char *found = find(cli, &s);

	if (!found)
		give_up(&s);
	search_done(&s);
	return found;
}
