/*
 * writer_table: -o table and -o wide, a row for each replica; a service without replicas (stopped,
 * scaled to 0) has one row of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/writer.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/js.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "lib/clock.h"
#include "lib/mem.h"

struct page {
	const struct cli *cli;
	struct table table;
	int64_t now_ms;
	bool wide;
};

static void header(struct page *p)
{
	if (p->wide)
		table_header(&p->table, "NAME", "STATE", "PID", "PORT", "RESTARTS", "AGE",
			     "REVISION", "INCARNATION", "LAST-EXIT", "SINCE", "MESSAGE", NULL);
	else
		table_header(&p->table, "NAME", "STATE", "PID", "PORT", "RESTARTS", "AGE",
			     "MESSAGE", NULL);
}

static void wide_cells(struct page *p, const cJSON *r)
{
	_cleanup_free_ char *revision = text_number(r, "revision");
	_cleanup_free_ char *since = text_age(r, "since", p->now_ms);
	const cJSON *last = js_get(r, "last_exit");

	table_cell(&p->table, NULL, "%s", revision);
	table_cell(&p->table, NULL, "%s", js_str(r, "incarnation", "-"));
	if (last) {
		_cleanup_free_ char *how = text_exit(last), *ago = text_age(last, "at", p->now_ms);

		table_cell(&p->table, NULL, "%s, %s ago", how, ago);
	} else {
		table_cell(&p->table, NULL, "-");
	}
	table_cell(&p->table, NULL, "%s", since);
}

static void replica_row(struct page *p, const cJSON *r)
{
	const char *state = js_str(r, "state", "unknown");
	_cleanup_free_ char *pid = text_number(r, "pid"), *port = text_number(r, "port");
	_cleanup_free_ char *age = text_age(r, "started_at", p->now_ms);
	_cleanup_free_ char *message = text_replica_message(r, p->now_ms);

	table_row(&p->table);
	table_cell(&p->table, NULL, "%s", js_str(r, "id", "?"));
	table_cell(&p->table, term_state_color(&p->cli->term, state), "%s", state);
	table_cell(&p->table, NULL, "%s", pid);
	table_cell(&p->table, NULL, "%s", port);
	table_cell(&p->table, NULL, "%lld", (long long)js_int(r, "restarts", 0));
	table_cell(&p->table, NULL, "%s", js_int(r, "pid", 0) ? age : "-");
	if (p->wide)
		wide_cells(p, r);
	table_cell(&p->table, NULL, "%s", message);
}

static void service_row(struct page *p, const cJSON *s)
{
	const char *state = js_str(s, "state", "unknown");
	_cleanup_free_ char *revision = text_number(s, "revision");

	table_row(&p->table);
	table_cell(&p->table, NULL, "%s", js_str(s, "name", "?"));
	table_cell(&p->table, term_state_color(&p->cli->term, state), "%s", state);
	for (int i = 0; i < 4; i++)
		table_cell(&p->table, NULL, "-");
	if (p->wide) {
		table_cell(&p->table, NULL, "%s", revision);
		for (int i = 0; i < 3; i++)
			table_cell(&p->table, NULL, "-");
	}
	table_cell(&p->table, NULL, "%s", js_str(s, "message", ""));
}

static void print(const struct cli *cli, const struct reply *reply, bool wide)
{
	struct page p = {.cli = cli, .now_ms = clock_wall_ms(), .wide = wide};
	const cJSON *s, *r, *list = js_get(reply->json, "services");

	p.table.term = &cli->term;
	if (cJSON_GetArraySize(list) == 0) {
		fputs("no services; apply a manifest with: aictl apply -f FILE\n", stderr);
		return;
	}
	header(&p);
	cJSON_ArrayForEach (s, list) {
		const cJSON *replicas = js_get(s, "replicas");

		if (cJSON_GetArraySize(replicas) == 0)
			service_row(&p, s);
		cJSON_ArrayForEach (r, replicas)
			replica_row(&p, r);
	}
	table_print(&p.table);
	table_done(&p.table);
}

static void table_services(const struct cli *cli, const struct reply *reply)
{
	print(cli, reply, false);
}

static void wide_services(const struct cli *cli, const struct reply *reply)
{
	print(cli, reply, true);
}

const struct writer writer_table_writer = {"table", table_services};
const struct writer writer_table_wide = {"wide", wide_services};
