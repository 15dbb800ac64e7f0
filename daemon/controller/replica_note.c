/* replica_note: see replica_note.h. Written by us, kept by aictld, and still checked: never
 * trusted. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_note.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define NOTE_VERSION 2 /* 1 had neither durations nor ports */
#define NOTE_VERSION_MIN 1

static const char *const causes[] = {"user",	 "update", "scale", "delete",
				     "shutdown", "probe",  "stall", "unknown"};

static int cause_index(const char *cause)
{
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (cause && strcmp(cause, causes[i]) == 0)
			return (int)i;
	return (int)ARRAY_SIZE(causes) - 1;
}

/* Without the oldest `skip` restarts. */
static void encode_policy(const struct policy_state *p, uint32_t skip, struct buf *out)
{
	uint32_t first = skip < p->n_recent ? skip : p->n_recent;
	int64_t before = 0;

	buf_printf(out, " %u %" PRId64 " %d %u", p->streak, p->delay_ms, p->slow,
		   p->n_recent - first);
	for (uint32_t i = first; i < p->n_recent; i++) { /* differences are short */
		buf_printf(out, " %" PRId64, p->recent_mono_ms[i] - before);
		before = p->recent_mono_ms[i];
	}
}

void replica_note_encode(const struct replica *r, struct buf *out)
{
	const struct policy_state *p = &r->policy;
	size_t fixed;

	buf_printf(out, "%d %d %" PRId64 " %" PRIu64 " %u %u %d %d %d", NOTE_VERSION, (int)r->state,
		   (int64_t)r->launch_hash, r->revision, r->port, r->restarts, r->restart_wanted,
		   (int)r->intent, cause_index(r->stop_cause));
	buf_printf(out, " %d %d %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRId64,
		   r->health.started, r->health.ready, r->health.begun_mono_ms, r->ready_mono_ms,
		   r->next_at_mono_ms, r->exit_seq, r->condemned_mono_ms);
	buf_printf(out, " %" PRId64 " %" PRId64, r->start_ms, r->stop_ms);
	buf_printf(out, " %d", r->service && r->service->left_alone);
	buf_printf(out, " %" PRId64 " %u", r->since_wall_ms, r->n_ports);
	for (unsigned i = 0; i < r->n_ports; i++)
		buf_printf(out, " %" PRIu32 " %u", r->ports[i].name, r->ports[i].number);
	fixed = out->len;
	for (uint32_t skip = 0; !out->failed; skip += 10) {
		encode_policy(p, skip, out);
		if (!out->failed || skip >= p->n_recent)
			break;
		out->failed = false; /* rather without the oldest restarts than no note */
		out->len = fixed;
	}
}

void replica_note_encode_standby(const struct replica *r, struct buf *out)
{
	struct replica next = *r;

	next.state = REPLICA_STARTING;
	next.launch_hash = r->standby_hash;
	next.revision = r->standby_revision;
	next.restarts += next.restarts < UINT32_MAX;
	next.ready_mono_ms = next.condemned_mono_ms = next.next_at_mono_ms = 0;
	next.since_wall_ms = clock_wall_ms();
	next.health = (struct health){0};
	replica_note_encode(&next, out);
}

struct reader {
	char *next; /* rest of the text */
	bool bad;
};

static int64_t number(struct reader *in, int64_t min, int64_t max)
{
	char *word = strsep(&in->next, " ");
	int64_t v = 0;

	if (!word || parse_i64(word, min, max, &v, NULL) < 0)
		in->bad = true;
	return v;
}

static void read_policy(struct reader *in, struct policy_state *p)
{
	int64_t before = 0, n;

	p->streak = (uint32_t)number(in, 0, UINT32_MAX);
	p->delay_ms = number(in, 0, INT64_MAX);
	p->slow = number(in, 0, 1);
	n = number(in, 0, POLICY_BUDGET_MAX);
	for (int64_t i = 0; i < n && !in->bad; i++) {
		before += number(in, 0, INT64_MAX - before);
		policy_remember(p, before);
	}
}

static void read_ports(struct reader *in, struct replica *n)
{
	n->n_ports = (unsigned)number(in, 0, REPLICA_PORTS_MAX);
	for (unsigned i = 0; i < n->n_ports && !in->bad; i++) {
		n->ports[i].name = (uint32_t)number(in, 0, UINT32_MAX);
		n->ports[i].number = (uint16_t)number(in, 1, 65535);
	}
}

int replica_note_decode(struct replica *r, const uint8_t *note, size_t len)
{
	_cleanup_free_ char *text = mem_strndup((const char *)note, len);
	_cleanup_free_ struct replica *n = mem_dup(r, sizeof(*r)); /* all or nothing */
	struct reader in = {.next = text};
	int64_t version;

	if (!text || !n)
		return -ERR_NOMEM;
	n->policy = (struct policy_state){0};
	version = number(&in, NOTE_VERSION_MIN, NOTE_VERSION);
	n->state = (enum replica_state)number(&in, 0, REPLICA_STATE_MAX_ - 1);
	n->launch_hash = (uint64_t)number(&in, INT64_MIN, INT64_MAX);
	n->revision = (uint64_t)number(&in, 0, INT64_MAX);
	n->port = (unsigned)number(&in, 0, 65535);
	n->restarts = (uint32_t)number(&in, 0, UINT32_MAX);
	n->restart_wanted = number(&in, 0, 1);
	n->intent = (enum stop_intent)number(&in, 0, STOP_HEAL);
	n->stop_cause = causes[number(&in, 0, (int64_t)ARRAY_SIZE(causes) - 1)];
	n->health.started = number(&in, 0, 1);
	n->health.ready = number(&in, 0, 1);
	n->health.begun_mono_ms = number(&in, 0, INT64_MAX);
	n->ready_mono_ms = number(&in, 0, INT64_MAX);
	n->next_at_mono_ms = number(&in, 0, INT64_MAX);
	n->exit_seq = (uint64_t)number(&in, 0, INT64_MAX);
	n->condemned_mono_ms = number(&in, 0, INT64_MAX);
	n->start_ms = version < 2 ? 0 : number(&in, 0, INT64_MAX);
	n->stop_ms = version < 2 ? 0 : number(&in, 0, INT64_MAX);
	n->was_left_alone = number(&in, 0, 1);
	n->since_wall_ms = number(&in, 0, INT64_MAX);
	if (version >= 2)
		read_ports(&in, n);
	read_policy(&in, &n->policy);
	if (in.bad || in.next) {
		policy_reset(&n->policy);
		return -ERR_INVALID;
	}
	r->state = n->state;
	r->launch_hash = n->launch_hash;
	r->revision = n->revision;
	r->port = n->port;
	memcpy(r->ports, n->ports, sizeof(r->ports));
	r->n_ports = n->n_ports;
	r->restarts = n->restarts;
	r->restart_wanted = n->restart_wanted;
	r->intent = n->intent;
	r->stop_cause = n->stop_cause;
	r->health = n->health;
	r->ready_mono_ms = n->ready_mono_ms;
	r->next_at_mono_ms = n->next_at_mono_ms;
	r->exit_seq = n->exit_seq;
	r->condemned_mono_ms = n->condemned_mono_ms;
	r->start_ms = n->start_ms;
	r->stop_ms = n->stop_ms;
	r->was_left_alone = n->was_left_alone;
	r->since_wall_ms = n->since_wall_ms;
	policy_reset(&r->policy);
	r->policy = n->policy;
	return 0;
}
