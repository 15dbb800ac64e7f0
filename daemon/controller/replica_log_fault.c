/* replica_log_fault: see replica_log_fault.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_log_fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/mem.h"

static void publish(const struct replica *r, const char *reason, struct buf *message)
{
	struct journal_entry *e = journal_next(r->service->controller->journal);

	memccpy(e->service, r->service->name, '\0', sizeof(e->service) - 1);
	e->replica = (int32_t)r->index;
	e->type = "logs";
	e->reason = reason;
	e->from = e->to = e->cause = NULL;
	snprintf(e->message, sizeof(e->message), "%s", buf_cstr(message));
	log_info("replica=%s/%u %s", r->service->name, r->index, e->message);
}

void replica_log_fault_amount(uint64_t bytes, uint64_t lines, struct buf *out)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double size = (double)bytes / 1024;
	size_t unit = 0;

	for (; size >= 1024 && unit < ARRAY_SIZE(units) - 1; unit++)
		size /= 1024;
	buf_printf(out, "%" PRIu64 " line%s (", lines, lines == 1 ? "" : "s");
	if (bytes < 1024)
		buf_printf(out, "%" PRIu64 " byte%s)", bytes, bytes == 1 ? "" : "s");
	else
		buf_printf(out, "%.1f %s)", size, units[unit]);
}

static void say(const struct wire_log_fault *f, struct buf *out)
{
	buf_str(out, f->state == WIRE_LOG_DROPPING ? "log lines are dropped" : "logs wait");
	if (f->err == ETIMEDOUT)
		buf_str(out, ": the file system does not answer");
	else if (f->err)
		buf_printf(out, ": %s", strerror(f->err)); /* the loop's thread alone asks it */
}

static void publish_end(const struct replica *r, const struct wire_log_fault *was,
			const struct wire_log_fault *now)
{
	_cleanup_buf_ struct buf out = {0};
	char after[32];

	buf_str(&out, "logs are stored again");
	if (was->since_wall_ms && now->since_wall_ms > was->since_wall_ms)
		buf_printf(
			&out, " after %s",
			clock_human(now->since_wall_ms - was->since_wall_ms, after, sizeof(after)));
	if (now->dropped_bytes > 0) {
		buf_str(&out, "; lost: ");
		replica_log_fault_amount(now->dropped_bytes, now->dropped_lines, &out);
	} else {
		buf_str(&out, "; nothing was lost");
	}
	publish(r, "logs_stored", &out);
}

/* What is an event of it: trouble that begins, is of another kind, ends, or was over too soon. */
static void tell(const struct replica *r, const struct wire_log_fault *was,
		 const struct wire_log_fault *now, bool first)
{
	bool is = wire_logs_is_trouble(now->state);
	_cleanup_buf_ struct buf out = {0};

	if (is && (was->state != now->state || (!first && was->err != now->err))) {
		say(now, &out);
		publish(r, now->state == WIRE_LOG_DROPPING ? "logs_dropped" : "logs_wait", &out);
	} else if (!is && wire_logs_is_trouble(was->state)) {
		publish_end(r, was, now);
	} else if (!is && !first && now->all_bytes > was->all_bytes) {
		buf_str(&out, "log lines were dropped: ");
		replica_log_fault_amount(now->dropped_bytes, now->dropped_lines, &out);
		publish(r, "logs_dropped", &out);
	}
}

void replica_log_fault_take(struct replica *r, const struct wire_slot *slot)
{
	struct wire_log_fault was = {0}, now = {0};
	bool first = !r->log_fault;

	if (first && !slot->has_log)
		return;
	if (slot->has_log)
		now = slot->log;
	if (!first)
		was = *r->log_fault;
	else
		was.state = now.told; /* a former controller has told of it */
	if (first)
		r->log_fault = mem_alloc(sizeof(*r->log_fault));
	if (!r->log_fault)
		return;
	*r->log_fault = now;
	tell(r, &was, &now, first);
	if (now.state == WIRE_LOG_OK && now.all_bytes == 0) {
		mem_free(r->log_fault);
		r->log_fault = NULL;
	}
	if (was.state != now.state || was.all_bytes != now.all_bytes || was.err != now.err)
		controller_touch(r->service);
}

bool replica_log_fault_is(const struct replica *r)
{
	return r->log_fault && wire_logs_is_trouble(r->log_fault->state);
}

bool replica_log_fault_is_weak(const struct replica *r)
{
	return r->log_fault && r->log_fault->state == WIRE_LOG_WEAK;
}

void replica_log_fault_say(const struct replica *r, struct buf *out)
{
	if (replica_log_fault_is(r))
		say(r->log_fault, out);
}

void replica_log_fault_write(const struct replica *r, struct jsonw *w)
{
	static const char *const states[] = {"ok", "waiting", "dropping", "copied"};
	const struct wire_log_fault *f = r->log_fault;

	if (!f) {
		jsonw_null(w, "logs");
		return;
	}
	jsonw_object_begin(w, "logs");
	jsonw_string(w, "state", states[f->state]);
	jsonw_string(w, "error", f->err ? strerror(f->err) : NULL);
	jsonw_time(w, "since", f->since_wall_ms);
	jsonw_int(w, "dropped_bytes", (int64_t)f->dropped_bytes);
	jsonw_int(w, "dropped_lines", (int64_t)f->dropped_lines);
	jsonw_int(w, "dropped_bytes_total", (int64_t)f->all_bytes);
	jsonw_int(w, "dropped_lines_total", (int64_t)f->all_lines);
	jsonw_object_end(w);
}
