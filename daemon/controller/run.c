/* run: see run.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/launch_unit.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_logs.h"
#include "daemon/controller/replica_unit.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

struct run {
	struct controller *c;
	uint64_t id;
	run_cb cb;
	void *user;
	LIST_ENTRY(run) all;
};

/* Numbers of a controller before us must not be ours: its runs' ends may still come. */
static uint64_t next_id(struct controller *c)
{
	if (c->next_run == 0)
		c->next_run = (uint64_t)c->started_wall_ms << 20;
	return ++c->next_run;
}

static void fill(struct wire_run *m, const struct replica *r, const struct run_opts *o)
{
	bool inside = replica_unit_is(r);

	m->inside = inside;
	if (o->log || inside)
		m->key = replica_key(r);
	if (!o->log)
		return;
	m->log = true;
	memcpy(m->key.incarnation, o->log, sizeof(m->key.incarnation));
	replica_logs_of(r->spec, r->revision, &m->logs);
}

/* Inside a container: its runtime looks for the program, and nothing else of us is there. */
static int encode_inside(struct controller *c, const struct replica *r, const struct run_opts *o,
			 struct wire_run *m, struct buf *out, struct err **reterr)
{
	char *const nowhere[] = {(char[]){""}, NULL}, *const none[] = {NULL};
	struct launch_what what = o->what;
	char **argv;
	int rc;

	what.spec = r->spec;
	what.identity = r->identity;
	what.revision = r->revision;
	rc = launch_unit_inside(c, r, &what, &argv, reterr);
	if (rc < 0)
		return rc;
	m->child = (struct wire_child){.cwd = o->cwd ? o->cwd : "/",
				       .paths = nowhere,
				       .argv = argv,
				       .envp = what.environment ? what.environment : none};
	wire_run_encode(out, m);
	mem_strv_free(argv);
	return out->failed ? err_nomem(reterr) : 0;
}

static int encode_beside(struct controller *c, const struct replica *r, const struct run_opts *o,
			 struct wire_run *m, struct buf *out, struct err **reterr)
{
	struct launch_what what = o->what;
	struct launch l;
	int rc;

	what.spec = r->spec; /* as its process was started: the service's may be newer */
	what.identity = r->identity;
	what.revision = r->revision;
	rc = launch_describe(c, r, &what, &l, reterr);
	if (rc < 0)
		return rc;
	m->child = l.child;
	if (o->cwd)
		m->child.cwd = o->cwd;
	wire_run_encode(out, m);
	launch_done(&l);
	return out->failed ? err_nomem(reterr) : 0;
}

int run_start(struct controller *c, const struct replica *r, const struct run_opts *o,
	      struct run **ret, struct err **reterr)
{
	_cleanup_buf_ struct buf packet = {0};
	struct wire_run m = {.tty = o->tty, .timeout_ms = o->timeout_ms};
	struct run *run = mem_alloc(sizeof(*run));
	int rc;

	if (!run)
		return err_nomem(reterr);
	*run = (struct run){.c = c, .id = next_id(c), .cb = o->on_end, .user = o->user};
	m.id = run->id;
	fill(&m, r, o);
	rc = replica_unit_is(r) ? encode_inside(c, r, o, &m, &packet, reterr)
				: encode_beside(c, r, o, &m, &packet, reterr);
	if (rc < 0) {
		mem_free(run);
		return rc;
	}
	LIST_INSERT_HEAD(&c->runs, run, all);
	link_send_fds(c->link, &packet, o->fds, o->log ? 0 : 3);
	*ret = run;
	return 0;
}

void run_kill(const struct run *run, int signal)
{
	_cleanup_buf_ struct buf packet = {0};

	wire_run_encode_kill(&packet, run->id, signal);
	link_send(run->c->link, &packet);
}

static void drop(struct run *run)
{
	LIST_REMOVE(run, all);
	mem_free(run);
}

void run_forget(struct run *run)
{
	run_kill(run, SIGKILL);
	drop(run);
}

void run_forget_all(struct controller *c)
{
	while (!LIST_EMPTY(&c->runs))
		drop(LIST_FIRST(&c->runs));
}

void run_on_end(struct controller *c, const struct wire_run_end *end)
{
	struct run *run;

	LIST_FOREACH (run, &c->runs, all) {
		run_cb cb = run->cb;
		void *user = run->user;

		if (run->id != end->id)
			continue;
		drop(run);
		cb(end, user);
		return;
	}
}

bool run_has_run(const struct wire_run_end *end)
{
	return end->stage >= WIRE_STAGE_EXEC && end->err == 0;
}

void run_describe_end(const struct wire_run_end *end, char *out, size_t n)
{
	const char *signal = parse_signal_name(end->signal);
	char stage[WIRE_FAILURE_SIZE];

	if (end->stage == WIRE_STAGE_REFUSED && end->err == EAGAIN)
		snprintf(out, n, "cannot start: too many commands run at the moment");
	else if (end->stage == WIRE_STAGE_REFUSED && end->err == EALREADY)
		snprintf(out, n, "cannot start: the one before cannot be killed");
	else if (end->stage == WIRE_STAGE_REFUSED && end->err == ESHUTDOWN)
		snprintf(out, n, "cannot start: the daemon is shutting down");
	else if (!run_has_run(end) && end->text[0])
		snprintf(out, n, "cannot start: %s", end->text);
	else if (!run_has_run(end))
		snprintf(out, n, "cannot start: %s: %s",
			 wire_failure_name(stage, end->stage, end->what),
			 end->err ? strerror(end->err) : "killed");
	else if (end->signal && signal)
		snprintf(out, n, "signal %s", signal + 3);
	else if (end->signal)
		snprintf(out, n, "signal %d", end->signal);
	else
		snprintf(out, n, "exit code %d", end->code);
}
