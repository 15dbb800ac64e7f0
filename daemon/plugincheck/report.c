/* report: see report.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/plugincheck/report.h"

#include <unistd.h>

#include "daemon/plugincheck/check.h"
#include "lib/fs.h"

struct report report_begin(struct check *c, const char *event)
{
	struct report r = {.check = c, .w = {.out = &c->out}};

	buf_clear(&c->out);
	jsonw_object_begin(&r.w, NULL);
	jsonw_string(&r.w, "event", event);
	return r;
}

void report_end(struct report *r)
{
	struct buf *b = &r->check->out;

	jsonw_object_end(&r->w);
	buf_char(b, '\n');
	if (b->failed || fs_write_all(STDOUT_FILENO, b->data, b->len) < 0)
		check_fail(r->check, CHECK_SCRIPT_FAILED);
}

void report_plain(struct check *c, const char *event)
{
	struct report r = report_begin(c, event);

	report_end(&r);
}

void report_text(struct check *c, const char *event, const char *text)
{
	struct report r = report_begin(c, event);

	jsonw_string(&r.w, "text", text);
	report_end(&r);
}

void report_plugin(struct check *c)
{
	const struct aictl_plugin *p = c->loader.plugin;
	struct report r = report_begin(c, "plugin");

	jsonw_string(&r.w, "name", p->name);
	jsonw_string(&r.w, "kind", loader_kind_name(p->kind));
	jsonw_string(&r.w, "version", p->version);
	jsonw_string(&r.w, "description", p->description);
	jsonw_string(&r.w, "path", c->loader.path);
	jsonw_int(&r.w, "abi", p->abi);
	report_end(&r);
}

static void write_labels(struct jsonw *w, const struct aictl_unit_state *s)
{
	jsonw_object_begin(w, "labels");
	for (size_t i = 0; i < s->n_labels; i++) {
		if (s->labels[i].key)
			jsonw_string(w, s->labels[i].key, s->labels[i].value);
	}
	jsonw_object_end(w);
}

void report_state(struct check *c, const char *event, uint64_t op, const struct aictl_unit_state *s)
{
	struct report r = report_begin(c, event);
	struct jsonw *w = &r.w;

	if (op)
		jsonw_int(w, "op", (int64_t)op);
	jsonw_string(w, "unit", s->unit);
	jsonw_string(w, "phase", host_phase_name(s->phase));
	jsonw_string(w, "engine_id", s->engine_id);
	jsonw_string(w, "image", s->image);
	jsonw_string(w, "address", s->address);
	jsonw_string(w, "error", s->error);
	jsonw_int(w, "pid", s->pid);
	jsonw_int(w, "started_wall_ms", s->started_wall_ms);
	jsonw_int(w, "finished_wall_ms", s->finished_wall_ms);
	if (s->phase == AICTL_UNIT_EXITED && !(s->flags & AICTL_UNIT_EXIT_UNKNOWN))
		jsonw_int(w, "exit_status", s->exit_status);
	else
		jsonw_null(w, "exit_status");
	jsonw_bool(w, "oom", s->flags & AICTL_UNIT_OOM);
	jsonw_bool(w, "paused", s->flags & AICTL_UNIT_PAUSED);
	write_labels(w, s);
	report_end(&r);
}

void report_engine(struct check *c, const struct aictl_engine_state *s)
{
	struct report r = report_begin(c, "engine");

	jsonw_bool(&r.w, "reachable", s->reachable);
	jsonw_string(&r.w, "name", s->name);
	jsonw_string(&r.w, "version", s->version);
	jsonw_string(&r.w, "endpoint", s->endpoint);
	jsonw_string(&r.w, "error", s->error);
	jsonw_bool(&r.w, "logs_exact", s->flags & AICTL_ENGINE_LOGS_EXACT);
	jsonw_bool(&r.w, "oom", s->flags & AICTL_ENGINE_OOM);
	report_end(&r);
}

void report_stats(struct report *r, const struct aictl_stats *s)
{
	struct jsonw *w = &r->w;

	jsonw_object_begin(w, "stats");
	jsonw_int(w, "cpu_us", s->cpu_us);
	jsonw_int(w, "memory_bytes", s->memory_bytes);
	jsonw_int(w, "memory_limit", s->memory_limit);
	jsonw_int(w, "pids", s->pids);
	jsonw_int(w, "read_bytes", s->read_bytes);
	jsonw_int(w, "written_bytes", s->written_bytes);
	jsonw_int(w, "received_bytes", s->received_bytes);
	jsonw_int(w, "sent_bytes", s->sent_bytes);
	jsonw_object_end(w);
}
