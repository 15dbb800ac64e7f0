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
#include "lib/log.h"
#include "lib/mem.h"

#define ARGS_MAX 32

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

/* In the build tree they lie beside us. */
static int find_plugins(struct supervisor *sup, const char *own_dir, struct err **reterr)
{
	_cleanup_free_ char *beside = mem_printf("%s/plugins", own_dir);
	const char *dir = sup->opt->plugin_dir;

	if (!dir)
		dir = beside && access(beside, X_OK) == 0 ? beside : PLUGINDIR;
	sup->runtimes.plugin_dir = mem_strdup(dir);
	return sup->runtimes.plugin_dir ? 0 : err_nomem(reterr);
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
	find_one(sup->opt, dir, "aictl-gateway", &sup->gateway.binary_fd, NULL);
	if (sup->opt->n_runtimes > 0)
		find_one(sup->opt, dir, "aictl-runtime", &sup->runtimes.binary_fd, NULL);
	if (r == 0)
		r = find_plugins(sup, dir, reterr);
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
	add(&a, "--log-max-total", o->log_max_total);
	add(&a, "--log-keep-free", o->log_keep_free);
	add(&a, "--sup-dir", sup_dir); /* where the next aictld listens */
	add(&a, "--log-level", level_name(o->log_level));
	return mem_strv_dup(a.v);
}

static char **gateway_args(const struct options *o)
{
	_cleanup_free_ char *sup_dir = mem_printf("%s/sup", o->paths.runtime_dir);
	_cleanup_free_ char *threads = mem_printf("%u", o->gateway_threads);
	struct args a = {{"aictl-gateway"}, 1};

	if (!sup_dir || !threads)
		return NULL;
	add(&a, "--threads", threads);
	add(&a, "--sup-dir", sup_dir);
	add(&a, "--log-level", level_name(o->log_level));
	return mem_strv_dup(a.v);
}

static char **controller_args(const struct supervisor *sup)
{
	const struct options *o = sup->opt;
	struct args a = {{"aictl-controller"}, 1};

	if (o->inherit_env)
		a.v[a.n++] = "--inherit-env";
	add(&a, "--runtime-dir", o->paths.runtime_dir);
	add(&a, "--state-dir", o->paths.state_dir);
	add(&a, "--log-dir", o->paths.log_dir);
	add(&a, "--log-max-total", o->log_max_total);
	add(&a, "--log-keep-free", o->log_keep_free);
	add(&a, "--port-range", o->port_range);
	add(&a, "--metrics", o->metrics);
	add(&a, "--default-user", o->default_user);
	add(&a, "--manifests", o->paths.manifests);
	add(&a, "--plugin-dir", sup->runtimes.plugin_dir);
	add(&a, "--log-level", level_name(o->log_level));
	return mem_strv_dup(a.v);
}

int helpers_init(struct supervisor *sup, struct err **reterr)
{
	struct helper *c = &sup->controller, *l = &sup->logger, *g = &sup->gateway;

	c->sup = l->sup = g->sup = sup;
	c->name = "aictl-controller";
	l->name = "aictl-logger";
	c->argv = controller_args(sup);
	l->argv = logger_args(sup->opt);
	g->name = "aictl-gateway";
	g->argv = gateway_args(sup->opt);
	if (!c->argv || !l->argv || !g->argv)
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
	g->user = sup->dirs.gateway;
	g->stderr_fd = sup->own_log_write_fd;
	g->on_connect = gateway_connected;
	g->on_quit = gateway_quit;
	g->link.on_flush = gateway_flush;
	g->link.on_packet = gateway_packet;
	helper_init(g);
	return 0;
}

static bool lives(const struct table_helper *h)
{
	return proc_is(h->pid, h->start_ticks, 0);
}

/* Where there is none, that of the oldest which nobody needs; it goes where it does not anyway. */
static unsigned free_place(const struct table_header *t)
{
	unsigned last = TABLE_GATEWAYS - 1, place = last;

	for (unsigned i = 0; i <= last; i++) {
		if (!lives(&t->gateways[i]))
			return i;
		if (t->gateways[i].state != TABLE_GATEWAY_SERVES)
			place = i;
	}
	if (t->gateways[place].state != TABLE_GATEWAY_LEAVES) {
		log_warn("gateway pid=%d too many at once, ending it", t->gateways[place].pid);
		proc_kill(t->gateways[place].pid, t->gateways[place].start_ticks, 0);
	}
	return place;
}

/* The first place is the present one's; each before it that lives keeps one. */
static void note_gateway(struct table_header *t, const struct table_helper *now)
{
	for (unsigned at = free_place(t); at > 0; at--)
		t->gateways[at] = t->gateways[at - 1];
	t->gateways[0] = *now;
}

void helpers_note_gateway(struct supervisor *sup, int pid, uint32_t state)
{
	struct table_header *t = sup->table.header;

	for (unsigned i = 0; i < TABLE_GATEWAYS; i++)
		if (pid > 0 && t->gateways[i].pid == pid)
			t->gateways[i].state = state;
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
	if (runtime_is(h->sup, h)) {
		runtime_note(h);
		return;
	}
	if (h == &h->sup->gateway) {
		note_gateway(t, &now);
		return;
	}
	/* First: killed in between, we leave nobody who may read and is not named. */
	table_set_owner(&h->sup->table, now.pid);
	/* One that lives and still holds what it gave back keeps its place. */
	if (!lives(&t->loggers[1]) || proc_is_dead(t->loggers[1].pid))
		t->loggers[1] = t->loggers[0];
	t->loggers[0] = now;
}
