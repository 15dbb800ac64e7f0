/* import_ports: see import_ports.h. Compose publishes on all addresses of the machine unless told
 * otherwise; here it is the loopback address, and the note says how to open it. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_ports.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/compose.h"
#include "cli/compose_merge.h"
#include "cli/compose_value.h"
#include "cli/import.h"
#include "cli/import_out.h"
#include "cli/x.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/schema_check.h"
#include "lib/yamltree.h"

struct port {
	char name[24];
	const char *listen;	   /* as it was given, or NULL; owned in struct ports */
	int64_t published, target; /* published 0: none */
	bool http;
};

struct ports {
	struct port v[MANIFEST_PORTS_MAX];
	size_t n;
};

struct range {
	int64_t first, last;
};

static bool parse_range(const char *text, size_t len, struct range *ret)
{
	_cleanup_free_ char *copy = x_strndup(text, len);
	char *dash = strchr(copy, '-');

	if (dash)
		*dash++ = '\0';
	return compose_value_int(copy, 1, 65535, &ret->first) &&
	       compose_value_int(dash ? dash : copy, ret->first, 65535, &ret->last);
}

/* Does its healthcheck ask that port by HTTP? Port 80 is nobody else's. */
static bool speaks_http(const struct import_part *p, int64_t target, const char *app)
{
	const struct ynode *test = yamltree_get(yamltree_get(p->s->node, "healthcheck"), "test");
	_cleanup_free_ char *needle = x_printf(":%" PRId64, target);
	_cleanup_texts_ struct compose_texts t = {0};

	if (app)
		return strncmp(app, "http", 4) == 0 && strcmp(app, "https") != 0;
	if (target == 80)
		return true;
	if (!test || !compose_value_texts(test, &t))
		return false;
	for (size_t i = 0; i < t.n; i++) {
		const char *url = strstr(t.v[i], "http://"), *at = url ? strstr(url, needle) : NULL;

		if (at && !strchr("0123456789", at[strlen(needle)]))
			return true;
		if (at && !at[strlen(needle)])
			return true;
	}
	return false;
}

static bool has_name(const struct ports *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, name) == 0)
			return true;
	return false;
}

static void add(const struct import_part *p, struct ports *l, const struct port *port)
{
	struct port *new = &l->v[l->n];

	for (size_t i = 0; i < l->n; i++) { /* 0.0.0.0 and [::] of the same */
		if (l->v[i].target != port->target || l->v[i].published != port->published)
			continue;
		if (port->listen && strcmp(port->listen, "::") != 0)
			import_note(p, IMPORT_DROPPED, "ports",
				    "a second address of %" PRId64 ": %s", port->published,
				    port->listen);
		return;
	}
	if (l->n == MANIFEST_PORTS_MAX) {
		import_note(p, IMPORT_DROPPED, "ports", "more than %d: %" PRId64,
			    MANIFEST_PORTS_MAX, port->target);
		return;
	}
	*new = *port;
	snprintf(new->name, sizeof(new->name), "http");
	if (!port->http || has_name(l, "http"))
		snprintf(new->name, sizeof(new->name), "%s-%" PRId64, port->http ? "http" : "tcp",
			 port->target);
	for (int i = 2; has_name(l, new->name); i++)
		snprintf(new->name, sizeof(new->name), "tcp-%" PRId64 "-%d", port->target, i);
	new->listen = port->listen ? x_strdup(port->listen) : NULL;
	l->n++;
}

static void note_listen(const struct import_part *p, struct port *port)
{
	if (port->published == 0)
		import_note(p, IMPORT_CHANGED, "ports",
			    "%" PRId64 ": Compose takes any port of the machine for it; here only "
			    "the replicas have one, unless it gets a `port`",
			    port->target);
	else if (!port->listen || !port->listen[0])
		import_note(p, IMPORT_CHANGED, "ports",
			    "%" PRId64
			    " is at 127.0.0.1 only; `listen: 0.0.0.0` opens it to others",
			    port->published);
}

/* All of a range; a range to one port is its first. */
static void add_all(const struct import_part *p, struct ports *l, const struct port *like,
		    struct range published, struct range target)
{
	struct port port = *like;

	if (published.first && published.last - published.first != target.last - target.first) {
		import_note(p, IMPORT_CHANGED, "ports",
			    "any of %" PRId64 "-%" PRId64 " in Compose, the first here",
			    published.first, published.last);
		target.last = target.first;
	}
	note_listen(p, &(struct port){.listen = like->listen,
				      .published = published.first,
				      .target = target.first});
	if (port.listen && (!port.listen[0] || strcmp(port.listen, "127.0.0.1") == 0))
		port.listen = NULL;
	for (int64_t i = 0; i <= target.last - target.first; i++) {
		port.target = target.first + i;
		port.published = published.first ? published.first + i : 0;
		port.http = like->http && i == 0;
		add(p, l, &port);
		if (l->n == MANIFEST_PORTS_MAX && i > MANIFEST_PORTS_MAX)
			return;
	}
}

static bool is_protocol(const struct import_part *p, const char *protocol, int64_t target)
{
	if (!protocol || strcasecmp(protocol, "tcp") == 0)
		return true;
	import_note(p, IMPORT_DROPPED, "ports", "%" PRId64 ": %s is not passed on, only tcp",
		    target, protocol);
	return false;
}

/* What stands behind the last ":" that is not inside [...], which ends there; or NULL. */
static char *cut_last(char *text)
{
	char *colon = strrchr(text, ':');

	if (!colon || strchr(colon, ']'))
		return NULL;
	*colon = '\0';
	return colon + 1;
}

/* "[::1]" -> "::1", "localhost" -> its number. */
static const char *plain_address(char *ip)
{
	size_t n = strlen(ip);

	if (strcmp(ip, "localhost") == 0)
		return "127.0.0.1";
	if (ip[0] != '[' || ip[n - 1] != ']')
		return ip;
	ip[n - 1] = '\0';
	return ip + 1;
}

static bool is_address(const char *ip)
{
	return !ip || !ip[0] || !schema_check_address(ip);
}

/* [[IP:]PUBLISHED:]TARGET[/PROTOCOL]; IP may be [v6]. */
static void read_short(const struct import_part *p, struct ports *l, const struct ynode *item)
{
	_cleanup_free_ char *text = x_strdup(item->text);
	char *slash = strchr(text, '/'), *target, *published = NULL;
	struct range from = {0}, to;
	struct port port = {0};

	if (slash)
		*slash++ = '\0';
	target = cut_last(text);
	if (target) {
		published = cut_last(text);
		port.listen = published ? plain_address(text) : NULL;
		published = published ? published : text;
	}
	target = target ? target : text;
	if (!parse_range(target, strlen(target), &to) || !is_address(port.listen) ||
	    (published && published[0] && !parse_range(published, strlen(published), &from))) {
		import_bad(p, item, "ports", "[[IP:]PORT:]PORT[/PROTOCOL]");
		return;
	}
	if (!is_protocol(p, slash, to.first))
		return;
	port.http = speaks_http(p, to.first, NULL);
	add_all(p, l, &port, from, to);
}

static void read_long(const struct import_part *p, struct ports *l, const struct ynode *item)
{
	static const char *const known[] = {"target",	    "published", "host_ip", "protocol",
					    "app_protocol", "name",	 "mode",    NULL};
	const char *target = compose_value_get(item, "target");
	const char *published = compose_value_get(item, "published");
	const char *ip = compose_value_get(item, "host_ip");
	_cleanup_free_ char *address = ip ? x_strdup(ip) : NULL;
	struct range from = {0}, to;
	struct port port = {0};

	import_unknown(p, item, "ports.", known);
	port.listen = address && address[0] ? plain_address(address) : NULL;
	if (!target || !parse_range(target, strlen(target), &to) || !is_address(port.listen) ||
	    (published && !parse_range(published, strlen(published), &from))) {
		import_bad(p, item, "ports", "a port with a target");
		return;
	}
	if (!is_protocol(p, compose_value_get(item, "protocol"), to.first))
		return;
	port.http = speaks_http(p, to.first, compose_value_get(item, "app_protocol"));
	add_all(p, l, &port, from, to);
}

/* `port: N` says it all where the container has the same number. */
static bool is_brief(const struct ports *l)
{
	const struct port *only = &l->v[0];

	return l->n == 1 && only->http && !only->listen && only->published == only->target;
}

static void emit(const struct import_part *p, const struct ports *l)
{
	if (is_brief(l)) {
		import_out_word(p->out, IMPORT_DEPTH, "port", "%" PRId64, l->v[0].target);
		return;
	}
	import_out_open(p->out, IMPORT_DEPTH, "ports");
	for (size_t i = 0; i < l->n; i++) {
		const struct port *port = &l->v[i];

		import_out_key(p->out, IMPORT_DEPTH + 1, port->name);
		buf_str(p->out, " { ");
		if (port->published)
			buf_printf(p->out, "port: %" PRId64 ", ", port->published);
		buf_printf(p->out, "container_port: %" PRId64, port->target);
		if (port->listen) {
			buf_str(p->out, ", listen: ");
			yaml_out_flow(port->listen, p->out);
		}
		buf_printf(p->out, "%s }\n", port->http ? "" : ", protocol: tcp");
	}
}

/* What the environment says of PORT, which aictl sets to the number of the main port; 0: nothing. */
static int64_t wanted_port(const struct import_part *p)
{
	const struct ynode *env = import_key(p, "environment");
	const char *text;
	int64_t n = 0;

	if (env)
		env = compose_merge_to_map(p->im->c->tree, env, "=");
	text = compose_value_get(env, "PORT");
	return text && compose_value_int(text, 1, 65535, &n) ? n : 0;
}

/* The port that PORT is the number of: the only one, or that of the name http. */
static struct port *main_port(struct ports *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, "http") == 0)
			return &l->v[i];
	return l->n == 1 ? l->v : NULL;
}

/* Makes the port that PORT names the main one, where no other one is; one that is not published is
 * a port of the replicas alone. */
static void choose_main(const struct import_part *p, struct ports *l)
{
	int64_t wanted = wanted_port(p);
	struct port *found = NULL;

	if (!wanted || has_name(l, "http") || (l->n == 1 && l->v[0].target == wanted))
		return;
	for (size_t i = 0; i < l->n && !found; i++)
		if (l->v[i].target == wanted)
			found = &l->v[i];
	if (!found && l->n < MANIFEST_PORTS_MAX) {
		found = &l->v[l->n++];
		*found = (struct port){.target = wanted};
		import_note(p, IMPORT_CHANGED, "ports",
			    "%" PRId64 " is added, so that PORT is %" PRId64, wanted, wanted);
	}
	if (found)
		snprintf(found->name, sizeof(found->name), "http");
}

static bool has_ports(const struct import_part *p, const struct ynode *node)
{
	const char *mode = compose_value_get(p->s->node, "network_mode");

	if (node && node->kind != YNODE_LIST) {
		import_bad(p, node, "ports", "a list");
		return false;
	}
	if (!mode || (strcmp(mode, "host") != 0 && strcmp(mode, "none") != 0))
		return true;
	if (node)
		import_note(p, IMPORT_DROPPED, "ports", "network_mode is %s", mode);
	return false;
}

int64_t import_ports_emit(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "ports");
	const struct port *main;
	struct ports l = {0};
	int64_t number;

	if (!has_ports(p, node))
		return 0;
	for (size_t i = 0; node && i < node->n; i++) {
		const struct ynode *item = node->items[i].value;

		if (item->kind == YNODE_SCALAR)
			read_short(p, &l, item);
		else
			read_long(p, &l, item);
	}
	choose_main(p, &l);
	main = main_port(&l);
	number = main ? main->target : 0;
	if (l.n > 0)
		emit(p, &l);
	for (size_t i = 0; i < l.n; i++)
		mem_free((void *)(uintptr_t)l.v[i].listen);
	return number;
}
