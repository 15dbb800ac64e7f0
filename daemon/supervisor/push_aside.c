/* push_aside: see push_aside.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/push_aside.h"

#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/supervisor/push.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/spawn.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define RETRY_MS 1000

struct push_aside {
	struct push_aside *next;
	struct supervisor *sup;
	const struct slot *slot; /* NULL = that is gone */
	struct push *push;	 /* what waits for it; NULL = nothing */
	bool running;
	int fd; /* a socket of nobody's, ours to close when the reader runs; -1 = none */
	struct spawn_reader reader;
	struct loop_io io;
};

static void retry_later(struct supervisor *sup, int64_t in_ms)
{
	loop_timer_arm(&sup->loop, &sup->pushes.asides.retry, clock_mono_ms() + in_ms);
}

static void forget(struct push_aside *a)
{
	struct push_aside **at = &a->sup->pushes.asides.first;

	while (*at && *at != a)
		at = &(*at)->next;
	if (*at)
		*at = a->next;
	mem_closep(&a->fd);
	mem_free(a);
}

static void ended(struct push_aside *a)
{
	struct supervisor *sup = a->sup;
	struct push_asides *all = &sup->pushes.asides;

	loop_del(&sup->loop, &a->io);
	spawn_reader_ended(&sup->spawner, &a->reader);
	all->n_running--;
	if (all->retry.armed)
		retry_later(sup, 0);
	if (all->n_running < PUSH_ASIDES_MAX / 2)
		all->told = false;
	if (a->push) {
		a->push->aside = NULL;
		loop_mod(&sup->loop, &a->push->io, EPOLLIN);
	}
	forget(a);
}

static void on_aside(void *user, uint32_t events)
{
	(void)events;
	ended(user);
}

/* False: there are too many, or it cannot be made. */
static bool run(struct push_aside *a, int fd)
{
	struct push_asides *all = &a->sup->pushes.asides;

	if (all->n_running >= PUSH_ASIDES_MAX) {
		if (!all->told)
			log_warn(
				"%u processes wait for the end of descriptors that services sent to "
				"their notify sockets: others wait for their turn",
				all->n_running);
		all->told = true;
		return false;
	}
	if (spawn_read_away(&a->sup->spawner, &a->reader, fd) < 0)
		return false;
	a->running = true;
	all->n_running++;
	a->io = (struct loop_io){.fn = on_aside, .user = a};
	if (loop_add(&a->sup->loop, &a->io, a->reader.pidfd, EPOLLIN) < 0)
		retry_later(a->sup, RETRY_MS); /* looks for its end */
	return true;
}

static struct push_aside *new_aside(struct supervisor *sup, const struct slot *s)
{
	struct push_asides *all = &sup->pushes.asides;
	struct push_aside *a = mem_alloc(sizeof(*a));

	if (!a)
		return NULL;
	*a = (struct push_aside){.next = all->first, .sup = sup, .slot = s, .fd = -1};
	all->first = a;
	return a;
}

bool push_aside_read(struct push *p)
{
	struct push_aside *a = new_aside(p->slot->sup, p->slot);

	loop_mod(&p->slot->sup->loop, &p->io, 0);
	if (a && run(a, p->fd)) {
		a->push = p;
		p->aside = a;
		return true;
	}
	if (a)
		forget(a);
	p->deaf = true;
	retry_later(p->slot->sup, RETRY_MS);
	return false;
}

bool push_aside_is_full(const struct slot *s)
{
	const struct push_asides *all = &s->sup->pushes.asides;
	unsigned n = 0;

	for (const struct push_aside *a = all->first; a; a = a->next)
		n += a->slot == s;
	return n >= PUSH_SLOT_ASIDES_MAX || all->n_running >= PUSH_ASIDES_MAX;
}

void push_aside_drop(struct supervisor *sup, const struct slot *s, int fd)
{
	struct push_aside *a;
	char byte;

	shutdown(fd, SHUT_RD);
	/* What has not been read goes with the last one who has the socket: not with us. */
	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 && (a = new_aside(sup, s))) {
		a->fd = TAKE_FD(fd);
		if (run(a, a->fd))
			mem_closep(&a->fd);
		else
			retry_later(sup, RETRY_MS);
	}
	mem_closep(&fd);
}

void push_aside_close(struct push *p)
{
	struct supervisor *sup = p->slot->sup;
	struct push_aside *a = TAKE_PTR(p->aside);

	if (a) {
		a->push = NULL;
		pidfd_send_signal(a->reader.pidfd, SIGKILL, NULL, 0);
	}
	loop_del(&sup->loop, &p->io);
	if (p->fd >= 0)
		push_aside_drop(sup, p->slot, TAKE_FD(p->fd));
}

void push_aside_forget(const struct slot *s)
{
	for (struct push_aside *a = s->sup->pushes.asides.first; a; a = a->next)
		if (a->slot == s)
			a->slot = NULL;
}

static bool has_ended(const struct push_aside *a)
{
	siginfo_t si = {0};

	return waitid((idtype_t)P_PIDFD, (id_t)a->reader.pidfd, &si, WEXITED | WNOHANG | WNOWAIT) <
		       0 ||
	       si.si_pid != 0;
}

static void on_retry(void *user)
{
	struct supervisor *sup = user;
	bool again = false;

	for (struct push_aside *a = sup->pushes.asides.first, *next; a; a = next) {
		next = a->next;
		if (a->running && !loop_is_added(&a->io) && has_ended(a)) {
			ended(a);
			continue;
		}
		if (!a->running && run(a, a->fd))
			mem_closep(&a->fd);
		again |= !a->running || !loop_is_added(&a->io);
	}
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		struct push *p = sup->slots[i] ? sup->slots[i]->push : NULL;

		if (!p || !p->deaf)
			continue;
		p->deaf = false; /* its messages are looked at again */
		loop_mod(&sup->loop, &p->io, EPOLLIN);
	}
	if (again)
		retry_later(sup, RETRY_MS);
}

void push_aside_init(struct supervisor *sup)
{
	sup->pushes.asides.retry = (struct loop_timer){.fn = on_retry, .user = sup};
}

/* Who still reads, uses its own memory of ours. */
void push_aside_done(struct supervisor *sup)
{
	loop_timer_disarm(&sup->loop, &sup->pushes.asides.retry);
	for (struct push_aside *a = sup->pushes.asides.first; a; a = a->next)
		loop_del(&sup->loop, &a->io);
}
