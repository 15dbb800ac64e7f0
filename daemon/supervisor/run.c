/* run: see run.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/child.h"
#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/stream.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/sweep.h"
#include "daemon/supervisor/unit.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define UNKILLABLE_MS 2000
#define TICK_MS 10 /* what start times are exact to */

struct run {
	struct supervisor *sup;
	struct run *next_end;
	unsigned place; /* in runs.live */
	struct wire_run m;
	struct wire_key key; /* m's; that goes when the memory is free */
	bool log;	     /* m's, too */
	uint64_t command;    /* which one it is among those of its key */
	struct wire_run_end end;
	struct child child;
	struct child_job job;
	struct loop_timer timer;
	int64_t kill_at_mono_ms; /* time-out; INT64_MAX = none */
	bool killed;		 /* our SIGKILL is out */
	bool stuck;		 /* ... and has not ended it */
	bool told;		 /* RUN_END is sent, queued, or owed to nobody */
	struct runtime *runtime; /* of the unit inside which it runs, or NULL */
	bool start_due;		 /* RUN, with fds */
	int signal_due;		 /* RUN_KILL; 0 = none */
	int early;		 /* a signal for when its pid is known; 0 = none */
	int fds[3];		 /* copies; -1 = none */
};

/* Nobody may wait for `end` any more when this returns; n is freed or queued. */
static void tell(struct run *n)
{
	struct runs *all = &n->sup->runs;

	if (n->told || all->n_ends == RUN_ENDS_MAX) {
		if (!n->told)
			log_error("run=%llu its end is lost: the controller does not read",
				  (unsigned long long)n->end.id);
		mem_free(n);
		return;
	}
	n->told = true;
	n->next_end = NULL;
	if (all->last_end)
		all->last_end->next_end = n;
	else
		all->first_end = n;
	all->last_end = n;
	all->n_ends++;
	link_flush(&n->sup->controller.link);
}

bool run_flush(struct supervisor *sup)
{
	struct runs *all = &sup->runs;
	struct link *l = &sup->controller.link;

	while (all->first_end) {
		struct run *n = all->first_end;

		buf_clear(&l->out);
		wire_run_encode_end(&l->out, &n->end);
		if (!link_send(l, NULL, 0))
			return false;
		all->first_end = n->next_end;
		if (!all->first_end)
			all->last_end = NULL;
		all->n_ends--;
		mem_free(n);
	}
	return true;
}

/* Of one that lives on: a copy of its end goes into the queue. */
static void tell_early(struct run *n)
{
	struct run *copy = n->told ? NULL : mem_alloc(sizeof(*copy));

	if (!copy)
		return; /* when it ends after all */
	copy->sup = n->sup;
	copy->fds[0] = copy->fds[1] = copy->fds[2] = -1;
	copy->end = n->end;
	copy->end.signal = SIGKILL;
	copy->end.code = -1;
	n->told = true;
	tell(copy);
}

/* An engine cannot signal what it has executed, and a runtime can only give it up: where its pid is
 * known, it gets the signal from here. */
static void signal_inside(struct run *n, int signal)
{
	const struct table_run *place = &n->sup->runs.places[n->place];

	if (signal != SIGKILL && place->cell.pid > 1) {
		proc_signal(place->cell.pid, place->started_mono_ms, signal);
	} else if (signal != SIGKILL) {
		n->early = signal;
	} else {
		n->signal_due = signal;
		if (place->cell.pid > 1)
			proc_kill(place->cell.pid, 0, place->started_mono_ms);
		link_flush(&n->runtime->helper.link);
	}
}

static void signal_run(struct run *n, int signal)
{
	if (n->runtime)
		signal_inside(n, signal);
	else
		child_signal_group(&n->child, signal);
}

static void kill_run(struct run *n)
{
	if (!n->killed)
		loop_timer_arm(&n->sup->loop, &n->timer, clock_mono_ms() + UNKILLABLE_MS);
	n->killed = true;
	signal_run(n, SIGKILL);
}

static void on_timer(void *user)
{
	struct run *n = user;

	if (n->killed) {
		log_error("run=%llu pid=%d SIGKILL does not end it", (unsigned long long)n->end.id,
			  n->child.pid);
		n->stuck = true;
		tell_early(n);
		return;
	}
	if (!n->runtime && !child_has_execed(&n->child)) /* it hangs on its way */
		n->end.err = ETIMEDOUT;
	n->end.timed_out = true;
	kill_run(n);
}

/* Of a hook: it writes from now on. */
static void begin_log(struct run *n)
{
	const struct spawn_cell *cell = &n->sup->runs.places[n->place].cell;
	struct slot *s = n->log ? slot_find(n->sup, &n->key) : NULL;

	if (!s || cell->stage != WIRE_STAGE_EXEC || cell->err != 0)
		return;
	stream_begin(s, n->key.incarnation);
	link_flush(&n->sup->logger.link);
}

/* Of a hook: the rest of its output is stored, and what it has left behind is ended. */
static void end_log(const struct run *n)
{
	struct slot *s = n->log ? slot_find(n->sup, &n->key) : NULL;

	if (!s)
		return;
	if (n->runtime) {
		stream_end(s, n->key.incarnation);
		return;
	}
	sweep_add(s, n->key.incarnation, SWEEP_URGENT); /* in the table since its start */
	stream_end(s, n->key.incarnation);
}

static void on_memory_free(void *user)
{
	struct run *n = user;

	begin_log(n);
	wire_run_free(&n->m);
	if (!n->killed)
		loop_timer_arm(&n->sup->loop, &n->timer, n->kill_at_mono_ms);
}

/* It has ended, and n->end says how. */
static void finish(struct run *n)
{
	struct runs *all = &n->sup->runs;

	loop_timer_disarm(&n->sup->loop, &n->timer);
	wire_run_free(&n->m);
	for (int i = 0; i < 3; i++)
		mem_closep(&n->fds[i]);
	all->places[n->place].cell.pid = 0;
	end_log(n);
	all->live[n->place] = NULL;
	all->n--;
	shutdown_poke(n->sup);
	if (n->told)
		mem_free(n);
	else
		tell(n);
}

static void on_exit_(void *user, const siginfo_t *si)
{
	struct run *n = user;
	struct spawn_cell *cell = &n->sup->runs.places[n->place].cell;

	n->end.stage = (uint8_t)cell->stage;
	n->end.what = (uint8_t)cell->what;
	if (cell->err != 0 || cell->stage == WIRE_STAGE_EXEC)
		n->end.err = cell->err;
	n->end.code = si->si_code == CLD_EXITED ? si->si_status : -1;
	n->end.signal = si->si_code == CLD_EXITED ? 0 : si->si_status;
	finish(n);
}

/* Its user may open /dev/stdin and /dev/tty by name. Pipes and terminals only: whatever else the
 * controller could send is not ours to give away. */
static int give_fds(const struct supervisor *sup, const struct wire_run *m, const int *fds)
{
	if (!sup->spawner.root || !m->child.set_user || m->child.uid == 0)
		return 0;
	for (int i = 0; i < 3; i++) {
		struct stat st;
		bool pty;

		if (fstat(fds[i], &st) < 0)
			return -errno;
		pty = S_ISCHR(st.st_mode) && major(st.st_rdev) >= 136 && major(st.st_rdev) <= 143;
		if ((pty || S_ISFIFO(st.st_mode)) && fchown(fds[i], m->child.uid, (gid_t)-1) < 0)
			return -errno;
	}
	return 0;
}

static bool is_live(const struct runs *all, uint64_t id)
{
	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++)
		if (all->live[i] && all->live[i]->end.id == id)
			return true;
	return false;
}

static unsigned free_place(const struct runs *all)
{
	unsigned i = 0;

	while (i < WIRE_RUNS_MAX && all->live[i])
		i++;
	return i;
}

/* What its output goes to; fds are the caller's to close, the first one is not. 0 or -errno. */
static int open_log(const struct run *n, int fds[3])
{
	const struct stream_opts o = {.incarnation = n->key.incarnation,
				      .logs = &n->m.logs,
				      .child = &n->m.child,
				      .beside = true};
	struct slot *s = slot_find(n->sup, &n->key);
	struct stream *t;
	int r = s ? 0 : slot_new(n->sup, &n->key, &s);

	if (r < 0)
		return r;
	if (s->n_streams >= SLOT_STREAMS_MAX)
		return -EBUSY;
	r = stream_new(s, &o, &t, &fds[1]);
	if (r < 0)
		return r;
	fds[0] = n->sup->spawner.null_fd;
	if (!n->m.inside)
		table_add_cookie(s->t, s->cold,
				 n->key.incarnation); /* should we die before it ends */
	return 0;
}

static void close_log(const struct run *n, int fds[3], bool failed)
{
	struct slot *s = n->log ? slot_find(n->sup, &n->key) : NULL;

	if (!s)
		return;
	mem_closep(&fds[1]);
	mem_closep(&fds[2]);
	if (!failed)
		return;
	table_drop_cookie(s->t, s->cold, n->key.incarnation);
	stream_end(s, n->key.incarnation);
}

static void set_timers(struct run *n, int64_t now)
{
	n->timer = (struct loop_timer){.fn = on_timer, .user = n};
	n->kill_at_mono_ms = n->m.timeout_ms ? clock_add(now, n->m.timeout_ms) : INT64_MAX;
}

/* Of a hook: its pipes are the logger's before it can write. */
static void announce_log(const struct run *n)
{
	struct slot *s = n->log ? slot_find(n->sup, &n->key) : NULL;

	if (s)
		stream_announce(s, n->key.incarnation);
}

/* 0 or -errno; n has its place from 0 on. */
static int launch(struct run *n, const int fds[3])
{
	struct supervisor *sup = n->sup;
	struct spawn_job *j = &n->job.spawn;
	const struct slot *s = slot_find(sup, &n->m.key);
	int64_t now = clock_mono_ms();
	int r;

	n->end.stage = WIRE_STAGE_CLONE;
	spawn_fill(&sup->spawner, j, &n->m.child);
	j->tty = n->m.tty;
	j->cell = &sup->runs.places[n->place].cell;
	sup->runs.places[n->place].started_mono_ms = now;
	j->cgroup_fd = s ? cgroup_fd_beside(s) : 0;
	j->n_fds = 3;
	for (int i = 0; i < 3; i++)
		j->fds[i] = fds[i];
	n->child.sup = sup;
	n->child.user = n;
	n->child.on_memory_free = on_memory_free;
	n->child.on_exit = on_exit_;
	set_timers(n, now);
	announce_log(n);
	r = child_start(&n->child, &n->job);
	if (r < 0)
		return r;
	loop_timer_arm(&sup->loop, &n->timer,
		       n->kill_at_mono_ms < now + SLOT_SPAWN_MS ? n->kill_at_mono_ms
								: now + SLOT_SPAWN_MS);
	return 0;
}

/* The same in the unit of its slot. */
static int launch_inside(struct run *n, const int fds[3])
{
	struct slot *s = slot_find(n->sup, &n->m.key);
	struct unit *u = s ? unit_of(s) : NULL;
	struct table_run *place = &n->sup->runs.places[n->place];

	if (!u || s->t->cell.stage != WIRE_STAGE_EXEC)
		return -ESRCH;
	if (u->runtime->helper.link.fd < 0)
		return -ENOTCONN;
	for (int i = 0; i < 3; i++) {
		n->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (n->fds[i] < 0)
			return -errno;
	}
	memcpy(n->m.key.incarnation, u->incarnation, sizeof(u->incarnation));
	*place = (struct table_run){.started_mono_ms = clock_mono_ms()};
	n->runtime = u->runtime;
	n->start_due = true;
	set_timers(n, place->started_mono_ms);
	if (n->m.timeout_ms)
		loop_timer_arm(&n->sup->loop, &n->timer, n->kill_at_mono_ms);
	announce_log(n);
	if (n->log)
		stream_begin(s, n->key.incarnation);
	return 0;
}

static int open_and_launch(struct run *n, struct wire_packet *p)
{
	int fds[3] = {-1, -1, -1}, r;

	if (!n->log && n->m.inside)
		return launch_inside(n, p->fds);
	if (!n->log) {
		r = give_fds(n->sup, &n->m, p->fds);
		return r < 0 ? r : launch(n, p->fds);
	}
	r = open_log(n, fds);
	if (r < 0)
		return r;
	r = n->m.inside ? launch_inside(n, fds) : launch(n, fds);
	close_log(n, fds, r < 0);
	return r;
}

static uint64_t hash_command(const struct wire_child *c) /* FNV-1a */
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (char *const *arg = c->argv; *arg; arg++)
		for (const char *p = *arg;; p++) {
			hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
			if (*p == '\0')
				break;
		}
	return hash;
}

/* The same command of the same replica that no SIGKILL has ended, still there. */
static bool is_stuck(const struct runs *all, const struct run *n)
{
	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++) {
		const struct run *other = all->live[i];

		if (other && other->stuck && other->command == n->command &&
		    other->key.index == n->key.index &&
		    strcmp(other->key.service, n->key.service) == 0)
			return true;
	}
	return false;
}

/* errno of a refusal. */
static int must_refuse(const struct supervisor *sup, const struct run *n,
		       const struct wire_packet *p)
{
	if (sup->mode == WIRE_MODE_SHUTDOWN && (!n->log || sup->shutdown.forced))
		return ESHUTDOWN;
	if (p->n_fds != (n->log ? 0 : 3))
		return EBADF;
	if (is_stuck(&sup->runs, n))
		return EALREADY;
	return sup->runs.n == WIRE_RUNS_MAX ? EAGAIN : 0;
}

/* There is nothing to queue: told at once, or lost when the socket is full. */
static void refuse_without(struct supervisor *sup, uint64_t id, bool is_double)
{
	const struct wire_run_end m = {
		.id = id, .stage = WIRE_STAGE_REFUSED, .err = ENOMEM, .code = -1};
	struct link *l = &sup->controller.link;

	log_error("run=%llu cannot start: %s", (unsigned long long)id,
		  is_double ? "its number is in use" : "out of memory");
	if (is_double)
		return; /* an end would be taken for the other's */
	buf_clear(&l->out);
	wire_run_encode_end(&l->out, &m);
	link_send(l, NULL, 0);
}

void run_start(struct supervisor *sup, struct wire_run *m, struct wire_packet *p)
{
	struct runs *all = &sup->runs;
	struct run *n = is_live(all, m->id) ? NULL : mem_alloc(sizeof(*n));
	int r;

	if (!n) {
		refuse_without(sup, m->id, is_live(all, m->id));
		wire_run_free(m);
		return;
	}
	n->sup = sup;
	n->fds[0] = n->fds[1] = n->fds[2] = -1;
	n->m = *m;
	*m = (struct wire_run){0};
	n->key = n->m.key;
	n->log = n->m.log;
	n->command = hash_command(&n->m.child);
	n->end = (struct wire_run_end){.id = n->m.id, .stage = WIRE_STAGE_REFUSED, .code = -1};
	r = -must_refuse(sup, n, p);
	if (r == 0) {
		n->place = free_place(all);
		r = open_and_launch(n, p);
	}
	if (r < 0) {
		n->end.err = -r;
		wire_run_free(&n->m);
		for (int i = 0; i < 3; i++)
			mem_closep(&n->fds[i]);
		tell(n);
		return;
	}
	all->live[n->place] = n;
	all->n++;
	if (n->runtime)
		link_flush(&n->runtime->helper.link);
}

void run_kill(struct supervisor *sup, uint64_t id, int signal)
{
	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++) {
		struct run *n = sup->runs.live[i];

		if (!n || n->end.id != id)
			continue;
		if (signal == SIGKILL)
			kill_run(n);
		else
			signal_run(n, signal);
		return;
	}
}

/* ---- inside units ---- */

static bool send_inside(struct run *n, struct link *l)
{
	buf_clear(&l->out);
	if (n->start_due) {
		wire_run_encode(&l->out, &n->m);
		if (!link_send(l, n->fds, 3))
			return false;
		n->start_due = false;
		for (int i = 0; i < 3; i++)
			mem_closep(&n->fds[i]);
		wire_run_free(&n->m);
		buf_clear(&l->out);
	}
	if (n->signal_due) {
		wire_run_encode_kill(&l->out, n->end.id, n->signal_due);
		if (!link_send(l, NULL, 0))
			return false;
		n->signal_due = 0;
	}
	return true;
}

bool run_send_inside(struct runtime *r, struct link *l)
{
	struct runs *all = &r->helper.sup->runs;

	for (unsigned i = 0; i < WIRE_RUNS_MAX && all->n > 0; i++)
		if (all->live[i] && all->live[i]->runtime == r && !send_inside(all->live[i], l))
			return false;
	return true;
}

static struct run *find_inside(struct runtime *r, uint64_t id)
{
	struct runs *all = &r->helper.sup->runs;

	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++)
		if (all->live[i] && all->live[i]->runtime == r && all->live[i]->end.id == id)
			return all->live[i];
	return NULL;
}

void run_end_inside(struct runtime *r, const struct wire_run_end *m)
{
	struct run *n = find_inside(r, m->id);
	bool timed_out = n && n->end.timed_out;

	if (!n || n->start_due)
		return;
	n->end = *m;
	n->end.timed_out = timed_out;
	finish(n);
}

/* An engine elsewhere has numbers of its own, and a broken plugin any: what is no younger than its
 * RUN, or in no container, is not for us to kill. */
void run_note_inside(struct runtime *r, uint64_t id, int pid)
{
	struct run *n = find_inside(r, id);
	struct table_run *place = n ? &n->sup->runs.places[n->place] : NULL;
	int64_t started = n ? proc_started_mono_ms(pid) : 0;

	if (!n || started < place->started_mono_ms - TICK_MS || !proc_is_apart(pid))
		return;
	place->started_mono_ms = started;
	place->cell.pid = pid;
	if (n->killed)
		signal_inside(n, SIGKILL);
	else if (n->early)
		signal_inside(n, n->early);
	n->early = 0;
}

void run_lose_inside(struct runtime *r)
{
	struct runs *all = &r->helper.sup->runs;

	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++) {
		struct run *n = all->live[i];

		if (!n || n->runtime != r)
			continue;
		if (all->places[i].cell.pid > 1)
			proc_kill(all->places[i].cell.pid, 0, all->places[i].started_mono_ms);
		n->end.stage = WIRE_STAGE_CLONE;
		n->end.what = WIRE_WHAT_RUNTIME;
		n->end.err = ECONNRESET;
		finish(n);
	}
}

void run_kill_all(struct supervisor *sup)
{
	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++)
		if (sup->runs.live[i])
			kill_run(sup->runs.live[i]);
}

void run_abandon(struct supervisor *sup)
{
	struct runs *all = &sup->runs;

	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++) {
		if (!all->live[i])
			continue;
		all->live[i]->told = true;
		kill_run(all->live[i]);
	}
	while (all->first_end) {
		struct run *n = all->first_end;

		all->first_end = n->next_end;
		mem_free(n);
	}
	all->last_end = NULL;
	all->n_ends = 0;
}

bool run_any(const struct supervisor *sup)
{
	return sup->runs.n > 0;
}

bool run_any_hook(const struct supervisor *sup)
{
	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++)
		if (sup->runs.live[i] && sup->runs.live[i]->log && !sup->runs.live[i]->killed)
			return true;
	return false;
}

void run_init(struct supervisor *sup)
{
	sup->runs.places = sup->table.header->runs;
}

void run_done(struct supervisor *sup)
{
	struct runs *all = &sup->runs;

	run_abandon(sup);
	for (unsigned i = 0; i < WIRE_RUNS_MAX; i++) {
		struct run *n = all->live[i];

		if (!n)
			continue; /* else it could not be killed: it keeps what it may still read */
		loop_timer_disarm(&sup->loop, &n->timer);
		if (n->child.job)
			continue;
		wire_run_free(&n->m);
		mem_free(n);
		all->live[i] = NULL;
	}
	all->places = NULL;
}
