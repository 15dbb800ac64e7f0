/* replica_note: see replica_note.h. Written by us, kept by aictld, and still checked: never
 * trusted. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_note.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/controller/replica.h"
#include "daemon/controller/replica_evidence.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define NOTE_VERSION 2	      /* 1 had neither durations nor ports */
#define NOTE_VERSION_OWING 3  /* ends in attempt_ran */
#define NOTE_VERSION_ORDER 4  /* ends in owes, attempt_ran, its service's life, its reaction */
#define NOTE_VERSION_LOOKED 5 /* as before, then the evidence of a start that goes on */
#define NOTE_VERSION_READ 6   /* and then secrets_read; the evidence may be zeros */
#define NOTE_VERSION_MIN 1

/* By number in notes of other builds: only ever appended. */
static const char *const causes[] = {
	"user",	    "update",  "scale",	 "delete",     "shutdown", "probe",   "stall", "unknown",
	"rollback", "max_age", "memory", "dependency", "watchdog", "timeout", "hook",  "lost"};
#define CAUSE_UNKNOWN 7

static int cause_index(const char *cause)
{
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (cause && strcmp(cause, causes[i]) == 0)
			return (int)i;
	return CAUSE_UNKNOWN;
}

/* 0 = none, then 1 + its number; append only. */
static const char *const recycles[] = {"user_restart", "max_age", "memory", "dependency",
				       NULL /* GAVE_UP */};
#define GAVE_UP 5
#define IN_PLACE 16

static int recycle_number(const struct replica *r)
{
	if (r->gave_up && r->state == REPLICA_FAILED)
		return GAVE_UP;
	for (size_t i = 0; i < ARRAY_SIZE(recycles); i++)
		if (r->recycle && recycles[i] && strcmp(r->recycle, recycles[i]) == 0)
			return (int)i + 1 + (r->in_place ? IN_PLACE : 0);
	return 0;
}

static void take_recycle(struct replica *r, int64_t number)
{
	int64_t i = number % IN_PLACE;

	r->recycle = i > 0 && i <= (int64_t)ARRAY_SIZE(recycles) ? recycles[i - 1] : NULL;
	r->in_place = r->recycle && number >= IN_PLACE;
	r->gave_up = i == GAVE_UP;
}

/* Is a post_stop not done yet? While the replica lives, that goes without saying. */
static bool owes(const struct replica *r)
{
	return r->attempt && (r->preparing || !replica_sm_is_live(r->state));
}

static int version_of(const struct replica *r)
{
	if (r->secrets_read)
		return NOTE_VERSION_READ;
	if (replica_evidence_kept(r))
		return NOTE_VERSION_LOOKED;
	if ((r->service && r->service->order.life) || r->reaction.n)
		return NOTE_VERSION_ORDER;
	return owes(r) ? NOTE_VERSION_OWING : NOTE_VERSION;
}

static void encode_end(const struct replica *r, bool with_marks, struct buf *out)
{
	static const struct replica_evidence none;
	const struct replica_evidence *e = replica_evidence_kept(r);
	const struct reaction *x = &r->reaction;
	uint64_t life = r->service ? r->service->order.life : 0;
	unsigned n = with_marks ? x->n : 0;

	if (life && x->ended_mono_ms) /* nobody has looked at it yet */
		life += life & 1 ? 2 : 1;

	if (version_of(r) == NOTE_VERSION) {
		return;
	} else if (version_of(r) == NOTE_VERSION_OWING) {
		buf_printf(out, " %d", r->attempt_ran);
		return;
	}
	buf_printf(out, " %d %d %" PRIu64 " %" PRIu32 " %u", owes(r), !owes(r) || r->attempt_ran,
		   life, n ? x->names : 0, n);
	for (unsigned i = 0; i < n; i++)
		buf_printf(out, " %" PRIu32, x->marks[i]);
	if (!e && r->secrets_read)
		e = &none;
	if (e)
		buf_printf(out, " %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
			   e->progress_mono_ms, e->io_bytes, e->block_bytes, e->memory_bytes,
			   e->output_bytes);
	if (r->secrets_read)
		buf_printf(out, " %" PRId64, (int64_t)r->secrets_read);
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
	bool marks = true;
	size_t fixed;

	buf_printf(out, "%d %d %" PRId64 " %" PRIu64 " %u %u %d %d %d", version_of(r),
		   (int)(r->preparing ? REPLICA_PENDING : r->state), (int64_t)r->launch_hash,
		   r->revision, r->port, r->restarts, recycle_number(r), (int)r->intent,
		   cause_index(r->stop_cause));
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
		encode_end(r, marks, out);
		if (!out->failed || (skip >= p->n_recent && !marks))
			break;
		marks = skip < p->n_recent; /* rather without the oldest restarts than no note, */
		out->failed = false;	    /* and rather without the marks */
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
	next.secrets_read = r->standby_secrets;
	next.seen = NULL;
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
	n->ports = n->n_ports ? mem_array(n->n_ports, sizeof(n->ports[0])) : NULL;
	if (n->n_ports && !n->ports)
		in->bad = true;
	for (unsigned i = 0; i < n->n_ports && !in->bad; i++) {
		n->ports[i].name = (uint32_t)number(in, 0, UINT32_MAX);
		n->ports[i].number = (uint16_t)number(in, 1, 65535);
	}
}

static void read_evidence(struct reader *in, struct replica_evidence *e)
{
	e->progress_mono_ms = number(in, 0, INT64_MAX);
	e->io_bytes = (uint64_t)number(in, 0, INT64_MAX);
	e->block_bytes = (uint64_t)number(in, 0, INT64_MAX);
	e->memory_bytes = (uint64_t)number(in, 0, INT64_MAX);
	e->output_bytes = (uint64_t)number(in, 0, INT64_MAX);
}

static void read_end(struct reader *in, int64_t version, struct replica *n)
{
	struct reaction *x = &n->reaction;

	n->attempt = version == NOTE_VERSION_OWING || replica_sm_is_live(n->state);
	if (version >= NOTE_VERSION_ORDER)
		n->attempt |= number(in, 0, 1) == 1;
	n->attempt_ran = version < NOTE_VERSION_OWING || number(in, 0, 1);
	if (version < NOTE_VERSION_ORDER)
		return;
	x->note_life = (uint64_t)number(in, 0, INT64_MAX);
	x->names = (uint32_t)number(in, 0, UINT32_MAX);
	x->n = (uint8_t)number(in, 0, REACTION_MAX);
	x->marks = x->n ? mem_array(x->n, sizeof(x->marks[0])) : NULL;
	if (x->n && !x->marks)
		in->bad = true;
	for (unsigned i = 0; i < x->n && !in->bad; i++)
		x->marks[i] = (uint32_t)number(in, 0, UINT32_MAX);
}

int replica_note_decode(struct replica *r, const uint8_t *note, size_t len)
{
	_cleanup_free_ char *text = mem_strndup((const char *)note, len);
	_cleanup_free_ struct replica *n = mem_dup(r, sizeof(*r)); /* all or nothing */
	struct reader in = {.next = text};
	struct replica_evidence seen = {0};
	int64_t version;

	if (!text || !n)
		return -ERR_NOMEM;
	n->policy = (struct policy_state){0};
	n->ports = NULL;
	n->n_ports = 0;
	n->reaction = (struct reaction){0};
	version = number(&in, NOTE_VERSION_MIN, NOTE_VERSION_READ);
	n->state = (enum replica_state)number(&in, 0, REPLICA_STATE_MAX_ - 1);
	n->launch_hash = (uint64_t)number(&in, INT64_MIN, INT64_MAX);
	n->revision = (uint64_t)number(&in, 0, INT64_MAX);
	n->port = (unsigned)number(&in, 0, 65535);
	n->restarts = (uint32_t)number(&in, 0, UINT32_MAX);
	take_recycle(n, number(&in, 0, IN_PLACE + (int64_t)ARRAY_SIZE(recycles)));
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
	read_end(&in, version, n);
	if (version >= NOTE_VERSION_LOOKED)
		read_evidence(&in, &seen);
	n->secrets_read =
		version >= NOTE_VERSION_READ ? (uint64_t)number(&in, INT64_MIN, INT64_MAX) : 0;
	if (in.bad || in.next) {
		policy_reset(&n->policy);
		mem_free(n->ports);
		reaction_done(&n->reaction);
		return -ERR_INVALID;
	}
	reaction_done(&r->reaction);
	r->reaction = n->reaction;
	r->state = n->state;
	r->launch_hash = n->launch_hash;
	r->revision = n->revision;
	r->port = n->port;
	mem_free(r->ports);
	r->ports = n->ports;
	r->n_ports = n->n_ports;
	r->restarts = n->restarts;
	r->recycle = n->recycle;
	r->in_place = n->in_place;
	r->gave_up = n->gave_up;
	r->intent = n->intent;
	r->stop_cause = n->stop_cause;
	r->health = n->health;
	if (seen.progress_mono_ms)
		replica_evidence_recall(r, &seen);
	r->ready_mono_ms = n->ready_mono_ms;
	r->next_at_mono_ms = n->next_at_mono_ms;
	r->exit_seq = n->exit_seq;
	r->condemned_mono_ms = n->condemned_mono_ms;
	r->start_ms = n->start_ms;
	r->stop_ms = n->stop_ms;
	r->was_left_alone = n->was_left_alone;
	r->attempt = n->attempt;
	r->attempt_ran = n->attempt_ran;
	r->secrets_read = n->secrets_read;
	r->since_wall_ms = n->since_wall_ms;
	policy_reset(&r->policy);
	r->policy = n->policy;
	return 0;
}
