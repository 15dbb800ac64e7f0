/* launch: see launch.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/launch.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/controller/arg_limit.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/launch_unit.h"
#include "daemon/controller/limits.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_logs.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/secrets.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire_unit.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_ports.h"
#include "lib/mem.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void strv_borrow(struct launch_strv *s, const char *item)
{
	if (!item || s->failed || mem_grow(&s->v, &s->cap, s->n + 2, sizeof(*s->v)) < 0) {
		s->failed = true;
		return;
	}
	s->v[s->n++] = (char *)item;
	s->v[s->n] = NULL;
}

/* Notes item as ours; the same, or NULL (then failed is set). */
static char *strv_own(struct launch_strv *s, char *item)
{
	if (!item || mem_grow(&s->owned, &s->cap_owned, s->n_owned + 1, sizeof(*s->owned)) < 0) {
		mem_free(item);
		s->failed = true;
		return NULL;
	}
	s->owned[s->n_owned++] = item;
	return item;
}

static void strv_done(struct launch_strv *s)
{
	for (size_t i = 0; i < s->n_owned; i++)
		mem_free(s->owned[i]);
	mem_free(s->owned);
	mem_free(s->v);
}

static size_t name_len(const char *assignment)
{
	return strcspn(assignment, "=");
}

/* Sets NAME=value, replacing an earlier one. */
static void env_set(struct launch_strv *env, const char *assignment)
{
	size_t len = assignment ? name_len(assignment) : 0;

	for (size_t i = 0; assignment && i < env->n; i++) {
		if (strncmp(env->v[i], assignment, len) == 0 && env->v[i][len] == '=') {
			env->v[i] = (char *)assignment;
			return;
		}
	}
	strv_borrow(env, assignment);
}

static void env_printf(struct launch_strv *env, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void env_printf(struct launch_strv *env, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	env_set(env, strv_own(env, mem_vprintf(fmt, ap)));
	va_end(ap);
}

/* text itself where nothing is to be expanded. */
static int expand(struct launch_strv *owner, const char *text, const struct expand_vars *vars,
		  const char **ret, struct err **reterr)
{
	char *value = NULL;
	int r;

	*ret = text;
	if (!strchr(text, '$'))
		return 0;
	r = manifest_expand(text, vars, &value, reterr);
	if (r < 0)
		return r;
	*ret = strv_own(owner, value);
	return *ret ? 0 : err_nomem(reterr);
}

/* Not for children: what speaks to our own manager or belongs to another run of ours. */
static bool is_private(const char *assignment)
{
	static const char *const prefixes[] = {
		"AICTL_",	  "NOTIFY_SOCKET=",  "WATCHDOG_USEC=",	"WATCHDOG_PID=",
		"LISTEN_PID=",	  "LISTEN_FDS=",     "LISTEN_FDNAMES=", "FDSTORE=",
		"INVOCATION_ID=", "JOURNAL_STREAM=", "MAINPID="};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(assignment, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

char **launch_base_env(char *const *environ_or_null)
{
	static const char *const clean[] = {"PATH=" DEFAULT_PATH, "LANG=C.UTF-8", NULL};
	struct launch_strv env = {0};
	char **copy;

	if (!environ_or_null)
		return mem_strv_dup(clean);
	for (size_t i = 0; environ_or_null[i]; i++)
		if (!is_private(environ_or_null[i]) && strchr(environ_or_null[i], '='))
			strv_borrow(&env, environ_or_null[i]);
	copy = env.failed ? NULL : mem_strv_dup((const char *const *)env.v);
	strv_done(&env);
	return copy;
}

static const char *env_get(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; env && env[i]; i++)
		if (name_len(env[i]) == len && strncmp(env[i], name, len) == 0)
			return env[i][len] ? env[i] + len + 1 : "";
	return NULL;
}

/* What sd_listen_fds(3) reads; aictld adds LISTEN_PID. */
static void listen_variables(const struct service_spec *spec, struct launch_strv *env)
{
	_cleanup_buf_ struct buf names = {0};
	const struct port_spec *p;
	size_t n = 0;

	for (; (p = manifest_ports_handed(spec, n)); n++)
		buf_printf(&names, "%s%s", n ? ":" : "", p->name);
	env->failed |= names.failed;
	if (n == 0)
		return;
	env_printf(env, "LISTEN_FDS=%zu", n);
	env_printf(env, "LISTEN_FDNAMES=%s", buf_cstr(&names));
}

static void own_variables(const struct launch *l, const struct replica *r,
			  const struct launch_what *what, struct launch_strv *env)
{
	char name[MANIFEST_PORT_VARIABLE_SIZE];

	if (l->vars.port)
		env_printf(env, "PORT=%u", l->vars.port);
	for (size_t i = 0; i < l->vars.n_ports; i++)
		if (l->ports[i].port)
			env_printf(env, "%s=%u",
				   manifest_port_variable(l->ports[i].name, name, sizeof(name)),
				   l->ports[i].port);
	if (what->listens)
		listen_variables(what->spec, env);
	env_printf(env, "AICTL_SERVICE=%s", r->service->name);
	env_printf(env, "AICTL_REPLICA=%u", r->index);
	env_printf(env, "AICTL_REVISION=%llu", (unsigned long long)l->vars.revision);
	env_printf(env, "AICTL_INCARNATION=%s", r->incarnation);
}

static int build_env(struct launch *l, const struct controller *c, const struct replica *r,
		     const struct launch_what *what, struct err **reterr)
{
	const struct identity *id = what->identity;
	struct launch_strv *env = &l->env;
	const char *value;

	for (size_t i = 0; c->base_env[i]; i++)
		strv_borrow(env, c->base_env[i]);
	if (!c->opts.inherit_env) {
		env_printf(env, "HOME=%s", id->home);
		env_printf(env, "USER=%s", id->name);
		env_printf(env, "LOGNAME=%s", id->name);
		env_printf(env, "SHELL=%s", id->shell);
	}
	for (size_t i = 0; what->spec->environment && what->spec->environment[i]; i++) {
		int rc = expand(env, what->spec->environment[i], &l->vars, &value, reterr);

		if (rc < 0)
			return rc;
		env_set(env, value);
	}
	own_variables(l, r, what, env);
	for (size_t i = 0; what->environment && what->environment[i]; i++)
		env_set(env, what->environment[i]);
	return env->failed ? err_nomem(reterr) : 0;
}

static int build_argv(struct launch *l, const struct launch_what *what, struct err **reterr)
{
	for (size_t i = 0; what->command[i]; i++) {
		const char *arg = what->command[i];
		int rc = what->verbatim ? 0 : expand(&l->argv, arg, &l->vars, &arg, reterr);

		if (rc < 0)
			return err_wrap(reterr, "command");
		strv_borrow(&l->argv, arg);
	}
	return l->argv.failed ? err_nomem(reterr) : 0;
}

/* The candidates for execve, in execvp's order. */
static int build_paths(const char *file, const char *path, struct launch_strv *out,
		       struct err **reterr)
{
	if (strchr(file, '/')) {
		strv_borrow(out, file);
	} else {
		for (const char *p = path ? path : DEFAULT_PATH;; p++) {
			size_t n = strcspn(p, ":");

			strv_borrow(out, strv_own(out, n ? mem_printf("%.*s/%s", (int)n, p, file)
							 : mem_printf("./%s", file)));
			p += n;
			if (!*p)
				break;
		}
	}
	return out->failed ? err_nomem(reterr) : 0;
}

static uint64_t to_rlimit(int64_t value)
{
	if (value == SPEC_UNSET)
		return WIRE_LIMIT_KEEP;
	return value == SPEC_UNLIMITED ? WIRE_LIMIT_INFINITY : (uint64_t)value;
}

static void fill_limits(struct launch *l, const struct service_spec *spec)
{
	static const uint32_t resources[SPEC_RLIMIT_MAX_] = {
		[SPEC_RLIMIT_AS] = RLIMIT_AS,
		[SPEC_RLIMIT_CORE] = RLIMIT_CORE,
		[SPEC_RLIMIT_CPU] = RLIMIT_CPU,
		[SPEC_RLIMIT_DATA] = RLIMIT_DATA,
		[SPEC_RLIMIT_FSIZE] = RLIMIT_FSIZE,
		[SPEC_RLIMIT_LOCKS] = RLIMIT_LOCKS,
		[SPEC_RLIMIT_MEMLOCK] = RLIMIT_MEMLOCK,
		[SPEC_RLIMIT_MSGQUEUE] = RLIMIT_MSGQUEUE,
		[SPEC_RLIMIT_NICE] = RLIMIT_NICE,
		[SPEC_RLIMIT_NOFILE] = RLIMIT_NOFILE,
		[SPEC_RLIMIT_NPROC] = RLIMIT_NPROC,
		[SPEC_RLIMIT_RSS] = RLIMIT_RSS,
		[SPEC_RLIMIT_RTPRIO] = RLIMIT_RTPRIO,
		[SPEC_RLIMIT_RTTIME] = RLIMIT_RTTIME,
		[SPEC_RLIMIT_SIGPENDING] = RLIMIT_SIGPENDING,
		[SPEC_RLIMIT_STACK] = RLIMIT_STACK,
	};

	for (size_t i = 0; i < SPEC_RLIMIT_MAX_; i++) {
		const struct spec_limit *limit = &spec->ulimits[i];

		if (limit->soft != SPEC_UNSET || limit->hard != SPEC_UNSET)
			l->limits[l->n_limits++] = (struct wire_rlimit){
				resources[i], to_rlimit(limit->soft), to_rlimit(limit->hard)};
	}
}

static void fill_child(struct launch *l, const struct controller *c, const struct identity *id,
		       const struct service_spec *spec)
{
	l->child = (struct wire_child){.cwd = spec->working_dir,
				       .paths = l->paths.v,
				       .argv = l->argv.v,
				       .envp = l->env.v,
				       .set_user = c->root,
				       .uid = id->uid,
				       .gid = id->gid,
				       .groups = id->groups,
				       .n_groups = id->n_groups,
				       .umask = (uint32_t)spec->umask,
				       .nice = (int32_t)spec->nice,
				       .set_oom_score = spec->oom_score != SPEC_UNSET,
				       .rlimits = l->limits};
	if (l->child.set_oom_score)
		l->child.oom_score = (int32_t)spec->oom_score;
	fill_limits(l, spec);
	l->child.n_rlimits = (uint32_t)l->n_limits;
}

static void fill_ports(struct launch *l, const struct replica *r, const struct service_spec *spec)
{
	const struct port_spec *main_port = service_spec_main_port(spec), *p;

	for (unsigned i = 0; i < LAUNCH_PORTS_MAX && (p = replica_ports_at(spec, i)); i++) {
		unsigned number = replica_ports_number(r, p->name);

		l->ports[l->vars.n_ports++] =
			(struct expand_port){p->name, number, manifest_ports_listen_fd(spec, p)};
		if (p == main_port)
			l->vars.port = number;
	}
	l->vars.ports = l->ports;
}

/* The soft limit that the child will have: its own, or ours. */
static uint64_t stack_limit(const struct service_spec *spec)
{
	uint64_t soft = to_rlimit(spec->ulimits[SPEC_RLIMIT_STACK].soft);
	struct rlimit ours;

	if (soft == WIRE_LIMIT_INFINITY ||
	    (soft == WIRE_LIMIT_KEEP && getrlimit(RLIMIT_STACK, &ours) < 0))
		return UINT64_MAX;
	return soft == WIRE_LIMIT_KEEP ? ours.rlim_cur : soft;
}

int launch_describe(const struct controller *c, const struct replica *r,
		    const struct launch_what *what, struct launch *ret, struct err **reterr)
{
	const struct service *s = r->service;
	struct launch *l = ret;
	int rc;

	*l = (struct launch){.vars = {.service = s->name,
				      .replica = r->index,
				      .revision = what->revision,
				      .secrets = &what->spec->secrets,
				      .environ = c->base_env}};
	secrets_dir(c, what->spec, &l->secrets_dir);
	if (l->secrets_dir.failed)
		return err_nomem(reterr);
	l->vars.secrets_dir = l->secrets_dir.len ? buf_cstr(&l->secrets_dir) : NULL;
	wire_listen_socket_dir(&l->sockets_dir, c->hello.sockets_dir, s->name, r->index);
	if (l->sockets_dir.failed)
		return err_nomem(reterr);
	l->vars.sockets_dir = buf_cstr(&l->sockets_dir);
	fill_ports(l, r, what->spec);
	rc = build_argv(l, what, reterr);
	if (rc == 0)
		rc = build_env(l, c, r, what, reterr);
	if (rc == 0)
		rc = arg_limit_check(l->argv.v, l->env.v, stack_limit(what->spec), reterr);
	if (rc == 0)
		rc = build_paths(l->argv.v[0], env_get(l->env.v, "PATH"), &l->paths, reterr);
	if (rc == 0)
		fill_child(l, c, what->identity, what->spec);
	else
		launch_done(l);
	return rc;
}

void launch_done(struct launch *l)
{
	strv_done(&l->argv);
	strv_done(&l->env);
	strv_done(&l->paths);
	buf_done(&l->secrets_dir);
	buf_done(&l->sockets_dir);
	*l = (struct launch){0};
}

/* Applied where they could be enforced, and the machine has changed since. */
static int check_required(const struct service_spec *spec, uint32_t can, struct err **reterr)
{
	struct limits_gap gaps[LIMITS_GAPS_MAX];

	if (!spec->resources.required || limits_gaps(spec, can, gaps) == 0)
		return 0;
	return err_set(reterr, ERR_INVALID, "%s is required and cannot be enforced: %s",
		       gaps[0].key, gaps[0].lacks);
}

static void fill_notify(struct wire_spawn *m, const struct service_spec *spec)
{
	const struct probe_spec *readiness = &spec->probes[PROBE_READINESS];

	m->watchdog_ms = spec->watchdog_ms;
	m->notify = spec->watchdog_ms > 0 || (readiness->enabled && readiness->notify);
	m->notify_fd = readiness->enabled ? (uint8_t)readiness->notify_fd : 0;
}

_Static_assert(MANIFEST_HANDED_MAX == WIRE_SPAWN_LISTEN_MAX && MANIFEST_LISTEN_FD == WIRE_LISTEN_FD,
	       "what a manifest may have goes into a SPAWN");

static void fill_sockets(struct wire_spawn *m, const struct service_spec *spec)
{
	const struct port_spec *p;

	for (;
	     m->n_listen < WIRE_SPAWN_LISTEN_MAX && (p = manifest_ports_handed(spec, m->n_listen));
	     m->n_listen++)
		routes_at(p, &m->listen[m->n_listen]);
	for (unsigned i = 0; (p = replica_ports_at(spec, i)); i++)
		if (p->on_socket && m->n_sockets < WIRE_SPAWN_SOCKETS_MAX)
			memccpy(m->sockets[m->n_sockets++], p->name, '\0',
				sizeof(m->sockets[0]) - 1);
}

static int encode_unit(struct controller *c, const struct replica *r, const struct buf *note,
		       struct buf *out, struct err **reterr)
{
	const struct service_spec *spec = r->spec;
	const struct launch_what what = {
		.spec = spec, .identity = r->identity, .revision = r->revision};
	struct wire_unit_start m = {.key = replica_key(r),
				    .secrets = spec->secrets_generation,
				    .stop_signal = (int32_t)spec->stop_signal,
				    .grace_ms = spec->grace_period_ms,
				    .note = (const uint8_t *)buf_cstr(note),
				    .note_len = (uint32_t)note->len};
	_cleanup_buf_ struct buf json = {0};
	int rc = launch_unit_describe(c, r, &what, &json, reterr);

	if (rc < 0)
		return rc;
	memccpy(m.runtime, spec->container.runtime, '\0', sizeof(m.runtime) - 1);
	replica_logs_of(spec, r->revision, &m.logs);
	m.logs.revision = r->revision; /* a label */
	m.spec = buf_cstr(&json);
	m.spec_len = (uint32_t)json.len;
	wire_unit_encode_start(out, &m);
	return out->failed ? err_nomem(reterr) : 0;
}

int launch_encode(struct controller *c, const struct replica *r, bool standby,
		  const struct buf *note, struct buf *out, struct err **reterr)
{
	const struct service *s = r->service;
	const struct service_spec *spec = r->spec;
	const struct launch_what what = {.spec = spec,
					 .identity = r->identity,
					 .revision = r->revision,
					 .command = spec->command,
					 .listens = true};
	struct wire_spawn m = {0};
	struct launch l;
	int rc;

	if (service_spec_is_container(spec))
		return encode_unit(c, r, note, out, reterr);
	rc = check_required(spec, c->status.cgroup_can, reterr);
	if (rc == 0)
		rc = launch_describe(c, r, &what, &l, reterr);
	if (rc < 0)
		return rc;
	m.standby = standby;
	m.key.index = r->index;
	memccpy(m.key.service, s->name, '\0', sizeof(m.key.service));
	memcpy(m.key.incarnation, r->incarnation, sizeof(m.key.incarnation));
	m.child = l.child;
	limits_of(spec, &m.limits);
	m.secrets = spec->secrets_generation;
	fill_notify(&m, spec);
	fill_sockets(&m, spec);
	m.stop_signal = (int32_t)spec->stop_signal;
	m.grace_ms = spec->grace_period_ms;
	replica_logs_of(spec, r->revision, &m.logs);
	m.note = (const uint8_t *)buf_cstr(note);
	m.note_len = (uint32_t)note->len;
	wire_encode_spawn(out, &m);
	launch_done(&l);
	return out->failed ? err_nomem(reterr) : 0;
}
