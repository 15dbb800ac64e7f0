/* test_wire: every message there and back, every truncation, hostile packets, descriptors. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/wire/wire.h"
#include "daemon/wire/wire_traffic.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/lib/wiremsg.h"

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int fds_setup(void **state)
{
	unsigned *n = mem_alloc(sizeof(*n));

	*n = count_fds();
	*state = n;
	return 0;
}

static int fds_teardown(void **state)
{
	unsigned *n = *state;

	assert_int_equal(count_fds(), *n);
	mem_free(n);
	return 0;
}

/* A copy of exactly len bytes, so that the sanitizer sees any read beyond. */
static int again_exact(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	uint8_t *copy = mem_dup(body, len);
	int r;

	assert_non_null(copy);
	r = wiremsg_again(type, copy, len, out);
	mem_free(copy);
	return r;
}

static void every_message_there_and_back(void **state)
{
	uint64_t seen = 0;

	(void)state;
	for (unsigned i = 0;; i++) {
		_cleanup_buf_ struct buf a = {0};
		_cleanup_buf_ struct buf b = {0};
		enum wire_type type = wiremsg_sample(i, &a);

		if (!type)
			break;
		seen |= UINT64_C(1) << type;
		assert_false(a.failed);
		assert_int_equal(again_exact(type, (uint8_t *)a.data + WIRE_HEADER_SIZE,
					     a.len - WIRE_HEADER_SIZE, &b),
				 0);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.data, b.data, a.len);
		assert_string_not_equal(wire_type_name(type), "?");
	}
	assert_true(seen == (UINT64_C(1) << WIRE_TYPE_MAX_) - 2);
}

#define GIVE_BACK_LATER 36 /* bytes that the first builds did not have */
#define GIVE_BACK_LAST 8   /* of these the later ones did not have */

static void what_a_former_build_gives_back_is_understood(void **state)
{
	struct wire_give_back m = {
		.stream = {.key = {.service = "llm",
				   .incarnation = "0123456789abcdef0123456789abcdef"},
			   .logs = {.max_size = 1 << 20,
				    .max_files = 5,
				    .flags = WIRE_LOGS_ZSTD,
				    .max_total = 7,
				    .max_age_ms = 8,
				    .rotate_ms = 9,
				    .revision = 10}},
		.fds = WIRE_GIVE_STDOUT};
	_cleanup_buf_ struct buf b = {0};
	struct wire_give_back got;
	const uint8_t *body;

	(void)state;
	wire_giveback_encode(&b, &m);
	body = (const uint8_t *)b.data + WIRE_HEADER_SIZE;
	assert_int_equal(wire_giveback_decode(body, b.len - WIRE_HEADER_SIZE, &got), 0);
	assert_memory_equal(&got.stream.logs, &m.stream.logs, sizeof(got.stream.logs));
	assert_int_equal(
		wire_giveback_decode(body, b.len - WIRE_HEADER_SIZE - GIVE_BACK_LATER, &got), 0);
	m.stream.logs = (struct wire_logs){.max_size = 1 << 20, .max_files = 5};
	assert_memory_equal(&got.stream.logs, &m.stream.logs, sizeof(got.stream.logs));
	assert_int_equal(got.fds, WIRE_GIVE_STDOUT);
}

static void every_truncation_and_excess_is_refused(void **state)
{
	(void)state;
	for (unsigned i = 0;; i++) {
		_cleanup_buf_ struct buf a = {0};
		_cleanup_buf_ struct buf b = {0};
		enum wire_type type = wiremsg_sample(i, &a);
		uint8_t *body;
		size_t len;

		if (!type)
			break;
		buf_append(&a, "\0", 1);
		body = (uint8_t *)a.data + WIRE_HEADER_SIZE;
		len = a.len - WIRE_HEADER_SIZE;
		/* Members may be appended to a frozen format: what follows is ignored. */
		if (type != WIRE_JOIN && type != WIRE_GIVE_BACK && type != WIRE_GIVE_LISTENER)
			assert_int_equal(again_exact(type, body, len, &b), -ERR_INVALID);
		for (size_t n = 0; n + 1 < len; n++) {
			if (type == WIRE_GIVE_BACK &&
			    (n + 1 == len - GIVE_BACK_LATER || n + 1 == len - GIVE_BACK_LAST))
				continue; /* of a former build */
			buf_clear(&b);
			assert_int_equal(again_exact(type, body, n, &b), -ERR_INVALID);
		}
	}
}

static void damaged_bytes_are_survived(void **state)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

	(void)state;
	for (unsigned i = 0;; i++) {
		_cleanup_buf_ struct buf a = {0};
		enum wire_type type = wiremsg_sample(i, &a);

		if (!type)
			break;
		for (size_t at = WIRE_HEADER_SIZE; at < a.len; at++) {
			char old = a.data[at];

			for (size_t v = 0; v < sizeof(values); v++) {
				_cleanup_buf_ struct buf b = {0};

				a.data[at] = (char)values[v];
				again_exact(type, (uint8_t *)a.data + WIRE_HEADER_SIZE,
					    a.len - WIRE_HEADER_SIZE, &b);
			}
			a.data[at] = old;
		}
	}
}

static void names_that_are_no_file_names_are_refused(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "A", "a_b", "-a", "a\xc3\xa4"};
	static const char *const bad_inc[] = {"x", "0123456789abcdef0123456789abcdeF",
					      "0123456789abcdef0123456789abcde", "/"};
	struct wire_key k = {"ok", 0, ""}, out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad) + ARRAY_SIZE(bad_inc); i++) {
		_cleanup_buf_ struct buf b = {0};
		struct wire_key m = k;

		if (i < ARRAY_SIZE(bad))
			memcpy(m.service, bad[i], strlen(bad[i]) + 1);
		else
			memcpy(m.incarnation, bad_inc[i - ARRAY_SIZE(bad)],
			       strlen(bad_inc[i - ARRAY_SIZE(bad)]) + 1);
		wire_encode_key(&b, WIRE_GONE, &m);
		assert_int_equal(wire_decode_key((uint8_t *)b.data + WIRE_HEADER_SIZE,
						 b.len - WIRE_HEADER_SIZE, &out),
				 -ERR_INVALID);
	}
	memset(k.service, 'a', WIRE_SERVICE_SIZE - 1);
	memset(k.incarnation, '0', WIRE_INCARNATION_SIZE - 1);
	for (int unterminated = 0; unterminated < 2; unterminated++) {
		_cleanup_buf_ struct buf b = {0};

		k.service[WIRE_SERVICE_SIZE - 1] = unterminated ? 'a' : '\0';
		wire_encode_key(&b, WIRE_GONE, &k);
		assert_int_equal(wire_decode_key((uint8_t *)b.data + WIRE_HEADER_SIZE,
						 b.len - WIRE_HEADER_SIZE, &out),
				 unterminated ? -ERR_INVALID : 0);
	}
}

/* A spawn whose list claims 2^32-1 members, and one whose texts would overflow a sum of lengths. */
static void hostile_counts_cost_no_memory(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct wire_spawn m;
	uint8_t *body;
	size_t len;

	(void)state;
	assert_int_equal(wiremsg_sample(2, &b), WIRE_SPAWN);
	body = (uint8_t *)b.data + WIRE_HEADER_SIZE;
	len = b.len - WIRE_HEADER_SIZE;
	mem_fail_after(1); /* a decoder that got as far as allocating would say NOMEM */
	for (size_t at = 0; at + 4 <= len; at++) {
		uint8_t save[4];
		int r;

		memcpy(save, body + at, 4);
		memset(body + at, 0xff, 4);
		r = wire_decode_spawn(body, len, &m);
		assert_true(r == -ERR_INVALID || r == -ERR_NOMEM);
		if (r == -ERR_NOMEM)
			mem_fail_after(1);
		memcpy(body + at, save, 4);
	}
	mem_fail_after(1);
	assert_int_equal(wire_decode_spawn(body, len, &m), -ERR_NOMEM);
	mem_fail_after(0);
	assert_int_equal(wire_decode_spawn(body, len, &m), 0);
	assert_string_equal(m.child.cwd, "/srv/x");
	assert_string_equal(m.child.paths[1], "/usr/bin/sh");
	assert_string_equal(m.child.argv[1], "");
	assert_null(m.child.argv[4]);
	assert_null(m.child.envp[2]);
	assert_int_equal(m.child.groups[2], UINT32_MAX);
	assert_int_equal(m.child.n_rlimits, 2);
	assert_int_equal(m.child.rlimits[1].resource, 15);
	assert_true(m.child.rlimits[0].hard == WIRE_LIMIT_KEEP);
	assert_string_equal((const char *)m.note, "backoff=");
	wire_spawn_free(&m);
}

/* Name and contents of one secret; the decoder's answer. */
static int secret_named(const char *service, uint64_t generation, const char *name, uint32_t len)
{
	_cleanup_free_ uint8_t *data = mem_alloc(len + 1);
	struct wire_secrets *m = mem_alloc(2 * sizeof(*m));
	_cleanup_buf_ struct buf b = {0};
	int r;

	m->generation = generation;
	m->n = 1;
	memccpy(m->service, service, '\0', sizeof(m->service));
	memccpy(m->secrets[0].name, name, '\0', sizeof(m->secrets[0].name));
	m->secrets[0].data = data;
	m->secrets[0].len = len;
	wire_secrets_encode(&b, m);
	r = wire_secrets_decode((uint8_t *)b.data + WIRE_HEADER_SIZE, b.len - WIRE_HEADER_SIZE,
				m + 1);
	mem_free(m);
	return r;
}

static void secrets_have_file_names_and_bounds(void **state)
{
	static const char *const bad[] = {"",	  ".",	"..",  ".hidden", "a/b",     "/etc/x",
					  "../x", "-f", "a b", "a\nb",	  "\xc3\xa4"};
	char long_name[WIRE_SECRET_NAME_SIZE + 1] = "";
	_cleanup_buf_ struct buf path = {0};

	(void)state;
	assert_int_equal(secret_named("a", 1, "hf-token", 3), 0);
	assert_int_equal(secret_named("a", 1, "Key_2.pem", 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(secret_named("a", 1, bad[i], 3), -ERR_INVALID);
	memset(long_name, 'x', WIRE_SECRET_NAME_SIZE - 1);
	assert_int_equal(secret_named("a", 1, long_name, 3), 0);
	memset(long_name, 'x', WIRE_SECRET_NAME_SIZE);
	assert_int_equal(secret_named("a", 1, long_name, 3), -ERR_INVALID);
	assert_int_equal(secret_named("..", 1, "x", 3), -ERR_INVALID);
	assert_int_equal(secret_named("", 1, "x", 3), -ERR_INVALID);
	assert_int_equal(secret_named("a", 0, "x", 3), -ERR_INVALID);
	assert_int_equal(secret_named("a", 1, "x", WIRE_SECRET_BYTES_MAX), 0);
	assert_int_equal(secret_named("a", 1, "x", WIRE_SECRET_BYTES_MAX + 1), -ERR_INVALID);
	wire_secrets_path(&path, "/run/x", "chat", 0xabc);
	assert_string_equal(buf_cstr(&path), "/run/x/chat/0000000000000abc");
}

/* What a child shall be is checked before anything is done with it. */
static void impossible_children_are_refused(void **state)
{
	static char *const one[] = {(char *)"x", NULL};
	static const struct wire_rlimit past = {WIRE_RLIMITS_MAX, 1, 1};
	static struct wire_rlimit many[WIRE_RLIMITS_MAX + 1];
	const struct wire_child good = {.cwd = "/", .paths = one, .argv = one};
	struct wire_child bad[10];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[1].nice = 20;
	bad[2].nice = -21;
	bad[3].oom_score = 1001;
	bad[4].oom_score = -1001;
	bad[5].umask = 01000;
	bad[6].cwd = "x";
	bad[7].rlimits = &past;
	bad[7].n_rlimits = 1;
	bad[8].rlimits = many;
	bad[8].n_rlimits = ARRAY_SIZE(many);
	bad[9].argv = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct wire_run m = {.id = 1, .child = bad[i]}, out;
		_cleanup_buf_ struct buf b = {0};

		wire_run_encode(&b, &m);
		assert_int_equal(wire_run_decode((uint8_t *)b.data + WIRE_HEADER_SIZE,
						 b.len - WIRE_HEADER_SIZE, &out),
				 i == 0 ? 0 : -ERR_INVALID);
		wire_run_free(&out);
	}
}

static bool is_cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void big_bodies_go_by_memfd(void **state)
{
	size_t n = (300 << 10) + 7;
	_cleanup_free_ char *value = mem_alloc(n + 1);
	struct wire_packet *p = mem_alloc(sizeof(*p));
	_cleanup_buf_ struct buf b = {0};
	_cleanup_buf_ struct buf again = {0};
	int pair[2], pipefd[2];

	(void)state;
	memset(value, 'v', n);
	assert_int_equal(sock_pair(pair), 0);
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	{
		char *const argv[] = {(char *)"x", NULL}, *const envp[] = {value, NULL};
		struct wire_spawn m = {.key = {"big", 0, "0123456789abcdef0123456789abcdef"},
				       .child.cwd = "/",
				       .child.paths = argv,
				       .child.argv = argv,
				       .child.envp = envp,
				       .stop_signal = 15};

		wire_encode_spawn(&b, &m);
	}
	assert_true(b.len > WIRE_INLINE_MAX);
	assert_int_equal(wire_send(pair[0], &b, pipefd, 2), 0);
	assert_int_equal(wire_recv(pair[1], p), 1);
	assert_int_equal(p->type, WIRE_SPAWN);
	assert_int_equal(p->n_fds, 2);
	assert_true(is_cloexec(p->fds[0]) && is_cloexec(p->fds[1]));
	assert_int_equal(p->len, b.len - WIRE_HEADER_SIZE);
	assert_int_equal(wiremsg_again(p->type, p->body, p->len, &again), 0);
	assert_memory_equal(again.data, b.data, b.len);
	close(p->fds[0]); /* taken */
	p->fds[0] = -1;
	wire_packet_done(p); /* closes the other */
	assert_int_equal(wire_send(pair[0], &b, (int[]){0, 0, 0, 0, 0, 0, 0, 0}, 8), -EINVAL);
	for (int i = 0; i < 2; i++) {
		close(pair[i]);
		close(pipefd[i]);
	}
	mem_free(p);
}

static void inline_boundary(void **state)
{
	struct wire_packet *p = mem_alloc(sizeof(*p));
	int pair[2];

	(void)state;
	assert_int_equal(sock_pair(pair), 0);
	for (size_t n = WIRE_INLINE_MAX - 1; n <= WIRE_INLINE_MAX + 1; n++) {
		_cleanup_buf_ struct buf b = {0};

		wire_encode_empty(&b, WIRE_PING);
		buf_reserve(&b, n);
		memset(b.data + b.len, 'x', n);
		buf_added(&b, n);
		b.data[8] = (char)n;
		b.data[9] = (char)(n >> 8);
		b.data[10] = (char)(n >> 16);
		assert_int_equal(wire_send(pair[0], &b, NULL, 0), 0);
		assert_int_equal(wire_recv(pair[1], p), 1);
		assert_int_equal(p->len, n);
		assert_int_equal(p->map_ != NULL, n > WIRE_INLINE_MAX);
		assert_int_equal(p->body[n - 1], 'x');
		wire_packet_done(p);
	}
	close(pair[0]);
	close(pair[1]);
	mem_free(p);
}

static void raw_send(int fd, const void *data, size_t len, const int *fds, unsigned n)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	char control[CMSG_SPACE(16 * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), len);
}

/* A memfd with a body of len bytes and some seals. */
static int memfd_of(size_t len, int seals)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void header_of(uint8_t *h, uint16_t type, uint8_t flags, uint32_t len)
{
	_cleanup_buf_ struct buf b = {0};

	wire_encode_empty(&b, WIRE_PING);
	memcpy(h, b.data, WIRE_HEADER_SIZE);
	h[4] = (uint8_t)type;
	h[6] = flags;
	for (int i = 0; i < 4; i++)
		h[8 + i] = (uint8_t)(len >> (8 * i));
}

static void bad_memfds_are_refused(void **state)
{
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	static const size_t n = 100000;
	const struct {
		size_t size;
		int seals;
		int result;
	} cases[] = {{n, all, 1},
		     {n, all & ~F_SEAL_SHRINK, -EBADMSG},
		     {n, all & ~F_SEAL_GROW, -EBADMSG},
		     {n, all & ~F_SEAL_WRITE, -EBADMSG},
		     {n, all & ~F_SEAL_SEAL, -EBADMSG},
		     {n, 0, -EBADMSG},
		     {n - 1, all, -EBADMSG},
		     {n + 1, all, -EBADMSG},
		     {0, all, -EBADMSG}};
	struct wire_packet *p = mem_alloc(sizeof(*p));
	uint8_t h[WIRE_HEADER_SIZE];
	int pair[2];

	(void)state;
	assert_int_equal(sock_pair(pair), 0);
	header_of(h, WIRE_PING, WIRE_F_MEMFD, n);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = memfd_of(cases[i].size, cases[i].seals);

		raw_send(pair[0], h, sizeof(h), &fd, 1);
		close(fd);
		assert_int_equal(wire_recv(pair[1], p), cases[i].result);
		wire_packet_done(p);
	}
	raw_send(pair[0], h, sizeof(h), NULL, 0); /* no memfd at all */
	assert_int_equal(wire_recv(pair[1], p), -EBADMSG);
	raw_send(pair[0], h, sizeof(h), pair, 1); /* not a memfd */
	assert_int_equal(wire_recv(pair[1], p), -EBADMSG);
	close(pair[0]);
	close(pair[1]);
	mem_free(p);
}

static void bad_headers_are_refused(void **state)
{
	static uint8_t big[WIRE_HEADER_SIZE + WIRE_INLINE_MAX + 1];
	struct wire_packet *p = mem_alloc(sizeof(*p));
	uint8_t h[WIRE_HEADER_SIZE];
	int pair[2], dup_fds[9];

	(void)state;
	assert_int_equal(sock_pair(pair), 0);
	for (unsigned i = 0; i < 9; i++)
		dup_fds[i] = pair[0];
	header_of(h, WIRE_PING, 0, 0);
	for (size_t len = 1; len < sizeof(h); len++) {
		raw_send(pair[0], h, len, dup_fds, 2);
		assert_int_equal(wire_recv(pair[1], p), -EBADMSG);
	}
	for (size_t at = 0; at < sizeof(h); at++) { /* each byte of it matters */
		uint8_t bad[WIRE_HEADER_SIZE];

		memcpy(bad, h, sizeof(h));
		bad[at] ^= 0x40;
		raw_send(pair[0], bad, sizeof(bad), dup_fds, 2);
		assert_int_equal(wire_recv(pair[1], p), -EBADMSG);
	}
	header_of(big, WIRE_PING, 0, sizeof(big) - WIRE_HEADER_SIZE); /* MSG_TRUNC */
	raw_send(pair[0], big, sizeof(big), dup_fds, 8);
	assert_int_equal(wire_recv(pair[1], p), -EBADMSG);
	raw_send(pair[0], h, sizeof(h), dup_fds, 9); /* MSG_CTRUNC */
	assert_int_equal(wire_recv(pair[1], p), -EBADMSG);
	raw_send(pair[0], h, sizeof(h), dup_fds, 8);
	assert_int_equal(wire_recv(pair[1], p), 1);
	assert_int_equal(p->n_fds, 8);
	wire_packet_done(p);
	assert_int_equal(wire_recv(pair[1], p), -EAGAIN);
	close(pair[0]);
	close(pair[1]);
	mem_free(p);
}

static void end_of_file_and_full_queue(void **state)
{
	struct wire_packet *p = mem_alloc(sizeof(*p));
	_cleanup_buf_ struct buf b = {0};
	unsigned sent = 0, got = 0;
	int pair[2], r;

	(void)state;
	assert_int_equal(sock_pair(pair), 0);
	wire_encode_empty(&b, WIRE_PING);
	while ((r = wire_send(pair[0], &b, NULL, 0)) == 0)
		sent++;
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > 10);
	assert_int_equal(wire_send(pair[1], &b, NULL, 0), 0); /* unread when pair[0] closes */
	close(pair[0]);
	while ((r = wire_recv(pair[1], p)) == 1) { /* all that it sent before it died */
		got++;
		wire_packet_done(p);
	}
	assert_int_equal(r, 0);
	assert_int_equal(got, sent);
	assert_int_equal(wire_recv(pair[1], p), 0);
	assert_int_equal(wire_send(pair[1], &b, NULL, 0), -EPIPE);
	b.failed = true;
	assert_int_equal(wire_send(pair[1], &b, NULL, 0), -ENOMEM);
	close(pair[1]);
	mem_free(p);
}

static void an_encoder_refuses_what_is_too_large(void **state)
{
	size_t n = WIRE_BODY_MAX;
	_cleanup_free_ char *value = mem_alloc(n + 1);
	char *const argv[] = {(char *)"x", NULL}, *const envp[] = {value, NULL};
	struct wire_spawn m = {
		.key = {"big", 0, ""}, .child.cwd = "/", .child.paths = argv, .child.argv = argv};
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	memset(value, 'v', n);
	m.child.envp = envp;
	wire_encode_spawn(&b, &m);
	assert_true(b.failed);
}

static void keys_and_names(void **state)
{
	struct wire_key a = {"a", 1, "x"}, b = {"a", 1, "y"}, c = {"a", 2, "x"};
	char text[WIRE_FAILURE_SIZE];

	(void)state;
	assert_true(wire_key_same_slot(&a, &b));
	assert_false(wire_key_equal(&a, &b));
	assert_true(wire_key_equal(&a, &a));
	assert_false(wire_key_same_slot(&a, &c));
	assert_string_equal(wire_stage_name(WIRE_STAGE_CHDIR), "chdir");
	assert_string_equal(wire_stage_name(WIRE_STAGE_MAX_), "?");
	assert_string_equal(wire_type_name(WIRE_TYPE_MAX_), "?");
	assert_string_equal(wire_failure_name(text, WIRE_STAGE_CHDIR, WIRE_WHAT_NONE), "chdir");
	assert_string_equal(wire_failure_name(text, WIRE_STAGE_LIMITS, WIRE_WHAT_RLIMIT + 7),
			    "limits: nofile");
	assert_string_equal(wire_failure_name(text, WIRE_STAGE_LIMITS, WIRE_WHAT_NICE),
			    "limits: nice");
	assert_string_equal(wire_failure_name(text, WIRE_STAGE_FDS, WIRE_WHAT_MAX_), "fds");
	for (int i = 0; i < WIRE_WHAT_MAX_; i++)
		wire_failure_name(text, WIRE_STAGE_SECRETS, i);
	for (int i = 0; i < WIRE_STAGE_MAX_; i++)
		assert_non_null(wire_stage_name((enum wire_stage)i));
}

static void times_have_buckets(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WIRE_TRAFFIC_BUCKETS - 1; i++) {
		uint64_t us = (uint64_t)(wire_traffic_bound_ms(i) * 1000 + 0.5);

		assert_int_equal(wire_traffic_bucket(us), i);
		assert_int_equal(wire_traffic_bucket(us + 1), i + 1);
		if (i >= WIRE_TRAFFIC_DOUBLING)
			assert_true(wire_traffic_bound_ms(i) ==
				    2 * wire_traffic_bound_ms(i - WIRE_TRAFFIC_DOUBLING));
	}
	assert_int_equal(wire_traffic_bucket(0), 0);
	assert_int_equal(wire_traffic_bucket(UINT64_MAX), WIRE_TRAFFIC_BUCKETS - 1);
	assert_true(isinf(wire_traffic_bound_ms(WIRE_TRAFFIC_BUCKETS - 1)));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fds_setup, fds_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_message_there_and_back),
		TEST(what_a_former_build_gives_back_is_understood),
		TEST(every_truncation_and_excess_is_refused),
		TEST(damaged_bytes_are_survived),
		TEST(names_that_are_no_file_names_are_refused),
		TEST(hostile_counts_cost_no_memory),
		TEST(secrets_have_file_names_and_bounds),
		TEST(impossible_children_are_refused),
		TEST(big_bodies_go_by_memfd),
		TEST(inline_boundary),
		TEST(bad_memfds_are_refused),
		TEST(bad_headers_are_refused),
		TEST(end_of_file_and_full_queue),
		TEST(an_encoder_refuses_what_is_too_large),
		TEST(keys_and_names),
		TEST(times_have_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
