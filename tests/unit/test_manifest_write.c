/*
 * manifest_write: golden texts, the quoting of every kind of scalar, and the property that what is
 * written is read back as the same specification: for the examples, and for random manifests made
 * from the rows of the schema, so that a new key is covered when its row is there.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cjson/cJSON.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "tests/unit/manifest_case.h"

#define DUMPED 200 /* random manifests for manifest_tools.py */

/* What is written of the service `web` with these keys. */
static char *written(const char *keys, unsigned flags)
{
	struct manifest *m = manifest_case_service(keys);
	struct buf out = {0};

	manifest_write_yaml(m->services[0], flags, &out);
	manifest_free(m);
	assert_false(out.failed);
	return buf_take(&out);
}

static void test_golden(void **state)
{
	static const struct {
		const char *keys, *text;
		unsigned flags;
	} cases[] = {
		{"", "command:\n  - server\nworking_dir: /srv/app\n", 0},
		{"    replicas: 2\n    stop: { signal: 2, grace_period: 90s }\n",
		 "command:\n  - server\nworking_dir: /srv/app\nreplicas: 2\n"
		 "stop:\n  signal: SIGINT\n  grace_period: 90s\n",
		 0},
		{"    port: 80\n    probes: { liveness: { http: { path: / }, period: 1500ms } }\n",
		 "command:\n  - server\nworking_dir: /srv/app\n"
		 "ports:\n  http:\n    port: 80\nprobes:\n  liveness:\n    http: {}\n    period: 1500ms\n",
		 0},
		{"    environment: { A: \"1\", B: \"\", C: \"x: y\" }\n"
		 "    logs: { max_size: 1GiB }\n",
		 "command:\n  - server\nworking_dir: /srv/app\n"
		 "environment:\n  A: \"1\"\n  B: \"\"\n  C: \"x: y\"\nlogs:\n  max_size: 1GiB\n",
		 0},
		{"    environment: { TOKEN: hunter2 }\n    labels: { team: nlp }\n",
		 "command:\n  - server\nworking_dir: /srv/app\nenvironment:\n  TOKEN: \"***\"\n"
		 "labels:\n  team: nlp\n",
		 MANIFEST_WRITE_MASKED},
		{"    umask: 027\n    nice: 5\n    oom_score: 0\n    ulimits: { nofile: \"1:2\", core: "
		 "unlimited, cpu: 9 }\n",
		 "command:\n  - server\nworking_dir: /srv/app\numask: 027\nnice: 5\noom_score: 0\n"
		 "ulimits:\n  core: unlimited\n  cpu: 9\n  nofile: \"1:2\"\n",
		 0},
		{"    secrets: { b: { env: TOKEN }, a: { file: /x } }\n    env_file: [.env]\n",
		 "command:\n  - server\nworking_dir: /srv/app\nenv_file:\n  - .env\n"
		 "secrets:\n  a:\n    file: /x\n  b:\n    env: TOKEN\n",
		 MANIFEST_WRITE_MASKED},
		{"    restart: { rules: [{ exit: 125, then: fail }, { exit: [1, 2], then: succeed "
		 "}], success_exit_codes: [0, 143] }\n",
		 "command:\n  - server\nworking_dir: /srv/app\nrestart:\n  success_exit_codes:\n"
		 "    - 0\n    - 143\n  rules:\n    - exit:\n        - 125\n      then: fail\n"
		 "    - exit:\n        - 1\n        - 2\n      then: succeed\n",
		 0},
		{"    ports: { metrics: {}, http: { port: 80, listen: \"::1\" } }\n"
		 "    probes: { readiness: { tcp: { port: metrics } }, liveness: { exec: { command: "
		 "[x] } } }\n",
		 "command:\n  - server\nworking_dir: /srv/app\nports:\n  http:\n    port: 80\n"
		 "    listen: \"::1\"\n  metrics: {}\nprobes:\n  readiness:\n    tcp:\n"
		 "      port: metrics\n  liveness:\n    exec:\n      command:\n        - x\n",
		 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = written(cases[i].keys, cases[i].flags);

		assert_string_equal(text, cases[i].text);
	}
}

static void test_defaults(void **state)
{
	_cleanup_free_ char *text = written("", MANIFEST_WRITE_DEFAULTS);

	(void)state;
	assert_non_null(strstr(text, "\nreplicas: 1\n"));
	assert_non_null(strstr(text, "\n  policy: always\n  success_exit_codes:\n    - 0\n"));
	assert_non_null(strstr(text, "\n    jitter: 0.2\n"));
	assert_non_null(strstr(text, "\n  signal: SIGTERM\n"));
	assert_non_null(strstr(text, "\n  max_size: 20MiB\n"));
	assert_null(strstr(text, "probes:"));
}

static void test_scalars(void **state)
{
	static const struct {
		const char *text, *yaml;
	} cases[] = {
		{"plain", "plain"},
		{"app:app", "app:app"},
		{"two words", "two words"},
		{"-m", "-m"},
		{"--host", "--host"},
		{"${PORT}", "${PORT}"},
		{"a#b", "a#b"},
		{"/usr/bin/env", "/usr/bin/env"},
		{"127.0.0.1", "127.0.0.1"},
		{"10s", "10s"},
		{"20MiB", "20MiB"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"", "\"\""},
		{" x", "\" x\""},
		{"x ", "\"x \""},
		{"x:", "\"x:\""},
		{"x: y", "\"x: y\""},
		{"x #y", "\"x #y\""},
		{"#x", "\"#x\""},
		{"-", "\"-\""},
		{"- x", "\"- x\""},
		{"---", "\"---\""},
		{"...", "\"...\""},
		{"[x]", "\"[x]\""},
		{"{x}", "\"{x}\""},
		{"*x", "\"*x\""},
		{"&x", "\"&x\""},
		{"!x", "\"!x\""},
		{"%x", "\"%x\""},
		{"@x", "\"@x\""},
		{"`x`", "\"`x`\""},
		{"'x'", "\"'x'\""},
		{"\"x\"", "\"\\\"x\\\"\""},
		{"a\\b", "a\\b"},
		{"\\", "\\"},
		{"\"\\", "\"\\\"\\\\\""},
		{"a\nb\tc\r", "\"a\\nb\\tc\\x0d\""},
		{"\x1b[0m", "\"\\x1b[0m\""},
		{"\xc2\x85", "\"\\x85\""},
		{"\xef\xbb\xbf", "\"\\ufeff\""},
		{"\xff", "\"\xef\xbf\xbd\""},
		{"null", "\"null\""},
		{"~", "\"~\""},
		{"No", "\"No\""},
		{"ON", "\"ON\""},
		{"true", "\"true\""},
		{"y", "\"y\""},
		{"1", "\"1\""},
		{"0755", "\"0755\""},
		{"0x1f", "\"0x1f\""},
		{"0o17", "\"0o17\""},
		{"-1.5e3", "\"-1.5e3\""},
		{"+.5", "\"+.5\""},
		{"-.inf", "\"-.inf\""},
		{".NaN", "\".NaN\""},
		{"1_000", "\"1_000\""},
		{"12:30:00", "\"12:30:00\""},
		{"2026-01-02", "\"2026-01-02\""},
		{"2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05Z\""},
		{"<<", "\"<<\""},
		{"=", "\"=\""},
		{"? x", "\"? x\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf out = {0};

		manifest_write_scalar(&out, cases[i].text);
		assert_string_equal(buf_cstr(&out), cases[i].yaml);
		buf_done(&out);
	}
}

/* Writes m, reads it back, and compares every service. */
static void check_round_trip(const struct manifest *m, unsigned flags)
{
	struct manifest_errors errors = {0};
	struct manifest *back = NULL;
	struct buf out = {0}, keys = {0};

	manifest_write_file(m, flags, &out);
	assert_false(out.failed);
	if (manifest_case_parse(out.data, out.len, &back, &errors) < 0)
		fail_msg("%s in\n%s", err_msg(errors.errs[0]), out.data);
	assert_string_equal(back->name, m->name);
	assert_int_equal(back->n_services, m->n_services);
	for (size_t i = 0; i < m->n_services; i++) {
		assert_string_equal(back->services[i]->name, m->services[i]->name);
		if (service_spec_diff(m->services[i], back->services[i], &keys) != CHANGE_NONE)
			fail_msg("%s differ in\n%s", buf_cstr(&keys), out.data);
		assert_int_equal(service_spec_hash(m->services[i]),
				 service_spec_hash(back->services[i]));
	}
	manifest_free(back);
	buf_done(&out);
	buf_done(&keys);
}

static const char *top_srcdir(void)
{
	const char *dir = getenv("srcdir");

	return dir ? dir : ".";
}

static void test_examples(void **state)
{
	static const char *const names[] = {"hello", "sentiment"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path =
			mem_printf("%s/examples/%s/aictl.yaml", top_srcdir(), names[i]);
		struct manifest *m;
		char *text;
		size_t len;

		assert_int_equal(fs_read_file(path, MANIFEST_BYTES_MAX, &text, &len, NULL), 0);
		m = manifest_case_good(text);
		check_round_trip(m, 0);
		check_round_trip(m, MANIFEST_WRITE_DEFAULTS);
		manifest_free(m);
		mem_free(text);
	}
}

static void test_every_string(void **state)
{
	(void)state;
	for (unsigned code = 1; code < 0x250; code++) {
		char text[3] = {(char)code};
		struct service_spec s = {.name = (char[]){"web"}};
		char *command[] = {text, NULL};
		struct service_spec *list[] = {&s};
		struct manifest m = {.name = (char[]){"app"}, .services = list, .n_services = 1};

		if (code >= 0x80) {
			text[0] = (char)(0xc0 | code >> 6);
			text[1] = (char)(0x80 | (code & 0x3f));
		}
		assert_int_equal(schema_defaults(&s), 0);
		s.command = command;
		s.working_dir = mem_strdup("/srv/app");
		check_round_trip(&m, 0);
		s.command = NULL;
		/* Only what schema_defaults made. */
		s.name = NULL;
		service_spec_free(mem_dup(&s, sizeof(s)));
	}
}

/* --- random manifests ------------------------------------------------------------------- */

struct dice {
	unsigned state;
	unsigned never; /* schema_flags of the rows that the service cannot have */
};

static unsigned roll(struct dice *seed, unsigned n)
{
	seed->state = seed->state * 1103515245u + 12345u;
	return (seed->state >> 16) % n;
}

static const char *const texts[] = {
	"x",	      "1", "no", "a: b", "#",	  "",  "${SERVICE}",  "~",  "two  w", "-", "\t",
	"line\nline", "'", "\"", "1.5",	 "12:30", "[", "caf\xc3\xa9", "$$", "\\",     ": "};

/* Good values for texts that must have a form; others take any text. */
static const struct {
	const char *key, *values[3];
} forms[] = {
	{"http.path", {"/", "/healthz?a=1", "/x"}},
	{"host", {"127.0.0.1", "::1", "10.0.0.1"}},
	{"listen", {"127.0.0.1", "::1", "0.0.0.0"}},
	{"user", {"root", "1000", "bob"}},
	{"cpuset", {"0", "0-3", "0-3,8"}},
	{"cron", {"* * * * *", "@daily", "5 4 * * 1"}},
	{"timezone", {"UTC", "UTC", "UTC"}},
	{"log.pattern", {"^a", "b+$", "[0-9]{2}"}},
	{"metric", {"a", "b_total", "c:d"}},
	{"pending", {"a", "b_total", "c:d"}},
	{"progress.path", {"/", "/m", "/x"}},
	{"group", {"root", "1000", "bob"}},
	{"working_dir", {"/tmp", "sub", "/a b"}},
	{"affinity.header", {"X-A", "B", "c"}},
	{"image", {"a", "b/c:1", "h:5/d/e"}},
	{"runtime", {"docker", "podman", "x"}},
	{"network", {"bridge", "host", "web"}},
	{"hostname", {"a", "1", "b-${REPLICA}"}},
	{"driver", {"nvidia", "1", "x"}},
};

static const char *form(const struct schema_row *row, struct dice *seed)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t n = strlen(forms[i].key), len = strlen(row->path);

		if (len > n && strcmp(row->path + len - n, forms[i].key) == 0)
			return forms[i].values[roll(seed, 3)];
	}
	return texts[roll(seed, ARRAY_SIZE(texts))];
}

static int64_t within(const struct schema_row *row, struct dice *seed)
{
	uint64_t span = (uint64_t)(row->max - row->min) + 1;
	uint64_t pick = (uint64_t)roll(seed, 1u << 15) << 15 | roll(seed, 1u << 15);

	switch (roll(seed, 3)) {
	case 0:
		return row->min;
	case 1:
		return row->max;
	default:
		return row->min + (int64_t)(pick % span);
	}
}

static void random_keys(struct buf *b, const struct schema_row *parent, int indent,
			struct dice *seed);

static void random_list(struct buf *b, const struct schema_row *row, int indent, struct dice *seed)
{
	unsigned n = 1 + roll(seed, 3);

	buf_char(b, '\n');
	for (unsigned i = 0; i < n; i++) {
		buf_printf(b, "%*s- ", indent, "");
		if (row->type == SCHEMA_INTS)
			buf_printf(b, "%u", roll(seed, 256));
		else if (strcmp(schema_key(row), "status") == 0)
			buf_str(b, i ? "200-299" : "404");
		else if (strncmp(schema_key(row), "cap_", strlen("cap_")) == 0)
			buf_str(b, i ? "ALL" : "SYS_PTRACE");
		else if (strcmp(schema_key(row), "security_opt") == 0)
			buf_str(b, i ? "seccomp=unconfined" : "no-new-privileges");
		else if (strcmp(schema_key(row), "group_add") == 0)
			buf_str(b, i ? "\"44\"" : "video");
		else if (strcmp(schema_key(row), "cdi") == 0)
			buf_str(b, i ? "nvidia.com/gpu=all" : "nvidia.com/gpu=0");
		else if (row->flags & SCHEMA_ONE_OR_MANY)
			manifest_write_scalar(b, i ? "a b" : "~/x");
		else
			manifest_write_scalar(b, i ? texts[roll(seed, ARRAY_SIZE(texts))] : "prog");
		buf_char(b, '\n');
	}
}

static void random_map(struct buf *b, int indent, struct dice *seed)
{
	unsigned n = 1 + roll(seed, 3);

	buf_char(b, '\n');
	for (unsigned i = 0; i < n; i++) {
		buf_printf(b, "%*sNAME_%u: ", indent + 2, "", i);
		manifest_write_scalar(b, texts[roll(seed, ARRAY_SIZE(texts))]);
		buf_char(b, '\n');
	}
}

/* In flow style, so that there is no indentation to think of. */
static void random_table(struct buf *b, const struct schema_row *row, struct dice *seed)
{
	static const char *const rules[] = {"{ exit: 1, then: fail }",
					    "{ exit: [2, 3], then: restart }",
					    "{ exit: [4], then: succeed }"};
	static const char *const secrets[] = {"{ file: /x }", "{ env: A_B }", "{ file: ~/y }"};
	static const char *const ports[] = {"{}", "{ port: 1, protocol: tcp }",
					    "{ port: 65535, listen: \"::\", mode: proxy }"};
	static const char *const warmups[] = {"{ http: { port: 98 } }",
					      "{ http: { path: /x, port: 97 }, timeout: 5m }",
					      "{ http: { method: POST, port: 1, body: \"{}\" } }"};
	static const char *const hooks[] = {"{ exec: { command: [a] } }",
					    "{ exec: { command: [b, c] }, timeout: 1s }",
					    "{ exec: { command: [d] }, on_failure: ignore }"};
	static const char *const needs[] = {"{}", "{ condition: ready }", "{ required: false }"};
	static const char *const metrics[] = {
		"{ metric: cpu }", "{ metric: rps, target: 0.5 }",
		"{ metric: prometheus, name: m, target: 9, port: 1 }"};
	static const char *const windows[] = {"{ cron: \"@daily\", for: 1h, min: 0 }",
					      "{ cron: \"1 2 * * *\", for: 2m, max: 1 }",
					      "{ cron: \"@weekly\", for: 1d }"};
	static const char *const volumes[] = {
		"{ type: bind, source: \"/a/${REPLICA}\", target: \"/b\" }", "\"vol:/c:ro\"",
		"{ type: tmpfs, target: /d, size: 4KiB }"};
	static const char *const devices[] = {"/dev/a", "\"/dev/b:/dev/c\"",
					      "{ source: /dev/d, permissions: r }"};
	const char *const *listed = strcmp(schema_key(row), "warmup") == 0     ? warmups
				    : strcmp(schema_key(row), "volumes") == 0  ? volumes
				    : strcmp(schema_key(row), "devices") == 0  ? devices
				    : strcmp(schema_key(row), "metrics") == 0  ? metrics
				    : strcmp(schema_key(row), "schedule") == 0 ? windows
				    : strstr(row->path, ".hooks.")	       ? hooks
									       : rules;
	const char *const *from = strcmp(schema_key(row), "ports") == 0	       ? ports
				  : strcmp(schema_key(row), "depends_on") == 0 ? needs
									       : secrets;
	unsigned n = 1 + roll(seed, 3);

	if (row->flags & SCHEMA_LISTED) {
		n = roll(seed, 3);
		buf_printf(b, " [%s, %s]\n", listed[n], listed[(n + 1) % 3]);
		return;
	}
	buf_str(b, " {");
	for (unsigned i = 0; i < n; i++)
		buf_printf(b, "%s a%u: %s", i ? "," : "", i, from[(n + i) % 3]);
	buf_str(b, " }\n");
}

static void random_limit(struct buf *b, struct dice *seed)
{
	static const char *const limits[] = {"0", "unlimited", "\"1:2\"", "\"7:unlimited\"",
					     "{ soft: 3, hard: 9 }"};

	buf_printf(b, " %s\n", limits[roll(seed, ARRAY_SIZE(limits))]);
}

static void random_word(struct buf *b, const struct schema_row *row, struct dice *seed)
{
	char text[MANIFEST_WRITE_NUMBER_SIZE];
	unsigned count = 1;

	for (const char *p = row->names; *p; p++)
		count += *p == '|';
	buf_printf(b, " %s\n", manifest_write_number(row, roll(seed, count), text));
}

/* Read back from the JSON that is written, they are the same. */
static const char *const trees[] = {
	" {}\n",
	" { status: ok, deep: { a: [1, 2.5e3, -0, \"1\"], b: { c: null } } }\n",
	" { quoted: \"true\", bare: True, no: no, tilde: ~, date: 2020-01-01, octal: 007 }\n",
	" { \"a b: c\": \"line\\nbreak \\x7f \\u2028 \\\" ü\", z: \"\", \"0\": [] }\n",
};

static void random_value(struct buf *b, const struct schema_row *row, int indent, struct dice *seed)
{
	char text[MANIFEST_WRITE_NUMBER_SIZE];

	if (row->type == SCHEMA_STRING) {
		buf_char(b, ' ');
		manifest_write_scalar(b, form(row, seed));
		buf_char(b, '\n');
	} else if (row->type == SCHEMA_LIST || row->type == SCHEMA_INTS) {
		random_list(b, row, indent, seed);
	} else if (row->type == SCHEMA_MAP) {
		random_map(b, indent, seed);
	} else if (row->type == SCHEMA_TREE) {
		buf_str(b, trees[roll(seed, ARRAY_SIZE(trees))]);
	} else if (row->type == SCHEMA_TABLE) {
		random_table(b, row, seed);
	} else if (row->type == SCHEMA_OBJECT) {
		buf_char(b, '\n');
		random_keys(b, row, indent + 2, seed);
	} else if (row->type == SCHEMA_ENUM) {
		random_word(b, row, seed);
	} else if (row->type == SCHEMA_SIGNAL) {
		buf_printf(b, " %u\n", 1 + roll(seed, 64));
	} else if (row->type == SCHEMA_LIMIT) {
		random_limit(b, seed);
	} else {
		buf_printf(b, " %s\n", manifest_write_number(row, within(row, seed), text));
	}
}

/* Of children of which exactly one may be given, the n-th one is. */
static bool is_chosen(const struct schema_row *row, const struct schema_row *parent, unsigned n)
{
	const struct schema_row *r = NULL;
	unsigned count = 0, place = 0;

	while ((r = schema_next(parent, r)) != NULL) {
		if (r == row)
			place = count;
		count += (r->flags & SCHEMA_CHOICE) != 0;
	}
	return place == n % count;
}

static void random_keys(struct buf *b, const struct schema_row *parent, int indent,
			struct dice *seed)
{
	const struct schema_row *r = NULL;
	unsigned choice = roll(seed, 6), ports = roll(seed, 2);
	size_t before = b->len;

	if (strcmp(parent->path, "services.*") == 0)
		seed->never = roll(seed, 2) ? SCHEMA_CONTAINER : SCHEMA_PROCESS;
	while ((r = schema_next(parent, r)) != NULL) {
		bool given = (r->flags & (SCHEMA_REQUIRED | SCHEMA_NEEDED)) || roll(seed, 4) == 0;

		if (strcmp(r->path, "services.*.group") == 0 && seed->never == SCHEMA_PROCESS)
			continue; /* it needs a user */
		if ((r->flags & seed->never) ||
		    (strcmp(r->path, "services.*.image") == 0 && seed->never == SCHEMA_CONTAINER))
			continue;
		if (r->flags & SCHEMA_CHOICE)
			given = is_chosen(r, parent, choice);
		if (strcmp(r->path, ports ? "services.*.port" : "services.*.ports") == 0)
			given = false; /* one is short for the other */
		if (!given)
			continue;
		buf_printf(b, "%*s%s:", indent, "", schema_key(r));
		random_value(b, r, indent, seed);
	}
	if (b->len == before)
		buf_printf(b, "%*s{}\n", indent, "");
}

/* For manifest_tools.py, which asks the JSON Schema about them. */
static void dump(const struct buf *b, unsigned i)
{
	const char *dir = getenv("AICTL_DUMP_DIR");
	_cleanup_free_ char *path = dir ? mem_printf("%s/%u.yaml", dir, i) : NULL;
	FILE *f = path ? fopen(path, "we") : NULL;

	if (!f)
		return;
	assert_int_equal(fwrite(b->data, 1, b->len, f), b->len);
	assert_int_equal(fclose(f), 0);
}

static void test_random(void **state)
{
	struct dice seed = {.state = 20260101};
	unsigned good = 0, containers = 0;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct manifest_errors errors = {0};
		struct manifest *m = NULL;
		struct buf b = {0};

		buf_str(&b, "version: 1\nservices:\n");
		for (unsigned k = 0, n = 1 + roll(&seed, 3); k < n; k++) {
			buf_printf(&b, "  svc-%u:\n", k);
			random_keys(&b, schema_find("services.*"), 4, &seed);
		}
		if (manifest_case_parse(b.data, b.len, &m, &errors) == 0) {
			check_round_trip(m, i % 2 ? MANIFEST_WRITE_DEFAULTS : 0);
			containers += service_spec_is_container(m->services[0]);
			if (good++ < DUMPED)
				dump(&b, i);
		} else if (getenv("AICTL_SHOW_BAD")) {
			print_message("%s\n", err_msg(errors.errs[0]));
		}
		manifest_errors_done(&errors);
		manifest_free(m);
		buf_done(&b);
	}
	assert_true(good > 300); /* others break a rule between keys */
	assert_true(containers > 100);
	print_message("%u of 2000 random manifests were good, %u with a container\n", good,
		      containers);
}

static void test_json(void **state)
{
	struct manifest *m = manifest_case_service(
		"    replicas: 3\n    environment: { A: \"1\" }\n    stop: { grace_period: 5s }\n"
		"    restart: { backoff: { factor: 1.5 } }\n");
	struct buf out = {0};
	struct jsonw w = {.out = &out};

	(void)state;
	jsonw_object_begin(&w, NULL);
	manifest_write_json(m->services[0], MANIFEST_WRITE_MASKED, &w);
	jsonw_object_end(&w);
	assert_string_equal(buf_cstr(&out),
			    "{\"command\":[\"server\"],\"working_dir\":\"/srv/app\","
			    "\"environment\":{\"A\":\"***\"},\"replicas\":3,"
			    "\"restart\":{\"backoff\":{\"factor\":1.5}},"
			    "\"stop\":{\"grace_period\":\"5s\"}}");
	buf_clear(&out);
	w = (struct jsonw){.out = &out};
	jsonw_object_begin(&w, NULL);
	manifest_write_file_json(m, MANIFEST_WRITE_DEFAULTS, &w);
	jsonw_object_end(&w);
	{
		cJSON *json = cJSON_ParseWithLengthOpts(out.data, out.len + 1, NULL, true);

		assert_non_null(json);
		assert_int_equal(cJSON_GetObjectItemCaseSensitive(json, "version")->valueint, 1);
		cJSON_Delete(json);
	}
	manifest_free(m);
	buf_done(&out);
}

static void test_no_memory(void **state)
{
	struct manifest *m = manifest_case_service("    environment: { A: x, B: y }\n");
	struct buf out = {0};
	unsigned long n = 0;

	(void)state;
	do {
		buf_done(&out);
		mem_fail_after(++n);
		manifest_write_yaml(m->services[0], 0, &out);
		mem_fail_after(0);
	} while (out.failed && n < 1000);
	assert_true(n > 5);
	assert_non_null(strstr(buf_cstr(&out), "B:"));
	buf_done(&out);
	manifest_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	     cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_scalars),	     cmocka_unit_test(test_examples),
		cmocka_unit_test(test_every_string), cmocka_unit_test(test_random),
		cmocka_unit_test(test_json),	     cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
