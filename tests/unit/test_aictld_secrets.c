/*
 * test_aictld_secrets: the files of services' secrets: written before the start that needs them, given
 * other contents, adopted, removed. The helpers are played by the test (aictld_rig.h).
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"

/* sh -c SCRIPT; the lists live in v. */
struct shell {
	const char *paths[2], *argv[4], *envp[2];
};

static struct wire_child shell(struct shell *v, const char *script)
{
	*v = (struct shell){
		{"/bin/sh", NULL}, {"sh", "-c", script, NULL}, {"PATH=/usr/bin:/bin", NULL}};
	return (struct wire_child){.cwd = "/",
				   .paths = (char *const *)(uintptr_t)v->paths,
				   .argv = (char *const *)(uintptr_t)v->argv,
				   .envp = (char *const *)(uintptr_t)v->envp,
				   .umask = 027};
}

static struct wire_spawn spawn_of(const struct wire_key *k, const struct wire_child *child)
{
	return (struct wire_spawn){.key = *k,
				   .child = *child,
				   .stop_signal = SIGTERM,
				   .grace_ms = 1000,
				   .logs.max_size = 1 << 20,
				   .logs.max_files = 5};
}

static void put_version(struct rig *r, uint64_t generation, uint64_t version, const char *text,
			size_t big)
{
	struct wire_secrets *m = mem_alloc(sizeof(*m));
	_cleanup_free_ uint8_t *more = mem_alloc(big + 1);
	struct buf b = {0};

	assert_true(m && more);
	memset(more, 'x', big);
	*m = (struct wire_secrets){.service = "chat", .generation = generation, .n = 2};
	m->version = version;
	m->uid = geteuid() == 0 ? 65534 : geteuid();
	m->gid = geteuid() == 0 ? 65534 : getegid();
	m->secrets[0] =
		(struct wire_secret){"hf-token", (const uint8_t *)text, (uint32_t)strlen(text)};
	m->secrets[1] = (struct wire_secret){"big.pem", more, (uint32_t)big};
	wire_secrets_encode(&b, m);
	rig_send(r, &b, NULL, 0);
	mem_free(m);
}

static void put_secrets(struct rig *r, uint64_t generation, const char *text, size_t big)
{
	put_version(r, generation, 0, text, big);
}

static void path_of(const struct rig *r, uint64_t generation, const char *name, char *out, size_t n)
{
	_cleanup_buf_ struct buf b = {0};

	wire_secrets_path(&b, r->hello.secrets_dir, "chat", generation);
	snprintf(out, n, "%s%s%s", buf_cstr(&b), name ? "/" : "", name ? name : "");
}

/* Starts sh with that generation, as the secrets' user. */
static struct wire_key spawn_with(struct rig *r, uint64_t generation, const char *script)
{
	struct wire_key k = rig_key(r, "chat", 0);
	struct wire_spawn m;
	struct wire_child c;
	struct shell v;

	c = shell(&v, script);
	c.set_user = true;
	c.uid = geteuid() == 0 ? 65534 : geteuid();
	c.gid = geteuid() == 0 ? 65534 : getegid();
	m = spawn_of(&k, &c);
	m.secrets = generation;
	rig_spawn(r, &m);
	return k;
}

static void check_modes(const struct rig *r, uint64_t generation, size_t big)
{
	char path[4200];
	struct stat st;

	path_of(r, generation, NULL, path, sizeof(path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0500);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 65534 : geteuid());
	path_of(r, generation, "big.pem", path, sizeof(path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_size, big);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 65534 : geteuid());
	assert_int_equal(st.st_gid, geteuid() == 0 ? 65534 : getegid());
	assert_int_equal(stat(r->hello.secrets_dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
}

static void secrets_are_there_before_the_start(void **state)
{
	char script[5000], path[4200], dir[4096];
	const struct wire_exit *x;
	struct buf b = {0};
	struct wire_key k;
	struct stat st;
	struct rig r;
	ino_t ino;

	(void)state;
	rig_start(&r, NULL);
	k = spawn_with(&r, 7, "exit 0"); /* never sent */
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->stage, WIRE_STAGE_SECRETS);
	assert_int_equal(x->err, ENOENT);
	rig_wait_swept(&r, &k);
	put_secrets(&r, 7, "s3cret", 300 << 10); /* by memfd */
	path_of(&r, 7, "hf-token", path, sizeof(path));
	snprintf(script, sizeof(script), "test \"$(cat %s)\" = s3cret", path);
	k = spawn_with(&r, 7, script);
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 0);
	check_modes(&r, 7, 300 << 10);
	assert_int_equal(stat(path, &st), 0);
	ino = st.st_ino;
	put_secrets(&r, 8, "other", 1);
	put_secrets(&r, 7, "not written again", 1);
	k = spawn_with(&r, 8, "exit 0");
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 0);
	rig_kill_helper(&r, &r.controller);
	rig_wait_synced(&r);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_ino, ino);
	check_modes(&r, 8, 1);
	wire_secrets_encode_drop(&b, "chat", 8); /* the one that is kept */
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, stat(path, &st) < 0);
	check_modes(&r, 8, 1);
	k = spawn_with(&r, 7, "exit 0");
	assert_int_equal(rig_wait_exit_of(&r, &k)->stage, WIRE_STAGE_SECRETS);
	snprintf(dir, sizeof(dir), "%s", r.hello.secrets_dir);
	assert_true(WIFEXITED(rig_stop(&r)));
	assert_true(stat(dir, &st) < 0 && errno == ENOENT);
	rig_remove(&r);
}

/* What cannot be written fails the start that needs it, until it can be. */
static void secrets_that_cannot_be_written_fail_the_start(void **state)
{
	const struct wire_exit *x;
	char path[4200];
	struct wire_key k;
	struct rig r;
	int fd;

	(void)state;
	rig_start(&r, NULL);
	snprintf(path, sizeof(path), "%s/chat", r.hello.secrets_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		  0600); /* in the directory's place */
	assert_true(fd >= 0);
	close(fd);
	put_secrets(&r, 3, "x", 1);
	k = spawn_with(&r, 3, "exit 0");
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->stage, WIRE_STAGE_SECRETS);
	assert_int_equal(x->err, ENOTDIR);
	assert_int_equal(unlink(path), 0);
	put_secrets(&r, 3, "x", 1);
	k = spawn_with(&r, 3, "exit 0");
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 0);
	rig_clean_stop(&r);
}

static bool holds(const struct rig *r, uint64_t generation, const char *text)
{
	char path[4200], found[64] = "";
	ssize_t n;
	int fd;

	path_of(r, generation, "hf-token", path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, found, sizeof(found) - 1);
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && strcmp(found, text) == 0;
}

/* Other contents at the same place, whole; who has the former ones open keeps them. */
static void another_version_takes_the_place(void **state)
{
	char path[4200], was[16] = "";
	struct stat st;
	struct rig r;
	int fd;

	(void)state;
	rig_start(&r, NULL);
	put_version(&r, 7, 1, "one", 10);
	RIG_UNTIL(&r, r.written.version == 1 && r.written.err == 0);
	assert_true(holds(&r, 7, "one"));
	path_of(&r, 7, "hf-token", path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	put_version(&r, 7, 2, "two", 300 << 10);
	RIG_UNTIL(&r, r.written.version == 2 && r.written.err == 0);
	assert_true(holds(&r, 7, "two"));
	check_modes(&r, 7, 300 << 10);
	assert_int_equal(read(fd, was, sizeof(was)), 3);
	assert_string_equal(was, "one");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0); /* nowhere else any more */
	close(fd);
	snprintf(path, sizeof(path), "%s/chat/.new", r.hello.secrets_dir);
	assert_true(stat(path, &st) < 0 && errno == ENOENT);
	path_of(&r, 7, "hf-token", path, sizeof(path));
	assert_int_equal(stat(path, &st), 0);
	r.written.version = 0; /* the same again is told again, and written once */
	put_version(&r, 7, 2, "not written", 1);
	RIG_UNTIL(&r, r.written.version == 2);
	assert_true(holds(&r, 7, "two"));
	kill(r.pid, SIGKILL); /* the next one does not know which they are */
	rig_wait_exit(&r);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	assert_true(holds(&r, 7, "two"));
	put_version(&r, 7, 2, "two", 10);
	put_version(&r, 7, 3, "three", 10);
	RIG_UNTIL(&r, r.written.version == 3);
	assert_true(holds(&r, 7, "three"));
	rig_clean_stop(&r);
}

/* What was there stays; the reason is told. */
static void a_version_that_cannot_be_written_is_told(void **state)
{
	char path[4200], away[4300];
	struct rig r;
	int fd;

	(void)state;
	rig_start(&r, NULL);
	put_version(&r, 7, 1, "one", 10);
	RIG_UNTIL(&r, r.written.version == 1);
	snprintf(path, sizeof(path), "%s/chat", r.hello.secrets_dir);
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	put_version(&r, 7, 2, "two", 10);
	RIG_UNTIL(&r, r.written.version == 2);
	assert_int_equal(r.written.err, ENOTDIR);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(away, path), 0);
	assert_true(holds(&r, 7, "one"));
	put_version(&r, 7, 2, "two", 10);
	RIG_UNTIL(&r, r.written.version == 2 && r.written.err == 0);
	assert_true(holds(&r, 7, "two"));
	rig_clean_stop(&r);
}

/* A service's user may do in his directory what he likes; all the same it goes. */
static void secrets_of_a_former_aictld_are_adopted(void **state)
{
	char path[4200], script[14000];
	struct buf b = {0};
	struct wire_key k;
	struct stat st;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	put_secrets(&r, 1, "old", 10);
	path_of(&r, 1, NULL, path, sizeof(path));
	snprintf(script, sizeof(script),
		 "chmod 700 %s && cd %s && rm -f hf-token && mkdir -p a/b/c && ln -s / a/root && "
		 "touch a/b/c/d && chmod 0 a/b && cd / && chmod 0 %s",
		 path, path, path);
	k = spawn_with(&r, 1, script);
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 0);
	kill(r.pid, SIGKILL);
	rig_wait_exit(&r);
	assert_int_equal(stat(path, &st), 0);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	assert_int_equal(stat(path, &st), 0);
	k = spawn_with(&r, 1, "exit 0"); /* the new one knows of it */
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 0);
	wire_secrets_encode_drop(&b, "chat", 0);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, stat(path, &st) < 0);
	rig_clean_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_there_before_the_start),
		cmocka_unit_test(secrets_that_cannot_be_written_fail_the_start),
		cmocka_unit_test(another_version_takes_the_place),
		cmocka_unit_test(a_version_that_cannot_be_written_is_told),
		cmocka_unit_test(secrets_of_a_former_aictld_are_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
