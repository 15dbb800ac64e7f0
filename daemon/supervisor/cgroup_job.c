/* cgroup_job: see cgroup_job.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/cgroup_job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/cgroup_limits.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"

/* Of limits that were to change live. */
static void note_result(const struct cgroup_job *j, bool done)
{
	char **failed = &j->slot->cgroup.limits_failed, text[WIRE_LIMITS_FAILED_SIZE] = "";

	if (!done && (j->text_fd < 0 || fs_read_some(j->text_fd, text, sizeof(text) - 1) <= 0))
		snprintf(text, sizeof(text), "not done in time");
	text[strcspn(text, "\n")] = '\0';
	if (done && !*failed)
		return;
	mem_free(*failed);
	*failed = done ? NULL : mem_strdup(text);
	control_mark(j->sup, j->slot);
}

static void end(struct cgroup_job *j, bool done)
{
	struct slot *s = j->slot;

	if (s && j->limits)
		note_result(j, done);
	mem_closep(&j->text_fd);
	mem_strv_free(j->argv);
	j->argv = NULL;
	j->slot = NULL;
	if (done || !s)
		return;
	log_warn("replica=%s/%u cgroup: %s", s->t->service, s->t->index,
		 j->limits ? "not all limits could be set" : "not all of it could be killed");
	if (j->limits)
		s->cgroup.limits_known = false; /* the next start begins with a new one */
	control_mark(j->sup, s);
}

static void on_exit_(void *user, const siginfo_t *si)
{
	struct cgroup_job *j = user;

	loop_timer_disarm(&j->sup->loop, &j->deadline);
	end(j, si->si_code == CLD_EXITED && si->si_status == 0);
	cgroup_job_start_due(j->sup);
	link_flush(&j->sup->controller.link);
}

static void on_deadline(void *user)
{
	struct cgroup_job *j = user;

	log_warn("pid=%d takes too long to write to a cgroup, killing it", j->child.pid);
	child_signal(&j->child, SIGKILL);
}

void cgroup_job_init(struct supervisor *sup)
{
	for (int i = 0; i < CGROUP_JOBS_MAX; i++) {
		struct cgroup_job *j = &sup->cgroups.jobs[i];

		j->sup = j->child.sup = sup;
		j->text_fd = -1;
		j->child.user = j;
		j->child.on_exit = on_exit_;
		j->deadline = (struct loop_timer){.fn = on_deadline, .user = j};
	}
}

void cgroup_job_done(struct supervisor *sup)
{
	for (int i = 0; i < CGROUP_JOBS_MAX; i++) {
		struct cgroup_job *j = &sup->cgroups.jobs[i];

		if (!j->sup)
			continue;
		loop_timer_disarm(&sup->loop, &j->deadline);
		mem_closep(&j->text_fd);
		mem_strv_free(j->argv);
		j->argv = NULL;
	}
}

void cgroup_job_forget(struct slot *s)
{
	for (int i = 0; i < CGROUP_JOBS_MAX; i++)
		if (s->sup->cgroups.jobs[i].slot == s)
			s->sup->cgroups.jobs[i].slot = NULL;
}

/* aictld --cgroup-write DIR FILE=VALUE..., or --cgroup-kill DIR. The caller frees. */
static char **make_argv(const struct slot *s, bool limits)
{
	static const struct wire_limits none;
	const struct supervisor *sup = s->sup;
	struct cgroup_limit list[CGROUP_LIMITS_MAX];
	char path[WIRE_PATH_SIZE];
	struct wire_key key;
	unsigned n = 0, k = 3;
	char **argv = mem_array(4 + CGROUP_LIMITS_MAX, sizeof(*argv));

	if (!argv)
		return NULL;
	if (limits)
		n = cgroup_limits_fill(list, s->cgroup.limits ? &s->cgroup.limits->limits : &none,
				       sup->cgroups.can, false);
	argv[0] = mem_strdup("aictld");
	argv[1] = mem_strdup(limits ? "--cgroup-write" : "--cgroup-kill");
	supervisor_fill_key(&key, s, s->t->incarnation);
	argv[2] = wire_cgroup_path(path, sizeof(path), sup->cgroups.dir, &key) == 0
			  ? mem_strdup(path)
			  : NULL;
	for (unsigned i = 0; i < n; i++)
		argv[k++] = mem_printf("%s=%s", list[i].file, list[i].value);
	for (unsigned i = 0; i < k; i++) {
		if (argv[i])
			continue;
		for (unsigned o = 0; o < k; o++)
			mem_free(argv[o]);
		mem_free(argv);
		return NULL;
	}
	return argv;
}

/* 0 or -errno. */
static int start(struct cgroup_job *j, struct slot *s)
{
	struct supervisor *sup = j->sup;
	struct spawn_job *job = &j->job.spawn;
	int r = -ENOMEM, p[2] = {-1, -1};

	j->limits = !s->cgroup.kill_due;
	j->argv = cgroup_exists(s) ? make_argv(s, j->limits) : NULL;
	if (j->argv && pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = -errno;
	} else if (j->argv) {
		j->text_fd = p[0];
		*job = (struct spawn_job){.exec_fd = sup->self_fd,
					  .argv = j->argv,
					  .envp = sup->environ_,
					  .cwd = "/",
					  .umask = 077,
					  .n_fds = 3,
					  .cell = &j->child.own_cell};
		job->fds[0] = cgroup_fd(s); /* it may be made anew before the child looks */
		job->fds[1] = p[1];
		job->fds[2] = sup->own_log_write_fd;
		r = child_start(&j->child, &j->job);
		close(p[1]);
	}
	j->slot = s;
	if (j->limits)
		s->cgroup.limits_due = false;
	else
		s->cgroup.kill_due = false;
	if (r == 0)
		loop_timer_arm(&sup->loop, &j->deadline, clock_mono_ms() + CGROUP_JOB_MS);
	return r;
}

static struct cgroup_job *free_job(struct supervisor *sup)
{
	for (int i = 0; i < CGROUP_JOBS_MAX; i++)
		if (!child_is_alive(&sup->cgroups.jobs[i].child))
			return &sup->cgroups.jobs[i];
	return NULL;
}

static bool is_busy(const struct supervisor *sup, const struct slot *s)
{
	for (int i = 0; i < CGROUP_JOBS_MAX; i++)
		if (sup->cgroups.jobs[i].slot == s)
			return true;
	return false;
}

static struct slot *next_due(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		uint32_t at = (sup->cgroups.next_due + i) % sup->n_slots;
		struct slot *s = sup->slots[at];

		if (!s || !(s->cgroup.limits_due || s->cgroup.kill_due) || is_busy(sup, s))
			continue;
		sup->cgroups.next_due = at + 1;
		return s;
	}
	return NULL;
}

void cgroup_job_start_due(struct supervisor *sup)
{
	struct cgroup_job *j;
	struct slot *s;

	while ((j = free_job(sup)) && (s = next_due(sup))) {
		int r = start(j, s);

		if (r < 0) {
			errno = -r;
			log_error("cannot start a child for a cgroup: %m");
			end(j, false);
		}
	}
}
