/*
 * test_launch_unit: a manifest's service and a replica -> the JSON by which a runtime starts a
 * container: each key, what ${...} is inside, ports by network, secrets, errors, no memory.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/launch_unit.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/secrets.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "tests/unit/manifest_case.h"

#define HEAD "{\"image\":\"nginx\",\"pull_policy\":\"missing\""
#define ENVIRONMENT                                                                                \
	"\"AICTL_SERVICE\":\"web\",\"AICTL_REPLICA\":\"3\",\"AICTL_REVISION\":\"7\","              \
	"\"AICTL_INCARNATION\":\"abc\"}"
#define LABELS                                                                                     \
	"\"io.aictl.service\":\"web\",\"io.aictl.index\":\"3\",\"io.aictl.incarnation\":\"abc\","  \
	"\"io.aictl.revision\":\"7\"}}"

/* What needs a controller is not asked here. */
const struct port_spec *replica_ports_at(const struct service_spec *spec, unsigned i)
{
	(void)spec;
	(void)i;
	return NULL;
}

unsigned replica_ports_number(const struct replica *r, const char *name)
{
	(void)r;
	(void)name;
	return 0;
}

void secrets_dir(const struct controller *c, const struct service_spec *spec, struct buf *out)
{
	(void)c;
	(void)spec;
	(void)out;
}

static struct manifest *service(const char *keys)
{
	_cleanup_free_ char *text =
		mem_printf("version: 1\nservices:\n  web:\n    image: nginx\n%s", keys);

	return manifest_case_good(text);
}

static struct launch_unit_what what(const struct service_spec *spec)
{
	static const struct expand_port ports[] = {{.name = "http", .port = 20001},
						   {.name = "metrics", .port = 20002}};
	static char *const environ[] = {(char *)"HOME=/home/ann", NULL};

	return (struct launch_unit_what){.spec = spec,
					 .index = 3,
					 .revision = 7,
					 .incarnation = "abc",
					 .ports = ports,
					 .n_ports = ARRAY_SIZE(ports),
					 .secrets_dir = "/run/aictl/secrets/web",
					 .home = "/home/bob",
					 .environ = environ};
}

/* Caller frees. */
static char *json_of(const char *keys)
{
	struct manifest *m = service(keys);
	struct launch_unit_what w = what(m->services[0]);
	_cleanup_err_ struct err *e = NULL;
	struct buf out = {0};

	if (launch_unit_json(&w, &out, &e) < 0)
		buf_printf(&out, "error: %s", err_msg(e));
	manifest_free(m);
	return buf_take(&out);
}

static void expect(const char *keys, const char *want)
{
	_cleanup_free_ char *got = json_of(keys);

	assert_string_equal(got, want);
}

/* want stands in the JSON. */
static void expect_part(const char *keys, const char *want)
{
	_cleanup_free_ char *got = json_of(keys);

	if (!strstr(got, want))
		fail_msg("no %s in\n%s", want, got);
}

static void test_least(void **state)
{
	(void)state;
	expect("", HEAD ",\"environment\":{" ENVIRONMENT
			",\"stop_signal\":\"SIGTERM\",\"network\":\"bridge\",\"labels\":{" LABELS);
}

static void test_keys(void **state)
{
	static const struct {
		const char *keys, *want;
	} cases[] = {
		{"    pull_policy: always\n", "\"pull_policy\":\"always\""},
		{"    command: [a, \"${REPLICA}\"]\n", "\"command\":[\"a\",\"3\"]"},
		{"    entrypoint: [sh, -c, \"$$x ${env:HOME}\"]\n",
		 "\"entrypoint\":[\"sh\",\"-c\",\"$x /home/ann\"]"},
		{"    environment: { A: \"${SERVICE}\", B: \"x=y\" }\n",
		 "\"environment\":{\"A\":\"web\",\"B\":\"x=y\"," ENVIRONMENT},
		{"    user: \"1000\"\n", "\"user\":\"1000\""},
		{"    user: a:b\n", "\"user\":\"a:b\""},
		{"    user: a\n    group: b\n", "\"user\":\"a:b\""},
		{"    working_dir: /app\n", "\"working_dir\":\"/app\""},
		{"    hostname: web-${REPLICA}\n", "\"hostname\":\"web-3\""},
		{"    init: true\n    read_only: true\n", "\"init\":true,\"read_only\":true"},
		{"    stop: { signal: INT }\n", "\"stop_signal\":\"SIGINT\""},
		{"    network: web-net\n", "\"network\":\"web-net\""},
		{"    volumes: [\"./a:/a:ro\", \"~/b:/b\", \"~:/home\", vol:/c, /d]\n",
		 "\"volumes\":[{\"type\":\"bind\",\"source\":\"/srv/app/a\",\"target\":\"/a\","
		 "\"read_only\":true},{\"type\":\"bind\",\"source\":\"/home/bob/b\",\"target\":"
		 "\"/b\"},{\"type\":\"bind\",\"source\":\"/home/bob\",\"target\":\"/home\"},"
		 "{\"type\":\"volume\",\"source\":\"vol\",\"target\":\"/c\"},{\"type\":\"volume\","
		 "\"target\":\"/d\"}]"},
		{"    volumes: [\"./${REPLICA}:/a\", { type: tmpfs, target: /t, size: 1MiB }]\n",
		 "{\"type\":\"bind\",\"source\":\"/srv/app/3\",\"target\":\"/a\"},{\"type\":"
		 "\"tmpfs\",\"target\":\"/t\",\"size\":1048576}"},
		{"    volumes: [\"${env:HOME}/x:/x\", { type: volume, source: \"v${REPLICA}\", "
		 "target: /v }]\n",
		 "\"source\":\"/home/ann/x\",\"target\":\"/x\"},{\"type\":\"volume\",\"source\":"
		 "\"v3\""},
		{"    devices: [/dev/a, \"/dev/b:/dev/c:r\"]\n",
		 "\"devices\":[{\"source\":\"/dev/a\",\"target\":\"/dev/a\",\"permissions\":\"rwm\"},"
		 "{\"source\":\"/dev/b\",\"target\":\"/dev/c\",\"permissions\":\"r\"}]"},
		{"    shm_size: 1GiB\n", "\"shm_size\":1073741824"},
		{"    cap_add: [A, B]\n    cap_drop: ALL\n    security_opt: [label=disable]\n"
		 "    group_add: [video, 44]\n",
		 "\"cap_add\":[\"A\",\"B\"],\"cap_drop\":[\"ALL\"],\"security_opt\":[\"label="
		 "disable\"],\"group_add\":[\"video\",\"44\"]"},
		{"    ulimits: { core: 0, nofile: \"1024:unlimited\" }\n",
		 "\"ulimits\":[{\"name\":\"core\",\"soft\":0,\"hard\":0},{\"name\":\"nofile\","
		 "\"soft\":1024,\"hard\":-1}]"},
		{"    resources: { limits: { memory: 1GiB, swap: 1MiB, cpus: 0.5, cpu_weight: 50, "
		 "pids: 9, cpuset: \"0-1\" } }\n",
		 "\"limits\":{\"memory\":1073741824,\"memory_swap\":1074790400,\"cpus\":500,"
		 "\"cpu_weight\":50,\"pids\":9,\"cpuset\":\"0-1\"}"},
		{"    resources: { limits: { memory: 1GiB } }\n",
		 "\"limits\":{\"memory\":1073741824,\"memory_swap\":-1}"},
		{"    resources: { limits: { memory: 1GiB, swap: 0 } }\n",
		 "\"memory_swap\":1073741824}"},
		{"    gpus: all\n", "\"gpus\":{\"count\":-1,\"capabilities\":[[\"gpu\"]]}"},
		{"    gpus: 2\n", "\"gpus\":{\"count\":2,\"capabilities\":[[\"gpu\"]]}"},
		{"    gpus: { device_ids: [\"0\"], driver: nvidia, capabilities: [a, b] }\n",
		 "\"gpus\":{\"driver\":\"nvidia\",\"device_ids\":[\"0\"],\"capabilities\":[[\"a\","
		 "\"b\"]]}"},
		{"    gpus: { cdi: [nvidia.com/gpu=0] }\n",
		 "\"gpus\":{\"cdi\":[\"nvidia.com/gpu=0\"]}"},
		{"    labels: { team: nlp }\n", "\"labels\":{\"team\":\"nlp\"," LABELS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_part(cases[i].keys, cases[i].want);
}

static void test_ports(void **state)
{
	static const char ports[] = "    ports: { http: { port: 8000 }, metrics: {} }\n"
				    "    command: [\"${PORT}\", \"${PORT_METRICS}\"]\n";
	_cleanup_free_ char *host = mem_printf("    network: host\n%s", ports);

	(void)state;
	expect_part(ports, "\"command\":[\"8000\",\"20002\"]");
	expect_part(ports, "\"environment\":{\"PORT\":\"8000\",\"PORT_HTTP\":\"8000\","
			   "\"PORT_METRICS\":\"20002\"," ENVIRONMENT);
	expect_part(ports, "\"ports\":[{\"name\":\"http\",\"host_ip\":\"127.0.0.1\",\"host_port\":"
			   "20001,\"container_port\":8000,\"protocol\":\"tcp\"},{\"name\":"
			   "\"metrics\",\"host_ip\":\"127.0.0.1\",\"host_port\":20002,"
			   "\"container_port\":20002,\"protocol\":\"tcp\"}]");
	expect_part("    ports: { http: { port: 8000, container_port: 80 } }\n",
		    "\"host_port\":20001,\"container_port\":80");
	expect_part(host, "\"command\":[\"20001\",\"20002\"]");
	expect_part(host, "\"network\":\"host\",\"labels\"");
	/* the replica has none of that name yet */
	expect_part("    ports: { http: {}, late: {} }\n",
		    "\"container_port\":20001,\"protocol\":\"tcp\"}],\"labels\"");
}

static void test_secrets(void **state)
{
	static const char keys[] = "    secrets: { token: { env: T }, cert: { env: C } }\n"
				   "    command: [\"${secret:token}\"]\n";

	(void)state;
	expect_part(keys, "\"command\":[\"/run/secrets/token\"]");
	expect_part(keys, "\"secrets\":[{\"source\":\"/run/aictl/secrets/web/cert\",\"target\":"
			  "\"/run/secrets/cert\"},{\"source\":\"/run/aictl/secrets/web/token\","
			  "\"target\":\"/run/secrets/token\"}]");
}

static void test_command(void **state)
{
	char *const command[] = {(char *)"test", (char *)"${PORT}", (char *)"${secret:t}", NULL};
	char *const bad[] = {(char *)"a", (char *)"${env:NONE}", NULL};
	struct manifest *m = service("    port: 80\n    secrets: { t: { env: T } }\n");
	struct launch_unit_what w = what(m->services[0]);
	_cleanup_err_ struct err *e = NULL;
	char **v = NULL;

	(void)state;
	assert_int_equal(launch_unit_command(&w, command, &v, &e), 0);
	assert_string_equal(v[0], "test");
	assert_string_equal(v[1], "80");
	assert_string_equal(v[2], "/run/secrets/t");
	assert_null(v[3]);
	mem_strv_free(v);
	v = NULL;
	assert_int_equal(launch_unit_command(&w, bad, &v, &e), -ERR_INVALID);
	assert_null(v);
	assert_non_null(strstr(err_msg(e), "NONE"));
	manifest_free(m);
}

static void test_errors(void **state)
{
	struct manifest *m = service("    volumes: [\"~/x:/x\"]\n");
	struct launch_unit_what w = what(m->services[0]);
	_cleanup_err_ struct err *e = NULL;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	w.home = NULL;
	assert_int_equal(launch_unit_json(&w, &out, &e), -ERR_INVALID);
	assert_string_equal(err_msg(e), "volumes: whose home \"~\" is, is not known here");
	assert_int_equal(out.len, 0);
	manifest_free(m);
	expect_part("    environment: { A: \"${env:NONE}\" }\n", "error: environment: ");
	expect_part(
		"    volumes: [\"${SERVICE}/x:/x\"]\n",
		"error: volumes: \"${SERVICE}/x\" is \"web/x\" here, which is no absolute path");
}

static void test_no_memory(void **state)
{
	struct manifest *m = service(
		"    command: [a, \"${PORT}\"]\n    environment: { A: b }\n    port: 80\n"
		"    volumes: [\"~/x:/x\"]\n    secrets: { t: { env: T } }\n    hostname: x\n"
		"    user: a\n    group: b\n    labels: { a: b }\n");
	struct launch_unit_what w = what(m->services[0]);
	unsigned long n = 0;
	int r;

	(void)state;
	do {
		_cleanup_err_ struct err *e = NULL;
		struct buf out = {0};

		mem_fail_after(++n);
		r = launch_unit_json(&w, &out, &e);
		mem_fail_after(0);
		assert_true(r == 0 || r == -ERR_NOMEM);
		buf_done(&out);
	} while (r < 0 && n < 1000);
	assert_true(r == 0 && n > 10);
	manifest_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),	  cmocka_unit_test(test_keys),
		cmocka_unit_test(test_ports),	  cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_command),	  cmocka_unit_test(test_errors),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
