/* manifest_check: see manifest_check.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/manifest_container.h"
#include "lib/manifest_decode.h"
#include "lib/manifest_depends.h"
#include "lib/manifest_node.h"
#include "lib/manifest_request.h"
#include "lib/manifest_ports.h"
#include "lib/manifest_task.h"
#include "lib/manifest_traffic.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"
#include "lib/schema_hint.h"
#include "lib/yamltree.h"

static const char *const probe_names[PROBE_KEYS] = {"startup", "readiness", "liveness"};

/* One service while it is judged. */
struct check {
	const struct service_spec *s;
	const struct ynode *node; /* its map */
	struct manifest_errors *errors, *warnings;
};

#define WRITTEN_SIZE 80

/* The value at path as it is written, else "default 60s". Returns buf. */
static const char *written(const struct check *c, const char *path, char *buf)
{
	const struct ynode *node = manifest_node_value(c->node, path);
	_cleanup_free_ char *full = mem_printf("services.*.%s", path);
	const struct schema_row *row = full ? schema_find(full) : NULL;

	if (node && node->kind == YNODE_SCALAR)
		snprintf(buf, WRITTEN_SIZE, "%s", node->text);
	else
		snprintf(buf, WRITTEN_SIZE, "default %s", row && row->def ? row->def : "?");
	return buf;
}

/* Columns from where the value stands to byte `offset` of its text; 0 when that cannot be said. */
static unsigned columns_to(const struct ynode *node, size_t offset)
{
	const char *p = node->text, *end = p + strlen(p), *stop = p + offset;
	unsigned chars = 0, at = 0, code, quotes = node->quoted ? 2 : 0;

	while (p < end) {
		at += p < stop;
		chars++;
		p += yamltree_utf8(p, end, &code);
	}
	return chars + quotes == node->width ? at + quotes / 2 : 0;
}

/* Tries the replacement that happens when a replica starts. context is taken. */
static void try_expand(const struct check *c, const struct ynode *node, char *context)
{
	struct manifest_place at = manifest_node_place(node);
	struct err *e = NULL;
	size_t offset = 0;

	if (!context) {
		c->errors->nomem = true;
	} else if (node->kind == YNODE_SCALAR &&
		   manifest_expand_check(node->text, c->s, &offset, &e) < 0) {
		at.column += columns_to(node, offset);
		manifest_errors_take(c->errors, &at, context, &e);
	}
	mem_free(context);
}

/* list is a command at path. */
static void check_command(const struct check *c, const struct ynode *list, const char *path)
{
	for (size_t i = 0; list && list->kind == YNODE_LIST && i < list->n; i++)
		try_expand(c, list->items[i].value, mem_printf("%s[%zu]", path, i));
	if (list && list->kind == YNODE_LIST && list->n > 0 &&
	    list->items[0].value->kind == YNODE_SCALAR && !list->items[0].value->text[0]) {
		struct manifest_place at = manifest_node_place(list->items[0].value);

		manifest_errors_add(c->errors, &at, NULL, "%s[0]: the program's name is empty",
				    path);
	}
}

static void check_list_expansion(const struct check *c, const char *path)
{
	check_command(c, manifest_node_value(c->node, path), path);
}

/* A variable that aictl sets itself for one of the service's ports. */
static void check_variable(const struct check *c, const struct ynode *name)
{
	const struct port_spec *ports = c->s->ports.v;
	struct manifest_place at = manifest_node_place(name);
	char variable[MANIFEST_PORT_VARIABLE_SIZE];

	for (size_t i = 0; i < c->s->ports.n; i++)
		if (strcmp(manifest_port_variable(ports[i].name, variable, sizeof(variable)),
			   name->text) == 0)
			manifest_errors_add(c->errors, &at, NULL,
					    "environment.%s is set by aictl itself, for ports.%s",
					    name->text, ports[i].name);
}

static void check_container_expansion(const struct check *c)
{
	const struct ynode *name = manifest_node_value(c->node, "hostname");
	const struct ynode *list = manifest_node_value(c->node, "volumes");

	check_list_expansion(c, "entrypoint");
	if (name)
		try_expand(c, name, mem_strdup("hostname"));
	for (size_t i = 0; list && list->kind == YNODE_LIST && i < list->n; i++) {
		const struct ynode *entry = list->items[i].value;
		const struct ynode *source = yamltree_get(entry, "source");

		if (source || entry->kind == YNODE_SCALAR)
			try_expand(c, source ? source : entry,
				   mem_printf("volumes[%zu]%s", i, source ? ".source" : ""));
	}
}

static void check_expansion(const struct check *c)
{
	const struct ynode *vars = manifest_node_value(c->node, "environment");

	check_list_expansion(c, "command");
	check_container_expansion(c);
	for (int k = 0; k < PROBE_KEYS; k++) {
		_cleanup_free_ char *path = mem_printf("probes.%s.exec.command", probe_names[k]);

		_cleanup_free_ char *file = mem_printf("probes.%s.file.path", probe_names[k]);
		const struct ynode *node = file ? manifest_node_value(c->node, file) : NULL;

		if (path)
			check_list_expansion(c, path);
		if (node)
			try_expand(c, node, mem_strdup(file));
		if (!path || !file)
			c->errors->nomem = true;
	}
	for (size_t i = 0; vars && vars->kind == YNODE_MAP && i < vars->n; i++) {
		check_variable(c, vars->items[i].key);
		try_expand(c, vars->items[i].value,
			   mem_printf("environment.%s", vars->items[i].key->text));
	}
}

/* "its ports are http, metrics", or how to give it one. Caller frees. */
static char *ports_hint(const struct service_spec *s, const char *wanted)
{
	const struct port_spec *ports = s->ports.v;
	_cleanup_buf_ struct buf names = {0};
	struct buf b = {0};
	const char *near;
	size_t len = 0;

	for (size_t i = 0; i < s->ports.n; i++)
		buf_printf(&names, "%s%s", i ? "|" : "", ports[i].name);
	near = schema_hint_nearest(buf_cstr(&names), wanted, &len);
	if (near)
		return mem_printf("did you mean %.*s?", (int)len, near);
	if (s->ports.n == 0)
		return mem_printf("give the service one: ports: { %s: {} }", wanted);
	for (size_t i = 0; i < s->ports.n; i++)
		buf_printf(&b, "%s%s", i ? ", " : "its ports are ", ports[i].name);
	return buf_take(&b);
}

static bool has_port(const struct service_spec *s, const char *name)
{
	const struct port_spec *ports = s->ports.v;

	for (size_t i = 0; i < s->ports.n; i++)
		if (strcmp(ports[i].name, name) == 0)
			return true;
	return false;
}

/* Whom a request (its map is handler) asks: path is "probes.liveness.http", port what it says. */
static void check_port(const struct check *c, const struct ynode *handler, const char *path,
		       const char *port)
{
	_cleanup_free_ char *hint = NULL;
	const struct ynode *node;
	struct manifest_place at;

	if (!handler || handler->kind != YNODE_MAP)
		return;
	node = yamltree_get(handler, "port");
	at = manifest_node_place(node ? node : handler);
	if (node && port[0] && port[strspn(port, "0123456789")] && !has_port(c->s, port)) {
		hint = ports_hint(c->s, port);
		manifest_errors_add(c->errors, &at, hint,
				    "%s.port: the service has no port named \"%s\"", path, port);
	} else if (!node && c->s->ports.n == 0) {
		manifest_errors_add(c->errors, &at,
				    strncmp(path, "probes", 6) == 0
					    ? "give the service a port, or the probe: port: ..."
					    : "give the service a port, or the request: port: ...",
				    "%s: there is no port to ask", path);
	} else if (!node && !service_spec_main_port(c->s)) {
		hint = ports_hint(c->s, "");
		manifest_errors_add(
			c->errors, &at, hint,
			"%s: port must be given, as no port of the service is named http", path);
	}
}

static void check_probe_port(const struct check *c, const char *path, const char *port)
{
	check_port(c, manifest_node_value(c->node, path), path, port);
}

/* A wait that can never be as long as it says. */
static void check_probe_times(const struct check *c, const char *path, const struct probe_spec *p)
{
	_cleanup_free_ char *timeout = mem_printf("%s.timeout", path);
	_cleanup_free_ char *period = mem_printf("%s.period", path);
	_cleanup_free_ char *stall = mem_printf("%s.stall", path);
	char a[WRITTEN_SIZE], b[WRITTEN_SIZE];
	const struct ynode *node;
	struct manifest_place at;

	if (!timeout || !period || !stall) {
		c->errors->nomem = true;
		return;
	}
	node = manifest_node_value(c->node,
				   timeout); /* the default says nothing about this service */
	if (node && p->timeout_ms > p->period_ms) {
		at = manifest_node_place(node);
		manifest_errors_add(c->warnings, &at, NULL,
				    "%s: timeout (%s) is longer than period (%s), so attempts come "
				    "later than every period",
				    path, written(c, timeout, a), written(c, period, b));
	}
	node = manifest_node_value(c->node, stall);
	if (p->stall_ms && p->stall_ms < p->initial_delay_ms + p->timeout_ms) {
		at = manifest_node_place(node ? node : manifest_node_value(c->node, path));
		manifest_errors_add(c->warnings, &at, NULL,
				    "%s: stall (%s) is over before the first attempt can have "
				    "failed, as initial_delay and timeout take longer",
				    path, written(c, stall, a));
	}
}

/* Does it say whom to ask, or something that is wrong already? */
static bool says_more(const struct schema_row *probe, const struct ynode *node)
{
	for (size_t i = 0; i < node->n; i++) {
		const struct schema_row *row = schema_child(probe, node->items[i].key->text);

		if (!row || (row->flags & SCHEMA_CHOICE) ||
		    strcmp(schema_key(row), "notify_fd") == 0)
			return true;
	}
	return node->n == 0;
}

/* One that asks nobody only waits: for a word, or for the end of the start. */
static void check_silent_probe(const struct check *c, const char *path, enum probe_kind kind)
{
	_cleanup_free_ char *full = mem_printf("services.*.%s", path);
	const struct ynode *node = manifest_node_value(c->node, path);
	struct manifest_place at;

	c->errors->nomem |= !full;
	if (!full || !node || node->kind != YNODE_MAP || says_more(schema_find(full), node) ||
	    probe_spec_is_pushed(&c->s->probes[PROBE_READINESS]))
		return;
	at = manifest_node_place(node);
	manifest_errors_add(c->errors, &at,
			    "say what to ask, as http: {}, or readiness: { notify: true }",
			    kind == PROBE_STARTUP ? "%s: nothing tells that the start is over"
						  : "%s: nobody is asked, and notify is false",
			    path);
}

/* The one that is longer never comes to be. */
static void check_deadline(const struct check *c)
{
	const struct probe_spec *p = &c->s->probes[PROBE_STARTUP];
	const struct ynode *stall = manifest_node_value(c->node, "probes.startup.stall");
	char a[WRITTEN_SIZE], b[WRITTEN_SIZE];
	struct manifest_place at;

	if (!stall || !p->deadline_ms || p->deadline_ms > p->stall_ms)
		return;
	at = manifest_node_place(stall);
	manifest_errors_add(
		c->warnings, &at, NULL,
		"probes.startup: stall (%s) has no effect, as deadline (%s) is not longer",
		written(c, "probes.startup.stall", a), written(c, "probes.startup.deadline", b));
}

static void check_probe(const struct check *c, enum probe_kind kind)
{
	_cleanup_free_ char *path = mem_printf("probes.%s", probe_names[kind]);
	_cleanup_free_ char *http = mem_printf("probes.%s.http", probe_names[kind]);
	_cleanup_free_ char *tcp = mem_printf("probes.%s.tcp", probe_names[kind]);
	_cleanup_free_ char *grpc = mem_printf("probes.%s.grpc", probe_names[kind]);
	const struct probe_spec *p = &c->s->probes[kind];

	if (!path || !http || !tcp || !grpc) {
		c->errors->nomem = true;
		return;
	}
	if (!p->enabled)
		return;
	if (kind == PROBE_STARTUP)
		check_deadline(c);
	if (!probe_spec_polls(p)) {
		check_silent_probe(c, path, kind);
		return;
	}
	check_probe_port(c, http, p->request.port);
	if (p->http && manifest_node_value(c->node, http))
		manifest_request_check(manifest_node_value(c->node, http), http, &p->request,
				       p->timeout_ms, c->errors, c->warnings);
	check_probe_port(c, tcp, p->tcp_port);
	check_probe_port(c, grpc, p->grpc_port);
	if (p->progress)
		check_probe_port(c, "probes.liveness.progress", p->progress_port);
	check_probe_times(c, path, p);
}

static const char *const hook_names[HOOK_KIND_MAX_] = {"pre_start", "post_start", "pre_stop",
						       "post_stop"};

/* Nothing of the replica listens before it has started and after it has stopped. */
static void check_hook_target(const struct check *c, enum hook_kind kind, const struct ynode *http,
			      const char *path, const struct request_spec *r)
{
	bool lives = kind == HOOK_POST_START || kind == HOOK_PRE_STOP;
	bool is_number = r->port[0] && !r->port[strspn(r->port, "0123456789")];
	struct manifest_place at = manifest_node_place(http);

	if (lives)
		check_port(c, http, path, r->port);
	else if (!is_number)
		manifest_errors_add(c->errors, &at, "write the number of somebody else's port",
				    "%s.port: the replica itself cannot answer then", path);
}

static void check_hook(const struct check *c, enum hook_kind kind, const struct ynode *node,
		       size_t i)
{
	const struct hook_spec *h = (const struct hook_spec *)c->s->hooks[kind].v + i;
	const struct ynode *http = yamltree_get(node, "http");
	_cleanup_free_ char *exec_path =
		mem_printf("hooks.%s[%zu].exec.command", hook_names[kind], i);
	_cleanup_free_ char *http_path = mem_printf("hooks.%s[%zu].http", hook_names[kind], i);

	if (!exec_path || !http_path) {
		c->errors->nomem = true;
		return;
	}
	if (h->exec)
		check_command(c, manifest_node_value(node, "exec.command"), exec_path);
	if (!h->http || !http || http->kind != YNODE_MAP)
		return;
	check_hook_target(c, kind, http, http_path, &h->request);
	manifest_request_check(http, http_path, &h->request, h->timeout_ms, c->errors, c->warnings);
}

static void check_hooks(const struct check *c)
{
	const struct ynode *hooks = manifest_node_value(c->node, "hooks");

	for (int k = 0; hooks && k < HOOK_KIND_MAX_; k++) {
		const struct ynode *list = manifest_node_value(hooks, hook_names[k]);

		if (!list || list->kind != YNODE_LIST || list->n != c->s->hooks[k].n)
			continue;
		for (size_t i = 0; i < list->n; i++)
			if (list->items[i].value->kind == YNODE_MAP)
				check_hook(c, (enum hook_kind)k, list->items[i].value, i);
	}
}

static void check_warmup(const struct check *c)
{
	const struct ynode *list = manifest_node_value(c->node, "warmup");
	const struct warmup_spec *w = c->s->warmup.v;

	for (size_t i = 0; list && list->kind == YNODE_LIST && i < c->s->warmup.n; i++) {
		const struct ynode *http = yamltree_get(list->items[i].value, "http");
		_cleanup_free_ char *path = mem_printf("warmup[%zu].http", i);

		if (!path)
			c->errors->nomem = true;
		else if (http && http->kind == YNODE_MAP) {
			check_port(c, http, path, w[i].request.port);
			manifest_request_check(http, path, &w[i].request, w[i].timeout_ms,
					       c->errors, c->warnings);
		}
	}
}

static void check_reload_signal(const struct check *c)
{
	const int64_t signal = c->s->reload.signal;
	const struct ynode *node = manifest_node_value(c->node, "reload.signal");
	struct manifest_place at;

	if (!node || (signal != SIGKILL && signal != SIGSTOP))
		return;
	at = manifest_node_place(node);
	manifest_errors_add(c->errors, &at, "write the one at which it reads its files: SIGHUP",
			    "reload.signal: no process can handle %s",
			    parse_signal_name((int)signal));
}

static void check_reload(const struct check *c)
{
	const struct reload_spec *r = &c->s->reload;
	const struct ynode *http = manifest_node_value(c->node, "reload.http");
	const struct ynode *node = manifest_node_value(c->node, "on_dependency_restart");
	struct manifest_place at;

	check_reload_signal(c);
	if (r->http && http && http->kind == YNODE_MAP) {
		check_port(c, http, "reload.http", r->request.port);
		manifest_request_check(http, "reload.http", &r->request, r->timeout_ms, c->errors,
				       c->warnings);
	}
	if (!node || c->s->on_dependency_restart != DEPENDENCY_RELOAD || r->enabled)
		return;
	at = manifest_node_place(node);
	manifest_errors_add(c->errors, &at, "say how: reload: { signal: SIGHUP }",
			    "on_dependency_restart: the service declares no reload");
}

static void check_backoff(const struct check *c)
{
	const struct ynode *max = manifest_node_value(c->node, "restart.backoff.max");
	const struct ynode *initial = manifest_node_value(c->node, "restart.backoff.initial");
	char a[WRITTEN_SIZE], b[WRITTEN_SIZE];
	struct manifest_place at;

	if (c->s->restart.backoff_max_ms >= c->s->restart.backoff_initial_ms || (!max && !initial))
		return;
	at = manifest_node_place(max ? max : initial);
	manifest_errors_add(c->errors, &at, NULL,
			    "restart.backoff.%s: max (%s) is shorter than initial (%s)",
			    max ? "max" : "initial", written(c, "restart.backoff.max", a),
			    written(c, "restart.backoff.initial", b));
}

static bool has_int(const struct spec_ints *ints, int64_t value)
{
	for (size_t i = 0; i < ints->n; i++)
		if (ints->v[i] == value)
			return true;
	return false;
}

/* One code of a rule: decided before, or called a success elsewhere. */
static void check_rule_code(const struct check *c, size_t rule, int64_t code,
			    const struct manifest_place *at)
{
	const struct restart_rule *rules = c->s->restart.rules.v;
	size_t first = 0;

	while (!has_int(&rules[first].exit, code))
		first++;
	if (first < rule)
		manifest_errors_add(
			c->warnings, at, NULL,
			"restart.rules[%zu].exit: %lld is decided by rules[%zu] already", rule,
			(long long)code, first);
	else if (rules[rule].then == RULE_FAIL && code != 0 && /* which is there by default */
		 has_int(&c->s->restart.success_exit_codes, code))
		manifest_errors_add(
			c->errors, at, "take it out of one of them",
			"restart.rules[%zu].exit: %lld is among success_exit_codes, too", rule,
			(long long)code);
}

static void check_rules(const struct check *c)
{
	const struct ynode *list = manifest_node_value(c->node, "restart.rules");
	const struct restart_rule *rules = c->s->restart.rules.v;

	if (!list || list->kind != YNODE_LIST || list->n != c->s->restart.rules.n)
		return;
	for (size_t i = 0; i < list->n; i++) {
		const struct ynode *exit = yamltree_get(list->items[i].value, "exit");

		for (size_t k = 0; exit && k < rules[i].exit.n; k++) {
			bool many = exit->kind == YNODE_LIST && exit->n == rules[i].exit.n;
			struct manifest_place at =
				manifest_node_place(many ? exit->items[k].value : exit);

			check_rule_code(c, i, rules[i].exit.v[k], &at);
		}
	}
}

/* Requests are cut when drain is over, though the process would have had time for them. */
static void check_drain(const struct check *c)
{
	const struct ynode *grace = manifest_node_value(c->node, "stop.grace_period");
	const struct ynode *drain = manifest_node_value(c->node, "stop.drain");
	struct manifest_place at;

	if (!grace || !drain || grace->kind != YNODE_SCALAR || drain->kind != YNODE_SCALAR ||
	    c->s->grace_period_ms <= c->s->drain_ms)
		return;
	at = manifest_node_place(grace);
	manifest_errors_add(c->warnings, &at, NULL,
			    "stop.grace_period (%s) is longer than drain (%s): requests are cut "
			    "when drain is over, though the process would have time for them",
			    grace->text, drain->text);
}

/* All that reads logs reads the files. */
static void check_log_targets(const struct check *c)
{
	const struct ynode *to = manifest_node_value(c->node, "logs.to");
	struct manifest_place at;

	for (size_t i = 0; c->s->log_to && c->s->log_to[i]; i++)
		if (strcmp(c->s->log_to[i], "file") == 0)
			return;
	if (!to || !c->s->log_to)
		return;
	at = manifest_node_place(to);
	manifest_errors_add(c->errors, &at, "write [file, journald]",
			    "logs.to must have file: journald gets its lines from there, as aictl "
			    "logs does");
}

/* The soft limit would never be felt. */
static void check_memory(const struct check *c)
{
	const struct ynode *high = manifest_node_value(c->node, "resources.limits.memory_high");
	const struct ynode *most = manifest_node_value(c->node, "resources.limits.memory");
	struct manifest_place at;

	if (!high || !most || high->kind != YNODE_SCALAR || most->kind != YNODE_SCALAR ||
	    c->s->resources.memory == 0 || c->s->resources.memory_high < c->s->resources.memory)
		return;
	at = manifest_node_place(high);
	manifest_errors_add(c->warnings, &at, "let it be below memory, or leave it out",
			    "resources.limits.memory_high (%s) is not below memory (%s): a replica "
			    "is killed before it is slowed",
			    high->text, most->text);
}

/* A shell would replace it; which home, and in whose name, nobody here could say. */
static void check_tilde(const struct ynode *at, struct manifest_errors *errors)
{
	struct manifest_place where;

	if (!at || at->kind != YNODE_SCALAR || at->text[0] != '~')
		return;
	where = manifest_node_place(at);
	manifest_errors_add(errors, &where,
			    "write a path relative to this file, or an absolute one; ./~ is a "
			    "directory of that name",
			    "working_dir: \"~\" is not replaced here");
}

/* "./x" of a manifest in /srv/app means /srv/app/x. */
static void complete_working_dir(struct service_spec *s, const struct ynode *node,
				 struct manifest_errors *errors)
{
	const struct ynode *at = yamltree_get(node, "working_dir");
	_cleanup_free_ char *base = fs_dirname(at ? at->file : s->file);
	char *dir = base ? fs_join(base, s->working_dir ? s->working_dir : ".") : NULL;

	check_tilde(at, errors);
	if (!dir) {
		errors->nomem = true;
		return;
	}
	mem_free(s->working_dir);
	s->working_dir = dir;
}

/* Those of ports are counted already, but not that of `port`. */
static void check_port_count(const struct check *c)
{
	const struct ynode *ports = manifest_node_value(c->node, "ports");
	struct manifest_place at;

	if (c->s->ports.n <= MANIFEST_PORTS_MAX || !ports || ports->kind != YNODE_MAP)
		return;
	at = manifest_node_place(ports);
	manifest_errors_add(c->errors, &at, NULL, "ports: more than %d entries, with http of port",
			    MANIFEST_PORTS_MAX);
}

void manifest_check_service(struct service_spec *s, const struct ynode *node,
			    struct manifest_errors *errors, struct manifest_errors *warnings)
{
	const struct check c = {s, node, errors, warnings};

	check_expansion(&c);
	for (int k = 0; k < PROBE_KEYS; k++)
		check_probe(&c, (enum probe_kind)k);
	check_warmup(&c);
	check_port_count(&c);
	manifest_ports_complete(s, node, errors);
	check_backoff(&c);
	check_rules(&c);
	check_hooks(&c);
	check_reload(&c);
	check_drain(&c);
	check_log_targets(&c);
	check_memory(&c);
	manifest_task_check(s, node, errors, warnings);
	manifest_container_check(s, node, errors);
	if (!service_spec_is_container(s))
		complete_working_dir(s, node, errors);
}

/* Where the number of a port is written: at ports.NAME.port or at port. */
static void port_place(const struct service_spec *s, const struct port_spec *port,
		       struct manifest_place *ret)
{
	_cleanup_free_ char *key = mem_printf("ports.%s.port", port->name);

	*ret = (struct manifest_place){s->file, s->line, 1};
	if (key)
		service_spec_place(s, key, ret);
}

/* b may be a. */
static void check_ports(const struct service_spec *a, const struct service_spec *b,
			struct manifest_errors *errors)
{
	const struct port_spec *first, *second = service_spec_clash(a, b, &first);
	struct manifest_place at, there;

	if (!second)
		return;
	port_place(a, first, &there);
	port_place(b, second, &at);
	if (a == b)
		manifest_errors_add(errors, &at, NULL,
				    "ports.%s: %lld is taken by ports.%s at line %u", second->name,
				    (long long)second->port, first->name, there.line);
	else
		manifest_errors_add(
			errors, &at, NULL, "port: %lld is taken by service \"%s\" at %s:%u:%u",
			(long long)second->port, a->name, there.file, there.line, there.column);
}

static void check_pair(const struct manifest_entry *a, const struct manifest_entry *b,
		       struct manifest_errors *errors)
{
	if (strcmp(a->spec->name, b->spec->name) == 0)
		manifest_errors_add(errors, &b->at, NULL,
				    "services.%s: defined twice, first at %s:%u:%u", b->spec->name,
				    a->at.file, a->at.line, a->at.column);
	else
		check_ports(a->spec, b->spec, errors);
}

/* The service other than s whose stable port this is; NULL = none. */
static const struct service_spec *owner_of(const struct manifest_set *set, int64_t port,
					   const struct service_spec *s)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct service_spec *other = set->entries[i].spec;
		const struct port_spec *ports = other->ports.v;

		for (size_t k = 0; other != s && k < other->ports.n; k++)
			if (ports[k].port == port)
				return other;
	}
	return NULL;
}

/* A probe that asks somebody else says nothing about the replica. */
static void check_foreign(struct manifest_set *set, const struct service_spec *s, const char *key,
			  const char *port)
{
	const struct service_spec *owner;
	struct manifest_place at;
	int64_t number;

	if (!port || parse_i64(port, 1, 65535, &number, NULL) < 0)
		return;
	owner = owner_of(set, number, s);
	if (owner && service_spec_place(s, key, &at))
		manifest_errors_add(&set->warnings, &at, NULL,
				    "%s: %lld is the port of service \"%s\"", key,
				    (long long)number, owner->name);
}

static void check_foreign_probes(struct manifest_set *set, const struct service_spec *s,
				 struct manifest_errors *errors)
{
	for (int k = 0; k < PROBE_KEYS; k++) {
		_cleanup_free_ char *http = mem_printf("probes.%s.http.port", probe_names[k]);
		_cleanup_free_ char *tcp = mem_printf("probes.%s.tcp.port", probe_names[k]);

		if (!http || !tcp)
			errors->nomem = true;
		else if (s->probes[k].http)
			check_foreign(set, s, http, s->probes[k].request.port);
		else if (s->probes[k].tcp)
			check_foreign(set, s, tcp, s->probes[k].tcp_port);
	}
}

void manifest_check_set(struct manifest_set *set, struct manifest_errors *errors)
{
	for (size_t i = 0; !errors->nomem && i < set->n; i++) {
		const struct service_spec *s = set->entries[i].spec;

		check_ports(s, s, errors);
		for (size_t k = 0; k < i; k++)
			check_pair(&set->entries[k], &set->entries[i], errors);
		check_foreign_probes(set, s, errors);
	}
	if (!errors->nomem)
		manifest_depends_check(set, errors, &set->warnings);
	if (!errors->nomem)
		manifest_task_check_set(set, errors);
	if (!errors->nomem)
		manifest_traffic_check_set(set, errors);
}
