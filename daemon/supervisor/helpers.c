/* helpers: see helpers.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define ARGS_MAX 24

static int open_in(const char *dir, const char *name)
{
	_cleanup_free_ char *path = mem_printf("%s/%s", dir, name);

	if (!path || access(path, X_OK) < 0)
		return -1;
	return open(path, O_PATH | O_CLOEXEC);
}

static int find_one(const struct options *o, const char *own_dir, const char *name, int *ret_fd,
		    struct err **reterr)
{
	*ret_fd = open_in(o->helper_dir ? o->helper_dir : own_dir, name);
	if (*ret_fd < 0 && !o->helper_dir)
		*ret_fd = open_in(LIBEXECDIR, name);
	if (*ret_fd >= 0)
		return 0;
	return err_set(reterr, ERR_NOTFOUND, "cannot find %s in %s%s", name,
		       o->helper_dir ? o->helper_dir : own_dir,
		       o->helper_dir ? "" : " or " LIBEXECDIR);
}

int helpers_find(struct supervisor *sup, struct err **reterr)
{
	_cleanup_free_ char *dir = NULL;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int r;

	sup->self_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (n < 0 || sup->self_fd < 0)
		return err_sys(reterr, errno, "cannot find our own program");
	self[n] = '\0';
	dir = fs_dirname(self);
	if (!dir)
		return err_nomem(reterr);
	r = find_one(sup->opt, dir, "aictl-controller", &sup->controller.binary_fd, reterr);
	if (r == 0)
		r = find_one(sup->opt, dir, "aictl-logger", &sup->logger.binary_fd, reterr);
	return r;
}

/* A growing command line; NULL text ends nothing and is skipped together with its option. */
struct args {
	const char *v[ARGS_MAX];
	unsigned n;
};

static void add(struct args *a, const char *option, const char *value)
{
	if (a->n + 2 >= ARGS_MAX || !value)
		return;
	a->v[a->n++] = option;
	a->v[a->n++] = value;
}

static const char *level_name(enum log_level level)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	return names[level];
}

static char **logger_args(const struct options *o)
{
	_cleanup_free_ char *sup_dir = mem_printf("%s/sup", o->paths.runtime_dir);
	struct args a = {{"aictl-logger"}, 1};

	if (!sup_dir)
		return NULL;
	add(&a, "--log-dir", o->paths.log_dir);
	add(&a, "--sup-dir", sup_dir); /* where the next aictld listens */
	add(&a, "--log-level", level_name(o->log_level));
	return mem_strv_dup(a.v);
}

static char **controller_args(const struct options *o)
{
	struct args a = {{"aictl-controller"}, 1};

	if (o->inherit_env)
		a.v[a.n++] = "--inherit-env";
	add(&a, "--runtime-dir", o->paths.runtime_dir);
	add(&a, "--state-dir", o->paths.state_dir);
	add(&a, "--log-dir", o->paths.log_dir);
	add(&a, "--port-range", o->port_range);
	add(&a, "--default-user", o->default_user);
	add(&a, "--manifests", o->paths.manifests);
	add(&a, "--log-level", level_name(o->log_level));
	return mem_strv_dup(a.v);
}

int helpers_init(struct supervisor *sup, struct err **reterr)
{
	struct helper *c = &sup->controller, *l = &sup->logger;

	c->sup = l->sup = sup;
	c->name = "aictl-controller";
	l->name = "aictl-logger";
	c->argv = controller_args(sup->opt);
	l->argv = logger_args(sup->opt);
	if (!c->argv || !l->argv)
		return err_nomem(reterr);
	c->user = sup->dirs.controller;
	l->user = sup->dirs.logger;
	c->stderr_fd = sup->own_log_write_fd;
	l->stderr_fd = sup->stderr_fd;
	c->on_connect = control_connected;
	c->on_disconnect = run_abandon;
	l->on_connect = stream_connected;
	l->on_quit = stream_quit;
	c->on_early_deaths = supervisor_enter_safe;
	c->link.on_flush = control_flush;
	c->link.on_packet = control_packet;
	l->link.on_flush = stream_flush;
	l->link.on_packet = stream_packet;
	helper_init(c);
	c->link.io.urgent = true; /* a restart waits for its word */
	helper_init(l);
	return 0;
}

void helpers_note(struct helper *h)
{
	struct table_header *t = h->sup->table.header;
	const struct table_helper now = {.pid = helper_pid(h),
					 .start_ticks = proc_start_ticks(helper_pid(h))};

	if (h == &h->sup->controller) {
		t->controller = now;
		return;
	}
	/* First: killed in between, we leave nobody who may read and is not named. */
	table_set_owner(&h->sup->table, now.pid);
	/* One that lives and still holds what it gave back keeps its place. */
	if (!proc_is(t->loggers[1].pid, t->loggers[1].start_ticks, 0))
		t->loggers[1] = t->loggers[0];
	t->loggers[0] = now;
}
