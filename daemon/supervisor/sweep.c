/* sweep: see sweep.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/sweep.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

static void schedule(struct supervisor *sup);

/* Ends every entry of a run: clean ones are reported, others wait again, each for itself. */
static void finish(struct supervisor *sup, uint8_t id, bool clean)
{
	struct sweep *w = &sup->sweep;
	int64_t now = clock_mono_ms();
	size_t kept = 0, of_run = 0;

	for (size_t i = 0; i < w->n; i++)
		of_run += w->entries[i].run == id;
	for (size_t i = 0; i < w->n; i++) { /* slot_swept may free a slot, but adds no entry */
		struct sweep_entry e = w->entries[i];

		if (e.run == id && clean) {
			slot_swept(e.slot, e.cookie);
			continue;
		}
		if (e.run == id) {
			e.run = 0;
			e.delay_ms = !e.delay_ms		     ? RETRY_MIN_MS
				     : e.delay_ms * 2 < RETRY_MAX_MS ? e.delay_ms * 2
								     : RETRY_MAX_MS;
			e.at_mono_ms = of_run > 1 ? now : now + e.delay_ms;
		}
		w->entries[kept++] = e;
	}
	w->n = kept;
}

static int64_t entry_time(const struct sweep *w, const struct sweep_entry *e)
{
	return e->kind == SWEEP_LAZY && w->lazy_at_mono_ms > e->at_mono_ms ? w->lazy_at_mono_ms
									   : e->at_mono_ms;
}

bool sweep_has_former(const struct supervisor *sup)
{
	const struct sweep *w = &sup->sweep;

	for (size_t i = 0; i < w->n; i++)
		if (w->entries[i].kind == SWEEP_FORMER)
			return true;
	return false;
}

static void on_exit_(void *user, const siginfo_t *si)
{
	struct sweep_run *r = user;
	bool clean = si->si_code == CLD_EXITED && si->si_status == 0;

	loop_timer_disarm(&r->sup->loop, &r->deadline);
	mem_free(r->argv);
	r->argv = NULL;
	if (!clean)
		log_warn("sweep pid=%d left something alive", si->si_pid);
	finish(r->sup, r->id, clean);
	schedule(r->sup);
	if (!sweep_has_former(r->sup))
		supervisor_start_helpers(r->sup);
	link_flush(&r->sup->controller.link);
}

static void on_deadline(void *user)
{
	struct sweep_run *r = user;

	log_warn("sweep pid=%d hangs, killing it", r->child.pid);
	child_signal(&r->child, SIGKILL);
}

/* Is e's turn now, in this run, among those that a run could not end, or among the others? */
static bool is_due(const struct sweep *w, const struct sweep_entry *e, const struct sweep_run *r,
		   bool left, int64_t now)
{
	bool urgent = r->id == 1 + SWEEP_URGENT;

	if (e->run != 0 || (e->delay_ms > 0) != left || (urgent && e->kind == SWEEP_LAZY))
		return false;
	return now >= entry_time(w, e);
}

/* Gives waiting entries to the run; returns how many. *scan: some need a look at /proc. */
static size_t claim(struct sweep *w, struct sweep_run *r, bool *scan)
{
	int64_t now = clock_mono_ms();
	size_t n = 0, max = SWEEP_BATCH_MAX;

	for (int left = 0; left < 2 && n == 0; left++) {
		for (size_t i = 0; i < w->n && n < max; i++) {
			struct sweep_entry *e = &w->entries[i];

			if (!is_due(w, e, r, left, now))
				continue;
			e->run = r->id;
			*scan |= e->kind == SWEEP_FORMER;
			n++;
		}
		max = 1;
	}
	return n;
}

/* The cookies are copied behind the pointers: the entries may move while the child starts. */
static char **make_argv(const struct sweep *w, const struct sweep_run *r, size_t n)
{
	char **argv = mem_alloc((n + 4) * sizeof(char *) + n * WIRE_INCARNATION_SIZE);
	size_t k = 3;
	char *text;

	if (!argv)
		return NULL;
	text = (char *)(argv + n + 4);
	argv[0] = (char *)"aictld";
	argv[1] = (char *)"--sweep";
	argv[2] = (char *)"9";
	for (size_t i = 0; i < w->n; i++) {
		if (w->entries[i].run != r->id)
			continue;
		argv[k++] = memcpy(text, w->entries[i].cookie, WIRE_INCARNATION_SIZE);
		text += WIRE_INCARNATION_SIZE;
	}
	return argv;
}

static int start_scan(struct sweep_run *r, size_t n)
{
	struct supervisor *sup = r->sup;
	struct spawn_job *j = &r->job.spawn;
	int e;

	r->argv = make_argv(&sup->sweep, r, n);
	if (!r->argv)
		return -1;
	*j = (struct spawn_job){.exec_fd = sup->self_fd,
				.argv = r->argv,
				.envp = sup->environ_,
				.cwd = "/",
				.umask = 077,
				.n_fds = 3,
				.cell = &r->child.own_cell};
	j->fds[0] = j->fds[1] = sup->spawner.null_fd;
	j->fds[2] = sup->own_log_write_fd;
	e = child_start(&r->child, &r->job);
	if (e < 0) {
		errno = -e;
		log_error("sweep cannot start: %m");
		mem_free(r->argv);
		r->argv = NULL;
		return -1;
	}
	loop_timer_arm(&sup->loop, &r->deadline, clock_mono_ms() + SWEEP_DEADLINE_MS);
	return 0;
}

static void start(struct sweep_run *r)
{
	struct sweep *w = &r->sup->sweep;
	bool scan = false;
	size_t n = claim(w, r, &scan);

	if (n == 0)
		return;
	if (!scan && !child_has_orphans(r->sup)) {
		finish(r->sup, r->id, true);
		return;
	}
	if (start_scan(r, n) < 0)
		finish(r->sup, r->id, false);
}

static void on_timer(void *user)
{
	struct supervisor *sup = user;
	struct sweep *w = &sup->sweep;
	struct sweep_run *lazy = &w->runs[SWEEP_LAZY];
	int64_t now = clock_mono_ms();

	if (!child_is_alive(&w->runs[SWEEP_URGENT].child))
		start(&w->runs[SWEEP_URGENT]);
	if (now >= w->lazy_at_mono_ms && !child_is_alive(&lazy->child)) {
		w->lazy_waiting = false;
		start(lazy);
		w->lazy_at_mono_ms = now + SWEEP_LAZY_MS;
	}
	schedule(sup);
	link_flush(&sup->controller.link);
}

static struct sweep_run *run_of(struct sweep *w, enum sweep_kind kind)
{
	return &w->runs[kind == SWEEP_LAZY ? SWEEP_LAZY : SWEEP_URGENT];
}

/* Arms the timer for what waits and could start; a run that is busy calls again when it ends. */
static void schedule(struct supervisor *sup)
{
	struct sweep *w = &sup->sweep;
	int64_t at = INT64_MAX;

	for (size_t i = 0; i < w->n; i++) {
		const struct sweep_entry *e = &w->entries[i];
		int64_t when = entry_time(w, e);

		if (e->run != 0 || child_is_alive(&run_of(w, (enum sweep_kind)e->kind)->child))
			continue;
		if (when < at)
			at = when;
	}
	loop_timer_arm(&sup->loop, &sup->sweep.timer, at);
}

void sweep_init(struct supervisor *sup)
{
	struct sweep *w = &sup->sweep;

	w->timer = (struct loop_timer){.fn = on_timer, .user = sup};
	for (uint8_t i = 0; i < 2; i++) {
		struct sweep_run *r = &w->runs[i];

		r->sup = r->child.sup = sup;
		r->id = (uint8_t)(i + 1);
		r->child.user = r;
		r->child.on_exit = on_exit_;
		r->deadline = (struct loop_timer){.fn = on_deadline, .user = r};
	}
}

void sweep_done(struct supervisor *sup)
{
	struct sweep *w = &sup->sweep;

	loop_timer_disarm(&sup->loop, &w->timer);
	for (int i = 0; i < 2; i++)
		mem_free(w->runs[i].argv);
	mem_free(w->entries);
	w->entries = NULL;
	w->n = w->cap = 0;
}

/* The oldest waiting entry gives way. */
static void give_up_one(struct sweep *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct sweep_entry e = w->entries[i];

		if (e.run != 0)
			continue;
		memmove(&w->entries[i], &w->entries[i + 1], sizeof(w->entries[0]) * (w->n - i - 1));
		w->n--;
		log_warn("sweep queue full: incarnation=%s is not looked for", e.cookie);
		slot_swept(e.slot, e.cookie);
		return;
	}
}

void sweep_add(struct slot *s, const char *cookie, enum sweep_kind kind)
{
	struct sweep *w = &s->sup->sweep;
	int64_t now = clock_mono_ms(), at;
	struct sweep_entry *e;

	if (w->n >= SWEEP_ENTRIES_MAX)
		give_up_one(w);
	if (mem_grow(&w->entries, &w->cap, w->n + 1, sizeof(*w->entries)) < 0) {
		log_error("out of memory: incarnation=%s is not looked for", cookie);
		return;
	}
	e = &w->entries[w->n++];
	*e = (struct sweep_entry){.slot = s, .kind = (uint8_t)kind};
	memcpy(e->cookie, cookie, WIRE_INCARNATION_SIZE - 1);
	s->unswept++;
	if (kind == SWEEP_LAZY && !w->lazy_waiting) { /* only the first one sets the time */
		w->lazy_waiting = true;
		if (w->lazy_at_mono_ms < now + SWEEP_LAZY_MS)
			w->lazy_at_mono_ms = now + SWEEP_LAZY_MS;
	}
	at = entry_time(w, e);
	if (!w->timer.armed || at < w->timer.deadline_mono_ms)
		loop_timer_arm(&s->sup->loop, &w->timer, at);
}

void sweep_urge(struct slot *s)
{
	struct sweep *w = &s->sup->sweep;

	for (size_t i = 0; i < w->n; i++)
		if (w->entries[i].slot == s && w->entries[i].kind == SWEEP_LAZY)
			w->entries[i].kind = SWEEP_URGENT;
	schedule(s->sup);
}
