/* Tests of daemon/logger/forward: what is stored reaches a journal's socket, whatever that does. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/logger/forward.h"
#include "daemon/logger/journal_line.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/log_rig.h"

#define DEADLINE_MS 20000

struct bench {
	struct log_rig *rig;
	struct forward f;
	char socket[96];
	int server;
	char got[128 << 10], value[256];
};

static void listen_again(struct bench *b)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	memcpy(addr.sun_path, b->socket, sizeof(b->socket));
	unlink(b->socket);
	b->server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(b->server >= 0);
	assert_int_equal(bind(b->server, (const struct sockaddr *)&addr, sizeof(addr)), 0);
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	void *rig = NULL;

	assert_int_equal(log_rig_setup(&rig), 0);
	b->rig = rig;
	snprintf(b->socket, sizeof(b->socket), "%s/socket", b->rig->dir);
	listen_again(b);
	forward_init(&b->f, b->rig->dir, b->socket);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	void *rig = b->rig;

	assert_true(forward_done(&b->f, DEADLINE_MS));
	close(b->server);
	unlink(b->socket);
	assert_int_equal(log_rig_teardown(&rig), 0);
	mem_free(b);
	return 0;
}

static struct wire_stream stream_of(const struct log_rig_at *a, uint32_t flags)
{
	struct wire_stream m = {.key = {.index = a->index},
				.logs = {.flags = flags, .revision = 7}};

	memcpy(m.key.service, "svc", 4);
	memcpy(m.key.incarnation, a->inc, strlen(a->inc) + 1);
	return m;
}

/* As the logger does it: the index is there before the log. */
static void make_index(struct bench *b, const struct log_rig_at *a)
{
	struct logidx_header h = {.seq = a->seq, .created_wall_ms = clock_wall_ms()};
	uint8_t bytes[LOGIDX_HEADER_SIZE];
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/svc", b->rig->dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/svc/%u", b->rig->dir, a->index);
	mkdir(path, 0755);
	fd = open(log_rig_path(b->rig, *a, LOGIDX_IDX, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	memcpy(h.incarnation, a->inc, sizeof(h.incarnation));
	logidx_encode_header(&h, bytes);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
}

static void want(struct bench *b, const struct log_rig_at *a)
{
	struct wire_stream m = stream_of(a, WIRE_LOGS_JOURNALD);
	char path[256];

	if (a->seq == 1 && access(log_rig_path(b->rig, *a, LOGIDX_IDX, path), F_OK) < 0)
		make_index(b, a);
	forward_stream(&b->f, &m);
}

/* The next datagram's value of a field; "" = it has none. */
static const char *value(struct bench *b, const char *field)
{
	char *at = b->got, *end;
	size_t n = strlen(field);

	while (at && strncmp(at, field, n) != 0) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return "";
	end = strchr(at, '\n');
	assert_non_null(end);
	snprintf(b->value, sizeof(b->value), "%.*s", (int)(end - at) - (int)n, at + n);
	return b->value;
}

static bool receive(struct bench *b, int ms)
{
	struct pollfd p = {.fd = b->server, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, ms) != 1)
		return false;
	n = recv(b->server, b->got, sizeof(b->got) - 1, 0);
	assert_true(n > 0);
	b->got[n] = '\0';
	return true;
}

static void expect(struct bench *b, const char *message)
{
	assert_true(receive(b, DEADLINE_MS));
	assert_string_equal(value(b, "MESSAGE="), message);
}

static char *now_incarnation(char *out, char tail)
{
	snprintf(out, LOGIDX_INCARNATION_SIZE, "%012llx%020d", (unsigned long long)clock_wall_ms(),
		 0);
	out[LOGIDX_INCARNATION_SIZE - 2] = tail;
	return out;
}

static void fields(void **state)
{
	static const struct {
		const char *line, *message, *priority;
		uint32_t stream;
	} samples[] = {
		{"hello", "hello", "6", 1},
		{"<3>broken", "broken", "3", 2},
		{"WARNING: low", "WARNING: low", "4", 2},
		{"{\"level\":\"error\",\"msg\":\"x\"}", "{\"level\":\"error\",\"msg\":\"x\"}", "3",
		 1},
		{"{\"msg\":\"ERROR\"}", "{\"msg\":\"ERROR\"}", "6", 1},
		{"[aictl: 3 lines dropped]", "[aictl: 3 lines dropped]", "4", 3},
		{"", "", "6", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup_buf_ struct buf out = {0};
		_cleanup_free_ char *exp = mem_printf(
			"MESSAGE=%s\nPRIORITY=%s\nSYSLOG_IDENTIFIER=llm\nAICTL_SERVICE=llm\n"
			"AICTL_REPLICA=llm/3\nAICTL_REVISION=7\nAICTL_INCARNATION=%s\n"
			"AICTL_STREAM=%s\nAICTL_TIME=1970-01-01T00:00:01.005Z\n",
			samples[i].message, samples[i].priority, INC_A,
			samples[i].stream == 1	 ? "stdout"
			: samples[i].stream == 2 ? "stderr"
						 : "aictl");

		journal_line_encode(&out, &(struct journal_line){.service = "llm",
								 .incarnation = INC_A,
								 .index = 3,
								 .stream = samples[i].stream,
								 .revision = 7,
								 .wall_ms = 1005,
								 .text = samples[i].line,
								 .len = strlen(samples[i].line)});
		assert_string_equal(buf_cstr(&out), exp);
	}
}

static void lines_are_sent(void **state)
{
	struct bench *b = *state;
	char inc[LOGIDX_INCARNATION_SIZE], other[LOGIDX_INCARNATION_SIZE];
	struct log_rig_at a = {0, now_incarnation(inc, 'a'), 1};
	struct log_rig_at silent = {1, now_incarnation(other, 'b'), 1};

	make_index(b, &silent);
	want(b, &a);
	log_rig_put(b->rig, a, 1, clock_wall_ms(), "one\n");
	expect(b, "one");
	log_rig_put(b->rig, a, 2, clock_wall_ms(), "<4>two\n");
	expect(b, "two");
	assert_string_equal(value(b, "PRIORITY="), "4");
	assert_string_equal(value(b, "AICTL_SERVICE="), "svc");
	assert_string_equal(value(b, "AICTL_REVISION="), "7");
	want(b, &silent);
	log_rig_put(b->rig, silent, 1, clock_wall_ms(), "wanted\n");
	expect(b, "wanted");
}

/* The thread has written down that it is of no interest. */
static void forget_is_known(struct bench *b, const char *incarnation)
{
	int64_t until = clock_mono_ms() + DEADLINE_MS;
	char text[1024];
	ssize_t n = 1;

	do {
		int dir = open(b->rig->dir, O_RDONLY | O_CLOEXEC);
		int fd = openat(dir, FORWARD_FILE, O_RDONLY | O_CLOEXEC);

		n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = '\0';
		close(fd);
		close(dir);
		poll(NULL, 0, 10);
	} while ((n <= 0 || strstr(text, incarnation)) && clock_mono_ms() < until);
	assert_null(strstr(text, incarnation));
}

static void one_that_is_not_wanted_any_more(void **state)
{
	struct bench *b = *state;
	char inc[LOGIDX_INCARNATION_SIZE], other[LOGIDX_INCARNATION_SIZE];
	struct log_rig_at a = {0, now_incarnation(inc, 'a'), 1};
	struct log_rig_at c = {1, now_incarnation(other, 'b'), 1};
	struct wire_stream off = stream_of(&a, 0);

	want(b, &a);
	want(b, &c);
	log_rig_put(b->rig, a, 1, clock_wall_ms(), "one\n");
	expect(b, "one");
	forward_stream(&b->f, &off);
	forget_is_known(b, inc);
	log_rig_put(b->rig, a, 1, clock_wall_ms(), "two\n");
	log_rig_put(b->rig, c, 1, clock_wall_ms() + 1, "three\n");
	expect(b, "three");
}

/* A full socket, and one that nobody reads: lines wait, and come in order. */
static void a_slow_journal(void **state)
{
	struct bench *b = *state;
	char inc[LOGIDX_INCARNATION_SIZE], text[32];
	struct log_rig_at a = {0, now_incarnation(inc, 'a'), 1};

	want(b, &a);
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "line %d\n", i);
		log_rig_put(b->rig, a, 1, clock_wall_ms(), text);
	}
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "line %d", i);
		expect(b, text);
	}
}

static void a_journal_that_dies(void **state)
{
	struct bench *b = *state;
	char inc[LOGIDX_INCARNATION_SIZE];
	struct log_rig_at a = {0, now_incarnation(inc, 'a'), 1};

	want(b, &a);
	log_rig_put(b->rig, a, 1, clock_wall_ms(), "one\n");
	expect(b, "one");
	close(b->server);
	log_rig_put(b->rig, a, 1, clock_wall_ms(), "two\n");
	listen_again(b);
	expect(b, "two");
}

/* What a logger's death leaves: sent lines are not sent again but for the last ms, others are. */
static void a_death(void **state)
{
	struct bench *b = *state;
	char inc[LOGIDX_INCARNATION_SIZE];
	struct log_rig_at a = {0, now_incarnation(inc, 'a'), 1};
	int64_t now = clock_wall_ms();
	struct forward_state s = {0};
	int dir = open(b->rig->dir, O_RDONLY | O_CLOEXEC);

	want(b, &a);
	log_rig_put(b->rig, a, 1, now, "one\n");
	log_rig_put(b->rig, a, 1, now + 5, "two\n");
	expect(b, "one");
	expect(b, "two");
	assert_true(forward_done(&b->f, DEADLINE_MS));
	assert_int_equal(forward_state_load(&s, dir), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0]->sent_ms, now + 5);
	assert_int_equal(s.v[0]->n, 1);
	assert_int_equal(s.v[0]->v[0].revision, 7);
	forward_state_done(&s);
	log_rig_put(b->rig, a, 1, now + 10, "three\n");
	forward_init(&b->f, b->rig->dir, b->socket);
	want(b, &a);
	expect(b, "two");
	expect(b, "three");
	forward_over(&b->f, &(struct wire_key){.service = "svc", .index = 0});
	close(dir);
}

/* All was sent, and it is over: nothing remains of it. */
static void over(void **state)
{
	struct bench *b = *state;
	char inc[LOGIDX_INCARNATION_SIZE], path[96];
	struct log_rig_at a = {0, now_incarnation(inc, 'a'), 1};
	struct wire_stream m = stream_of(&a, WIRE_LOGS_JOURNALD);

	want(b, &a);
	log_rig_put(b->rig, a, 1, clock_wall_ms(), "one\nrest");
	log_rig_put_end(b->rig, a, 8);
	forward_over(&b->f, &m.key);
	expect(b, "one");
	expect(b, "rest");
	assert_true(forward_done(&b->f, DEADLINE_MS));
	snprintf(path, sizeof(path), "%s/" FORWARD_FILE, b->rig->dir);
	assert_int_equal(access(path, F_OK), -1);
}

static void bad_files(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"aictl-journald 1",
		"aictl-journald 2\nservice a 1\n",
		"service a 1\n",
		"aictl-journald 1\nservice ../x 1\nservice a\nservice a -1\nreplica 0 " INC_A
		" 1 0\n"};
	static const char odd[] = "aictl-journald 1\nservice a 5 later\nreplica 0 " INC_A
				  " 1 1 later\nreplica x y z 0\nreplica 0 " INC_A " 1 0\nnew a b\n";
	struct bench *b = *state;
	int dir = open(b->rig->dir, O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i <= ARRAY_SIZE(texts); i++) {
		const char *text = i < ARRAY_SIZE(texts) ? texts[i] : odd;
		struct forward_state s = {0};
		int fd = openat(dir, FORWARD_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
		close(fd);
		assert_int_equal(forward_state_load(&s, dir), 0);
		if (text != odd) {
			assert_int_equal(s.n, 0);
		} else {
			assert_int_equal(s.n, 1);
			assert_int_equal(s.v[0]->n, 1);
			assert_true(s.v[0]->v[0].over && s.v[0]->v[0].former);
		}
		forward_state_done(&s);
	}
	unlinkat(dir, FORWARD_FILE, 0);
	assert_int_equal(symlinkat("/etc/passwd", dir, FORWARD_FILE), 0);
	assert_true(forward_state_load(&(struct forward_state){0}, dir) < 0);
	unlinkat(dir, FORWARD_FILE, 0);
	close(dir);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		TEST(lines_are_sent),
		TEST(one_that_is_not_wanted_any_more),
		TEST(a_slow_journal),
		TEST(a_journal_that_dies),
		TEST(a_death),
		TEST(over),
		TEST(bad_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
