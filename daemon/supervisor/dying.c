/* dying: see dying.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/dying.h"

#include <fcntl.h>
#include <unistd.h>

#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

static void leave(struct supervisor *sup);

static void on_left_exit(void *user, const siginfo_t *si)
{
	struct dying_child *l = user;

	(void)si;
	log_info("pid=%d a former aictl-logger has ended: the file system answers again", l->pid);
	l->pid = 0;
	leave(l->sup);
}

static struct dying_child *free_place(struct dying *d)
{
	for (int i = 0; i < DYING_MAX; i++)
		if (d->left[i].pid == 0)
			return &d->left[i];
	return NULL;
}

/* The logger that dies is left to itself, if it still does so. */
static void leave(struct supervisor *sup)
{
	struct dying *d = &sup->dying;
	struct dying_child *l = free_place(d);
	struct helper *h = &sup->logger;
	int pid = d->pid;

	if (pid == 0 || pid != helper_pid(h))
		return;
	if (!l) {
		log_error("helper=%s pid=%d hangs in the kernel, on a disk that does not answer, "
			  "as others before it: waiting for one of them",
			  h->name, pid);
		return;
	}
	if (!proc_is_ending(pid) ||
	    !helper_leave(h, &l->child)) { /* it closed the pipe; no descriptors */
		loop_timer_arm(&sup->loop, &d->timer, clock_mono_ms() + DYING_MS);
		return;
	}
	l->pid = pid;
	d->pid = 0;
	log_error("helper=%s pid=%d was killed, and hangs in the kernel, on a disk that does not "
		  "answer: %s",
		  h->name, pid, h->quitting ? "leaving it" : "starting the next one beside it");
}

static void on_timer(void *user)
{
	leave(user);
}

/* Nobody ever writes. */
static void on_end(void *user, uint32_t events)
{
	struct supervisor *sup = user;
	struct dying *d = &sup->dying;

	(void)events;
	loop_del(&sup->loop, &d->io);
	mem_closep(&d->fds[0]);
	d->pid = helper_pid(&sup->logger);
	loop_timer_arm(&sup->loop, &d->timer, clock_mono_ms() + DYING_MS);
}

static void close_all(struct supervisor *sup)
{
	struct dying *d = &sup->dying;

	loop_timer_disarm(&sup->loop, &d->timer);
	loop_del(&sup->loop, &d->io);
	mem_closep(&d->fds[0]);
	mem_closep(&d->fds[1]);
	d->pid = 0;
}

void dying_renew(struct supervisor *sup)
{
	struct dying *d = &sup->dying;

	close_all(sup);
	if (pipe2(d->fds, O_CLOEXEC | O_NONBLOCK) < 0)
		d->fds[0] = d->fds[1] = -1;
	else if (loop_add(&sup->loop, &d->io, d->fds[0], EPOLLIN) < 0)
		close_all(sup);
}

int dying_fd(const struct supervisor *sup)
{
	return sup->dying.fds[1];
}

void dying_sent(struct supervisor *sup)
{
	mem_closep(&sup->dying.fds[1]);
}

void dying_init(struct supervisor *sup)
{
	struct dying *d = &sup->dying;

	d->fds[0] = d->fds[1] = -1;
	d->io = (struct loop_io){.fn = on_end, .user = sup};
	d->timer = (struct loop_timer){.fn = on_timer, .user = sup};
	for (int i = 0; i < DYING_MAX; i++) {
		struct dying_child *l = &d->left[i];

		l->sup = l->child.sup = sup;
		l->child.user = l;
		l->child.on_exit = on_left_exit;
	}
}

void dying_done(struct supervisor *sup)
{
	close_all(sup);
}
