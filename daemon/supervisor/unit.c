/* unit: see unit.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/unit_file.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define SIGNAL_BASE 128 /* an engine that says 137 means signal 9 */
#define SIGNAL_LAST 31

/* ---- finding, making, freeing ---- */

struct unit *unit_of(const struct slot *s)
{
	return s->units && !s->units->ended ? s->units : NULL;
}

static struct unit *find(const struct slot *s, const char *incarnation)
{
	struct unit *u = s->units;

	while (u && strcmp(u->incarnation, incarnation) != 0)
		u = u->next_of_slot;
	return u;
}

static bool is_current(const struct unit *u)
{
	return !u->ended && strcmp(u->slot->t->incarnation, u->incarnation) == 0;
}

/* ended: behind the one that has not. */
static struct unit *new_unit(struct slot *s, struct runtime *r, const char *incarnation, bool ended)
{
	struct unit *u = mem_alloc(sizeof(*u)), **at = &s->units;

	if (!u)
		return NULL;
	u->slot = s;
	u->runtime = r;
	u->fds[0] = u->fds[1] = -1;
	u->ended = ended;
	memcpy(u->incarnation, incarnation, sizeof(u->incarnation));
	supervisor_fill_key(&u->state.key, s, incarnation);
	while (ended && *at)
		at = &(*at)->next_of_slot;
	u->next_of_slot = *at;
	*at = u;
	return u;
}

static void free_unit(struct unit *u)
{
	struct unit **at = &u->slot->units;

	while (*at && *at != u)
		at = &(*at)->next_of_slot;
	if (*at)
		*at = u->next_of_slot;
	runtime_unmark(u);
	mem_closep(&u->fds[0]);
	mem_closep(&u->fds[1]);
	mem_free(u);
}

void unit_free_all(struct slot *s)
{
	while (s->units)
		free_unit(s->units);
}

/* ---- start ---- */

/* errno of the refusal, 0 = go on, -1 = nothing to do: a repeated message. */
static int must_refuse(const struct slot *s, const struct wire_unit_start *m)
{
	bool same = strcmp(s->t->incarnation, m->key.incarnation) == 0;

	if (slot_is_living(s))
		return same ? -1 : EBUSY;
	if (same)
		return EEXIST;
	if (s->launch || s->n_streams >= SLOT_STREAMS_MAX)
		return EBUSY;
	return s->t->cold_used && s->cold->n_units == TABLE_UNITS_MAX ? EBUSY : 0;
}

static void fill_table(struct slot *s, const struct wire_unit_start *m, uint32_t unit)
{
	struct table_slot *t = s->t;

	memset(t->incarnation, 0, sizeof(t->incarnation));
	memcpy(t->incarnation, m->key.incarnation, WIRE_INCARNATION_SIZE);
	t->cell = (struct spawn_cell){.stage = WIRE_STAGE_CLONE};
	t->flags = 0;
	t->unit = unit;
	t->stop_signal = m->stop_signal;
	t->grace_ms = m->grace_ms;
	t->uid = (uint32_t)-1;
	slot_set_logs(s, &m->logs);
	t->start_ticks = 0;
	push_forget(s);
	t->started_wall_ms = clock_wall_ms();
	t->started_mono_ms = clock_mono_ms();
	slot_note(s, m->note, m->note_len);
	t->state = WIRE_SLOT_SPAWNING;
}

/* Its pipes and its file. 0 or -errno; the unit is the slot's even then. */
static int prepare(struct slot *s, struct runtime *r, const struct wire_unit_start *m,
		   const struct wire_packet *p)
{
	const struct wire_child nobody = {.set_user = false};
	const struct stream_opts o = {
		.incarnation = m->key.incarnation, .logs = &m->logs, .child = &nobody};
	struct stream *stream;
	struct unit *u;
	int rc = secrets_check(s->sup, m->key.service, m->secrets);

	if (rc < 0) {
		s->t->cell.stage = WIRE_STAGE_SECRETS;
		return rc;
	}
	u = new_unit(s, r, m->key.incarnation, false);
	if (!u)
		return -ENOMEM;
	rc = stream_new(s, &o, &stream, u->fds);
	if (rc < 0)
		return rc;
	s->t->intent = stream->intent;
	rc = unit_file_make_cell(s->sup, u->incarnation);
	if (rc == 0)
		rc = unit_file_write_start(s->sup, u->incarnation, p->body, p->len);
	if (rc < 0)
		return rc;
	u->open_due = u->unsent = true;
	return 0;
}

/* Nobody but us has heard of it. */
static void fail_at_once(struct slot *s, int err)
{
	struct unit *u = unit_of(s);

	s->t->cell.err = err;
	unit_file_drop(s->sup, s->t->incarnation);
	if (u)
		free_unit(u);
	stream_end(s, s->t->incarnation);
	slot_unit_ended(s, &(struct slot_end){.si = NULL});
}

static void start_in(struct slot *s, const struct wire_unit_start *m, const struct wire_packet *p)
{
	struct runtime *r = runtime_find(s->sup, m->runtime);
	int rc = must_refuse(s, m);

	if (rc != 0) {
		s->refused = rc > 0 ? rc : 0;
		control_mark(s->sup, s);
		return;
	}
	s->refused = 0;
	fill_table(s, m, r ? r->place + 1 : 0);
	POINT("aictld.unit.filled");
	if (!r || !r->enabled) {
		s->t->cell.what = WIRE_WHAT_RUNTIME;
		fail_at_once(s, ENXIO);
		return;
	}
	rc = prepare(s, r, m, p);
	if (rc < 0) {
		fail_at_once(s, -rc);
		return;
	}
	POINT("aictld.unit.prepared");
	control_mark(s->sup, s);
	runtime_mark(unit_of(s));
}

void unit_start(struct supervisor *sup, const struct wire_unit_start *m,
		const struct wire_packet *p)
{
	struct slot *s = slot_find(sup, &m->key);
	int rc = sup->mode == WIRE_MODE_SHUTDOWN ? -ESHUTDOWN : 0;

	if (rc == 0 && !s)
		rc = slot_new(sup, &m->key, &s);
	if (rc == 0) {
		start_in(s, m, p);
	} else if (s) {
		s->refused = -rc;
		control_mark(sup, s);
	} else {
		control_refuse(sup, &m->key, -rc);
	}
}

/* ---- to the runtime ---- */

void unit_signal(struct slot *s, int signal)
{
	struct unit *u = unit_of(s);

	if (!u)
		return;
	if (u->signal != SIGKILL)
		u->signal = signal;
	runtime_mark(u);
}

/* Who has it in hand now says so itself when it is to be removed. */
static bool is_never_begun(const struct unit *u)
{
	return !runtime_has_process(u->runtime) && unit_file_is_fresh(u->slot->sup, u->incarnation);
}

bool unit_drop(struct slot *s)
{
	const struct unit *u = unit_of(s);

	if (!u || !(u->unsent || is_never_begun(u)))
		return false;
	fail_at_once(s, ECANCELED);
	return true;
}

void unit_look(struct slot *s)
{
	struct unit *u = unit_of(s);

	if (!u)
		return;
	u->look_due = true;
	runtime_mark(u);
}

void unit_connected(struct unit *u)
{
	const struct table_slot *t = u->slot->t;

	u->open_due = true;
	u->remove_due = u->ended;
	u->signal = 0;
	u->look_due = false;
	if (!u->ended && t->state == WIRE_SLOT_STOPPING)
		u->signal = t->flags & TABLE_KILLED ? SIGKILL : t->stop_signal;
	else if (!u->ended && t->state == WIRE_SLOT_STUCK)
		u->signal = SIGKILL;
	runtime_mark(u);
}

/* A unit that never ran, and never will. */
static void give_up(struct unit *u, int what, int err)
{
	struct table_slot *t = u->slot->t;

	t->cell = (struct spawn_cell){.stage = WIRE_STAGE_CLONE, .err = err, .what = what};
	u->ended = u->remove_due = true;
	if (!table_add_unit(t, u->slot->cold, u->incarnation))
		log_warn("replica=%s/%u too many units to remove", t->service, t->index);
	u->slot->unswept++;
	slot_unit_ended(u->slot, &(struct slot_end){.si = NULL});
	runtime_mark(u);
}

/* Encodes UNIT_START when it has still to be started, else UNIT_KEEP. */
static void encode_open(struct unit *u, struct buf *b)
{
	struct slot *s = u->slot;
	_cleanup_free_ uint8_t *body = NULL;
	struct wire_unit_start m;
	struct wire_key key;
	size_t len = 0;

	u->kept = true;
	if (is_current(u) && s->t->state == WIRE_SLOT_SPAWNING)
		body = unit_file_read_start(s->sup, u->incarnation, &len);
	if (body && wire_unit_decode_start(body, len, &m) == 0) {
		wire_unit_encode_start(b, &m);
		u->kept = false;
		return;
	}
	supervisor_fill_key(&key, s, u->incarnation);
	wire_encode_key(b, WIRE_UNIT_KEEP, &key);
}

static bool send_open(struct unit *u, struct link *l)
{
	_cleanup_close_ int cell = unit_file_open_cell(l->sup, u->incarnation);
	int fds[3] = {u->fds[0], u->fds[1], cell};
	int err = cell < 0 ? -cell : fds[0] < 0 || fds[1] < 0 ? EBADF : 0;

	if (err)
		log_error("replica=%s/%u incarnation=%s errno=%d its log cannot be kept",
			  u->slot->t->service, u->slot->t->index, u->incarnation, err);
	if (err && is_current(u) && u->slot->t->cell.stage != WIRE_STAGE_EXEC) {
		u->open_due = false;
		give_up(u, WIRE_WHAT_CONTAINER, err);
		return true;
	}
	buf_clear(&l->out);
	encode_open(u, &l->out);
	if (!link_send(l, fds, err ? 0 : 3)) /* unnamed, it would be removed */
		return false;
	POINT("aictld.unit.sent");
	u->open_due = u->unsent = false;
	return true;
}

bool unit_send(struct unit *u, struct link *l)
{
	struct wire_key key;

	if (u->open_due)
		return send_open(u, l);
	supervisor_fill_key(&key, u->slot, u->incarnation);
	buf_clear(&l->out);
	if (u->signal)
		wire_encode_signal(&l->out, &key, u->signal);
	else
		wire_encode_key(&l->out, u->remove_due ? WIRE_UNIT_REMOVE : WIRE_LOOK, &key);
	if (!link_send(l, NULL, 0))
		return false;
	if (u->signal)
		u->signal = 0;
	else if (u->remove_due)
		u->remove_due = false;
	else
		u->look_due = false;
	return true;
}

/* ---- from the runtime ---- */

/* The container is gone, and all that it wrote is in the pipes. */
static void finish(struct unit *u)
{
	struct slot *s = u->slot;
	char incarnation[WIRE_INCARNATION_SIZE];

	memcpy(incarnation, u->incarnation, sizeof(incarnation));
	POINT("aictld.unit.gone");
	unit_file_drop(s->sup, incarnation);
	free_unit(u); /* with the write ends: the logger reads to their end */
	stream_end(s, incarnation);
	table_drop_unit(s->t, s->cold, incarnation);
	POINT("aictld.unit.forgotten");
	slot_swept(s, incarnation); /* the slot may be gone with it */
}

static void fill_status(const struct wire_unit_state *m, siginfo_t *si)
{
	int signal = m->signal;

	if (signal == 0 && m->code > SIGNAL_BASE && m->code <= SIGNAL_BASE + SIGNAL_LAST)
		signal = m->code - SIGNAL_BASE;
	*si = (siginfo_t){0};
	si->si_code = !m->status_known ? CHILD_UNKNOWN : signal ? CLD_KILLED : CLD_EXITED;
	si->si_status = signal ? signal : m->code;
}

/* Its exit goes into the table, once. */
static void end(struct unit *u, const struct wire_unit_state *m, const siginfo_t *si)
{
	struct slot *s = u->slot;
	const struct slot_end e = {
		.si = si, .oom_killed = m->oom_killed, .ended_wall_ms = m->ended_wall_ms};

	u->ended = true;
	u->signal = 0;
	u->remove_due = m->state != WIRE_UNIT_GONE;
	unit_file_drop_start(s->sup, u->incarnation);
	if (!table_add_unit(s->t, s->cold, u->incarnation))
		log_warn("replica=%s/%u too many units to remove", s->t->service, s->t->index);
	s->unswept++;
	POINT("aictld.unit.ending");
	slot_unit_ended(s, &e);
	if (u->remove_due)
		runtime_mark(u);
}

static void take_running(struct unit *u, const struct wire_unit_state *m)
{
	struct slot *s = u->slot;
	struct table_slot *t = s->t;
	int64_t ago = clock_wall_ms() - m->started_wall_ms;
	bool first = t->cell.stage != WIRE_STAGE_EXEC;

	if (m->pid > 1)
		t->cell.pid = m->pid;
	if (!first)
		return;
	/* Not before it was asked for: the time of day may have been set meanwhile. */
	if (m->started_wall_ms > 0 && ago >= 0 && clock_mono_ms() - ago >= t->started_mono_ms) {
		t->started_wall_ms = m->started_wall_ms;
		t->started_mono_ms = clock_mono_ms() - ago;
	}
	t->cell.what = WIRE_WHAT_NONE;
	t->cell.err = 0;
	t->cell.stage = WIRE_STAGE_EXEC;
	if (t->state == WIRE_SLOT_SPAWNING)
		t->state = WIRE_SLOT_RUNNING;
	POINT("aictld.unit.running");
	unit_file_drop_start(s->sup, u->incarnation);
	stream_begin(s, u->incarnation);
	link_flush(&s->sup->logger.link);
	if (t->state != WIRE_SLOT_RUNNING && m->state == WIRE_UNIT_RUNNING) /* stopped meanwhile */
		unit_signal(s, t->flags & TABLE_KILLED ? SIGKILL : t->stop_signal);
}

static void take_exited(struct unit *u, const struct wire_unit_state *m)
{
	bool first = u->slot->t->cell.stage != WIRE_STAGE_EXEC;
	siginfo_t si;

	take_running(u, m);
	if (first) { /* too short for the engine to tell: that it ran is known all the same, as of a process */
		control_mark(u->slot->sup, u->slot);
		link_flush(&u->slot->sup->controller.link);
	}
	fill_status(m, &si);
	end(u, m, &si);
}

static void take_failed(struct unit *u, const struct wire_unit_state *m, int what, int err)
{
	u->slot->t->cell = (struct spawn_cell){.stage = WIRE_STAGE_CLONE, .err = err, .what = what};
	end(u, m, NULL);
}

/* Removed by somebody else, or it never was made. */
static void take_gone(struct unit *u, const struct wire_unit_state *m)
{
	const siginfo_t si = {.si_code = CHILD_UNKNOWN};

	if (u->slot->t->cell.stage != WIRE_STAGE_EXEC) /* asked for, and not there: a failure */
		take_failed(u, m, WIRE_WHAT_CONTAINER, u->kept ? ECANCELED : EIDRM);
	else
		end(u, m, &si);
	finish(u);
}

static void take_state(struct unit *u, const struct wire_unit_state *m)
{
	bool runs = u->slot->t->cell.stage == WIRE_STAGE_EXEC;

	switch ((enum wire_unit)m->state) {
	case WIRE_UNIT_RUNNING:
		take_running(u, m);
		break;
	case WIRE_UNIT_EXITED:
		take_exited(u, m);
		break;
	case WIRE_UNIT_FAILED:
		if (runs) /* it did run: what is known is that it does not any more */
			end(u, m, &(siginfo_t){.si_code = CHILD_UNKNOWN});
		else
			take_failed(u, m, m->what, m->err);
		break;
	case WIRE_UNIT_GONE:
		take_gone(u, m);
		break;
	case WIRE_UNIT_CREATED:
	case WIRE_UNIT_PULLING:
		if (u->kept && !runs) /* nobody is left who would start it */
			take_failed(u, m, WIRE_WHAT_CONTAINER, ECANCELED);
		break;
	case WIRE_UNIT_UNKNOWN:
	case WIRE_UNIT_MAX_:
		break;
	}
}

void unit_take_state(struct runtime *r, const struct wire_unit_state *m)
{
	struct supervisor *sup = r->helper.sup;
	struct slot *s = slot_find(sup, &m->key);
	struct unit *u = s ? find(s, m->key.incarnation) : NULL;

	if (!u || u->runtime != r || u->open_due)
		return; /* over; or said before it has been told that it shall be */
	log_debug("replica=%s/%u incarnation=%s unit=%s pid=%d %s", m->key.service, m->key.index,
		  m->key.incarnation, wire_unit_name((enum wire_unit)m->state), m->pid, m->text);
	if (u->ended && m->state == WIRE_UNIT_GONE) {
		finish(u);
		link_flush(&sup->controller.link);
		return;
	}
	if (memcmp(&u->state, m, sizeof(*m)) != 0) {
		u->state = *m;
		u->state_due = true;
		control_mark(sup, s);
	}
	if (!u->ended)
		take_state(u, m);
	link_flush(&sup->controller.link);
}

/* ---- to the controller ---- */

void unit_controller_connected(struct slot *s)
{
	for (struct unit *u = s->units; u; u = u->next_of_slot)
		u->state_due = true;
}

bool unit_tell(struct link *l, struct slot *s)
{
	for (struct unit *u = s->units; u; u = u->next_of_slot) {
		if (!u->state_due)
			continue;
		buf_clear(&l->out);
		wire_unit_encode_state(&l->out, &u->state);
		if (!link_send(l, NULL, 0))
			return false;
		u->state_due = false;
	}
	return true;
}

/* ---- a former aictld's ---- */

static struct runtime *runtime_at(const struct supervisor *sup, uint32_t unit)
{
	return unit > 0 ? sup->runtimes.list[unit - 1] : NULL;
}

void unit_adopt(struct slot *s)
{
	struct table_cold *c = s->cold;
	struct table_slot *t = s->t;
	uint32_t n = t->cold_used ? c->n_units : 0;

	for (uint32_t i = 0; i < n; i++) {
		struct runtime *r = runtime_at(s->sup, c->unit_runtimes[i]);
		char incarnation[WIRE_INCARNATION_SIZE];

		table_id_text(&c->units[i], incarnation);
		if (slot_is_living(s) && strcmp(incarnation, t->incarnation) == 0)
			continue; /* killed before its exit was written down */
		if (!r || find(s, incarnation) || !new_unit(s, r, incarnation, true))
			continue;
		s->unswept++;
	}
	if (t->unit == 0 || !slot_is_living(s))
		return;
	table_drop_unit(t, c, t->incarnation);
	if (!runtime_at(s->sup, t->unit) ||
	    !new_unit(s, runtime_at(s->sup, t->unit), t->incarnation, false))
		return;
	s->stream_due = true;
	slot_unit_adopted(s);
}

/* The read end is ours: so is a new write end, also when the pipe was at its end. */
void unit_stream_adopted(struct slot *s, struct stream *t)
{
	struct unit *u = find(s, t->incarnation);

	if (!u)
		return;
	for (int i = 0; i < 2; i++) {
		char path[40];

		mem_closep(&u->fds[i]);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", t->fds[i]);
		u->fds[i] = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (u->fds[i] < 0)
			log_error("replica=%s/%u %s: %m", s->t->service, s->t->index, path);
	}
	t->gone = false;
}

void unit_adopt_streams(struct slot *s)
{
	for (struct unit *u = s->units; u; u = u->next_of_slot) {
		struct wire_stream m = {.intent_index = UINT32_MAX, .logs = slot_logs(s)};
		int fds[2] = {-1, -1};

		if (u->fds[0] >= 0)
			continue;
		supervisor_fill_key(&m.key, s, u->incarnation);
		stream_adopt(s, &m, fds, false);
	}
}
