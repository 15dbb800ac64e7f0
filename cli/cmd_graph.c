/*
 * cmd_graph: aictl graph, sets, their services and what connects them to the outside: ports and
 * probes. Of a manifest with -f, else of the daemon. One document is made of either (document());
 * the tree, the table, dot, json and yaml are views of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/sources.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"

static cJSON *add_object(cJSON *list)
{
	cJSON *o = x_check(cJSON_CreateObject());

	cJSON_AddItemToArray(list, o);
	return o;
}

static void add_text(cJSON *o, const char *name, const char *text)
{
	x_check(text ? cJSON_AddStringToObject(o, name, text) : cJSON_AddNullToObject(o, name));
}

/* --- the document ----------------------------------------------------------------------- */

/* Ports and probes of a service as manifest_write_json writes them: what is left out has its
 * default. */
static void add_ports(cJSON *service, const cJSON *spec)
{
	cJSON *list = x_check(cJSON_AddArrayToObject(service, "ports"));
	const cJSON *port;

	cJSON_ArrayForEach (port, js_get(spec, "ports")) {
		const char *listen = js_str(port, "listen", "127.0.0.1");
		long long number = js_int(port, "port", 0);
		bool v6 = strchr(listen, ':') != NULL;
		_cleanup_free_ char *address = number ? x_printf("%s%s%s:%lld", v6 ? "[" : "",
								 listen, v6 ? "]" : "", number)
						      : NULL;
		cJSON *o = add_object(list);

		add_text(o, "name", port->string);
		add_text(o, "protocol", js_str(port, "protocol", "http"));
		add_text(o, "address", address);
	}
}

/* A port in a probe: a number or a name. */
static char *port_of(const cJSON *handler)
{
	const char *name = js_str(handler, "port", NULL);
	int64_t number = js_int(handler, "port", 0);

	if (name)
		return x_printf(" port %s", name);
	return number ? x_printf(" port %lld", (long long)number) : x_strdup("");
}

static char *handler_of(const cJSON *probe)
{
	const cJSON *http = js_get(probe, "http"), *tcp = js_get(probe, "tcp");
	const cJSON *command = js_get(js_get(probe, "exec"), "command");
	_cleanup_free_ char *port = port_of(http ? http : tcp);
	_cleanup_free_ char *grpc_port = port_of(js_get(probe, "grpc"));

	if (http)
		return x_printf("http %s %s%s", js_str(http, "method", "GET"),
				js_str(http, "path", "/"), port);
	if (tcp)
		return x_printf("tcp%s", port);
	if (js_get(probe, "grpc"))
		return x_printf("grpc%s", grpc_port);
	if (js_get(probe, "file"))
		return x_printf("file %s", js_str(js_get(probe, "file"), "path", ""));
	if (js_get(probe, "log"))
		return x_printf("log %s", js_str(js_get(probe, "log"), "pattern", ""));
	if (js_get(probe, "progress"))
		return x_printf("progress %s", js_str(js_get(probe, "progress"), "metric", ""));
	return x_printf("exec %s",
			cJSON_IsArray(command) && command->child && cJSON_IsString(command->child)
				? command->child->valuestring
				: "");
}

static void add_probes(cJSON *service, const cJSON *spec)
{
	cJSON *list = x_check(cJSON_AddArrayToObject(service, "probes"));
	const cJSON *probe;

	cJSON_ArrayForEach (probe, js_get(spec, "probes")) {
		_cleanup_free_ char *handler = handler_of(probe);
		cJSON *o = add_object(list);

		add_text(o, "name", probe->string);
		add_text(o, "handler", handler);
	}
}

static void add_depends(cJSON *service, const cJSON *spec)
{
	cJSON *list = x_check(cJSON_AddArrayToObject(service, "depends_on"));
	const cJSON *d;

	cJSON_ArrayForEach (d, js_get(spec, "depends_on")) {
		cJSON *o = add_object(list);

		add_text(o, "service", d->string);
		add_text(o, "condition", js_str(d, "condition", "started"));
	}
}

/* state is NULL in a manifest. */
static void add_service(cJSON *list, const char *name, const char *set, const char *state,
			const cJSON *spec, int64_t replicas)
{
	cJSON *o = add_object(list);

	add_text(o, "name", name);
	add_text(o, "set", set);
	add_text(o, "state", state);
	x_check(cJSON_AddNumberToObject(o, "replicas", (double)replicas));
	add_ports(o, spec);
	add_probes(o, spec);
	add_depends(o, spec);
}

static cJSON *spec_of(const struct service_spec *s)
{
	_cleanup_buf_ struct buf text = {0};
	struct jsonw w = {.out = &text};

	jsonw_object_begin(&w, NULL);
	manifest_write_json(s, MANIFEST_WRITE_MASKED, &w);
	jsonw_object_end(&w);
	if (text.failed)
		x_check(NULL);
	return x_check(js_parse(text.data, text.len));
}

static cJSON *of_manifest(struct cli *cli, const struct args *args)
{
	cJSON *doc = x_check(cJSON_CreateObject());
	cJSON *list = x_check(cJSON_AddArrayToObject(doc, "services"));
	struct sources sources;
	struct manifest *m;

	sources_load(cli, args, &sources);
	m = sources_check(&sources);
	for (size_t i = 0; i < m->n_services; i++) {
		const struct service_spec *s = m->services[i];
		_cleanup_js_ cJSON *spec = spec_of(s);

		add_service(list, s->name, m->name, NULL, spec, s->replicas);
	}
	manifest_free(m);
	cli->dir = NULL;
	sources_done(&sources);
	return doc;
}

/* One that is deleted meanwhile is left out. */
static void add_live_service(struct client *client, cJSON *list, const cJSON *s)
{
	const char *name = js_str(s, "name", "");
	_cleanup_free_ char *path = x_printf("/v1/services/%s", name);
	_cleanup_reply_ struct reply reply = {0};

	if (client_send(client, "GET", path, NULL, &reply) / 100 != 2)
		return;
	add_service(list, name, js_str(s, "set", ""), js_str(s, "state", NULL),
		    js_get(reply.json, "spec"), js_int(s, "desired", 0));
}

static cJSON *of_daemon(struct cli *cli)
{
	_cleanup_client_ struct client *client = client_open(cli);
	_cleanup_reply_ struct reply reply = {0};
	cJSON *doc = x_check(cJSON_CreateObject());
	cJSON *list = x_check(cJSON_AddArrayToObject(doc, "services"));
	const cJSON *s;

	client_get(client, "/v1/services", &reply);
	cJSON_ArrayForEach (s, js_get(reply.json, "services"))
		add_live_service(client, list, s);
	return doc;
}

/* --- views ------------------------------------------------------------------------------ */

/* "http 127.0.0.1:8000": what stands at the end of an edge. Caller frees. */
static char *port_text(const cJSON *port)
{
	return x_printf("port %s %s", js_str(port, "name", "?"),
			js_str(port, "address", "(only replicas)"));
}

static char *probe_text(const cJSON *probe)
{
	return x_printf("probe %s %s", js_str(probe, "name", "?"), js_str(probe, "handler", ""));
}

static char *depend_text(const cJSON *d)
{
	return x_printf("after %s (%s)", js_str(d, "service", "?"), js_str(d, "condition", "?"));
}

/* The strokes of the tree, in a locale that has them and in one that has not. */
struct strokes {
	const char *fork, *last, *bar, *none;
};

static const struct strokes unicode = {"├─ ", "└─ ", "│  ", "   "},
			    ascii = {"|- ", "`- ", "|  ", "   "};

static void leaf(const struct cli *cli, const char *indent, const char *stroke, char *text)
{
	_cleanup_buf_ struct buf b = {0};

	buf_printf(&b, "%s%s", indent, stroke);
	term_put(&cli->term, &b, text, 0);
	puts(buf_cstr(&b));
	mem_free(text);
}

static void tree_service(const struct cli *cli, const struct strokes *k, const cJSON *s, bool last)
{
	_cleanup_free_ char *indent = x_strdup(last ? k->none : k->bar);
	const cJSON *ports = js_get(s, "ports"), *probes = js_get(s, "probes");
	const cJSON *depends = js_get(s, "depends_on"), *o;
	const char *state = js_str(s, "state", NULL);
	int left = cJSON_GetArraySize(ports) + cJSON_GetArraySize(probes) +
		   cJSON_GetArraySize(depends);

	printf("%s%s%s%s  %lld replica%s", last ? k->last : k->fork,
	       term_paint(&cli->term, TERM_BOLD), js_str(s, "name", ""),
	       term_paint(&cli->term, TERM_RESET), (long long)js_int(s, "replicas", 0),
	       js_int(s, "replicas", 0) == 1 ? "" : "s");
	if (state)
		printf("  %s%s%s", term_state_color(&cli->term, state), state,
		       term_paint(&cli->term, TERM_RESET));
	putchar('\n');
	cJSON_ArrayForEach (o, ports)
		leaf(cli, indent, --left ? k->fork : k->last, port_text(o));
	cJSON_ArrayForEach (o, probes)
		leaf(cli, indent, --left ? k->fork : k->last, probe_text(o));
	cJSON_ArrayForEach (o, depends)
		leaf(cli, indent, --left ? k->fork : k->last, depend_text(o));
}

static bool is_first_of_set(const cJSON *services, const cJSON *s)
{
	const cJSON *o;

	cJSON_ArrayForEach (o, services) {
		if (o == s)
			return true;
		if (strcmp(js_str(o, "set", ""), js_str(s, "set", "")) == 0)
			return false;
	}
	return true;
}

static void tree_set(const struct cli *cli, const cJSON *services, const char *set)
{
	const struct strokes *k = cli->term.utf8 ? &unicode : &ascii;
	const cJSON *s, *last = NULL;

	puts(set);
	cJSON_ArrayForEach (s, services)
		if (strcmp(js_str(s, "set", ""), set) == 0)
			last = s;
	cJSON_ArrayForEach (s, services)
		if (strcmp(js_str(s, "set", ""), set) == 0)
			tree_service(cli, k, s, s == last);
}

static void tree(const struct cli *cli, const cJSON *doc)
{
	const cJSON *services = js_get(doc, "services"), *s;

	cJSON_ArrayForEach (s, services)
		if (is_first_of_set(services, s))
			tree_set(cli, services, js_str(s, "set", ""));
}

static void edge_row(struct table *t, const char *from, const char *kind, const char *to,
		     const char *what)
{
	table_row(t);
	table_cell(t, NULL, "%s", from);
	table_cell(t, NULL, "%s", kind);
	table_cell(t, NULL, "%s", to);
	table_cell(t, NULL, "%s", what);
}

/* One row for each edge. */
static void table(const struct output *out, const cJSON *doc)
{
	struct table t = {.term = &out->cli->term};
	const cJSON *s, *o;

	table_header(&t, "FROM", "EDGE", "TO", "WHAT", NULL);
	cJSON_ArrayForEach (s, js_get(doc, "services")) {
		const char *name = js_str(s, "name", "");

		edge_row(&t, js_str(s, "set", ""), "holds", name, js_str(s, "state", ""));
		cJSON_ArrayForEach (o, js_get(s, "ports"))
			edge_row(&t, name, "port", js_str(o, "name", ""), js_str(o, "address", ""));
		cJSON_ArrayForEach (o, js_get(s, "probes"))
			edge_row(&t, name, "probe", js_str(o, "name", ""),
				 js_str(o, "handler", ""));
		cJSON_ArrayForEach (o, js_get(s, "depends_on"))
			edge_row(&t, name, "after", js_str(o, "service", ""),
				 js_str(o, "condition", ""));
	}
	table_print(&t);
	table_done(&t);
}

/* A string of the dot language. */
static void dot_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void dot_edge(const char *from, const char *to, const char *attributes)
{
	fputs("  ", stdout);
	dot_string(from);
	fputs(" -> ", stdout);
	dot_string(to);
	printf("%s;\n", attributes);
}

static void dot_service(const cJSON *s)
{
	_cleanup_free_ char *set = x_printf("set %s", js_str(s, "set", ""));
	const char *name = js_str(s, "name", "");
	const cJSON *o;

	dot_edge(set, name, "");
	cJSON_ArrayForEach (o, js_get(s, "ports")) {
		_cleanup_free_ char *text = port_text(o);
		_cleanup_free_ char *id = x_printf("%s %s", name, text);

		dot_edge(name, id, "");
	}
	cJSON_ArrayForEach (o, js_get(s, "probes")) {
		_cleanup_free_ char *text = probe_text(o);
		_cleanup_free_ char *id = x_printf("%s %s", name, text);

		dot_edge(id, name, " [style=dashed]");
	}
	cJSON_ArrayForEach (o, js_get(s, "depends_on")) {
		_cleanup_free_ char *label =
			x_printf(" [label=\"%s\"]", js_str(o, "condition", ""));

		dot_edge(name, js_str(o, "service", ""), label);
	}
}

static void dot(const cJSON *doc)
{
	const cJSON *s;

	puts("digraph aictl {\n  rankdir=LR;\n  node [shape=box];");
	cJSON_ArrayForEach (s, js_get(doc, "services"))
		dot_service(s);
	puts("}");
}

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {.table = table, .list = "services", .id = "name"};
	const char *format = args_value(args, "output", "tree");
	cJSON *doc = args_nth(args, "file", 0) ? of_manifest(cli, args) : of_daemon(cli);
	struct output out = {.cli = cli, .format = output_format_of(format)};

	if (strcmp(format, "tree") == 0)
		tree(cli, doc);
	else if (strcmp(format, "dot") == 0)
		dot(doc);
	else
		output_json(&out, &view, doc);
	cJSON_Delete(doc);
	return CODE_OK;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "of this manifest instead of the daemon; may be repeated", NULL},
	{'o', "output", "FORMAT", "tree, dot, table, wide, json, yaml or name (default tree)",
	 "tree|dot|" OUTPUT_CHOICE},
	{0},
};

const struct command cmd_graph_command = {
	.name = "graph",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS]",
	.summary = "Show sets, services, and their ports and probes as a tree",
	.details =
		"Of what the daemon runs, with the state of each service; with -f of a manifest,\n"
		"without any daemon. A port without an address is one that only the replicas have.",
	.examples = "aictl graph\n"
		    "aictl graph -f aictl.yaml -o dot | dot -Tsvg > graph.svg\n"
		    "aictl graph -o json",
	.options = options,
	.run = run,
};
