/* manifest_container: see manifest_container.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_container.h"

#include <stdio.h>
#include <string.h>

#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/manifest_node.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"
#include "lib/schema_check.h"
#include "lib/yamltree.h"

#define SECRETS "/run/secrets" /* where they lie inside */
#define PATH_SIZE 128	       /* of a key as messages name it */

static const char *const probe_names[PROBE_KEYS] = {"startup", "readiness", "liveness"};

/* One service while it is judged. */
struct container {
	struct service_spec *s;
	const struct ynode *node; /* its map */
	struct manifest_errors *errors;
};

/* An error at a value; without one at the service. */
__attribute__((format(printf, 4, 5))) static void
complain(const struct container *c, const struct ynode *at, const char *hint, const char *fmt, ...)
{
	struct manifest_place place =
		at ? manifest_node_place(at) : (struct manifest_place){c->s->file, c->s->line, 1};
	va_list ap;

	va_start(ap, fmt);
	manifest_errors_vadd(c->errors, &place, hint, fmt, ap);
	va_end(ap);
}

/* ---- what one kind has and the other has not ---- */

/* What to write instead of a key of processes. */
static const struct {
	const char *key, *hint;
} instead[] = {
	{"nice", "write resources: { limits: { cpu_weight: ... } }"},
	{"ulimits.as", "write resources: { limits: { memory: ... } }"},
	{"resources.required", "an engine that cannot enforce a limit says so itself"},
	{"resources.limits.memory_high", "write memory"},
	{"watchdog", "write probes: { liveness: ... }"},
	{"probes.readiness.notify", "write http: {}, or tcp, exec, log"},
	{"probes.readiness.notify_fd", "write http: {}, or tcp, exec, log"},
	{"probes.startup.file", "write exec: { command: [test, -e, PATH] }"},
	{"probes.readiness.file", "write exec: { command: [test, -e, PATH] }"},
	{"probes.liveness.file", "write exec: { command: [test, -e, PATH] }"},
};

static const char *hint_for(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(instead); i++)
		if (strcmp(instead[i].key, key) == 0)
			return instead[i].hint;
	return NULL;
}

/* Written in the service itself: `defaults` may say it for those among the services that have it. */
static const struct ynode *own_key(const struct container *c, const char *path)
{
	const struct yitem *item = manifest_node_item(c->node, path);

	return item && !item->key->is_default ? item->key : NULL;
}

static void refuse(const struct container *c, const char *path, bool process)
{
	const struct ynode *key = own_key(c, path);

	if (key && process)
		complain(c, key, hint_for(path),
			 "%s: only a process has it, and image makes this a container", path);
	else if (key)
		complain(c, key, "give the service an image: image: NAME:TAG",
			 "%s: only a container has it, and without image this is a process", path);
}

/* Those of the other kind; flag is SCHEMA_CONTAINER or SCHEMA_PROCESS. */
static void refuse_keys(const struct container *c, unsigned flag)
{
	const struct schema_row *service = schema_find("services.*"), *end = schema_end(service);
	const struct port_spec *ports = c->s->ports.v;
	char path[PATH_SIZE];

	for (const struct schema_row *row = service + 1; row < end; row++)
		if ((row->flags & flag) && !strchr(schema_shown(row), '*'))
			refuse(c, schema_shown(row), flag == SCHEMA_PROCESS);
	for (size_t i = 0; flag == SCHEMA_CONTAINER && i < c->s->ports.n; i++) {
		snprintf(path, sizeof(path), "ports.%s.container_port", ports[i].name);
		refuse(c, path, false);
	}
}

static void check_process_user(const struct container *c)
{
	const char *colon = c->s->user ? strchr(c->s->user, ':') : NULL;
	_cleanup_free_ char *hint = NULL;

	if (!colon)
		return;
	hint = mem_printf("write user: %.*s and group: %s", (int)(colon - c->s->user), c->s->user,
			  colon + 1);
	complain(c, manifest_node_value(c->node, "user"), hint,
		 "user: \"%s\" is a user with a group, as only containers have it in one",
		 c->s->user);
}

/* ---- user, directory, limits ---- */

static void check_user(const struct container *c)
{
	const struct ynode *group = own_key(c, "group");

	if (group && !c->s->user)
		complain(c, group, "write user: USER:GROUP",
			 "group: a container without user has the image's user with its group");
	else if (group && strchr(c->s->user, ':'))
		complain(c, group, NULL, "group: user (%s) says it already", c->s->user);
}

static void check_working_dir(const struct container *c)
{
	if (c->s->working_dir && c->s->working_dir[0] != '/')
		complain(c, manifest_node_value(c->node, "working_dir"),
			 "write the path inside, as /app",
			 "working_dir: \"%s\" is not absolute, and a container has no manifest's "
			 "directory",
			 c->s->working_dir);
}

/* Engines refuse it. */
static void check_swap(const struct container *c)
{
	if (c->s->resources.swap != SPEC_UNSET && !c->s->resources.memory)
		complain(c, manifest_node_value(c->node, "resources.limits.swap"),
			 "give memory, too",
			 "resources.limits.swap: an engine limits it only together with memory");
}

static void check_labels(const struct container *c)
{
	char *const *v = c->s->labels;

	for (; v && *v; v++) {
		size_t n = strcspn(*v, "=");
		_cleanup_free_ char *name = mem_strndup(*v, n);
		const struct ynode *labels = manifest_node_value(c->node, "labels");

		if (name && strncmp(name, "io.aictl.", strlen("io.aictl.")) == 0)
			complain(c, yamltree_get(labels, name), NULL,
				 "labels.%s: labels io.aictl.* are set by aictl itself", name);
		c->errors->nomem |= !name;
	}
}

/* ---- hooks ---- */

static void check_hooks(const struct container *c)
{
	static const struct {
		const char *name;
		enum hook_kind kind;
	} outside[] = {{"pre_start", HOOK_PRE_START}, {"post_stop", HOOK_POST_STOP}};
	char path[PATH_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		const struct ynode *list;

		snprintf(path, sizeof(path), "hooks.%s", outside[i].name);
		list = manifest_node_value(c->node, path);
		for (size_t k = 0; list && list->kind == YNODE_LIST && k < list->n; k++) {
			const struct yitem *exec = manifest_node_item(list->items[k].value, "exec");

			if (exec)
				complain(c, exec->key,
					 "make it a task that this service depends_on, or ask http",
					 "%s[%zu].exec: it would run in the container, which is "
					 "not there then",
					 path, k);
		}
	}
}

/* ---- volumes and devices ---- */

/* Where `key` of the i-th entry of a list is written. */
static const struct ynode *entry_at(const struct ynode *list, size_t i, const char *key)
{
	const struct ynode *entry = list->items[i].value, *value = yamltree_get(entry, key);

	return value ? value : entry;
}

/* Equal but for slashes at the end. */
static bool same_path(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);

	while (la > 1 && a[la - 1] == '/')
		la--;
	while (lb > 1 && b[lb - 1] == '/')
		lb--;
	return la == lb && strncmp(a, b, la) == 0;
}

static void check_source(const struct container *c, const struct ynode *list, size_t i)
{
	const struct volume_spec *v = (const struct volume_spec *)c->s->container.volumes.v + i;
	const struct ynode *at = entry_at(list, i, "source");
	const char *wrong;

	if (v->type == VOLUME_BIND && !v->source && at->kind == YNODE_MAP)
		complain(c, at, "write source: ./DIRECTORY", "volumes[%zu]: source is missing", i);
	if (v->type == VOLUME_BIND && v->source && v->source[0] == '~' && v->source[1] &&
	    v->source[1] != '/')
		complain(c, at, "write ~/..., or the path",
			 "volumes[%zu].source: \"%s\": whose home that is, is not looked up", i,
			 v->source);
	if (v->type == VOLUME_TMPFS && v->source)
		complain(c, at, "leave it out, or write type: bind",
			 "volumes[%zu].source: a tmpfs has none", i);
	wrong = v->type == VOLUME_NAMED && v->source && !strchr(v->source, '$')
			? schema_check_volume_name(v->source)
			: NULL;
	if (wrong)
		complain(c, at, "write type: bind for a directory",
			 "volumes[%zu].source: \"%s\" %s", i, v->source, wrong);
}

static void check_volume(const struct container *c, const struct ynode *list, size_t i)
{
	const struct volume_spec *v = c->s->container.volumes.v;
	const struct ynode *at = entry_at(list, i, "target");

	check_source(c, list, i);
	if (v[i].size && v[i].type != VOLUME_TMPFS)
		complain(c, entry_at(list, i, "size"), NULL,
			 "volumes[%zu].size: only a tmpfs has it", i);
	if (!v[i].target)
		return;
	for (size_t k = 0; k < i; k++) {
		if (!v[k].target || !same_path(v[k].target, v[i].target))
			continue;
		complain(c, at, NULL, "volumes[%zu].target: %s is that of volumes[%zu], too", i,
			 v[i].target, k);
		break;
	}
	if (c->s->secrets.n && same_path(v[i].target, SECRETS))
		complain(c, at, NULL,
			 "volumes[%zu].target: the service's secrets are mounted at %s", i,
			 SECRETS);
}

/* "./data" of a manifest in /srv/app is /srv/app/data. What "~" and "${" are is known at a start. */
static void complete_source(const struct container *c, const struct ynode *at,
			    struct volume_spec *v)
{
	_cleanup_free_ char *base = NULL;
	char *full;

	if (v->type != VOLUME_BIND || !v->source || v->source[0] == '~' ||
	    strncmp(v->source, "${", 2) == 0)
		return;
	base = fs_dirname(at->file);
	full = base ? fs_join(base, v->source) : NULL;
	if (!full) {
		c->errors->nomem = true;
		return;
	}
	mem_free(v->source);
	v->source = full;
}

static const struct ynode *list_of(const struct container *c, const char *key,
				   const struct spec_table *t)
{
	const struct ynode *list = manifest_node_value(c->node, key);

	return list && list->kind == YNODE_LIST && list->n == t->n ? list : NULL;
}

static void check_volumes(const struct container *c)
{
	const struct spec_table *t = &c->s->container.volumes;
	const struct ynode *list = list_of(c, "volumes", t);
	struct volume_spec *v = t->v;

	for (size_t i = 0; list && i < t->n; i++)
		check_volume(c, list, i);
	for (size_t i = 0; list && i < t->n; i++)
		complete_source(c, entry_at(list, i, "source"), &v[i]);
}

static const char *device_target(const struct device_spec *d)
{
	return d->target ? d->target : d->source;
}

static void check_devices(const struct container *c)
{
	const struct spec_table *t = &c->s->container.devices;
	const struct ynode *list = list_of(c, "devices", t);
	const struct device_spec *d = t->v;

	for (size_t i = 0; list && i < t->n; i++)
		for (size_t k = 0; d[i].source && k < i; k++)
			if (d[k].source && same_path(device_target(&d[k]), device_target(&d[i])))
				complain(c, entry_at(list, i, d[i].target ? "target" : "source"),
					 NULL, "devices[%zu]: %s is that of devices[%zu], too", i,
					 device_target(&d[i]), k);
}

static void check_gpus(const struct container *c)
{
	static const char *const others[] = {"count", "device_ids", "driver", "capabilities"};
	const struct gpus_spec *g = &c->s->container.gpus;
	const struct ynode *node = manifest_node_value(c->node, "gpus");
	const struct yitem *count;

	if (node && node->kind == YNODE_LIST && node->n == 1)
		node = node->items[0].value;
	count = manifest_node_item(node, "count");
	if (g->device_ids && count && g->count > 0)
		complain(c, count->key, "leave it out",
			 "gpus.count: device_ids say already which ones");
	for (size_t i = 0; g->cdi && i < ARRAY_SIZE(others); i++) {
		const struct yitem *other = manifest_node_item(node, others[i]);

		if (other && (i > 0 || g->count > 0)) /* all is what count is by itself */
			complain(c, other->key, "leave one of them out",
				 "gpus.%s: cdi says already which ones, and how", others[i]);
	}
}

/* ---- ports ---- */

static bool is_network(const struct container *c, const char *name)
{
	return strcmp(c->s->container.network, name) == 0;
}

static void check_port(const struct container *c, struct port_spec *p)
{
	char path[PATH_SIZE];
	const struct ynode *at;

	snprintf(path, sizeof(path), "ports.%s.mode", p->name);
	if (p->mode == PORT_SOCKET)
		complain(c, manifest_node_value(c->node, path),
			 "leave it out: requests pass through aictl",
			 "%s: a socket cannot be handed to a container", path);
	snprintf(path, sizeof(path), "ports.%s.container_port", p->name);
	at = own_key(c, path);
	if (at && is_network(c, "host"))
		complain(c, at, "let the container listen at ${PORT}, and leave it out",
			 "%s: with network: host it has the machine's ports, and nothing is mapped",
			 path);
	if (!p->container_port && !is_network(c, "host"))
		p->container_port = p->port;
}

/* The one that listens inside at what a probe takes for a port of this machine. */
static void check_probe_port(const struct container *c, const char *path, const char *port)
{
	const struct port_spec *p = c->s->ports.v;
	const struct ynode *at = manifest_node_value(c->node, path);
	_cleanup_free_ char *hint = NULL;
	int64_t number;

	if (!at || !port || parse_i64(port, 1, 65535, &number, NULL) < 0)
		return;
	for (size_t i = 0; i < c->s->ports.n; i++) {
		if (p[i].container_port != number)
			continue;
		hint = mem_printf("write its name: port: %s", p[i].name);
		complain(c, at, hint,
			 "%s: %s is the port inside; this machine has another one for each replica",
			 path, port);
		return;
	}
}

static void check_probe_ports(const struct container *c)
{
	static const char *const kinds[] = {"http", "tcp", "grpc"};
	char path[PATH_SIZE];

	for (int k = 0; !is_network(c, "host") && k < PROBE_KEYS; k++) {
		const struct probe_spec *p = &c->s->probes[k];
		const char *const ports[] = {p->request.port, p->tcp_port, p->grpc_port};

		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			snprintf(path, sizeof(path), "probes.%s.%s.port", probe_names[k], kinds[i]);
			check_probe_port(c, path, ports[i]);
		}
	}
}

static void check_ports(const struct container *c)
{
	struct port_spec *p = c->s->ports.v;
	const struct ynode *ports = own_key(c, "ports");

	if (is_network(c, "none") && c->s->ports.n > 0)
		complain(c, ports ? ports : own_key(c, "port"), "write network: bridge",
			 "ports: nobody can reach them with network: none");
	for (size_t i = 0; i < c->s->ports.n; i++)
		check_port(c, &p[i]);
	check_probe_ports(c);
}

void manifest_container_check(struct service_spec *s, const struct ynode *node,
			      struct manifest_errors *errors)
{
	const struct container c = {s, node, errors};

	if (!service_spec_is_container(s)) {
		/* A wrong image was said already, and the rest is meant for it. */
		if (!manifest_node_item(node, "image"))
			refuse_keys(&c, SCHEMA_CONTAINER);
		check_process_user(&c);
		return;
	}
	refuse_keys(&c, SCHEMA_PROCESS);
	check_user(&c);
	check_working_dir(&c);
	check_swap(&c);
	check_labels(&c);
	check_hooks(&c);
	check_volumes(&c);
	check_devices(&c);
	check_gpus(&c);
	check_ports(&c);
}
