/*
 * launch_unit: see launch_unit.h. One function for each part of the JSON; each fails only when out of
 * memory or when something that is replaced here (${...}, "~") cannot be.
 */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/launch_unit.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/launch.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/secrets.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

static const char *const ulimit_names[SPEC_RLIMIT_MAX_] = {
	[SPEC_RLIMIT_AS] = "as",
	[SPEC_RLIMIT_CORE] = "core",
	[SPEC_RLIMIT_CPU] = "cpu",
	[SPEC_RLIMIT_DATA] = "data",
	[SPEC_RLIMIT_FSIZE] = "fsize",
	[SPEC_RLIMIT_LOCKS] = "locks",
	[SPEC_RLIMIT_MEMLOCK] = "memlock",
	[SPEC_RLIMIT_MSGQUEUE] = "msgqueue",
	[SPEC_RLIMIT_NICE] = "nice",
	[SPEC_RLIMIT_NOFILE] = "nofile",
	[SPEC_RLIMIT_NPROC] = "nproc",
	[SPEC_RLIMIT_RSS] = "rss",
	[SPEC_RLIMIT_RTPRIO] = "rtprio",
	[SPEC_RLIMIT_RTTIME] = "rttime",
	[SPEC_RLIMIT_SIGPENDING] = "sigpending",
	[SPEC_RLIMIT_STACK] = "stack",
};

/* The JSON under construction. failed: out of memory, once and for all. */
struct unit {
	const struct launch_unit_what *w;
	const struct service_spec *spec;
	const struct container_spec *c;
	struct expand_vars vars; /* as they are inside */
	struct expand_port ports[MANIFEST_PORTS_MAX];
	cJSON *json;
	bool failed;
	struct err **reterr;
};

/* ---- members ---- */

/* item is taken; name NULL = to's next element. Returns item, or NULL. */
static cJSON *add(struct unit *u, cJSON *to, const char *name, cJSON *item)
{
	bool good = item && to &&
		    (name ? cJSON_AddItemToObject(to, name, item) : cJSON_AddItemToArray(to, item));

	if (good)
		return item;
	cJSON_Delete(item);
	u->failed = true;
	return NULL;
}

static void add_text(struct unit *u, cJSON *to, const char *name, const char *text)
{
	if (text)
		add(u, to, name, cJSON_CreateString(text));
}

static void add_number(struct unit *u, cJSON *to, const char *name, int64_t value)
{
	add(u, to, name, cJSON_CreateNumber((double)value));
}

static void add_bool(struct unit *u, cJSON *to, const char *name, int64_t value)
{
	if (value)
		add(u, to, name, cJSON_CreateTrue());
}

static cJSON *add_array(struct unit *u, cJSON *to, const char *name)
{
	return add(u, to, name, cJSON_CreateArray());
}

static cJSON *add_object(struct unit *u, cJSON *to, const char *name)
{
	return add(u, to, name, cJSON_CreateObject());
}

static void add_texts(struct unit *u, cJSON *to, const char *name, char *const *v)
{
	cJSON *list = v && v[0] ? add_array(u, to, name) : NULL;

	for (; list && *v; v++)
		add_text(u, list, NULL, *v);
}

/* ${...} replaced. Caller frees. */
static int expand(struct unit *u, const char *text, const char *key, char **ret)
{
	int r = manifest_expand(text, &u->vars, ret, u->reterr);

	return r < 0 ? err_wrap(u->reterr, "%s", key) : 0;
}

static int add_expanded(struct unit *u, const char *key, char *const *v)
{
	cJSON *list = v && v[0] ? add_array(u, u->json, key) : NULL;

	for (; list && *v; v++) {
		_cleanup_free_ char *text = NULL;
		int r = expand(u, *v, key, &text);

		if (r < 0)
			return r;
		add_text(u, list, NULL, text);
	}
	return 0;
}

/* ---- environment ---- */

/* text is "NAME=value"; a later one of the name wins. */
static void set_variable(struct unit *u, cJSON *env, const char *text)
{
	size_t n = strcspn(text, "=");
	_cleanup_free_ char *name = mem_strndup(text, n);

	if (!name || !text[n]) {
		u->failed |= !name;
		return;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(env, name);
	add_text(u, env, name, text + n + 1);
}

static void set_number(struct unit *u, cJSON *env, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	cJSON_DeleteItemFromObjectCaseSensitive(env, name);
	add_text(u, env, name, text);
}

static int add_environment(struct unit *u)
{
	cJSON *env = add_object(u, u->json, "environment");
	char *const *v = u->spec->environment;
	char name[MANIFEST_PORT_VARIABLE_SIZE];

	for (; env && v && *v; v++) {
		_cleanup_free_ char *text = NULL;
		int r = expand(u, *v, "environment", &text);

		if (r < 0)
			return r;
		set_variable(u, env, text);
	}
	if (!env)
		return 0;
	if (u->vars.port)
		set_number(u, env, "PORT", u->vars.port);
	for (size_t i = 0; i < u->vars.n_ports; i++)
		if (u->ports[i].port)
			set_number(u, env,
				   manifest_port_variable(u->ports[i].name, name, sizeof(name)),
				   u->ports[i].port);
	add_text(u, env, "AICTL_SERVICE", u->spec->name);
	set_number(u, env, "AICTL_REPLICA", u->w->index);
	set_number(u, env, "AICTL_REVISION", u->w->revision);
	add_text(u, env, "AICTL_INCARNATION", u->w->incarnation);
	return 0;
}

/* ---- what is mounted ---- */

/* "~/models" in whose home? *path is replaced. */
static int go_home(struct unit *u, char **path)
{
	char *full;

	if ((*path)[0] != '~' || ((*path)[1] && (*path)[1] != '/'))
		return 0;
	if (!u->w->home)
		return err_set(u->reterr, ERR_INVALID,
			       "volumes: whose home \"~\" is, is not known here");
	full = mem_printf("%s%s", u->w->home, *path + 1);
	if (!full)
		return err_nomem(u->reterr);
	mem_free(*path);
	*path = full;
	return 0;
}

/* Caller frees *ret, also after an error. */
static int find_source(struct unit *u, const struct volume_spec *v, char **ret)
{
	int r = v->source ? expand(u, v->source, "volumes", ret) : 0;

	if (r < 0 || v->type != VOLUME_BIND || !*ret)
		return r;
	r = go_home(u, ret);
	if (r < 0 || (*ret)[0] == '/')
		return r;
	return err_set(u->reterr, ERR_INVALID,
		       "volumes: \"%s\" is \"%s\" here, which is no absolute path", v->source,
		       *ret);
}

static int add_volume(struct unit *u, cJSON *list, const struct volume_spec *v)
{
	static const char *const types[] = {"bind", "volume", "tmpfs"};
	_cleanup_free_ char *source = NULL;
	int r = find_source(u, v, &source);
	cJSON *o;

	if (r < 0)
		return r;
	o = add_object(u, list, NULL);
	add_text(u, o, "type", types[v->type]);
	add_text(u, o, "source", source);
	add_text(u, o, "target", v->target);
	add_bool(u, o, "read_only", v->read_only);
	if (v->size)
		add_number(u, o, "size", v->size);
	return 0;
}

static int add_volumes(struct unit *u)
{
	const struct volume_spec *v = u->c->volumes.v;
	cJSON *list = u->c->volumes.n ? add_array(u, u->json, "volumes") : NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && list && i < u->c->volumes.n; i++)
		r = add_volume(u, list, &v[i]);
	return r;
}

static void add_secrets(struct unit *u)
{
	const struct secret_spec *v = u->spec->secrets.v;
	size_t n = u->w->secrets_dir ? u->spec->secrets.n : 0;
	cJSON *list = n ? add_array(u, u->json, "secrets") : NULL;

	for (size_t i = 0; list && i < n; i++) {
		_cleanup_free_ char *source = mem_printf("%s/%s", u->w->secrets_dir, v[i].name);
		_cleanup_free_ char *target = mem_printf(LAUNCH_UNIT_SECRETS "/%s", v[i].name);
		cJSON *o = add_object(u, list, NULL);

		u->failed |= !source || !target;
		add_text(u, o, "source", source);
		add_text(u, o, "target", target);
	}
}

static void add_devices(struct unit *u)
{
	const struct device_spec *d = u->c->devices.v;
	cJSON *list = u->c->devices.n ? add_array(u, u->json, "devices") : NULL;

	for (size_t i = 0; list && i < u->c->devices.n; i++) {
		cJSON *o = add_object(u, list, NULL);

		add_text(u, o, "source", d[i].source);
		add_text(u, o, "target", d[i].target ? d[i].target : d[i].source);
		add_text(u, o, "permissions", d[i].permissions);
	}
}

/* ---- network ---- */

static bool is_network(const struct container_spec *c, const char *name)
{
	return strcmp(c->network, name) == 0;
}

unsigned launch_unit_port(const struct service_spec *spec, const struct port_spec *port,
			  unsigned number)
{
	if (is_network(&spec->container, "host"))
		return number;
	return (unsigned)(port->container_port ? port->container_port
			  : port->port	       ? port->port
					       : number);
}

static unsigned own_number(const struct launch_unit_what *w, const char *name)
{
	for (size_t i = 0; i < w->n_ports; i++)
		if (strcmp(w->ports[i].name, name) == 0)
			return w->ports[i].port;
	return 0;
}

/* What ${PORT} and its like are inside. */
static void fill_vars(struct unit *u)
{
	const struct port_spec *p = u->spec->ports.v, *main_port = service_spec_main_port(u->spec);

	u->vars = (struct expand_vars){.service = u->spec->name,
				       .replica = u->w->index,
				       .revision = u->w->revision,
				       .ports = u->ports,
				       .secrets = &u->spec->secrets,
				       .secrets_dir = LAUNCH_UNIT_SECRETS,
				       .environ = u->w->environ};
	for (size_t i = 0; i < u->spec->ports.n && i < MANIFEST_PORTS_MAX; i++) {
		unsigned number = own_number(u->w, p[i].name);
		unsigned inside = number ? launch_unit_port(u->spec, &p[i], number) : 0;

		u->ports[u->vars.n_ports++] =
			(struct expand_port){.name = p[i].name, .port = inside};
		if (&p[i] == main_port)
			u->vars.port = inside;
	}
}

static void add_ports(struct unit *u)
{
	bool mapped = !is_network(u->c, "host") && !is_network(u->c, "none");
	cJSON *list = mapped && u->vars.n_ports ? add_array(u, u->json, "ports") : NULL;

	for (size_t i = 0; list && i < u->vars.n_ports; i++) {
		unsigned number = own_number(u->w, u->ports[i].name);
		cJSON *o = number ? add_object(u, list, NULL) : NULL;

		if (!o)
			continue;
		add_text(u, o, "name", u->ports[i].name);
		add_text(u, o, "host_ip", "127.0.0.1");
		add_number(u, o, "host_port", number);
		add_number(u, o, "container_port", u->ports[i].port);
		add_text(u, o, "protocol", "tcp");
	}
}

/* ---- limits ---- */

static int64_t limit_value(int64_t value)
{
	return value == SPEC_UNLIMITED ? -1 : value;
}

static void add_ulimits(struct unit *u)
{
	cJSON *list = NULL;

	for (size_t i = 0; i < SPEC_RLIMIT_MAX_; i++) {
		const struct spec_limit *l = &u->spec->ulimits[i];
		cJSON *o;

		if (l->soft == SPEC_UNSET)
			continue;
		list = list ? list : add_array(u, u->json, "ulimits");
		o = add_object(u, list, NULL);
		add_text(u, o, "name", ulimit_names[i]);
		add_number(u, o, "soft", limit_value(l->soft));
		add_number(u, o, "hard", limit_value(l->hard));
	}
}

/* An engine counts memory and swap together, and without a word gives as much swap as memory. */
static void add_memory(struct unit *u, cJSON *limits)
{
	const struct resources_spec *r = &u->spec->resources;
	int64_t both;

	if (!r->memory)
		return;
	add_number(u, limits, "memory", r->memory);
	if (r->swap == SPEC_UNSET || __builtin_add_overflow(r->memory, r->swap, &both))
		both = -1;
	add_number(u, limits, "memory_swap", both);
}

static void add_limits(struct unit *u)
{
	const struct resources_spec *r = &u->spec->resources;
	cJSON *limits = NULL;

	if (!r->memory && !(r->cpus > 0) && !r->cpu_weight && !r->pids && !r->cpuset)
		return;
	limits = add_object(u, u->json, "limits");
	add_memory(u, limits);
	if (r->cpus > 0)
		add_number(u, limits, "cpus", (int64_t)(r->cpus * 1000 + 0.5));
	if (r->cpu_weight)
		add_number(u, limits, "cpu_weight", r->cpu_weight);
	if (r->pids)
		add_number(u, limits, "pids", r->pids);
	add_text(u, limits, "cpuset", r->cpuset);
}

static void add_gpus(struct unit *u)
{
	char *const gpu[] = {(char[]){"gpu"}, NULL};
	const struct gpus_spec *g = &u->c->gpus;
	cJSON *o;

	if (!g->enabled)
		return;
	o = add_object(u, u->json, "gpus");
	if (g->cdi && g->cdi[0]) {
		add_texts(u, o, "cdi", g->cdi);
		return;
	}
	add_text(u, o, "driver", g->driver);
	add_texts(u, o, "device_ids", g->device_ids);
	if (!g->device_ids || !g->device_ids[0])
		add_number(u, o, "count", g->count);
	add_texts(u, add_array(u, o, "capabilities"), NULL,
		  g->capabilities && g->capabilities[0] ? g->capabilities : gpu);
}

/* ---- all of it ---- */

static void add_labels(struct unit *u)
{
	cJSON *labels = add_object(u, u->json, "labels");
	char *const *v = u->spec->labels;

	for (; labels && v && *v; v++)
		set_variable(u, labels, *v);
	if (!labels)
		return;
	add_text(u, labels, "io.aictl.service", u->spec->name);
	set_number(u, labels, "io.aictl.index", u->w->index);
	add_text(u, labels, "io.aictl.incarnation", u->w->incarnation);
	set_number(u, labels, "io.aictl.revision", u->w->revision);
}

/* "user", "user:group" */
static void add_user(struct unit *u)
{
	const struct service_spec *s = u->spec;
	_cleanup_free_ char *both = s->user && s->group && !strchr(s->user, ':')
					    ? mem_printf("%s:%s", s->user, s->group)
					    : NULL;

	u->failed |= s->user && s->group && !strchr(s->user, ':') && !both;
	add_text(u, u->json, "user", both ? both : s->user);
}

static int add_hostname(struct unit *u)
{
	_cleanup_free_ char *name = NULL;
	int r = u->c->hostname ? expand(u, u->c->hostname, "hostname", &name) : 0;

	add_text(u, u->json, "hostname", name);
	return r;
}

static int fill(struct unit *u)
{
	static const char *const policies[] = {"missing", "always", "never"};
	const struct container_spec *c = u->c;
	int r;

	add_text(u, u->json, "image", c->image);
	add_text(u, u->json, "pull_policy", policies[c->pull_policy]);
	if ((r = add_expanded(u, "command", u->spec->command)) < 0 ||
	    (r = add_expanded(u, "entrypoint", c->entrypoint)) < 0 ||
	    (r = add_environment(u)) < 0 || (r = add_hostname(u)) < 0 || (r = add_volumes(u)) < 0)
		return r;
	add_user(u);
	add_text(u, u->json, "working_dir", u->spec->working_dir);
	add_bool(u, u->json, "init", c->init);
	add_bool(u, u->json, "read_only", c->read_only);
	add_text(u, u->json, "stop_signal", parse_signal_name((int)u->spec->stop_signal));
	add_text(u, u->json, "network", c->network);
	add_secrets(u);
	add_ports(u);
	add_devices(u);
	if (c->shm_size)
		add_number(u, u->json, "shm_size", c->shm_size);
	add_texts(u, u->json, "cap_add", c->cap_add);
	add_texts(u, u->json, "cap_drop", c->cap_drop);
	add_texts(u, u->json, "security_opt", c->security_opt);
	add_texts(u, u->json, "group_add", c->group_add);
	add_ulimits(u);
	add_limits(u);
	add_gpus(u);
	add_labels(u);
	return u->failed ? err_nomem(u->reterr) : 0;
}

int launch_unit_json(const struct launch_unit_what *w, struct buf *out, struct err **reterr)
{
	struct unit u = {.w = w,
			 .spec = w->spec,
			 .c = &w->spec->container,
			 .json = cJSON_CreateObject(),
			 .reterr = reterr};
	char *text = NULL;
	int r;

	if (!u.json)
		return err_nomem(reterr);
	fill_vars(&u);
	r = fill(&u);
	if (r == 0)
		text = cJSON_PrintUnformatted(u.json);
	if (text)
		buf_str(out, text);
	if (r == 0 && (!text || out->failed))
		r = err_nomem(reterr);
	cJSON_free(text);
	cJSON_Delete(u.json);
	return r;
}

int launch_unit_command(const struct launch_unit_what *w, char *const *command, char ***ret,
			struct err **reterr)
{
	struct unit u = {.w = w, .spec = w->spec, .c = &w->spec->container, .reterr = reterr};
	size_t n = 0;
	char **v;

	while (command[n])
		n++;
	v = mem_array(n + 1, sizeof(*v));
	if (!v)
		return err_nomem(reterr);
	fill_vars(&u);
	for (size_t i = 0; i < n; i++) {
		int r = expand(&u, command[i], "command", &v[i]);

		if (r < 0) {
			mem_strv_free(v);
			return r;
		}
	}
	*ret = v;
	return 0;
}

/* ports has room for MANIFEST_PORTS_MAX; ret borrows it, and dir. */
static int what_of(const struct controller *c, const struct replica *r,
		   const struct launch_what *what, struct expand_port *ports, struct buf *dir,
		   struct launch_unit_what *ret)
{
	const struct port_spec *p;

	*ret = (struct launch_unit_what){.spec = what->spec,
					 .index = r->index,
					 .revision = what->revision,
					 .incarnation = r->incarnation,
					 .ports = ports,
					 .home = what->identity ? what->identity->home : NULL,
					 .environ = c->base_env};
	secrets_dir(c, what->spec, dir);
	if (dir->failed)
		return -ERR_NOMEM;
	ret->secrets_dir = dir->len ? buf_cstr(dir) : NULL;
	for (unsigned i = 0; i < MANIFEST_PORTS_MAX && (p = replica_ports_at(what->spec, i)); i++)
		ports[ret->n_ports++] = (struct expand_port){
			.name = p->name, .port = replica_ports_number(r, p->name)};
	return 0;
}

int launch_unit_describe(const struct controller *c, const struct replica *r,
			 const struct launch_what *what, struct buf *out, struct err **reterr)
{
	_cleanup_buf_ struct buf dir = {0};
	struct expand_port ports[MANIFEST_PORTS_MAX];
	struct launch_unit_what w;

	if (what_of(c, r, what, ports, &dir, &w) < 0)
		return err_nomem(reterr);
	return launch_unit_json(&w, out, reterr);
}

int launch_unit_inside(const struct controller *c, const struct replica *r,
		       const struct launch_what *what, char ***ret, struct err **reterr)
{
	_cleanup_buf_ struct buf dir = {0};
	struct expand_port ports[MANIFEST_PORTS_MAX];
	struct launch_unit_what w;

	if (what->verbatim) {
		*ret = mem_strv_dup((const char *const *)what->command);
		return *ret ? 0 : err_nomem(reterr);
	}
	if (what_of(c, r, what, ports, &dir, &w) < 0)
		return err_nomem(reterr);
	return launch_unit_command(&w, what->command, ret, reterr);
}
