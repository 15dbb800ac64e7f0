/* progress: see progress.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/event.h"
#include "cli/js.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define STEP_SHOWN_MS 200
#define STEP_SILENT_MS 10000

static bool is_in(const cJSON *change, const char *service)
{
	const cJSON *s;

	cJSON_ArrayForEach (s, js_get(change, "services")) {
		if (strcmp(js_str(s, "name", ""), service) == 0)
			return true;
	}
	return false;
}

/* Calls fn with each event after p->seq. */
static void each_event(struct progress *p, const struct reply *r, const cJSON *change)
{
	for (char *line = r->text, *next; line && *line; line = next) {
		size_t n = strcspn(line, "\n");
		_cleanup_js_ cJSON *event = NULL;

		next = line + n + (line[n] == '\n');
		line[n] = '\0';
		event = js_parse(line, n);
		if (js_int(event, "seq", 0) <= p->seq)
			continue;
		p->seq = js_int(event, "seq", 0);
		if (change && is_in(change, js_str(event, "service", ""))) {
			_cleanup_free_ char *object = event_object(event);
			_cleanup_free_ char *what = event_what(event);

			printf("%s %s\n", object, what);
		}
	}
	fflush(stdout);
}

static void show_events(struct progress *p, const cJSON *change)
{
	_cleanup_free_ char *path = change ? x_printf("/v1/events?since=%lld", (long long)p->seq)
					   : x_strdup("/v1/events?n=1");
	_cleanup_reply_ struct reply r = {0};

	client_get(p->client, path, &r);
	each_event(p, &r, change);
}

void progress_begin(struct progress *p, const struct cli *cli, struct client *client, bool lines)
{
	*p = (struct progress){.cli = cli, .client = client};
	if (term_can_redraw(STDOUT_FILENO))
		p->mode = PROGRESS_LIVE;
	else if (lines)
		p->mode = PROGRESS_LINES;
	if (p->mode == PROGRESS_LINES)
		show_events(p, NULL);
}

int64_t progress_step_ms(const struct progress *p)
{
	return p->mode == PROGRESS_OFF ? STEP_SILENT_MS : STEP_SHOWN_MS;
}

static unsigned screen_rows(void)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_row < 4)
		return 24;
	return ws.ws_row;
}

static void replica_row(struct table *t, const cJSON *r, int64_t now_ms)
{
	const char *state = js_str(r, "state", "unknown");
	_cleanup_free_ char *since = text_age(r, "since", now_ms);
	_cleanup_free_ char *message = text_replica_message(r, now_ms);

	table_row(t);
	table_cell(t, NULL, "  %s", js_str(r, "id", "?"));
	table_cell(t, term_state_color(t->term, state), "%s", state);
	table_cell(t, NULL, "%s", since);
	table_cell(t, NULL, "%s", message);
}

static void fill(struct table *t, const cJSON *services, const cJSON *change)
{
	int64_t now_ms = clock_wall_ms();
	size_t rows = screen_rows() - 2;
	const cJSON *s, *r;

	cJSON_ArrayForEach (s, services) {
		if (!is_in(change, js_str(s, "name", "")))
			continue;
		cJSON_ArrayForEach (r, js_get(s, "replicas")) {
			if (t->n_rows < rows)
				replica_row(t, r, now_ms);
		}
	}
}

static void draw(struct progress *p, const cJSON *change)
{
	_cleanup_reply_ struct reply r = {0};
	_cleanup_buf_ struct buf out = {0};
	struct term term = p->cli->term;
	struct table t = {.term = &term};

	/* clearing to the end of a full line would take its last character along */
	term.columns = term_columns(STDOUT_FILENO);
	term.columns -= term.columns > 1;
	if (term.columns != p->columns) /* resized: nobody knows how many rows the block has now */
		p->drawn = 0;
	p->columns = term.columns;
	if (change) {
		client_get(p->client, "/v1/services", &r);
		table_plain(&t, 4);
		fill(&t, js_get(r.json, "services"), change);
	}
	if (p->drawn)
		buf_printf(&out, "\033[%uA\r", p->drawn);
	table_render(&t, "\033[K\n", &out);
	buf_str(&out, "\033[J");
	if (!out.failed)
		fwrite(out.data, 1, out.len, stdout);
	fflush(stdout);
	p->drawn = (unsigned)t.n_rows;
	table_done(&t);
}

void progress_update(struct progress *p, const cJSON *change)
{
	if (p->mode == PROGRESS_LIVE)
		draw(p, change);
	else if (p->mode == PROGRESS_LINES)
		show_events(p, change);
}

void progress_end(struct progress *p, const cJSON *change)
{
	if (p->mode == PROGRESS_LIVE && p->drawn)
		draw(p, NULL);
	else if (p->mode == PROGRESS_LINES)
		show_events(p, change);
}
