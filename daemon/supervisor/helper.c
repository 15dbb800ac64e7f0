/* helper: see helper.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/helper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/control.h"
#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/shutdown.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/sock.h"

#define CLOSED_MS 1000 /* from the end of its socket to its own end */

static void disconnected(struct helper *h)
{
	if (h->on_event)
		h->on_event(h, HELPER_DISCONNECTED);
	if (h->on_disconnect)
		h->on_disconnect(h->sup);
}

static void on_broken(void *user, const char *why)
{
	struct helper *h = user;

	disconnected(h);
	if (!child_is_alive(&h->child) || (h->quitting && !why))
		return;
	if (!why) { /* dying, or a program that closed it and lives on */
		loop_timer_arm(&h->sup->loop, &h->timer, clock_mono_ms() + CLOSED_MS);
		return;
	}
	log_warn("helper=%s pid=%d %s, killing it", h->name, h->child.pid, why);
	child_signal(&h->child, SIGKILL);
}

/* Counts an early death; true when LIMIT of them lie within the window. */
static bool count_early_death(struct helper *h, int64_t now)
{
	unsigned limit = h->sup->opt->restart_limit;

	memmove(&h->early_deaths[1], &h->early_deaths[0],
		sizeof(h->early_deaths) - sizeof(h->early_deaths[0]));
	h->early_deaths[0] = now;
	if (h->n_early_deaths < OPTIONS_RESTART_LIMIT_MAX)
		h->n_early_deaths++;
	if (limit == 0 || h->n_early_deaths < limit ||
	    now - h->early_deaths[limit - 1] > HELPER_WINDOW_MS)
		return false;
	h->n_early_deaths = 0;
	return true;
}

static void start_again(struct helper *h)
{
	const struct options *opt = h->sup->opt;
	int64_t now = clock_mono_ms();

	if (now - h->started_mono_ms >= HELPER_STEADY_MS)
		h->delay_ms = 0;
	else if (count_early_death(h, now) && h->on_early_deaths)
		h->on_early_deaths(h->sup);
	h->restarts++;
	h->sup->control.status_due = true;
	loop_timer_arm(&h->sup->loop, &h->timer, now + h->delay_ms);
	if (h->delay_ms == 0)
		h->delay_ms = opt->restart_initial_ms;
	else
		h->delay_ms = h->delay_ms * 2 < opt->restart_max_ms ? h->delay_ms * 2
								    : opt->restart_max_ms;
}

static void log_start_failure(const struct helper *h)
{
	errno = h->child.own_cell.err;
	log_error("helper=%s cannot start: %s: %m", h->name,
		  wire_stage_name((enum wire_stage)h->child.own_cell.stage));
}

/* Nothing more is heard of it. */
static void hang_up(struct helper *h)
{
	link_drain(&h->link);
	link_close(&h->link);
	disconnected(h);
}

static void ended(struct helper *h)
{
	if (h->quitting) {
		loop_timer_disarm(&h->sup->loop, &h->timer);
		shutdown_poke(h->sup);
		return;
	}
	start_again(h);
	notify_changed(h->sup);
	link_flush(&h->sup->controller.link); /* the restart count */
}

static void note_end(struct helper *h, const siginfo_t *si)
{
	const char *name = si->si_code == CLD_EXITED ? NULL : parse_signal_name(si->si_status);

	if (name)
		snprintf(h->last_end, sizeof(h->last_end), "%s", name);
	else
		snprintf(h->last_end, sizeof(h->last_end), "%s %d",
			 si->si_code == CLD_EXITED ? "exit" : "signal", si->si_status);
}

static void on_exit_(void *user, const siginfo_t *si)
{
	struct helper *h = user;

	note_end(h, si);
	hang_up(h);
	if (h->child.own_cell.stage != WIRE_STAGE_EXEC || h->child.own_cell.err != 0)
		log_start_failure(h);
	else if (!h->quitting)
		log_warn("helper=%s died %s=%d", h->name,
			 si->si_code == CLD_EXITED ? "exit" : "signal", si->si_status);
	ended(h);
}

bool helper_leave(struct helper *h, struct child *to)
{
	if (child_move(&h->child, to) < 0)
		return false;
	hang_up(h);
	ended(h);
	return true;
}

static void fill_job(struct helper *h, int peer_fd)
{
	struct spawn_job *j = &h->job.spawn;

	*j = (struct spawn_job){.exec_fd = h->binary_fd,
				.argv = h->argv,
				.envp = h->sup->environ_,
				.cwd = "/",
				.set_user = h->user.set,
				.uid = h->user.uid,
				.gid = h->user.gid,
				.groups = h->user.groups,
				.n_groups = h->user.n_groups,
				.umask = 027,
				.n_fds = 4,
				.cell = &h->child.own_cell};
	j->fds[0] = j->fds[1] = h->sup->spawner.null_fd;
	j->fds[2] = h->stderr_fd;
	j->fds[3] = peer_fd;
}

static int try_start(struct helper *h)
{
	int pair[2], r = sock_pair(pair);

	if (r < 0)
		return r;
	fill_job(h, pair[1]);
	r = link_open(&h->link, pair[0]); /* takes the descriptor */
	if (r == 0) {
		r = child_start(&h->child, &h->job);
		if (r < 0)
			link_close(&h->link);
	}
	close(pair[1]);
	return r;
}

void helper_start(struct helper *h)
{
	int r;

	if (h->quitting || child_is_alive(&h->child))
		return;
	h->started_mono_ms = clock_mono_ms();
	r = try_start(h);
	if (r < 0) {
		errno = -r;
		log_error("helper=%s cannot start: %m", h->name);
		start_again(h);
		return;
	}
	log_info("helper=%s pid=%d started", h->name, h->child.pid);
	notify_changed(h->sup);
	helpers_note(h);
	h->sup->control.status_due = true;
	if (h->on_event)
		h->on_event(h, HELPER_CONNECTED);
	else
		h->on_connect(h->sup);
	link_flush(&h->link);
	if (&h->sup->controller != h)
		link_flush(&h->sup->controller.link);
}

static void on_timer(void *user)
{
	struct helper *h = user;

	if (!child_is_alive(&h->child)) {
		helper_start(h);
		return;
	}
	log_warn("helper=%s pid=%d did not end in time, killing it", h->name, h->child.pid);
	child_signal(&h->child, SIGKILL);
}

void helper_init(struct helper *h)
{
	h->timer = (struct loop_timer){.fn = on_timer, .user = h};
	h->child.sup = h->sup;
	h->child.user = h;
	h->child.on_exit = on_exit_;
	h->link.sup = h->sup;
	h->link.on_broken = on_broken;
	h->link.user = h;
	link_init(&h->link);
}

void helper_done(struct helper *h)
{
	loop_timer_disarm(&h->sup->loop, &h->timer);
	link_close(&h->link);
	mem_strv_free(h->argv);
	h->argv = NULL;
	mem_closep(&h->binary_fd);
}

void helper_quit(struct helper *h, int64_t grace_ms)
{
	if (h->quitting)
		return;
	h->quitting = true;
	loop_timer_disarm(&h->sup->loop, &h->timer);
	if (!child_is_alive(&h->child))
		return;
	if (h->on_event)
		h->on_event(h, HELPER_QUIT);
	else if (h->on_quit)
		h->on_quit(h->sup);
	else if (h->link.fd >= 0)
		shutdown(h->link.fd, SHUT_WR); /* EOF there; what it still says can be read */
	loop_timer_arm(&h->sup->loop, &h->timer, clock_add(clock_mono_ms(), grace_ms));
}

bool helper_is_gone(const struct helper *h)
{
	return !child_is_alive(&h->child);
}

int helper_pid(const struct helper *h)
{
	return h->child.pid;
}
