/*
 * manifest_parse: values and defaults of good manifests, sets of several files, the set's name, and
 * running out of memory at every single allocation.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "tests/unit/manifest_case.h"

static struct manifest *parse_seed(const char *name)
{
	const char *top = getenv("srcdir");
	_cleanup_free_ char *path =
		mem_printf("%s/tests/fuzz/seeds/manifest/good/%s.yaml", top ? top : ".", name);
	_cleanup_free_ char *text = NULL;
	size_t len;

	assert_int_equal(fs_read_file(path, MANIFEST_BYTES_MAX, &text, &len, NULL), 0);
	return manifest_case_good(text);
}

static void assert_strv(char *const *v, const char *const *want)
{
	size_t i = 0;

	for (; want[i]; i++) {
		assert_non_null(v[i]);
		assert_string_equal(v[i], want[i]);
	}
	assert_null(v[i]);
}

static void test_defaults(void **state)
{
	struct manifest *m = parse_seed("minimal");
	const struct service_spec *s = manifest_find(m, "web");

	(void)state;
	assert_string_equal(m->name, "app");
	assert_non_null(s);
	assert_string_equal(s->description, "");
	assert_strv(s->command, (const char *[]){"sleep", "inf", NULL});
	assert_string_equal(s->working_dir, "/srv/app");
	assert_null(s->user);
	assert_true(s->environment == NULL || s->environment[0] == NULL);
	assert_int_equal(s->replicas, 1);
	assert_null(service_spec_main_port(s));
	assert_int_equal(s->restart.policy, RESTART_ALWAYS);
	assert_int_equal(s->restart.backoff_initial_ms, 1000);
	assert_true(s->restart.backoff_factor == 2);
	assert_int_equal(s->restart.backoff_max_ms, 60000);
	assert_true(s->restart.backoff_jitter == 0.2);
	assert_int_equal(s->restart.budget_restarts, 10);
	assert_int_equal(s->restart.budget_window_ms, 600000);
	assert_int_equal(s->restart.budget_then, BUDGET_SLOW);
	assert_int_equal(s->stop_signal, SIGTERM);
	assert_int_equal(s->grace_period_ms, 30000);
	assert_int_equal(s->drain_ms, 30000);
	assert_int_equal(s->umask, 022);
	assert_int_equal(s->nice, 0);
	assert_true(s->oom_score == SPEC_UNSET);
	assert_null(s->group);
	assert_int_equal(s->ports.n + s->secrets.n + s->restart.rules.n, 0);
	assert_int_equal(s->restart.success_exit_codes.v[0], 0);
	assert_true(s->ulimits[SPEC_RLIMIT_NOFILE].soft == SPEC_UNSET);
	assert_int_equal(s->log_max_size, 20 << 20);
	assert_int_equal(s->log_max_files, 5);
	assert_int_equal(s->line, 2);
	assert_string_equal(s->file, MANIFEST_CASE_PATH);
	for (int i = 0; i < PROBE_KEYS; i++)
		assert_false(s->probes[i].enabled);
	assert_null(manifest_find(m, "we"));
	manifest_free(m);
}

static void test_probe_defaults(void **state)
{
	struct manifest *m = manifest_case_service("    port: 80\n"
						   "    probes: { startup: { http: {} }, "
						   "readiness: { http: {} }, "
						   "liveness: { http: { path: /h } } }\n");
	const struct probe_spec *p = m->services[0]->probes;

	(void)state;
	for (int i = 0; i < PROBE_KEYS; i++) {
		assert_true(p[i].enabled);
		assert_string_equal(p[i].request.host, "127.0.0.1");
		assert_string_equal(p[i].request.path, i == PROBE_LIVENESS ? "/h" : "/");
		assert_string_equal(p[i].request.port, "");
		assert_int_equal(p[i].initial_delay_ms, 0);
		assert_int_equal(p[i].period_ms, i == PROBE_STARTUP ? 2000 : 10000);
		assert_int_equal(p[i].timeout_ms, 2000);
		assert_int_equal(p[i].success_threshold, 1);
		assert_int_equal(p[i].failure_threshold, i == PROBE_STARTUP ? 1 : 3);
	}
	assert_int_equal(p[PROBE_STARTUP].stall_ms, 120000);
	manifest_free(m);
}

static void test_all_values(void **state)
{
	struct manifest *m = parse_seed("full");
	const struct service_spec *s = manifest_find(m, "sentiment");
	const struct probe_spec *p = &s->probes[PROBE_READINESS];

	(void)state;
	assert_string_equal(m->name, "shop");
	assert_string_equal(s->description, "Sentiment of a sentence: ${not replaced}");
	assert_string_equal(s->command[6], "--port");
	assert_string_equal(s->command[7], "${PORT}");
	assert_string_equal(s->working_dir, "/srv/app/sentiment");
	assert_string_equal(s->user, "ai");
	assert_strv(s->environment,
		    (const char *[]){"MODE=0755", "MODEL=models/v3.joblib", "OMP_NUM_THREADS=2",
				     "RATE=1.10", "VERBOSE=yes",
				     "WHO=${SERVICE}/${REPLICA}@${REVISION} $$5 $HOME ${env:HOME}",
				     NULL});
	assert_int_equal(s->replicas, 2);
	assert_int_equal(service_spec_main_port(s)->port, 8000);
	assert_string_equal(p->request.path, "/ready?deep=1");
	assert_string_equal(p->request.host, "::1");
	assert_string_equal(p->request.port, "9000");
	assert_int_equal(p->initial_delay_ms, 1000);
	assert_int_equal(p->period_ms, 5000);
	assert_int_equal(p->timeout_ms, 1500);
	assert_int_equal(p->success_threshold, 2);
	assert_int_equal(p->failure_threshold, 4);
	assert_int_equal(s->probes[PROBE_STARTUP].stall_ms, 600000);
	assert_int_equal(s->restart.policy, RESTART_ON_FAILURE);
	assert_int_equal(s->restart.backoff_initial_ms, 500);
	assert_true(s->restart.backoff_factor == 1.5);
	assert_int_equal(s->restart.backoff_max_ms, 90000);
	assert_true(s->restart.backoff_jitter == 0);
	assert_int_equal(s->restart.budget_restarts, 0);
	assert_int_equal(s->restart.budget_window_ms, 3600000);
	assert_int_equal(s->restart.budget_then, BUDGET_FAIL);
	assert_int_equal(s->stop_signal, SIGINT);
	assert_int_equal(s->grace_period_ms, 60000);
	assert_int_equal(s->log_max_size, 1 << 20);
	assert_int_equal(s->log_max_files, 9);
	manifest_free(m);
}

static void assert_limit(const struct service_spec *s, enum spec_rlimit which, int64_t soft,
			 int64_t hard)
{
	assert_true(s->ulimits[which].soft == soft && s->ulimits[which].hard == hard);
}

static void test_context(void **state)
{
	struct manifest *m = parse_seed("context");
	const struct service_spec *s = manifest_find(m, "web"), *plain = manifest_find(m, "plain");
	const struct secret_spec *secrets = s->secrets.v;

	(void)state;
	assert_string_equal(s->group, "staff");
	assert_int_equal(s->umask, 027);
	assert_int_equal(s->nice, -5);
	assert_int_equal(s->oom_score, 500);
	assert_limit(s, SPEC_RLIMIT_CORE, 0, 0);
	assert_limit(s, SPEC_RLIMIT_NOFILE, 65536, 65536);
	assert_limit(s, SPEC_RLIMIT_MEMLOCK, SPEC_UNLIMITED, SPEC_UNLIMITED);
	assert_limit(s, SPEC_RLIMIT_STACK, 8192, SPEC_UNLIMITED);
	assert_limit(s, SPEC_RLIMIT_NPROC, 10, 20);
	assert_limit(s, SPEC_RLIMIT_AS, SPEC_UNSET, SPEC_UNSET);
	assert_strv(s->labels, (const char *[]){"example.org/owner=a b", "team=nlp", NULL});
	assert_int_equal(s->secrets.n, 2);
	assert_string_equal(secrets[0].name, "api_key.txt");
	assert_string_equal(secrets[0].env, "API_KEY");
	assert_null(secrets[0].file);
	assert_string_equal(secrets[1].file, "~/.secrets/hf");
	assert_int_equal(plain->umask, 0);
	assert_true(plain->oom_score == SPEC_UNSET);
	assert_int_equal(plain->restart.success_exit_codes.n, 1);
	assert_int_equal(plain->restart.success_exit_codes.v[0], 4);
	manifest_free(m);
}

static void test_ports(void **state)
{
	struct manifest *m = parse_seed("context");
	const struct service_spec *s = manifest_find(m, "web");
	const struct port_spec *ports = s->ports.v;
	const struct restart_rule *rules = s->restart.rules.v;
	struct manifest_place at;

	(void)state;
	assert_int_equal(s->port, 0);
	assert_int_equal(s->ports.n, 3);
	assert_string_equal(ports[0].name, "grpc");
	assert_string_equal(ports[0].listen, "0.0.0.0");
	assert_int_equal(ports[0].protocol, PORT_TCP);
	assert_string_equal(ports[1].name, "http");
	assert_int_equal(ports[1].port, 8000);
	assert_string_equal(ports[1].listen, "127.0.0.1");
	assert_int_equal(ports[1].protocol, PORT_HTTP);
	assert_int_equal(ports[2].port, 0);
	assert_ptr_equal(service_spec_main_port(s), &ports[1]);
	assert_true(s->probes[PROBE_STARTUP].exec && !s->probes[PROBE_STARTUP].http);
	assert_strv(s->probes[PROBE_STARTUP].exec_command,
		    (const char *[]){"check", "${PORT}", NULL});
	assert_true(s->probes[PROBE_READINESS].tcp);
	assert_string_equal(s->probes[PROBE_READINESS].tcp_port, "grpc");
	assert_string_equal(s->probes[PROBE_READINESS].tcp_host, "::1");
	assert_string_equal(s->probes[PROBE_LIVENESS].request.port, "metrics");
	assert_int_equal(s->restart.rules.n, 2);
	assert_int_equal(rules[0].exit.v[1], 126);
	assert_int_equal(rules[0].then, RULE_FAIL);
	assert_int_equal(rules[1].exit.v[0], 3);
	assert_int_equal(rules[1].then, RULE_SUCCEED);
	assert_int_equal(s->drain_ms, 5000);
	assert_true(service_spec_place(s, "ports.http.port", &at));
	assert_int_equal(at.line, 23);
	assert_true(service_spec_place(s, "ports.grpc.listen", &at));
	assert_int_equal(at.line, 26);
	assert_true(service_spec_place(s, "ulimits.core", &at)); /* of defaults */
	assert_int_equal(at.line, 6);
	assert_true(service_spec_place(s, "command[7].x", &at));
	assert_int_equal(at.line, 9);
	assert_true(service_spec_place(s, "stop.signal", &at)); /* nearest: stop */
	assert_int_equal(at.line, 37);
	assert_true(service_spec_place(s, "replicas", &at)); /* the service */
	assert_int_equal(at.line, 8);
	manifest_free(m);
}

static void test_clashes(void **state)
{
	struct manifest *m = manifest_case_good(
		"version: 1\nservices:\n"
		"  a: { command: [x], ports: { http: { port: 80, listen: 127.0.0.2 }, m: {} } }\n"
		"  b: { command: [x], port: 80 }\n"
		"  c: { command: [x], ports: { m: {} } }\n"
		"  d: { command: [x], ports: { m: {}, n: {} } }\n");
	struct service_spec *a = m->services[0], *b = m->services[1];
	struct port_spec *port = a->ports.v;
	const struct port_spec *own = NULL;

	(void)state;
	assert_null(service_spec_clash(a, b, &own));
	assert_null(service_spec_clash(b, a, NULL));
	for (size_t i = 0; i < 2; i++) {
		mem_free(port->listen);
		port->listen = mem_strdup(i ? "::" : "0.0.0.0");
		assert_ptr_equal(service_spec_clash(a, b, &own), b->ports.v);
		assert_ptr_equal(own, port);
		assert_ptr_equal(service_spec_clash(b, a, NULL), port);
	}
	assert_ptr_equal(service_spec_main_port(m->services[2]), m->services[2]->ports.v);
	assert_null(service_spec_main_port(m->services[3]));
	manifest_free(m);
}

static void test_styles(void **state)
{
	struct manifest *m = parse_seed("block-style");

	(void)state;
	assert_int_equal(m->n_services, 2);
	assert_string_equal(m->services[0]->name, "api"); /* sorted */
	assert_string_equal(m->services[1]->command[2], "echo one\nexec sleep inf\n");
	assert_int_equal(m->services[1]->restart.policy, RESTART_NEVER);
	assert_int_equal(m->services[1]->stop_signal, SIGINT);
	assert_strv(m->services[0]->environment, (const char *[]){"A=", "B=single", NULL});
	manifest_free(m);
	m = parse_seed("aliases");
	assert_strv(m->services[1]->command, (const char *[]){"server", "--name=${SERVICE}", NULL});
	assert_strv(m->services[1]->environment,
		    (const char *[]){"LEVEL=debug", "WORKERS=4", NULL});
	assert_int_equal(m->services[1]->stop_signal, SIGHUP);
	assert_int_equal(m->services[1]->grace_period_ms, 5000);
	manifest_free(m);
}

/* Two files as one set; "" or the errors as golden text with their file. */
static char *parse_two(const char *a, const char *b)
{
	struct manifest_source src[] = {{"/srv/a.yaml", a, strlen(a), 0},
					{"/opt/b/b.yaml", b, strlen(b), 0}};
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	struct buf out = {0};

	if (manifest_parse(&(struct manifest_input){.sources = src, .n = 2}, &m, &errors) == 0)
		buf_printf(&out, "%s %zu %s %s", m->name, m->n_services,
			   m->services[0]->working_dir, m->services[1]->file);
	for (size_t i = 0; i < errors.n; i++)
		buf_printf(&out, "%s:%u:%u: %s\n", errors.errs[i]->file, errors.errs[i]->line,
			   errors.errs[i]->column, errors.errs[i]->msg);
	manifest_free(m);
	manifest_errors_done(&errors);
	return buf_take(&out);
}

#define ONE(head, service) "version: 1\n" head "services:\n  " service "\n"

static void test_two_files(void **state)
{
	static const struct {
		const char *a, *b, *want;
	} cases[] = {
		{ONE("", "x: { command: [a] }"), ONE("", "y: { command: [b], working_dir: w }"),
		 "srv 2 /srv /opt/b/b.yaml"},
		{ONE("", "y: { command: [a], working_dir: /w }"),
		 ONE("name: n\n", "z: { command: [b] }"), "n 2 /w /opt/b/b.yaml"},
		{ONE("", "x: { command: [a] }"), ONE("", "x: { command: [b] }"),
		 "/opt/b/b.yaml:3:3: services.x: defined twice, first at /srv/a.yaml:3:3\n"},
		{ONE("", "x: { command: [a], port: 5 }"), ONE("", "y: { command: [b], port: 5 }"),
		 "/opt/b/b.yaml:3:28: port: 5 is taken by service \"x\" at /srv/a.yaml:3:28\n"},
		{ONE("name: m\n", "x: { command: [a] }"), ONE("name: n\n", "y: { command: [b] }"),
		 "/opt/b/b.yaml:2:7: name: \"n\" is not the name that /srv/a.yaml:2 gives, \"m\"\n"},
		{ONE("", "x: { command: a }"), "version: [\n",
		 "/opt/b/b.yaml:2:1: expected a value here\n"
		 "/srv/a.yaml:3:17: command: expected a list of texts, this is text\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = parse_two(cases[i].a, cases[i].b);

		assert_string_equal(got, cases[i].want);
	}
}

static void test_set_names(void **state)
{
	static const char text[] = ONE("", "x: { command: [a] }");
	static const struct {
		const char *path, *want;
	} cases[] = {
		{"/srv/My App/aictl.yaml", "my-app"},
		{"/aictl.yaml", "default"},
		{"/srv/__/aictl.yaml", "default"},
		{"/srv/_x_/aictl.yaml", "x"},
		{"/srv/a..b/aictl.yaml", "a-b"},
		{"/0123456789012345678901234567890123456789012345678901234567890123456789/x",
		 "012345678901234567890123456789012345678901234567890123456789012"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct manifest_source src = {cases[i].path, text, strlen(text), 0};
		struct manifest_errors errors = {0};
		struct manifest *m = NULL;

		assert_int_equal(manifest_parse(&(struct manifest_input){.sources = &src, .n = 1},
						&m, &errors),
				 0);
		assert_string_equal(m->name, cases[i].want);
		manifest_free(m);
	}
}

static void test_too_large(void **state)
{
	size_t len = MANIFEST_BYTES_MAX + 1;
	char *text = malloc(len);
	char *got;

	(void)state;
	memset(text, '#', len);
	got = manifest_case_errors(text, len);
	assert_string_equal(got, "1:1: the file is larger than 1 MiB\n");
	mem_free(got);
	free(text);
}

/* No source at all is a set without services. */
static void test_no_source(void **state)
{
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;

	(void)state;
	assert_int_equal(manifest_parse(&(struct manifest_input){0}, &m, &errors), -ERR_INVALID);
	assert_int_equal(errors.n, 1);
	manifest_errors_done(&errors);
}

#define OUT_OF_MEMORY_TEXT                                                                         \
	"version: 1\nname: shop\nservices:\n  a: &a\n    command: [x, \"${SERVICE}\"]\n"           \
	"    environment: { A: x, B: \"${env:C}\" }\n    port: 80\n    user: ai\n"                 \
	"    probes: { liveness: { http: { path: /h } } }\n"                                       \
	"    ports: { m: { listen: \"::1\" } }\n    labels: { a: b }\n    ulimits: { core: 0 }\n"  \
	"    secrets: { t: { file: f } }\n    env_file: x\n"                                       \
	"    restart: { rules: [{ exit: [1, 2], then: fail }], success_exit_codes: [3] }\n"        \
	"  b: { <<: *a, port: 81, %s }\n"

/* Nothing may be lost on the way either. */
static void assert_same(const struct manifest *m, const struct manifest *want)
{
	_cleanup_buf_ struct buf keys = {0};

	assert_string_equal(m->name, want->name);
	assert_int_equal(m->n_services, want->n_services);
	for (size_t i = 0; i < m->n_services; i++)
		assert_int_equal(service_spec_diff(m->services[i], want->services[i], &keys),
				 CHANGE_NONE);
}

/* Every allocation of a parse fails once: an error, never a crash or a leak. */
static void fail_each(const char *extra, int good, const struct manifest *want)
{
	_cleanup_free_ char *text = mem_printf(OUT_OF_MEMORY_TEXT, extra);
	size_t len = strlen(text);
	unsigned long n = 1;
	int r;

	do {
		struct manifest_errors errors = {0};
		struct manifest *m = NULL;

		mem_fail_after(n);
		r = manifest_case_parse(text, len, &m, &errors);
		mem_fail_after(0);
		if (r == 0)
			assert_same(m, want);
		else
			assert_null(m);
		manifest_free(m);
		if (r == -ERR_NOMEM) {
			assert_int_equal(errors.n, 1);
			assert_int_equal(errors.errs[0]->code, ERR_NOMEM);
		}
		assert_true(r == good || r == -ERR_NOMEM);
		manifest_errors_done(&errors);
		n++;
	} while (n < 1500);
	assert_int_equal(r, good);
}

static void test_out_of_memory(void **state)
{
	_cleanup_free_ char *text = mem_printf(OUT_OF_MEMORY_TEXT, "replicas: 2");
	struct manifest *want = manifest_case_good(text);

	(void)state;
	fail_each("replicas: 2", 0, want);
	manifest_free(want);
	fail_each("replica: 2, port: x, environment: [a], user: \"${PROT}\", restart: nevver",
		  -ERR_INVALID, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_probe_defaults),
		cmocka_unit_test(test_all_values), cmocka_unit_test(test_styles),
		cmocka_unit_test(test_context),	   cmocka_unit_test(test_ports),
		cmocka_unit_test(test_clashes),	   cmocka_unit_test(test_two_files),
		cmocka_unit_test(test_set_names),  cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_no_source),  cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
