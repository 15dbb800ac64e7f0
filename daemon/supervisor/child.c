/* child: see child.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP 4
#endif
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
	loop_timer_disarm(&c->sup->loop, &c->timer);
	c->pid = 0;
	return TAKE_FD(c->pidfd);
}

static void free_memory(struct child *c)
{
	struct child_job *job = TAKE_PTR(c->job);

	if (!job)
		return;
	loop_del(&c->sup->loop, &job->gone_io);
	loop_timer_disarm(&c->sup->loop, &c->timer);
	spawn_finish(&c->sup->spawner, &job->spawn);
	if (job->spawn.reset_oom_score && child_has_execed(c))
		spawn_reset_oom_score(c->pid);
	if (c->on_memory_free)
		c->on_memory_free(c->user);
}

static void on_gone(void *user, uint32_t events)
{
	struct child *c = user;

	(void)events;
	if (spawn_gone(&c->sup->spawner, &c->job->spawn))
		free_memory(c);
}

void child_look(struct child *c)
{
	if (c->pid > 0 && c->job && spawn_gone(&c->sup->spawner, &c->job->spawn))
		free_memory(c);
}

static void on_exec_due(void *user)
{
	struct child *c = user;
	int r;

	if (spawn_gone(&c->sup->spawner, &c->job->spawn)) {
		free_memory(c);
		return;
	}
	c->job->gone_io = (struct loop_io){.fn = on_gone, .user = c};
	r = loop_add(&c->sup->loop, &c->job->gone_io, c->job->spawn.gone_fd, EPOLLIN);
	if (r < 0) /* it is looked after now and then */
		loop_timer_arm(&c->sup->loop, &c->timer, clock_mono_ms() + CHILD_STATUS_MS);
}

/*
 * False when there is no such group, or none that is surely this one: the number may be another's
 * once a foreign leader is reaped. Through the pidfd it is the right one or nobody (Linux 6.9).
 */
static bool signal_group(const struct child *c, int sig)
{
	if (!c->adopted)
		return kill(-c->pid, sig) == 0;
	if (pidfd_send_signal(c->pidfd, sig, NULL, PIDFD_SIGNAL_PROCESS_GROUP) == 0)
		return true;
	return errno == EINVAL && proc_lives(c->pidfd) && kill(-c->pid, sig) == 0;
}

/* The end of one that is not our child. False: not yet to be told. */
static bool ask_foreign(struct child *c, siginfo_t *si)
{
	int status = 0;
	enum proc_end end = proc_end(c->pidfd, c->pid, &status);

	if (end == PROC_LIVES)
		return false;
	if (end == PROC_ZOMBIE && !c->timer.armed) {
		loop_mod(&c->sup->loop, &c->pidfd_io, 0); /* EPOLLHUP: it is reaped */
		loop_timer_arm(&c->sup->loop, &c->timer, clock_mono_ms() + CHILD_STATUS_MS);
	}
	if (end == PROC_ZOMBIE)
		return false;
	*si = (siginfo_t){.si_code = CHILD_UNKNOWN};
	si->si_pid = c->pid;
	if (end == PROC_STATUS) {
		si->si_code = WIFEXITED(status)	  ? CLD_EXITED
			      : WCOREDUMP(status) ? CLD_DUMPED
						  : CLD_KILLED;
		si->si_status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
	}
	return true;
}

/* Tells the owner, who may start the next one, and reaps it. */
static void end(struct child *c, siginfo_t *si, bool ours)
{
	_cleanup_close_ int pidfd = -1;

	POINT("aictld.exit.seen");
	if (c->cell->stage >= WIRE_STAGE_FDS) {
		if (ours)
			kill(-c->pid, SIGKILL); /* its zombie still pins the group's id */
		else
			signal_group(c, SIGKILL);
	}
	free_memory(c);
	if (c->on_death)
		c->on_death(c->user, si);
	POINT("aictld.exit.told");
	pidfd = forget(c);
	c->on_exit(c->user, si); /* c may run again, or be gone */
	POINT("aictld.exit.reaping");
	if (ours && waitid((idtype_t)P_PIDFD, (id_t)pidfd, si, WEXITED | WNOHANG) < 0)
		log_error("pid=%d cannot be reaped: errno %d", si->si_pid, errno);
	POINT("aictld.exit.reaped");
}

static void reap(struct child *c)
{
	siginfo_t si = {0};

	if (waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG | WNOWAIT) == 0) {
		if (si.si_pid != 0)
			end(c, &si, true);
		else /* a zombie of its tracer's: when that lets it go, SIGCHLD comes */
			loop_mod(&c->sup->loop, &c->pidfd_io, 0);
	} else if (c->adopted && ask_foreign(c, &si)) {
		end(c, &si, false);
	}
}

static void on_pidfd(void *user, uint32_t events)
{
	(void)events;
	reap(user);
}

/* Whoever should reap it does not. */
static void on_status(void *user)
{
	struct child *c = user;
	siginfo_t si = {.si_code = CHILD_UNKNOWN};

	if (ask_foreign(c, &si) || c->timer.armed) {
		si.si_pid = c->pid;
		end(c, &si, false);
	}
}

static int watch(struct child *c)
{
	c->pidfd_io = (struct loop_io){.fn = on_pidfd, .user = c};
	c->timer = (struct loop_timer){.fn = on_exec_due, .user = c};
	loop_timer_arm(&c->sup->loop, &c->timer, clock_mono_ms() + CHILD_EXEC_MS);
	return loop_add(&c->sup->loop, &c->pidfd_io, c->pidfd, EPOLLIN);
}

static void remember(struct child *c)
{
	struct child **at = bucket(c->sup, c->pid);

	c->next_of_pid = *at;
	*at = c;
}

int child_start(struct child *c, struct child_job *job)
{
	int r;

	if (!job->spawn.cell)
		job->spawn.cell = &c->own_cell;
	c->cell = job->spawn.cell;
	c->pidfd = -1;
	c->adopted = c->half_made = false;
	POINT("aictld.spawn.cloning");
	r = spawn_start(&c->sup->spawner, &job->spawn, &c->pidfd);
	POINT("aictld.spawn.cloned");
	if (r < 0)
		return r;
	c->job = job;
	c->pid = r;
	remember(c);
	r = watch(c);
	if (r < 0) { /* it lives: SIGCHLD will find it, its memory is freed then */
		log_error("pid=%d cannot be watched: errno %d, killing it", c->pid, -r);
		child_signal(c, SIGKILL);
	}
	return 0;
}

int child_adopt(struct child *c, int pid, int pidfd)
{
	int r;

	c->adopted = true;
	c->half_made = false;
	c->pidfd_io = (struct loop_io){.fn = on_pidfd, .user = c};
	c->timer = (struct loop_timer){.fn = on_status, .user = c};
	r = loop_add(&c->sup->loop, &c->pidfd_io, pidfd, EPOLLIN);
	if (r < 0) {
		close(pidfd);
		return r;
	}
	c->pid = pid;
	c->pidfd = pidfd;
	remember(c);
	return 0;
}

int child_replace(struct child *c, int pid, int pidfd)
{
	bool adopted = c->adopted;
	int former_pid = c->pid, former = forget(c);
	int r = child_adopt(c, pid, pidfd);

	if (r == 0) {
		close(former);
		return 0;
	}
	c->adopted = adopted;
	c->pid = former_pid;
	c->pidfd = former;
	remember(c);
	if (loop_add(&c->sup->loop, &c->pidfd_io, former, EPOLLIN) < 0) /* SIGCHLD will find it */
		log_error("pid=%d cannot be watched any more", c->pid);
	return r;
}

int child_move(struct child *c, struct child *to)
{
	int pidfd, r;

	if (c->pid <= 0 || c->job || c->half_made)
		return -EBUSY;
	pidfd = fcntl(c->pidfd, F_DUPFD_CLOEXEC, 0);
	if (pidfd < 0)
		return -errno;
	r = child_adopt(to, c->pid, pidfd);
	if (r < 0)
		return r;
	to->adopted = c->adopted;
	to->own_cell = *c->cell;
	to->cell = &to->own_cell;
	close(forget(c));
	return 0;
}

bool child_is_alive(const struct child *c)
{
	return c->pid > 0;
}

bool child_has_execed(const struct child *c)
{
	return c->pid > 0 && !c->job && !c->half_made && c->cell->stage == WIRE_STAGE_EXEC &&
	       c->cell->err == 0;
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
	if (c->cell->stage < WIRE_STAGE_FDS) {
		child_signal(c, sig);
		return;
	}
	if (!signal_group(c, sig)) /* MAINPID named one that leads none */
		child_signal(c, sig);
	if (sig != SIGKILL && sig != SIGSTOP && sig != SIGTSTP)
		signal_group(c, SIGCONT);
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
