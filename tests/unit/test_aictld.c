/* test_aictld: the real aictld, its helpers played by the test (aictld_rig.h). */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"

static void a_process_runs_writes_and_exits(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	char want[64];
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	assert_true(r.hello.first_start);
	r.logger_drains = false; /* it would close what is read here */
	k = rig_key(&r, "web", 0);
	rig_spawn_sh(&r, &k, "ls /proc/self/fd | tr '\\n' ' '; echo $AICTL_INCARNATION; exit 7",
		     1000);
	snprintf(want, sizeof(want), "0 1 2 3 %s", k.incarnation); /* 3 is ls's own */
	rig_expect_output(&r, &k, want);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->code, 7);
	assert_int_equal(x->signal, 0);
	assert_int_equal(x->stage, WIRE_STAGE_EXEC);
	assert_true(x->status_known && !x->by_stop && !x->killed);
	assert_true(x->pid > 1 && x->ended_wall_ms >= x->started_wall_ms);
	rig_wait_swept(&r, &k);
	assert_int_equal(r.status.slots, 1);
	{
		struct buf b = {0};

		wire_encode_key(&b, WIRE_RELEASE, &k);
		assert_int_equal(wire_send(r.controller.wire, &b, NULL, 0), 0);
		buf_done(&b);
	}
	RIG_UNTIL(&r, rig_stream(&r, &k)->gone);
	assert_int_equal(r.status.slots, 1); /* its output is not stored yet */
	rig_drained(&r, &k);
	RIG_UNTIL(&r, r.status.slots == 0);
	rig_clean_stop(&r);
}

static struct wire_spawn spec(const struct wire_key *k, const char *cwd, const char *const *paths)
{
	static const char *const argv[] = {"x", NULL};
	static const char *const envp[] = {"PATH=/bin", NULL};

	return (struct wire_spawn){.key = *k,
				   .child.cwd = cwd,
				   .child.paths = (char *const *)(uintptr_t)paths,
				   .child.argv = (char *const *)(uintptr_t)argv,
				   .child.envp = (char *const *)(uintptr_t)envp,
				   .stop_signal = SIGTERM,
				   .grace_ms = 1000};
}

static void expect_failure(struct rig *r, const struct wire_spawn *m, int stage, int err)
{
	const struct wire_exit *x;

	rig_spawn(r, m);
	x = rig_wait_exit_of(r, &m->key);
	assert_int_equal(x->stage, stage);
	assert_int_equal(x->err, err);
	assert_null(rig_stream(r, &m->key));
	rig_wait_state(r, &m->key, WIRE_SLOT_EMPTY);
}

static void failures_name_their_stage(void **state)
{
	static const char *const sh[] = {"/bin/sh", NULL};
	static const char *const none[] = {"/nonexistent/a", "/dev/null/b", NULL};
	static const char *const denied[] = {"/etc/passwd", "/nonexistent/a", NULL};
	struct wire_spawn m;
	struct wire_key k;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	m = spec(&k, "/nonexistent", sh);
	expect_failure(&r, &m, WIRE_STAGE_CHDIR, ENOENT);
	k = rig_key(&r, "a", 0);
	m = spec(&k, "/", none);
	expect_failure(&r, &m, WIRE_STAGE_EXEC, ENOTDIR);
	k = rig_key(&r, "a", 0);
	m = spec(&k, "/", denied);
	expect_failure(&r, &m, WIRE_STAGE_EXEC, EACCES);
	if (geteuid() != 0) {
		k = rig_key(&r, "a", 0);
		m = spec(&k, "/", sh);
		m.child.set_user = true;
		m.child.uid = m.child.gid = 1;
		expect_failure(&r, &m, WIRE_STAGE_USER, EPERM);
	}
	rig_clean_stop(&r);
}

static void a_living_slot_refuses_a_second_process(void **state)
{
	struct wire_key k, other;
	struct rig_slot *s;
	struct rig r;
	int pid;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 3);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	pid = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	other = rig_key(&r, "a", 3);
	rig_spawn_sh(&r, &other, "exec sleep 1000", 1000);
	RIG_UNTIL(&r, (s = rig_slot(&r, &k))->m.stage == WIRE_STAGE_REFUSED);
	assert_int_equal(s->m.err, EBUSY);
	assert_int_equal(s->m.pid, pid);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000); /* the same again: nothing, told again */
	RIG_UNTIL(&r, (s = rig_slot(&r, &k))->m.stage == WIRE_STAGE_EXEC);
	assert_int_equal(s->m.pid, pid);
	assert_true(rig_is_alive(pid));
	rig_clean_stop(&r);
	assert_false(rig_is_alive(pid));
}

static void stop_asks_then_kills(void **state)
{
	struct wire_key polite, deaf, stopped;
	const struct wire_exit *x;
	struct rig r;
	int64_t start;

	(void)state;
	rig_start(&r, NULL);
	polite = rig_key(&r, "polite", 0);
	deaf = rig_key(&r, "deaf", 0);
	stopped = rig_key(&r, "stopped", 0);
	rig_spawn_sh(&r, &polite, "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done",
		     10000);
	rig_spawn_sh(&r, &deaf, "trap '' TERM; echo up; while :; do sleep 1; done", 300);
	rig_spawn_sh(&r, &stopped, "echo up; kill -STOP $$; sleep 1000", 10000);
	rig_expect_output(&r, &polite, "up");
	rig_expect_output(&r, &deaf, "up");
	rig_expect_output(&r, &stopped, "up");
	start = clock_mono_ms();
	rig_stop_key(&r, &polite, 0, -1);
	rig_stop_key(&r, &deaf, 0, -1);
	rig_stop_key(&r, &stopped, 0, -1);
	x = rig_wait_exit_of(&r, &polite);
	assert_int_equal(x->code, 3);
	assert_true(x->by_stop && !x->killed);
	x = rig_wait_exit_of(&r, &deaf);
	assert_int_equal(x->signal, SIGKILL);
	assert_true(x->by_stop && x->killed);
	assert_true(clock_mono_ms() - start >= 300);
	x = rig_wait_exit_of(&r, &stopped);
	assert_int_equal(x->signal, SIGTERM);
	assert_true(x->by_stop && !x->killed);
	rig_wait_swept(&r, &deaf);
	rig_clean_stop(&r);
}

static void left_overs_are_swept_each_services_own(void **state)
{
	struct wire_key a, b;
	pid_t pid_a, pid_b;
	struct rig r;
	char path[256];
	FILE *f;

	(void)state;
	rig_start(&r, NULL);
	if (geteuid() == 0)
		assert_int_equal(chmod(r.dir, 0777), 0);
	a = rig_key(&r, "a", 0);
	b = rig_key(&r, "b", 0);
	for (int i = 0; i < 2; i++) {
		char script[512];

		/* Away from session, group and parent, deaf to TERM. */
		snprintf(
			script, sizeof(script),
			"(setsid sh -c 'trap \"\" TERM; (exec sleep 1000) & echo $! > %s/pid.%d' &)"
			"; sleep 1000",
			r.dir, i);
		rig_spawn_sh(&r, i ? &b : &a, script, 1000);
	}
	for (int i = 0; i < 2; i++) {
		pid_t *pid = i ? &pid_b : &pid_a;

		*pid = 0;
		snprintf(path, sizeof(path), "%s/pid.%d", r.dir, i);
		RIG_UNTIL(&r, ({
			f = fopen(path, "re");
			if (f) {
				if (fscanf(f, "%d", pid) != 1)
					*pid = 0;
				fclose(f);
			}
			*pid != 0;
		}));
	}
	rig_stop_key(&r, &a, 0, -1);
	rig_wait_swept(&r, &a);
	RIG_UNTIL(&r, !rig_is_alive(pid_a));
	assert_true(rig_is_alive(pid_b));
	kill(rig_slot(&r, &b)->m.pid, SIGKILL); /* a crash: swept a little later */
	rig_wait_exit_of(&r, &b);
	rig_wait_swept(&r, &b);
	RIG_UNTIL(&r, !rig_is_alive(pid_b));
	rig_clean_stop(&r);
}

static void a_dead_controller_loses_nothing(void **state)
{
	struct wire_key a, b;
	const struct wire_exit *x;
	struct buf note = {0};
	struct rig r;
	int pid;

	(void)state;
	rig_start(&r, NULL);
	a = rig_key(&r, "a", 0);
	b = rig_key(&r, "b", 0);
	rig_spawn_sh(&r, &a, "exec sleep 1000", 1000);
	rig_spawn_sh(&r, &b, "read x < /dev/null; sleep 0.3; exit 42", 1000);
	pid = rig_wait_state(&r, &a, WIRE_SLOT_RUNNING)->m.pid;
	rig_wait_state(&r, &b, WIRE_SLOT_RUNNING);
	wire_encode_note(&note, &a, (const uint8_t *)"second", 6);
	assert_int_equal(wire_send(r.controller.wire, &note, NULL, 0), 0);
	buf_done(&note);
	rig_kill_helper(&r, &r.controller);
	rig_slot(&r, &a)->m.pid = 0;
	rig_wait_synced(&r);
	assert_int_equal(rig_slot(&r, &a)->m.pid, pid);
	assert_string_equal(rig_slot(&r, &a)->note, "second");
	assert_string_equal(rig_slot(&r, &b)->note, "first note");
	x = rig_wait_exit_of(&r, &b);
	assert_int_equal(x->code, 42);
	RIG_UNTIL(&r, r.status.controller_restarts == 1);
	rig_clean_stop(&r);
}

static void a_dead_logger_gets_its_streams_again(void **state)
{
	struct rig_stream *s;
	struct wire_key a, b;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	r.logger_drains = false;
	a = rig_key(&r, "a", 0);
	b = rig_key(&r, "b", 0);
	rig_spawn_sh(&r, &a, "echo one; read x; sleep 1000", 1000);
	rig_spawn_sh(&r, &b, "echo last words", 1000);
	rig_wait_exit_of(&r, &b);
	RIG_UNTIL(&r, (s = rig_stream(&r, &b)) && s->gone);
	RIG_UNTIL(&r, (s = rig_stream(&r, &a)) != NULL);
	rig_kill_helper(&r, &r.logger);
	RIG_UNTIL(&r, rig_stream(&r, &a)->n_sent == 2 && rig_stream(&r, &b)->n_sent == 2);
	assert_false(rig_stream(&r, &a)->gone);
	assert_true(rig_stream(&r, &b)->gone);
	assert_true(rig_stream(&r, &a)->m.intent_index != rig_stream(&r, &b)->m.intent_index);
	rig_expect_output(&r, &a, "one");
	rig_expect_output(&r, &b, "last words");
	rig_drained(&r, &b);
	r.logger_drains = true;
	rig_kill_helper(&r, &r.logger);
	RIG_UNTIL(&r, rig_stream(&r, &a)->n_sent == 3);
	assert_int_equal(rig_stream(&r, &b)->n_sent, 2);
	rig_clean_stop(&r);
}

static void a_stopped_controller_holds_nothing(void **state)
{
	enum { N = 300 };
	struct wire_key *k = calloc(N, sizeof(*k));
	struct rig r;

	(void)state;
	assert_non_null(k);
	rig_start(&r, NULL);
	for (int i = 0; i < N; i++) {
		k[i] = rig_key(&r, "many", (uint32_t)i);
		rig_spawn_sh(&r, &k[i], "exec sleep 1000", 1000);
	}
	for (int i = 0; i < N; i++)
		rig_wait_state(&r, &k[i], WIRE_SLOT_RUNNING);
	for (int i = 0; i < N; i++) /* nobody reads meanwhile */
		kill(rig_slot(&r, &k[i])->m.pid, SIGKILL);
	for (int i = 0; i < N; i++) {
		const struct wire_exit *x = rig_wait_exit_of(&r, &k[i]);

		assert_int_equal(x->signal, SIGKILL);
	}
	for (int i = 0; i < N; i++)
		rig_wait_swept(&r, &k[i]);
	for (int i = 0; i < N; i++) /* more than a socket holds */
		RIG_UNTIL(&r, rig_stream(&r, &k[i]));
	free(k);
	rig_clean_stop(&r);
}

static void a_killed_aictld_is_followed_by_one_that_adopts(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;
	int pid;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "setsid sleep 1001 & sleep 1000", 1000);
	pid = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	kill(r.pid, SIGKILL);
	rig_wait_exit(&r);
	assert_true(rig_is_alive(pid));
	rig_slot(&r, &k)->note[0] = '\0';
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	assert_false(r.hello.first_start);
	assert_int_equal(rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid, pid);
	assert_string_equal(rig_slot(&r, &k)->note, "first note");
	assert_true(rig_is_alive(pid));
	assert_null(rig_exit(&r, &k));
	rig_stop_key(&r, &k, 0, -1);
	x = rig_wait_exit_of(&r, &k); /* its status is init's, or the kernel tells */
	assert_true(x->by_stop && (!x->status_known || x->signal == SIGTERM));
	assert_int_equal(x->pid, pid);
	rig_wait_swept(&r, &k);
	assert_false(rig_is_alive(pid));
	rig_clean_stop(&r);
}

static void early_deaths_lead_to_safe_mode(void **state)
{
	static const char *const args[] = {"--helper-restart", "10ms,20ms,3", NULL};
	struct buf b = {0};
	struct rig r;

	(void)state;
	rig_start(&r, args);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(r.status.mode, WIRE_MODE_NORMAL);
		rig_kill_helper(&r, &r.controller);
		rig_wait_synced(&r);
	}
	assert_true(r.hello.safe_mode);
	RIG_UNTIL(&r, r.status.mode == WIRE_MODE_SAFE);
	wire_encode_u32(&b, WIRE_CONTROL, WIRE_CONTROL_LEAVE_SAFE);
	assert_int_equal(wire_send(r.controller.wire, &b, NULL, 0), 0);
	buf_done(&b);
	RIG_UNTIL(&r, r.status.mode == WIRE_MODE_NORMAL);
	rig_clean_stop(&r);
}

static void a_second_instance_refuses(void **state)
{
	struct rig r;
	pid_t first;
	int status;

	(void)state;
	rig_start(&r, NULL);
	first = r.pid;
	rig_run(&r, NULL);
	assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	r.pid = first;
	rig_clean_stop(&r);
}

static void sigterm_stops_all_and_a_second_one_kills(void **state)
{
	struct wire_key k;
	struct rig r;
	int pid, status;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "deaf", 0);
	rig_spawn_sh(&r, &k, "trap '' TERM; echo up; while :; do sleep 1; done", 600000);
	rig_expect_output(&r, &k, "up");
	pid = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	kill(r.pid, SIGTERM);
	RIG_UNTIL(&r, r.status.mode == WIRE_MODE_SHUTDOWN);
	rig_wait_state(&r, &k, WIRE_SLOT_STOPPING);
	assert_true(rig_is_alive(pid));
	kill(r.pid, SIGTERM);
	status = rig_wait_exit(&r);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_false(rig_is_alive(pid));
	rig_remove(&r);
}

/* Everything the socket of a RELOAD holds, as "name|error|content;" per packet. */
/* One packet as "name|error|content;"; false = the end of the set. */
static bool read_manifest(struct rig *r, char *text, size_t size)
{
	char data[512] = "", content[64] = "", control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data) - 2};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct pollfd p = {.fd = r->reload_fd, .events = POLLIN};
	struct cmsghdr *c;
	int fd;

	assert_int_equal(poll(&p, 1, RIG_TIMEOUT_MS), 1);
	if (recvmsg(r->reload_fd, &m, MSG_CMSG_CLOEXEC) <= 0)
		fail_msg("the socket ended before the set");
	if (data[0] == '\0')
		return false;
	c = CMSG_FIRSTHDR(&m);
	if (c) {
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		assert_true(read(fd, content, sizeof(content) - 1) >= 0);
		close(fd);
	}
	assert_true((size_t)snprintf(text, size, "%s|%s|%s;", data, data + strlen(data) + 1,
				     content) < size);
	return true;
}

static void read_manifests(struct rig *r, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	while (read_manifest(r, text + n, size - n))
		n += strlen(text + n);
}

/* Asks for a file that a manifest names: "" it came, else why not. */
static const char *ask_for(struct rig *r, const char *dir, const char *name, char *text,
			   size_t size)
{
	char path[256];
	size_t n;

	n = (size_t)snprintf(path, sizeof(path), "%s%s%s", dir, dir[0] ? "/" : "", name);
	assert_int_equal(send(r->reload_fd, path, n, MSG_NOSIGNAL), n);
	assert_true(read_manifest(r, text, size));
	assert_int_equal(strncmp(text, path, n), 0);
	return text + n;
}

static void put_file(const char *dir, const char *name, mode_t mode)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(name, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void manifests_are_opened_and_bad_ones_refused(void **state)
{
	char dir[64], link[96], text[2048];
	const char *args[] = {"--manifests", dir, NULL};
	struct rig r;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/aictld-manifests.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(dir));
	put_file(dir, "b.yml", 0600);
	put_file(dir, "a.yaml", 0644);
	put_file(dir, "c.yaml", 0666);
	put_file(dir, "ignored.txt", 0644);
	snprintf(link, sizeof(link), "%s/d.yaml", dir);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	rig_start(&r, args);
	RIG_UNTIL(&r, r.n_reload == 1);
	read_manifests(&r, text, sizeof(text));
	assert_string_equal(text, "a.yaml||a.yaml;b.yml||b.yml;"
				  "c.yaml|may be written by others than its owner|;"
				  "d.yaml|a symbolic link|;");
	mem_closep(&r.reload_fd); /* else it may be asked for more, and the next one waits */
	assert_int_equal(chmod(dir, 0777), 0);
	kill(r.pid, SIGHUP);
	RIG_UNTIL(&r, r.n_reload == 2);
	read_manifests(&r, text, sizeof(text));
	assert_non_null(strstr(text, "|may be written by others than its owner|;"));
	mem_closep(&r.reload_fd);
	rig_kill_helper(&r, &r.controller); /* it may not have applied them: told again */
	RIG_UNTIL(&r, r.n_reload == 3);
	rig_clean_stop(&r);
	for (int i = 0; i < 5; i++) {
		static const char *const names[] = {"a.yaml", "b.yml", "c.yaml", "d.yaml",
						    "ignored.txt"};

		snprintf(link, sizeof(link), "%s/%s", dir, names[i]);
		unlink(link);
	}
	assert_int_equal(rmdir(dir), 0);
}

/* Helpers and processes die at random; what remains must be told right in the end. */
static void random_deaths_confuse_nobody(void **state)
{
	enum { N = 20 };
	int64_t until = clock_mono_ms() + 4000;
	struct wire_key k[N], last;
	unsigned seed = 11;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	for (int i = 0; i < N; i++) {
		k[i] = rig_key(&r, "soak", (uint32_t)i);
		rig_spawn_sh(&r, &k[i], "echo up; exec sleep 1000", 1000);
	}
	while (clock_mono_ms() < until) {
		int i = rand_r(&seed) % N;
		struct rig_slot *s = rig_slot(&r, &k[i]);

		switch (rand_r(&seed) % 8) {
		case 0:
			if (r.controller.pid)
				rig_kill_helper(&r, &r.controller);
			break;
		case 1:
			if (r.logger.pid)
				rig_kill_helper(&r, &r.logger);
			break;
		case 2:
			if (r.controller.pid)
				rig_stop_key(&r, &k[i], 0, -1);
			break;
		case 3:
			if (s && s->m.pid > 0 && wire_key_equal(&s->m.key, &k[i]))
				kill(s->m.pid, SIGKILL);
			break;
		default:
			if (r.controller.pid && s && s->m.state == WIRE_SLOT_EMPTY) {
				k[i] = rig_key(&r, "soak", (uint32_t)i);
				rig_spawn_sh(&r, &k[i], "echo up; exec sleep 1000", 1000);
			}
		}
		rig_pump(&r, 5);
	}
	RIG_UNTIL(&r, r.controller.pid && r.logger.pid);
	/* Packets keep their order: after this answer no SPAWN is under way, and all is told. */
	last = rig_key(&r, "last", 0);
	rig_stop_key(&r, &last, 0, 0);
	rig_wait_swept(&r, &last);
	for (int i = 0; i < N; i++) {
		struct rig_slot *s;

		RIG_UNTIL(&r, (s = rig_slot(&r, &k[i])) != NULL);
		rig_stop_key(&r, &s->m.key, 0, 0);
		RIG_UNTIL(&r, s->m.state == WIRE_SLOT_EMPTY && s->m.swept);
		if (rig_stream(&r, &s->m.key))
			RIG_UNTIL(&r, rig_stream(&r, &s->m.key)->gone);
	}
	assert_int_equal(r.exits_lost, 0);
	rig_clean_stop(&r);
}

/* "sleep" for a slot that lives already, to be started when its process ends by itself. */
static void give_standby(struct rig *r, const struct wire_key *k)
{
	static const char *const sh[] = {"/bin/sh", NULL};
	static const char *const argv[] = {"sh", "-c", "exec sleep 1000", NULL};
	struct wire_spawn m = spec(k, "/", sh);

	m.child.argv = (char *const *)(uintptr_t)argv;
	m.standby = true;
	m.note = (const uint8_t *)"standby";
	m.note_len = 7;
	rig_spawn(r, &m);
}

static void a_standby_starts_when_the_process_ends(void **state)
{
	struct wire_key k, next;
	const struct rig_slot *s;
	struct rig r;
	int seen;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "web", 0);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	s = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	next = rig_key(&r, "web", 0);
	give_standby(&r, &next);
	rig_kill_helper(&r, &r.controller); /* nobody is there to decide */
	kill(s->m.pid, SIGKILL);
	s = rig_wait_state(&r, &next, WIRE_SLOT_RUNNING);
	assert_int_equal(rig_wait_exit_of(&r, &k)->signal, SIGKILL);
	seen = r.controller.n_seen;
	rig_kill_helper(&r, &r.controller); /* notes come with an inventory only */
	RIG_UNTIL(&r, r.controller.n_seen > seen && r.controller.pid != 0);
	rig_wait_synced(&r);
	RIG_UNTIL(&r, strcmp(rig_slot(&r, &next)->note, "standby") == 0);
	s = rig_slot(&r, &next);
	kill(s->m.pid, SIGKILL); /* one order, one start */
	rig_wait_state(&r, &next, WIRE_SLOT_EMPTY);
	rig_clean_stop(&r);
}

static void a_stop_or_a_word_drops_the_standby(void **state)
{
	struct buf b = {0};
	struct wire_key k, next;
	const struct rig_slot *s;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "web", 0);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	next = rig_key(&r, "web", 0);
	give_standby(&r, &next);
	rig_stop_key(&r, &k, SIGTERM, 1000);
	rig_wait_swept(&r, &k); /* under its own name: nothing came after it */
	k = rig_key(&r, "web", 0);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	s = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	next = rig_key(&r, "web", 0);
	give_standby(&r, &next);
	wire_encode_key(&b, WIRE_STANDBY_OFF, &k);
	assert_int_equal(wire_send(r.controller.wire, &b, NULL, 0), 0);
	buf_done(&b);
	/* an answer to a later message proves that the earlier one was read */
	next = rig_key(&r, "other", 0);
	rig_spawn_sh(&r, &next, "exit 0", 1000);
	rig_wait_exit_of(&r, &next);
	kill(s->m.pid, SIGKILL);
	rig_wait_swept(&r, &k);
	rig_clean_stop(&r);
}

/* Whoever stops what never came to be still waits for an answer. */
static void a_stop_is_answered_under_the_name_it_was_asked(void **state)
{
	struct wire_key k, never;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	never = rig_key(&r, "ghost", 3);
	rig_stop_key(&r, &never, SIGTERM, 1000);
	rig_wait_swept(&r, &never);
	k = rig_key(&r, "web", 0);
	rig_spawn_sh(&r, &k, "exit 1", 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_EMPTY);
	never = rig_key(&r, "web", 0);
	rig_stop_key(&r, &never, SIGTERM, 1000);
	rig_wait_swept(&r, &never);
	rig_clean_stop(&r);
}

/* What the manifests name is opened by the same rules, whatever the way to it. */
static void files_that_manifests_name_are_opened_with_care(void **state)
{
	char dir[64], sub[96], text[1024], path[128], other[128];
	const char *args[] = {"--manifests", dir, NULL};
	struct rig r;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/aictld-manifests.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	assert_int_equal(mkdir(sub, 0755), 0);
	put_file(dir, "a.yaml", 0600);
	put_file(sub, "x.env", 0600);
	put_file(sub, "open.env", 0620);
	snprintf(path, sizeof(path), "%s/way", dir);
	assert_int_equal(symlink("sub/../sub", path), 0);
	snprintf(path, sizeof(path), "%s/round", dir);
	assert_int_equal(symlink("round", path), 0);
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	rig_start(&r, args);
	RIG_UNTIL(&r, r.n_reload == 1);
	read_manifests(&r, text, sizeof(text));
	assert_string_equal(text, "a.yaml||a.yaml;");
	assert_string_equal(ask_for(&r, sub, "x.env", text, sizeof(text)), "||x.env;");
	assert_string_equal(ask_for(&r, dir, "way/x.env", text, sizeof(text)), "||x.env;");
	assert_string_equal(ask_for(&r, dir, "sub//../sub/./x.env", text, sizeof(text)),
			    "||x.env;");
	assert_non_null(strstr(ask_for(&r, sub, "open.env", text, sizeof(text)),
			       "open.env: may be written by others than its owner|;"));
	assert_non_null(
		strstr(ask_for(&r, dir, "round", text, sizeof(text)), "too many symbolic links"));
	assert_non_null(strstr(ask_for(&r, dir, "pipe", text, sizeof(text)), "not a regular file"));
	assert_non_null(strstr(ask_for(&r, "", "/dev/null", text, sizeof(text)), "|/dev/null: "));
	assert_non_null(strstr(ask_for(&r, dir, "sub", text, sizeof(text)), "not a regular file"));
	assert_non_null(
		strstr(ask_for(&r, dir, "none", text, sizeof(text)), "No such file or directory"));
	assert_non_null(strstr(ask_for(&r, "", "x.env", text, sizeof(text)), "not an absolute"));
	assert_int_equal(chmod(sub, 0775), 0); /* others could put another file there */
	assert_non_null(strstr(ask_for(&r, sub, "x.env", text, sizeof(text)),
			       "sub: may be written by others than its owner|;"));
	assert_int_equal(chmod(sub, 01777), 0); /* not with the sticky bit */
	assert_string_equal(ask_for(&r, sub, "x.env", text, sizeof(text)), "||x.env;");
	snprintf(path, sizeof(path), "%s/x.env", sub);
	snprintf(other, sizeof(other), "%s/second", dir);
	assert_int_equal(link(path, other), 0);
	assert_non_null(strstr(ask_for(&r, sub, "x.env", text, sizeof(text)), "second name"));
	assert_int_equal(chmod(sub, 0755), 0);
	assert_string_equal(ask_for(&r, sub, "x.env", text, sizeof(text)), "||x.env;");
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 65534, 65534), 0);
		assert_non_null(
			strstr(ask_for(&r, sub, "x.env", text, sizeof(text)), "belong to root"));
		assert_int_equal(chown(path, 0, 0), 0);
		assert_int_equal(chown(sub, 65534, 65534), 0);
		assert_non_null(
			strstr(ask_for(&r, sub, "x.env", text, sizeof(text)), "belong to root"));
	}
	mem_closep(&r.reload_fd); /* nothing more: the opener goes, the next one may come */
	kill(r.pid, SIGHUP);
	RIG_UNTIL(&r, r.n_reload == 2);
	rig_clean_stop(&r); /* with an opener that waits to be asked */
	rig_remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_runs_writes_and_exits),
		cmocka_unit_test(failures_name_their_stage),
		cmocka_unit_test(a_living_slot_refuses_a_second_process),
		cmocka_unit_test(stop_asks_then_kills),
		cmocka_unit_test(left_overs_are_swept_each_services_own),
		cmocka_unit_test(a_dead_controller_loses_nothing),
		cmocka_unit_test(a_dead_logger_gets_its_streams_again),
		cmocka_unit_test(a_stopped_controller_holds_nothing),
		cmocka_unit_test(a_killed_aictld_is_followed_by_one_that_adopts),
		cmocka_unit_test(early_deaths_lead_to_safe_mode),
		cmocka_unit_test(a_second_instance_refuses),
		cmocka_unit_test(sigterm_stops_all_and_a_second_one_kills),
		cmocka_unit_test(manifests_are_opened_and_bad_ones_refused),
		cmocka_unit_test(files_that_manifests_name_are_opened_with_care),
		cmocka_unit_test(a_standby_starts_when_the_process_ends),
		cmocka_unit_test(a_stop_or_a_word_drops_the_standby),
		cmocka_unit_test(a_stop_is_answered_under_the_name_it_was_asked),
		cmocka_unit_test(random_deaths_confuse_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
