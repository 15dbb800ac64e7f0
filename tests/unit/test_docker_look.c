/* Unit tests of what the Docker plugin is answered: containers, events, pulls, stats, HTTP. */
/* SPDX-License-Identifier: MIT */
#include "plugins/docker_look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/docker_head.h"
#include "plugins/docker_json.h"
#include "plugins/docker_mem.h"
#include "plugins/docker_pull.h"

#define BEGIN                                                                                      \
	"{\"Id\":\"cafe\",\"Name\":\"/web-0\",\"Image\":\"sha256:11\",\"Config\":{\"Tty\":false,\"Labels\":{"
#define LABELS                                                                                     \
	"\"io.aictl.instance\":\"abc\",\"io.aictl.service\":\"web\",\"other\":\"x\"}},\"State\":{"

static struct docker_look look;

static void inspect(const char *text)
{
	char *copy = docker_mem_dup(text); /* so that a sanitizer sees what is read behind it */

	assert_true(docker_look_inspect(copy, strlen(copy), &look));
	docker_mem_free(copy);
}

static void test_running(void **state)
{
	(void)state;
	inspect(BEGIN LABELS
		"\"Status\":\"running\",\"Pid\":42,\"StartedAt\":\"2026-01-02T03:04:05.5Z\","
		"\"ExitCode\":0},\"NetworkSettings\":{\"IPAddress\":\"\",\"Networks\":"
		"{\"n\":{\"IPAddress\":\"10.0.0.2\"}}}}");
	assert_int_equal(look.state.phase, AICTL_UNIT_RUNNING);
	assert_string_equal(look.state.unit, "web-0");
	assert_string_equal(look.state.engine_id, "cafe");
	assert_string_equal(look.state.address, "10.0.0.2");
	assert_string_equal(look.instance, "abc");
	assert_int_equal(look.state.n_labels, 2);
	assert_int_equal(look.state.pid, 42);
	assert_int_equal(look.state.started_wall_ms, 1767323045500);
	assert_int_equal(look.state.flags, 0);
	docker_look_done(&look);
}

static void test_exited(void **state)
{
	(void)state;
	inspect(BEGIN LABELS
		"\"Status\":\"exited\",\"Pid\":0,\"StartedAt\":\"2026-01-02T03:04:05Z\","
		"\"FinishedAt\":\"2026-01-02T03:04:06+00:00\",\"ExitCode\":137,"
		"\"OOMKilled\":true}}");
	assert_int_equal(look.state.phase, AICTL_UNIT_EXITED);
	assert_int_equal(look.state.exit_status, 137);
	assert_int_equal(look.state.finished_wall_ms - look.state.started_wall_ms, 1000);
	assert_int_equal(look.state.flags, AICTL_UNIT_OOM);
	docker_look_done(&look);
	inspect(BEGIN LABELS "\"Status\":\"exited\",\"ExitCode\":-1}}");
	assert_int_equal(look.state.flags, AICTL_UNIT_EXIT_UNKNOWN);
	docker_look_done(&look);
}

static void test_other_phases(void **state)
{
	(void)state;
	inspect(BEGIN LABELS "\"Status\":\"paused\",\"Pid\":1}}");
	assert_int_equal(look.state.phase, AICTL_UNIT_RUNNING);
	assert_int_equal(look.state.flags, AICTL_UNIT_PAUSED);
	docker_look_done(&look);
	inspect(BEGIN LABELS
		"\"Status\":\"created\",\"ExitCode\":127,\"Error\":\"no such file\"}}");
	assert_int_equal(look.state.phase, AICTL_UNIT_CREATED);
	assert_string_equal(look.state.error, "no such file");
	docker_look_done(&look);
	inspect(BEGIN LABELS "\"Status\":\"levitating\"}}");
	assert_int_equal(look.state.phase, AICTL_UNIT_UNKNOWN);
	docker_look_done(&look);
}

static void test_garbage(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"null",
		"[]",
		"{}",
		"{\"Id\":1,\"Name\":2}",
		"{\"Id\":\"a\",\"Name\":\"b\",\"State\":{}}",
		"{\"Id\":\"a\",\"Name\":\"b\",\"State\":{},\"Config\":{}} x"};
	struct docker_look_event ev;
	struct aictl_stats s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(docker_look_inspect(bad[i], strlen(bad[i]), &look));
		assert_false(docker_look_event(bad[i], strlen(bad[i]), &ev));
	}
	assert_false(docker_look_stats("[]", 2, &s));
}

static void test_event(void **state)
{
	static const char line[] =
		"{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"cafe\","
		"\"Attributes\":{\"name\":\"web-0\",\"exitCode\":\"3\"}}}";
	struct docker_look_event ev;

	(void)state;
	assert_true(docker_look_event(line, strlen(line), &ev));
	assert_string_equal(ev.action, "die");
	assert_string_equal(ev.name, "web-0");
	assert_string_equal(ev.id, "cafe");
	cJSON_Delete(ev.root);
}

static void test_row(void **state)
{
	static const char text[] = "{\"Id\":\"cafe\",\"Names\":[\"/web-0\"],\"Labels\":{"
				   "\"io.aictl.instance\":\"abc\"}}";
	cJSON *o = docker_json_parse(text, strlen(text));
	struct docker_look_row row;

	(void)state;
	assert_true(docker_look_row(o, "abc", &row));
	assert_string_equal(row.name, "web-0");
	assert_false(docker_look_row(o, "abcd", &row));
	cJSON_Delete(o);
}

static void test_stats(void **state)
{
	static const char text[] =
		"{\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":5000000}},\"memory_stats\":{\"usage\":1000,"
		"\"limit\":9223372036854771712,\"stats\":{\"inactive_file\":300}},\"pids_stats\":"
		"{\"current\":3},\"networks\":{\"eth0\":{\"rx_bytes\":10,\"tx_bytes\":20},\"eth1\":"
		"{\"rx_bytes\":1,\"tx_bytes\":2}},\"blkio_stats\":{\"io_service_bytes_recursive\":["
		"{\"op\":\"Read\",\"value\":7},{\"op\":\"write\",\"value\":8}]}}";
	struct aictl_stats s;

	(void)state;
	assert_true(docker_look_stats(text, strlen(text), &s));
	assert_int_equal(s.cpu_us, 5000);
	assert_int_equal(s.memory_bytes, 700);
	assert_int_equal(s.memory_limit, 0);
	assert_int_equal(s.pids, 3);
	assert_int_equal(s.received_bytes, 11);
	assert_int_equal(s.sent_bytes, 22);
	assert_int_equal(s.read_bytes, 7);
	assert_int_equal(s.written_bytes, 8);
	assert_true(docker_look_stats("{}", 2, &s));
	assert_int_equal(s.cpu_us, -1);
	assert_int_equal(s.memory_bytes, -1);
	assert_int_equal(s.pids, -1);
}

static void test_error(void **state)
{
	static const char said[] = "{\"message\":\"No such\\ncontainer: x.\\n\"}";
	char text[32];

	(void)state;
	docker_look_error(said, strlen(said), text, sizeof(text));
	assert_string_equal(text, "No such container: x");
	docker_look_error("plain", 5, text, sizeof(text));
	assert_string_equal(text, "plain");
	docker_look_error(NULL, 0, text, sizeof(text));
	assert_string_equal(text, "");
}

/* ---- pull ---- */

static bool say(struct docker_pull *p, const char *line)
{
	return docker_pull_line(p, line, strlen(line));
}

static void test_pull(void **state)
{
	static struct docker_pull p;
	struct aictl_progress got;

	(void)state;
	memset(&p, 0, sizeof(p));
	assert_false(say(&p, "{\"status\":\"Pulling from library/x\",\"id\":\"latest\"}"));
	assert_true(
		say(&p, "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"aa\"}"));
	assert_true(
		say(&p, "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"bb\"}"));
	assert_true(say(&p, "{\"status\":\"Already exists\",\"id\":\"cc\"}"));
	assert_true(say(
		&p, "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":5,\"total\":10},"
		    "\"id\":\"aa\"}"));
	docker_pull_progress(&p, &got);
	assert_int_equal(got.layers_total, 3);
	assert_int_equal(got.layers_done, 1);
	assert_int_equal(got.bytes_total, 0); /* of bb nothing is known yet */
	say(&p,
	    "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":30},\"id\":\"bb\"}");
	docker_pull_progress(&p, &got);
	assert_int_equal(got.bytes_done, 6);
	assert_int_equal(got.bytes_total, 40);
	say(&p, "{\"status\":\"Pull complete\",\"id\":\"aa\"}");
	say(&p, "{\"status\":\"Download complete\",\"id\":\"bb\"}");
	docker_pull_progress(&p, &got);
	assert_int_equal(got.layers_done, 2);
	assert_int_equal(got.bytes_done, 40);
	assert_false(say(&p, "garbage"));
	assert_false(say(&p, "{\"status\":7,\"id\":[]}"));
	assert_true(
		say(&p, "{\"errorDetail\":{\"message\":\"manifest unknown\"},\"error\":\"x\"}"));
	assert_string_equal(p.error, "manifest unknown");
	assert_int_equal(docker_pull_code(p.error), AICTL_NOT_FOUND);
	assert_int_equal(docker_pull_code("unauthorized: x"), AICTL_DENIED);
	assert_int_equal(docker_pull_code("x"), AICTL_FAILED);
}

/* ---- HTTP ---- */

/* The whole answer in steps; its body, or NULL if it is none. */
static const char *answer(struct docker_head *h, const char *text, size_t step)
{
	static char body[256];
	size_t n = strlen(text), len = 0, at = 0;

	*h = (struct docker_head){0};
	while (at < n) {
		const char *piece;
		size_t k = n - at < step ? n - at : step, got;
		ssize_t used = docker_head_next(h, text + at, k, &piece, &got);

		if (used < 0)
			return NULL;
		memcpy(body + len, piece, got);
		len += got;
		at += (size_t)used;
	}
	body[len] = '\0';
	return body;
}

static void test_http(void **state)
{
	static const struct {
		const char *text, *body;
		int status;
		enum docker_head_at at;
	} all[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200,
		 DOCKER_HEAD_ENDED},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\n\r\n",
		 "abc0123456789", 200, DOCKER_HEAD_ENDED},
		{"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n", "abc", 200,
		 DOCKER_HEAD_SIZE},
		{"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nraw",
		 "raw", 101, DOCKER_HEAD_EOF},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "", 204,
		 DOCKER_HEAD_ENDED},
		{"HTTP/1.0 200 OK\n\nall", "all", 200, DOCKER_HEAD_EOF},
		{"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", "", 500, DOCKER_HEAD_ENDED},
	};
	struct docker_head h;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (size_t step = 1; step < 40; step++) {
			const char *body = answer(&h, all[i].text, step);

			assert_non_null(body);
			assert_string_equal(body, all[i].body);
			assert_int_equal(h.status, all[i].status);
			assert_int_equal(h.at, all[i].at);
		}
	}
}

static void test_not_http(void **state)
{
	static const char *const bad[] = {
		"SSH-2.0\r\n",
		"HTTP/2 200\r\n",
		"HTTP/1.1 2x0 OK\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
	};
	struct docker_head h;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(answer(&h, bad[i], 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running),	     cmocka_unit_test(test_exited),
		cmocka_unit_test(test_other_phases), cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_event),	     cmocka_unit_test(test_row),
		cmocka_unit_test(test_stats),	     cmocka_unit_test(test_error),
		cmocka_unit_test(test_pull),	     cmocka_unit_test(test_http),
		cmocka_unit_test(test_not_http),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
