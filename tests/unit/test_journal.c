/* test_journal: lines become datagrams of the journal's native protocol; nothing waits. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/logger/journal.h"
#include "lib/mem.h"

struct bench {
	char dir[32], path[64];
	int server, fd;
	char got[4 * JOURNAL_LINE_MAX];
};

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(b->dir, sizeof(b->dir), "%s", "/tmp/test-journal-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/s", b->dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", b->path);
	b->server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(b->server >= 0);
	assert_int_equal(bind(b->server, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	b->fd = journal_connect(b->path);
	assert_true(b->fd >= 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	close(b->fd);
	if (b->server >= 0)
		close(b->server);
	unlink(b->path);
	rmdir(b->dir);
	mem_free(b);
	return 0;
}

static const char *through(struct bench *b, const char *line)
{
	ssize_t n;

	assert_int_equal(journal_send(b->fd, line, strlen(line)), strlen(line));
	n = recv(b->server, b->got, sizeof(b->got) - 1, 0);
	assert_true(n > 0);
	b->got[n] = '\0';
	return b->got;
}

static void a_line_has_fields(void **state)
{
	assert_string_equal(
		through(*state, "2026-01-02T03:04:05Z warn aictl-controller: replica=llm/0 "
				"from=ready event=stop reason=user message=\"asked to\" x\n"),
		"MESSAGE=replica=llm/0 from=ready event=stop reason=user message=\"asked to\" x\n"
		"PRIORITY=4\nSYSLOG_IDENTIFIER=aictl-controller\n"
		"AICTL_REPLICA=llm/0\nAICTL_SERVICE=llm\nAICTL_FROM=ready\nAICTL_EVENT=stop\n"
		"AICTL_REASON=user\nAICTL_MESSAGE=asked to\n");
}

static void every_level_has_a_priority(void **state)
{
	assert_string_equal(through(*state, "T error aictld: a\n"),
			    "MESSAGE=a\nPRIORITY=3\nSYSLOG_IDENTIFIER=aictld\n");
	assert_string_equal(through(*state, "T info aictld: a\n"),
			    "MESSAGE=a\nPRIORITY=6\nSYSLOG_IDENTIFIER=aictld\n");
	assert_string_equal(through(*state, "T debug aictld: a\n"),
			    "MESSAGE=a\nPRIORITY=7\nSYSLOG_IDENTIFIER=aictld\n");
}

static void another_form_is_a_message(void **state)
{
	static const char *const lines[] = {"==1==ERROR: AddressSanitizer: x=1",
					    "one",
					    "T wrong aictld: x",
					    "T info aictld x",
					    " ",
					    "a b :"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char want[128], line[64];

		snprintf(line, sizeof(line), "%s\n", lines[i]);
		snprintf(want, sizeof(want), "MESSAGE=%s\nPRIORITY=6\nSYSLOG_IDENTIFIER=aictld\n",
			 lines[i]);
		assert_string_equal(through(*state, line), want);
	}
}

static void odd_fields(void **state)
{
	assert_string_equal(
		through(*state,
			"T info aictld: =1 A=2 a= b=\"open c=3 key_of_more_than_24_letters=1\n"),
		"MESSAGE==1 A=2 a= b=\"open c=3 key_of_more_than_24_letters=1\nPRIORITY=6\n"
		"SYSLOG_IDENTIFIER=aictld\nAICTL_A=\n"
		"AICTL_B=open c=3 key_of_more_than_24_letters=1\n");
	assert_string_equal(through(*state, "T info aictld: a=\"\" replica=none b=\"x\"y c=1\n"),
			    "MESSAGE=a=\"\" replica=none b=\"x\"y c=1\nPRIORITY=6\n"
			    "SYSLOG_IDENTIFIER=aictld\nAICTL_A=\nAICTL_REPLICA=none\n"
			    "AICTL_B=x\nAICTL_C=1\n");
}

static void the_longest_line(void **state)
{
	char line[JOURNAL_LINE_MAX + 1];
	const char *got;
	size_t at = (size_t)snprintf(line, sizeof(line), "T info aictld: a=");

	memset(line + at, 'x', sizeof(line) - at);
	line[JOURNAL_LINE_MAX - 1] = '\n';
	line[JOURNAL_LINE_MAX] = '\0';
	got = through(*state, line);
	assert_non_null(strstr(got, "\nAICTL_A=xxx"));
	assert_true(strlen(got) > 2 * (JOURNAL_LINE_MAX - 20));
}

/* Every beginning of a line, with the page after it as a trap for the sanitizer. */
static void every_beginning(void **state)
{
	static const char line[] = "T info aictld: replica=a/1 b=\"c d\" e=\"\" f";
	struct bench *b = *state;

	for (size_t n = 0; n < sizeof(line); n++) {
		char *copy = mem_alloc(n + 1);

		memcpy(copy, line, n);
		copy[n] = '\n';
		assert_int_equal(journal_send(b->fd, copy, n + 1), n + 1);
		assert_true(recv(b->server, b->got, sizeof(b->got), 0) > 0);
		mem_free(copy);
	}
}

static void a_journal_that_does_not_read(void **state)
{
	struct bench *b = *state;
	int n = 0;

	while (journal_send(b->fd, "T info aictld: a\n", 17) == 17)
		n++;
	assert_int_equal(errno, EAGAIN);
	assert_true(n > 0);
}

static void a_journal_that_is_gone(void **state)
{
	struct bench *b = *state;

	close(b->server);
	b->server = -1;
	assert_int_equal(journal_send(b->fd, "x\n", 2), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(journal_connect(b->path), -ECONNREFUSED);
	unlink(b->path);
	assert_int_equal(journal_connect(b->path), -ENOENT);
}

static void the_stream_is_told_by_its_inode(void **state)
{
	struct bench *b = *state;
	struct stat st;
	char text[64];

	assert_int_equal(fstat(b->fd, &st), 0);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	unsetenv("JOURNAL_STREAM");
	assert_false(journal_is_behind(b->fd));
	setenv("JOURNAL_STREAM", text, 1);
	assert_true(journal_is_behind(b->fd));
	assert_false(journal_is_behind(b->server));
	assert_false(journal_is_behind(-1));
	unsetenv("JOURNAL_STREAM");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_has_fields),
		TEST(every_level_has_a_priority),
		TEST(another_form_is_a_message),
		TEST(odd_fields),
		TEST(the_longest_line),
		TEST(every_beginning),
		TEST(a_journal_that_does_not_read),
		TEST(a_journal_that_is_gone),
		TEST(the_stream_is_told_by_its_inode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
