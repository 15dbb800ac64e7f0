/* child: see child.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "daemon/wire/wire.h"
#include "lib/log.h"
#include "lib/mem.h"

#define COLLECT_MAX 256 /* orphans in one round */

static struct child **bucket(struct supervisor *sup, int pid)
{
	return &sup->by_pid[(unsigned)pid % CHILD_BUCKETS];
}

static struct child *find(struct supervisor *sup, int pid)
{
	struct child *c = *bucket(sup, pid);

	while (c && c->pid != pid)
		c = c->next_of_pid;
	return c;
}

/* No longer ours to watch; returns the pidfd, which is the caller's. */
static int forget(struct child *c)
{
	struct child **at = bucket(c->sup, c->pid);

	while (*at && *at != c)
		at = &(*at)->next_of_pid;
	if (*at)
		*at = c->next_of_pid;
	loop_del(&c->sup->loop, &c->pidfd_io);
	c->pid = 0;
	return TAKE_FD(c->pidfd);
}

static void free_memory(struct child *c)
{
	if (!c->job.stack)
		return;
	loop_del(&c->sup->loop, &c->gone_io);
	spawn_finish(&c->sup->spawner, &c->job);
	if (c->on_memory_free)
		c->on_memory_free(c->user);
}

static void on_gone(void *user, uint32_t events)
{
	(void)events; /* nobody ever writes into the pipe: readable is EOF */
	free_memory(user);
}

/* The child ended: tells its owner, who may start the next one, and reaps it. */
static void reap(struct child *c)
{
	_cleanup_close_ int pidfd = -1;
	siginfo_t si = {0};

	if (waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    si.si_pid == 0)
		return;
	if (c->job.cell->stage >= WIRE_STAGE_FDS)
		kill(-c->pid, SIGKILL); /* its zombie still pins the group's id */
	free_memory(c);
	if (c->on_death)
		c->on_death(c->user, &si);
	pidfd = forget(c);
	c->on_exit(c->user, &si); /* c may run again, or be gone */
	if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG) < 0)
		log_error("pid=%d cannot be reaped: errno %d", si.si_pid, errno);
}

static void on_pidfd(void *user, uint32_t events)
{
	(void)events;
	reap(user);
}

static int watch(struct child *c)
{
	int r;

	c->pidfd_io.fn = on_pidfd;
	c->gone_io.fn = on_gone;
	c->pidfd_io.user = c->gone_io.user = c;
	r = loop_add(&c->sup->loop, &c->pidfd_io, c->pidfd, EPOLLIN);
	if (r == 0)
		r = loop_add(&c->sup->loop, &c->gone_io, c->job.gone_fd, EPOLLIN);
	return r;
}

int child_start(struct child *c)
{
	struct child **at;
	int r;

	if (!c->job.cell)
		c->job.cell = &c->own_cell;
	c->pidfd = -1;
	r = spawn_start(&c->sup->spawner, &c->job, &c->pidfd);
	if (r < 0)
		return r;
	c->pid = r;
	at = bucket(c->sup, c->pid);
	c->next_of_pid = *at;
	*at = c;
	r = watch(c);
	if (r < 0) { /* it lives: SIGCHLD will find it, its memory is freed then */
		log_error("pid=%d cannot be watched: errno %d, killing it", c->pid, -r);
		child_signal(c, SIGKILL);
	}
	return 0;
}

bool child_is_alive(const struct child *c)
{
	return c->pid > 0;
}

bool child_has_execed(const struct child *c)
{
	return c->pid > 0 && !c->job.stack && c->job.cell->stage == WIRE_STAGE_EXEC &&
	       c->job.cell->err == 0;
}

void child_signal(struct child *c, int sig)
{
	if (c->pid > 0)
		pidfd_send_signal(c->pidfd, sig, NULL, 0);
}

void child_signal_group(struct child *c, int sig)
{
	if (c->pid <= 0)
		return;
	if (c->job.cell->stage < WIRE_STAGE_FDS) {
		child_signal(c, sig);
		return;
	}
	kill(-c->pid, sig);
	if (sig != SIGKILL && sig != SIGSTOP && sig != SIGTSTP)
		kill(-c->pid, SIGCONT);
}

void child_collect(struct supervisor *sup)
{
	for (int i = 0; i < COLLECT_MAX; i++) {
		siginfo_t si = {0};
		struct child *c;

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
			return;
		c = find(sup, si.si_pid);
		if (c)
			reap(c);
		else
			waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG);
	}
	kill(getpid(), SIGCHLD); /* more: in the next round */
}

/* Calls fn for each child that nobody here started; true when there was one, or none can tell. */
static bool each_orphan(struct supervisor *sup, void (*fn)(int pid))
{
	_cleanup_close_ int fd = -1;
	char path[64], part[4096];
	bool found = false;
	int pid = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true; /* a kernel without it: somebody has to look closer */
	while ((n = read(fd, part, sizeof(part))) > 0) { /* "PID PID PID " */
		for (ssize_t i = 0; i < n; i++) {
			if (part[i] >= '0' && part[i] <= '9') {
				pid = pid * 10 + (part[i] - '0');
				continue;
			}
			if (pid != 0 && !find(sup, pid)) {
				found = true;
				fn(pid);
			}
			pid = 0;
		}
	}
	return found || n < 0;
}

static void leave_orphan(int pid)
{
	(void)pid;
}

static void kill_orphan(int pid)
{
	log_warn("pid=%d is an untracked left-over of a service, killing it", pid);
	kill(pid, SIGKILL); /* our child, and only we reap it: the pid cannot be another's */
}

bool child_has_orphans(struct supervisor *sup)
{
	child_collect(sup);
	return each_orphan(sup, leave_orphan);
}

bool child_kill_orphans(struct supervisor *sup)
{
	child_collect(sup);
	return each_orphan(sup, kill_orphan);
}
