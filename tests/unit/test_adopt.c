/*
 * test_adopt: aictld is killed and started again in the same directory. The helpers are played by
 * the test (aictld_rig.h); as subreaper it also is the init that inherits the services, so it
 * decides whether their zombies are reaped.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/table.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/unit/adopt_rig.h"
#include "tests/unit/aictld_rig.h"

/* ---- what the kernel and the directory tell ---- */

static bool kernel_keeps_statuses(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	assert_int_equal(uname(&u), 0);
	assert_int_equal(sscanf(u.release, "%d.%d", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 15);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_ino;
}

static void wait_dead(pid_t pid)
{
	int64_t until = clock_mono_ms() + RIG_TIMEOUT_MS;

	while (rig_is_alive(pid) && clock_mono_ms() < until)
		usleep(2000);
	assert_false(rig_is_alive(pid));
}

/* As init would; true when it was ours to reap. */
static bool reap(pid_t pid)
{
	wait_dead(pid);
	return waitpid(pid, NULL, WNOHANG) == pid;
}

static int spawn_running(struct rig *r, struct wire_key *k, const char *service, const char *script,
			 int64_t grace_ms)
{
	*k = rig_key(r, service, 0);
	rig_spawn_sh(r, k, script, grace_ms);
	return rig_wait_state(r, k, WIRE_SLOT_RUNNING)->m.pid;
}

/* ---- the old logger ---- */

static void forget_streams(struct rig *r)
{
	for (unsigned i = 0; i < r->n_streams; i++) {
		mem_closep(&r->streams[i].fds[0]);
		mem_closep(&r->streams[i].fds[1]);
		mem_closep(&r->streams[i].pidfd);
	}
	r->n_streams = 0;
}

#define ALL (WIRE_GIVE_STDOUT | WIRE_GIVE_STDERR | WIRE_GIVE_PIDFD)

/* ---- tests ---- */

static int waits_in(int pipe_fd)
{
	int n = 0;

	assert_int_equal(ioctl(pipe_fd, FIONREAD, &n), 0);
	return n;
}

static void a_logger_gives_back(void **state)
{
	struct wire_key lives, ended, drains;
	uint64_t ino, drain_ino;
	const struct wire_exit *x;
	struct rig_helper logger;
	struct wire_packet *p;
	int pid, gone, fd;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	r.logger_drains = false;
	pid = spawn_running(&r, &lives, "lives",
			    "setsid sleep 1001 & "
			    "while sleep 0.02; do echo more; done",
			    1000);
	gone = spawn_running(&r, &ended, "ended", "echo last; while sleep 0.02; do :; done", 1000);
	drains = rig_key(&r, "drains", 0);
	rig_spawn_sh(&r, &drains, "echo unread", 1000);
	rig_wait_exit_of(&r, &drains);
	RIG_UNTIL(&r, rig_stream(&r, &drains) && rig_stream(&r, &drains)->gone &&
			      rig_stream(&r, &lives) && rig_stream(&r, &ended));
	RIG_UNTIL(&r, waits_in(rig_stream(&r, &ended)->fds[0]) > 0); /* it has spoken */
	assert_true(rig_stream(&r, &lives)->pidfd >= 0);
	ino = inode_of(rig_stream(&r, &lives)->fds[0]);
	drain_ino = inode_of(rig_stream(&r, &drains)->fds[0]);
	rig_crash(&r, NULL, &logger);
	kill(gone, SIGKILL);
	assert_true(reap(gone)); /* init is quick */
	rig_run(&r, NULL);
	fd = adopt_rig_join(&r, &logger);
	adopt_rig_give(fd, rig_stream(&r, &lives), ALL);
	adopt_rig_give(fd, rig_stream(&r, &ended), ALL);
	adopt_rig_give(fd, rig_stream(&r, &drains), WIRE_GIVE_STDOUT | WIRE_GIVE_STDERR);
	adopt_rig_give_end(fd);
	forget_streams(&r);
	rig_wait_synced(&r);
	assert_int_equal(rig_wait_state(&r, &lives, WIRE_SLOT_RUNNING)->m.pid, pid);
	x = rig_wait_exit_of(&r, &ended);
	assert_int_equal(x->pid, gone);
	assert_true(!x->by_stop && !x->killed);
	assert_int_equal(x->status_known, kernel_keeps_statuses());
	assert_int_equal(x->signal, kernel_keeps_statuses() ? SIGKILL : 0);
	RIG_UNTIL(&r, rig_stream(&r, &lives) && rig_stream(&r, &drains) && rig_stream(&r, &ended));
	assert_true(inode_of(rig_stream(&r, &lives)->fds[0]) == ino);
	assert_true(inode_of(rig_stream(&r, &drains)->fds[0]) == drain_ino);
	assert_true(rig_stream(&r, &lives)->pidfd >= 0 && !rig_stream(&r, &lives)->gone);
	assert_true(rig_stream(&r, &drains)->gone);
	RIG_UNTIL(&r, rig_stream(&r, &ended)->gone);
	rig_expect_output(&r, &drains, "unread");
	rig_expect_output(&r, &ended, "last");
	rig_expect_output(&r, &lives, "more");
	p = mem_alloc(sizeof(*p));
	assert_non_null(p);
	assert_int_equal(wire_recv(fd, p), 1); /* the new one has all of it */
	assert_int_equal(p->type, WIRE_QUIT);
	wire_packet_done(p);
	assert_int_equal(wire_recv(fd, p), 0);
	mem_free(p);
	close(fd);
	rig_drop_helper(&logger);
	r.logger_drains = true;
	rig_drained(&r, &drains);
	rig_drained(&r, &ended);
	rig_stop_key(&r, &lives, 0, -1);
	x = rig_wait_exit_of(&r, &lives);
	assert_true(x->by_stop && x->status_known);
	assert_int_equal(x->signal, SIGTERM);
	rig_wait_swept(&r, &lives);
	rig_clean_stop(&r);
}

static void without_a_logger_the_pipes_are_made_again(void **state)
{
	struct wire_key lives, ended, one;
	const struct rig_stream *s;
	const struct wire_exit *x;
	uint64_t ino[2];
	struct rig r;
	int pid, gone;

	(void)state;
	rig_start(&r, NULL);
	r.logger_drains = false;
	pid = spawn_running(&r, &lives, "lives",
			    "trap '' PIPE; while :; do echo more; echo err >&2; sleep 0.02; done",
			    1000);
	gone = spawn_running(&r, &ended, "ended", "exec sleep 1000", 1000);
	spawn_running(&r, &one, "one", "exec sleep 1000 >/dev/null", 1000);
	rig_expect_output(&r, &lives, "more");
	ino[0] = inode_of(rig_stream(&r, &lives)->fds[0]);
	ino[1] = inode_of(rig_stream(&r, &lives)->fds[1]);
	rig_crash(&r, NULL, NULL);
	forget_streams(&r);
	kill(gone, SIGTERM);
	assert_true(reap(gone));
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	assert_int_equal(rig_wait_state(&r, &lives, WIRE_SLOT_RUNNING)->m.pid, pid);
	x = rig_wait_exit_of(&r, &ended); /* its pidfds died with aictld */
	assert_false(x->status_known);
	assert_int_equal(x->code, -1);
	assert_true(x->ended_wall_ms >= x->started_wall_ms);
	RIG_UNTIL(&r, rig_stream(&r, &lives) && rig_stream(&r, &ended) && rig_stream(&r, &one));
	for (int i = 0; i < 2; i++)
		assert_true(inode_of(rig_stream(&r, &lives)->fds[i]) == ino[i]);
	rig_expect_output(&r, &lives, "more");
	s = rig_stream(&r, &ended); /* for the new logger to close what was stored */
	assert_true(s->gone && s->pidfd < 0);
	assert_int_equal(read(s->fds[0], &x, 1), 0);
	assert_int_equal(read(s->fds[1], &x, 1), 0);
	s = rig_stream(&r, &one); /* /dev/null is no pipe of ours */
	assert_false(s->gone);
	assert_int_equal(read(s->fds[0], &x, 1), 0);
	assert_int_equal(read(s->fds[1], &x, 1), -1);
	r.logger_drains = true;
	rig_drained(&r, &ended);
	rig_clean_stop(&r);
	assert_false(rig_is_alive(pid));
}

static void a_logger_that_does_not_come_is_killed(void **state)
{
	struct rig_helper logger, controller;
	struct wire_key k;
	pid_t old, brain;
	int64_t start;
	struct rig r;
	int pid;

	(void)state;
	rig_start(&r, NULL);
	r.logger_drains = false;
	pid = spawn_running(&r, &k, "web", "while sleep 0.02; do echo more; done", 1000);
	rig_expect_output(&r, &k, "more");
	rig_crash(&r, &controller, &logger); /* both live on: the test holds their sockets */
	old = logger.pid;
	brain = controller.pid;
	start = clock_mono_ms();
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	assert_true(clock_mono_ms() - start >= 1900);
	assert_false(rig_is_alive(old));
	assert_false(rig_is_alive(brain)); /* never two */
	rig_drop_helper(&logger);
	rig_drop_helper(&controller);
	assert_int_equal(rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid, pid);
	r.logger_drains = true;
	rig_clean_stop(&r);
}

/* This process is nobody whom the table names. */
static void expect_refusal(const char *path)
{
	int64_t until = clock_mono_ms() + RIG_TIMEOUT_MS;
	char junk[8];
	int fd = -1;

	while (sock_connect_packets(path, &fd, NULL) < 0 && clock_mono_ms() < until)
		usleep(2000);
	assert_true(fd >= 0);
	while (recv(fd, junk, sizeof(junk), 0) < 0 && clock_mono_ms() < until)
		usleep(2000);
	assert_int_equal(recv(fd, junk, sizeof(junk), 0), 0);
	close(fd);
}

static void a_stop_goes_on_and_strangers_are_refused(void **state)
{
	struct wire_key deaf, polite;
	const struct wire_exit *x;
	struct rig_helper logger;
	int64_t stopped;
	char path[256], script[512];
	struct rig r;
	int fd;

	(void)state;
	rig_start(&r, NULL);
	spawn_running(&r, &deaf, "deaf", "trap '' TERM; echo up; while sleep 0.1; do :; done",
		      1500);
	/* Not before it has been adopted: an older kernel does not tell how it ended then. */
	snprintf(script, sizeof(script),
		 "trap 'until test -e %s/go; do sleep 0.02; done; exit 3' TERM; echo up;"
		 "while sleep 0.05; do :; done",
		 r.dir);
	spawn_running(&r, &polite, "polite", script, 20000);
	rig_expect_output(&r, &deaf, "up");
	rig_expect_output(&r, &polite, "up");
	rig_stop_key(&r, &deaf, 0, -1);
	rig_stop_key(&r, &polite, 0, -1);
	stopped = clock_mono_ms();
	rig_wait_state(&r, &deaf, WIRE_SLOT_STOPPING);
	rig_wait_state(&r, &polite, WIRE_SLOT_STOPPING);
	rig_crash(&r, NULL, &logger);
	rig_run(&r, NULL);
	snprintf(path, sizeof(path), "%s/run/sup/sup.sock", r.dir);
	expect_refusal(path);
	fd = adopt_rig_join(&r, &logger);
	adopt_rig_give_end(fd);
	rig_wait_synced(&r);
	assert_true(rig_connect_as(&logger, path) < 0); /* nobody is expected any more */
	close(fd);
	rig_drop_helper(&logger);
	x = rig_wait_exit_of(&r, &deaf);
	assert_true(x->by_stop && x->killed);
	assert_true(clock_mono_ms() - stopped >= 1500);
	snprintf(path, sizeof(path), "%s/go", r.dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	x = rig_wait_exit_of(&r, &polite);
	assert_true(x->by_stop && !x->killed);
	assert_int_equal(x->code, 3);
	rig_wait_swept(&r, &deaf);
	rig_clean_stop(&r);
}

/* ---- what only a death at the right moment leaves: written into the table by hand ---- */

static void half_done_work_is_finished(void **state)
{
	struct wire_key uncloned, recorded, half;
	const struct wire_exit *x;
	struct table_header *h;
	struct table_slot *t;
	char path[256];
	struct rig r;
	int pid, lock;

	(void)state;
	rig_start(&r, NULL);
	uncloned = rig_key(&r, "uncloned", 0);
	rig_spawn_sh(&r, &uncloned, "exit 0", 1000);
	rig_wait_exit_of(&r, &uncloned);
	recorded = rig_key(&r, "recorded", 0);
	r.acks = false;
	rig_spawn_sh(&r, &recorded, "exit 4", 1000);
	rig_wait_exit_of(&r, &recorded);
	pid = spawn_running(&r, &half, "half", "trap '' PIPE; while sleep 0.02; do echo more; done",
			    1000);
	rig_crash(&r, NULL, NULL);
	forget_streams(&r);
	h = adopt_rig_table(&r);
	t = adopt_rig_slot(h, &uncloned); /* SPAWN was accepted, clone3 did not happen */
	uncloned = rig_key(&r, "uncloned", 0);
	memcpy(t->incarnation, uncloned.incarnation, sizeof(uncloned.incarnation));
	t->state = WIRE_SLOT_SPAWNING;
	t->cell = (struct spawn_cell){.stage = WIRE_STAGE_CLONE};
	t = adopt_rig_slot(h, &recorded); /* its exit was written down, the state not yet */
	t->state = WIRE_SLOT_RUNNING;
	t->cell.pid = 4194303;
	adopt_rig_cold(h, &recorded)->exits[t->n_exits] = /* and half of another */
		(struct table_exit){.seq = 99};
	t->n_exits++;
	adopt_rig_slot(h, &half)->state = WIRE_SLOT_SPAWNING;
	adopt_rig_slot(h, &half)->cell.stage = WIRE_STAGE_CHDIR; /* it hangs there */
	snprintf(path, sizeof(path), "%s/run/sup/spawn.lock", r.dir);
	lock = open(path, O_RDWR | O_CLOEXEC);
	assert_true(lock >= 0);
	assert_int_equal(flock(lock, LOCK_EX), 0); /* as a child before its exec */
	r.n_exits = 0;
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	x = rig_wait_exit_of(&r, &uncloned);
	assert_int_equal(x->stage, WIRE_STAGE_CLONE);
	assert_int_equal(x->err, ECANCELED);
	x = rig_wait_exit_of(&r, &recorded);
	assert_int_equal(x->code, 4);
	assert_int_equal(r.n_exits, 2);
	assert_int_equal(rig_slot(&r, &recorded)->m.n_exits, 1);
	assert_int_equal(rig_wait_state(&r, &half, WIRE_SLOT_SPAWNING)->m.pid, pid);
	assert_null(rig_stream(&r, &half));
	adopt_rig_slot(h, &half)->cell.stage = WIRE_STAGE_EXEC;
	close(lock); /* it has exec'd */
	rig_wait_state(&r, &half, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, rig_stream(&r, &half) != NULL);
	rig_ack(&r, &uncloned, UINT64_MAX);
	rig_ack(&r, &recorded, UINT64_MAX);
	r.acks = true;
	rig_clean_stop(&r);
	assert_false(rig_is_alive(pid));
}

/* However many aictld come and go meanwhile. Its score is still that of the first one's unit. */
static void a_half_made_child_is_known_to_each_new_one(void **state)
{
	bool protected = adopt_rig_set_oom_score(getpid(), "-500");
	struct table_header *h;
	struct wire_key k;
	char path[256];
	struct rig r;
	int pid, lock;

	(void)state;
	rig_start(&r, NULL);
	pid = spawn_running(&r, &k, "half", "trap '' PIPE; while sleep 0.02; do echo more; done",
			    1000);
	assert_int_equal(adopt_rig_oom_score(pid), 0);
	rig_crash(&r, NULL, NULL);
	forget_streams(&r);
	h = adopt_rig_table(&r);
	snprintf(path, sizeof(path), "%s/run/sup/spawn.lock", r.dir);
	lock = open(path, O_RDWR | O_CLOEXEC);
	assert_true(lock >= 0);
	assert_int_equal(flock(lock, LOCK_EX), 0); /* as a child before its exec */
	if (protected)
		assert_true(adopt_rig_set_oom_score(pid, "-500"));
	for (int i = 0; i < 3; i++) {
		adopt_rig_slot(h, &k)->state =
			WIRE_SLOT_SPAWNING; /* stage and errno are those of an exec */
		adopt_rig_slot(h, &k)->started_mono_ms = clock_mono_ms();
		rig_run(&r, NULL);
		rig_wait_synced(&r);
		assert_int_equal(rig_wait_state(&r, &k, WIRE_SLOT_SPAWNING)->m.pid, pid);
		assert_null(rig_stream(&r, &k));
		if (i < 2)
			rig_crash(&r, NULL, NULL);
	}
	close(lock); /* it has exec'd */
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, rig_stream(&r, &k) != NULL);
	assert_int_equal(adopt_rig_oom_score(pid), 0);
	if (protected)
		adopt_rig_set_oom_score(getpid(), "0");
	rig_crash(&r, NULL, NULL);
	forget_streams(&r);
	rig_run(&r, NULL); /* nothing of it is left for the next one */
	rig_wait_synced(&r);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	rig_clean_stop(&r);
	assert_false(rig_is_alive(pid));
}

/* Died on its way to exec, and nobody saw of what: not an exit with a status, nor a start that failed. */
static void a_death_before_exec_that_nobody_saw_is_unknown(void **state)
{
	struct wire_key unseen, failed;
	const struct wire_exit *x;
	struct table_header *h;
	struct table_slot *t;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	kill(spawn_running(&r, &unseen, "unseen", "exec sleep 1000", 1000), SIGKILL);
	kill(spawn_running(&r, &failed, "failed", "exec sleep 1000", 1000), SIGKILL);
	rig_wait_exit_of(&r, &unseen);
	rig_wait_exit_of(&r, &failed);
	rig_crash(&r, NULL, NULL);
	forget_streams(&r);
	h = adopt_rig_table(&r);
	t = adopt_rig_slot(h, &unseen);
	unseen = rig_key(&r, "unseen", 0);
	memcpy(t->incarnation, unseen.incarnation, sizeof(unseen.incarnation));
	t->state = WIRE_SLOT_SPAWNING;
	t->cell = (struct spawn_cell){.pid = 4194303, .stage = WIRE_STAGE_CHDIR};
	t = adopt_rig_slot(h, &failed);
	failed = rig_key(&r, "failed", 0);
	memcpy(t->incarnation, failed.incarnation, sizeof(failed.incarnation));
	t->state = WIRE_SLOT_SPAWNING;
	t->cell = (struct spawn_cell){.pid = 4194303, .stage = WIRE_STAGE_CHDIR, .err = ENOENT};
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	x = rig_wait_exit_of(&r, &unseen);
	assert_int_equal(x->stage, WIRE_STAGE_CHDIR);
	assert_int_equal(x->err, 0);
	assert_false(x->status_known);
	x = rig_wait_exit_of(&r, &failed);
	assert_int_equal(x->err, ENOENT);
	assert_true(x->status_known);
	rig_clean_stop(&r);
}

/* Killed between an exit and the note that its incarnation is to be swept. */
static void what_an_ended_one_left_is_swept(void **state)
{
	static const char *const none[] = {"--cgroup", "none", NULL};
	char script[512], path[256];
	struct wire_key k;
	struct rig r;
	int pid = 0;
	FILE *f;

	(void)state;
	rig_start(&r, none);
	r.acks = false;
	k = rig_key(&r, "left", 0);
	snprintf(path, sizeof(path), "%s/left", r.dir);
	snprintf(script, sizeof(script),
		 "f=%.150s; setsid sh -c \"echo \\$\\$ >$f.new; mv $f.new $f; exec sleep 1001\" & "
		 "while [ ! -e $f ]; do sleep 0.01; done; exit 4",
		 path);
	rig_spawn_sh(&r, &k, script, 1000);
	rig_wait_exit_of(&r, &k);
	rig_crash(&r, NULL, NULL);
	forget_streams(&r);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	assert_true(rig_is_alive(pid));
	adopt_rig_slot(adopt_rig_table(&r), &k)->n_cookies = 0;
	rig_run(&r, none);
	rig_wait_synced(&r);
	assert_false(rig_is_alive(pid));
	rig_ack(&r, &k, UINT64_MAX);
	r.acks = true;
	rig_clean_stop(&r);
}

/* Its start time is not known yet, so its cgroup is asked; that need not be where cgroups mostly are. */
static void a_young_process_is_known_by_its_cgroup(void **state)
{
	char parent[512], place[512], mounted[64] = "/tmp/aictl-test-XXXXXX", *slash;
	const char *extra[] = {"--cgroup", place, NULL};
	struct wire_key k;
	struct rig r;
	int pid;

	(void)state;
	rig_start(&r, NULL);
	snprintf(parent, sizeof(parent), "%.450s", r.status.cgroup_dir);
	rig_clean_stop(&r);
	slash = strrchr(parent, '/');
	if (!slash || geteuid() != 0 || getenv("RIG_CGROUP")) {
		print_message("SKIP: it is about cgroups, which need root here\n");
		skip();
	}
	snprintf(slash, 64, "/test-adopt-%d", (int)getpid());
	assert_int_equal(mkdir(parent, 0755), 0);
	assert_non_null(mkdtemp(mounted));
	if (mount(parent, mounted, NULL, MS_BIND, NULL) < 0) {
		rmdir(parent);
		rmdir(mounted);
		skip();
	}
	snprintf(place, sizeof(place), "%s", mounted);
	rig_start(&r, extra);
	pid = spawn_running(&r, &k, "young", "exec sleep 1000", 1000);
	rig_crash(&r, NULL, NULL);
	forget_streams(&r);
	adopt_rig_slot(adopt_rig_table(&r), &k)->start_ticks = 0;
	rig_run(&r, extra);
	rig_wait_synced(&r);
	assert_int_equal(rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid, pid);
	assert_int_equal(r.n_exits, 0);
	rig_clean_stop(&r);
	assert_false(rig_is_alive(pid));
	assert_int_equal(umount(mounted), 0);
	assert_int_equal(rmdir(mounted), 0);
	assert_int_equal(rmdir(parent), 0);
}

static void damage_costs_what_it_hit_and_no_more(void **state)
{
	struct wire_key sound, state_key, name, copy, other;
	struct table_header *h;
	int pids[4];
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	pids[0] = spawn_running(&r, &sound, "sound", "exec sleep 1000", 1000);
	pids[1] =
		spawn_running(&r, &state_key, "state", "setsid sleep 1001 & exec sleep 1000", 1000);
	pids[2] = spawn_running(&r, &name, "name", "exec sleep 1000", 1000);
	pids[3] = spawn_running(&r, &copy, "copy", "exec sleep 1000", 1000);
	other = rig_key(&r, "other", 0);
	rig_spawn_sh(&r, &other, "exec sleep 1000", 1000);
	rig_wait_state(&r, &other, WIRE_SLOT_RUNNING);
	rig_crash(&r, NULL, NULL);
	forget_streams(&r);
	h = adopt_rig_table(&r);
	adopt_rig_slot(h, &state_key)->state = 99;
	memset(adopt_rig_slot(h, &name)->service, 'x', sizeof(((struct table_slot *)0)->service));
	{
		struct table_slot *t = adopt_rig_slot(h, &copy);

		memcpy(t->service, "sound", 6); /* the same key twice, with its cookie */
		memcpy(t->incarnation, sound.incarnation, sizeof(sound.incarnation));
		kill(t->cell.pid, SIGKILL);
	}
	adopt_rig_slot(h, &other)->start_ticks += 7; /* the pid is another process's now */
	r.n_slots = 0;
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	assert_int_equal(rig_wait_state(&r, &sound, WIRE_SLOT_RUNNING)->m.pid, pids[0]);
	assert_true(rig_is_alive(pids[0]));
	wait_dead(pids[1]);
	wait_dead(pids[2]);
	assert_null(rig_slot(&r, &state_key));
	assert_false(rig_wait_exit_of(&r, &other)->status_known);
	rig_clean_stop(&r);
	assert_false(rig_is_alive(pids[0]));
}

static void what_ran_beside_the_services_ends(void **state)
{
	const char *paths[] = {"/bin/sleep", NULL}, *argv[] = {"sleep", "1000", NULL};
	const char *envp[] = {"PATH=/bin", NULL};
	struct wire_run m = {.id = 7,
			     .child.cwd = "/",
			     .child.paths = (char *const *)(uintptr_t)paths,
			     .child.argv = (char *const *)(uintptr_t)argv,
			     .child.envp = (char *const *)(uintptr_t)envp};
	struct table_header *h;
	struct buf b = {0};
	int fds[3], pid;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	h = adopt_rig_table(&r);
	for (int i = 0; i < 3; i++)
		fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	wire_run_encode(&b, &m);
	rig_send(&r, &b, fds, 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	RIG_UNTIL(&r, h->runs[0].cell.stage == WIRE_STAGE_EXEC);
	pid = h->runs[0].cell.pid;
	assert_true(rig_is_alive(pid));
	rig_crash(&r, NULL, NULL);
	assert_true(rig_is_alive(pid));
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	wait_dead(pid);
	assert_int_equal(h->runs[0].cell.pid, 0);
	rig_clean_stop(&r);
}

/* Killed again at random moments of its start, nothing is lost and nothing runs twice. */
static void one_death_after_the_other(void **state)
{
	enum { N = 12, ROUNDS = 12 };
	struct wire_key k[N];
	int pids[N];
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	for (int i = 0; i < N; i++) {
		k[i] = rig_key(&r, "many", (uint32_t)i);
		rig_spawn_sh(&r, &k[i],
			     "trap '' PIPE; setsid sleep 1001 & while sleep 0.05; do echo up; done",
			     1000);
	}
	for (int i = 0; i < N; i++)
		pids[i] = rig_wait_state(&r, &k[i], WIRE_SLOT_RUNNING)->m.pid;
	for (int i = 0; i < ROUNDS; i++) {
		int64_t until = clock_mono_ms() + (i * 7919 + 13) % 60;

		rig_crash(&r, NULL, NULL);
		forget_streams(&r);
		rig_run(&r, NULL);
		while (clock_mono_ms() < until)
			rig_pump(&r, 5);
	}
	RIG_UNTIL(&r, r.controller.pid && r.logger.pid);
	for (int i = 0; i < N; i++) {
		RIG_UNTIL(&r, rig_stream(&r, &k[i]) != NULL);
		assert_int_equal(rig_wait_state(&r, &k[i], WIRE_SLOT_RUNNING)->m.pid, pids[i]);
	}
	assert_int_equal(r.n_exits, 0);
	rig_clean_stop(&r);
	for (int i = 0; i < N; i++)
		assert_false(rig_is_alive(pids[i]));
}

static void a_log_level_holds_on_unless_another_is_asked_for(void **state)
{
	static const char *const other[] = {"--log-level", "warn", NULL};
	struct buf b = {0};
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	wire_encode_u32(&b, WIRE_LOG_LEVEL, LOG_LVL_ERROR);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, r.logger_level == LOG_LVL_ERROR);
	for (int i = 0; i < 2; i++) {
		rig_crash(&r, NULL, NULL);
		r.logger_level = -1;
		rig_run(&r, NULL);
		rig_wait_synced(&r);
		assert_int_equal(r.hello.log_level, LOG_LVL_ERROR);
		RIG_UNTIL(&r, r.logger_level == LOG_LVL_ERROR);
	}
	rig_crash(&r, NULL, NULL);
	rig_run(&r, other);
	rig_wait_synced(&r);
	assert_int_equal(r.hello.log_level, LOG_LVL_WARN);
	rig_clean_stop(&r);
}

static void a_shutdown_waits_for_the_adoption(void **state)
{
	struct rig_helper logger;
	struct wire_key k;
	char path[256];
	struct rig r;
	int pid;

	(void)state;
	rig_start(&r, NULL);
	pid = spawn_running(&r, &k, "web", "exec sleep 1000", 1000);
	rig_crash(&r, NULL, &logger); /* it will not come */
	forget_streams(&r);
	rig_run(&r, NULL);
	snprintf(path, sizeof(path), "%s/run/sup/sup.sock", r.dir);
	RIG_UNTIL(&r, access(path, F_OK) == 0); /* it listens to signals, too */
	rig_clean_stop(&r);
	assert_false(rig_is_alive(pid));
	rig_drop_helper(&logger);
}

/* Its exits have to be acknowledged: the controller starts although all is being stopped. */
static void a_shutdown_within_the_adoption_settles(void **state)
{
	struct rig_helper logger;
	struct wire_key k;
	char path[256];
	struct rig r;
	int pid;

	(void)state;
	rig_start(&r, NULL);
	spawn_running(&r, &k, "web", "exec sleep 1000", 1000);
	pid = spawn_running(&r, &k, "gone", "exec sleep 1000", 1000);
	rig_crash(&r, NULL, &logger); /* it will not come */
	forget_streams(&r);
	kill(pid, SIGKILL);
	assert_true(reap(pid)); /* something to look for: the helpers wait for that */
	rig_run(&r, NULL);
	snprintf(path, sizeof(path), "%s/run/sup/sup.sock", r.dir);
	RIG_UNTIL(&r, access(path, F_OK) == 0);
	kill(r.pid, SIGTERM);
	rig_wait_exit_of(&r, &k);
	rig_clean_stop(&r);
	rig_drop_helper(&logger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_logger_gives_back),
		cmocka_unit_test(without_a_logger_the_pipes_are_made_again),
		cmocka_unit_test(a_logger_that_does_not_come_is_killed),
		cmocka_unit_test(a_stop_goes_on_and_strangers_are_refused),
		cmocka_unit_test(half_done_work_is_finished),
		cmocka_unit_test(a_half_made_child_is_known_to_each_new_one),
		cmocka_unit_test(a_death_before_exec_that_nobody_saw_is_unknown),
		cmocka_unit_test(what_an_ended_one_left_is_swept),
		cmocka_unit_test(a_young_process_is_known_by_its_cgroup),
		cmocka_unit_test(damage_costs_what_it_hit_and_no_more),
		cmocka_unit_test(what_ran_beside_the_services_ends),
		cmocka_unit_test(one_death_after_the_other),
		cmocka_unit_test(a_log_level_holds_on_unless_another_is_asked_for),
		cmocka_unit_test(a_shutdown_waits_for_the_adoption),
		cmocka_unit_test(a_shutdown_within_the_adoption_settles),
	};

	/* Orphans are ours, and stay zombies until we reap them. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
