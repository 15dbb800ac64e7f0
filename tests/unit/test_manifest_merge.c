/*
 * manifest_merge: layers over each other and over `defaults`: maps merge, the rest replaces, null
 * deletes; and that an error in a merged value stands where it was written.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_merge.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

#define LAYERS_MAX 4
#define V "version: 1\n"

static void show_strv(struct buf *out, const char *name, char *const *v)
{
	buf_printf(out, " %s=", name);
	for (size_t i = 0; v && v[i]; i++)
		buf_printf(out, "%s%s", i ? "," : "", v[i]);
}

static void show(struct buf *out, const struct manifest *m)
{
	for (size_t i = 0; i < m->n_services; i++) {
		const struct service_spec *s = m->services[i];

		buf_printf(out, "%s:", s->name);
		show_strv(out, "command", s->command);
		show_strv(out, "env", s->environment);
		buf_printf(out, " user=%s replicas=%d restart=%d/%d %s %s:%u\n",
			   s->user ? s->user : "-", (int)s->replicas, (int)s->restart.policy,
			   (int)s->restart.budget_restarts, s->working_dir, s->file, s->line);
	}
}

/* texts[]: up to NULL; siblings: all in one layer. What came out, or the errors. */
static char *parse(const char *const *texts, bool siblings)
{
	static const char *const paths[LAYERS_MAX] = {"/a/a.yaml", "/b/b.yaml", "/c/c.yaml",
						      "/d/d.yaml"};
	struct manifest_source src[LAYERS_MAX];
	struct manifest_input in = {.sources = src};
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	struct buf out = {0};

	for (; in.n < LAYERS_MAX && texts[in.n]; in.n++)
		src[in.n] = (struct manifest_source){paths[in.n], texts[in.n], strlen(texts[in.n]),
						     siblings ? 0 : (unsigned)in.n};
	if (manifest_parse(&in, &m, &errors) == 0)
		show(&out, m);
	for (size_t i = 0; i < errors.n; i++) {
		const struct err *e = errors.errs[i];

		buf_printf(&out, "%s:%u:%u: %s%s%s\n", e->file, e->line, e->column, e->msg,
			   e->hint ? " | " : "", e->hint ? e->hint : "");
	}
	manifest_free(m);
	manifest_errors_done(&errors);
	return buf_take(&out);
}

struct merge_case {
	const char *layers[LAYERS_MAX];
	const char *want;
};

static void check(const struct merge_case *c, size_t n, bool siblings)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *got = parse(c[i].layers, siblings);

		assert_string_equal(got, c[i].want);
	}
}

#define BASE                                                                                       \
	V "services:\n  x:\n    command: [a, b]\n    environment: { A: 1, B: 2 }\n"                \
	  "    user: u\n    restart: { policy: on-failure, budget: { restarts: 3 } }\n"

static void test_values(void **state)
{
	static const struct merge_case cases[] = {
		{{BASE},
		 "x: command=a,b env=A=1,B=2 user=u replicas=1 restart=1/3 /a /a/a.yaml:3\n"},
		/* maps merge, at every depth */
		{{BASE, V "services: { x: { environment: { B: 3, C: 4 } } }"},
		 "x: command=a,b env=A=1,B=3,C=4 user=u replicas=1 restart=1/3 /a /a/a.yaml:3\n"},
		{{BASE, V "services: { x: { restart: { budget: { restarts: 4 } } } }"},
		 "x: command=a,b env=A=1,B=2 user=u replicas=1 restart=1/4 /a /a/a.yaml:3\n"},
		/* lists and single values replace */
		{{BASE, V "services: { x: { command: [c], user: w, replicas: 2 } }"},
		 "x: command=c env=A=1,B=2 user=w replicas=2 restart=1/3 /a /a/a.yaml:3\n"},
		/* null deletes a key, whatever it holds */
		{{BASE, V "services: { x: { user: null, environment: ~, restart: } }"},
		 "x: command=a,b env= user=- replicas=1 restart=0/10 /a /a/a.yaml:3\n"},
		{{BASE, V "services: { x: { environment: { A: null }, restart: { budget: ~ } } }"},
		 "x: command=a,b env=B=2 user=u replicas=1 restart=1/10 /a /a/a.yaml:3\n"},
		/* what is deleted may come again */
		{{BASE, V "services: { x: { user: null } }", V "services: { x: { user: z } }"},
		 "x: command=a,b env=A=1,B=2 user=z replicas=1 restart=1/3 /a /a/a.yaml:3\n"},
		/* a shorthand is the map it stands for */
		{{BASE, V "services: { x: { restart: never } }"},
		 "x: command=a,b env=A=1,B=2 user=u replicas=1 restart=2/3 /a /a/a.yaml:3\n"},
		{{V "services: { x: { command: [a], restart: never } }",
		  V "services: { x: { restart: { budget: { restarts: 5 } } } }"},
		 "x: command=a env= user=- replicas=1 restart=2/5 /a /a/a.yaml:2\n"},
		/* a path is relative to the file that says it */
		{{BASE, V "services: { x: { working_dir: w } }"},
		 "x: command=a,b env=A=1,B=2 user=u replicas=1 restart=1/3 /b/w /a/a.yaml:3\n"},
		/* three layers, the last word counts */
		{{BASE, V "services: { x: { replicas: 2, environment: { A: 5 } } }",
		  V "services: { x: { replicas: 3, environment: { B: null, D: 6 } } }"},
		 "x: command=a,b env=A=5,D=6 user=u replicas=3 restart=1/3 /a /a/a.yaml:3\n"},
	};

	(void)state;
	check(cases, ARRAY_SIZE(cases), false);
}

static void test_services(void **state)
{
	static const struct merge_case cases[] = {
		{{BASE, V "services: { y: { command: [c] } }"},
		 "x: command=a,b env=A=1,B=2 user=u replicas=1 restart=1/3 /a /a/a.yaml:3\n"
		 "y: command=c env= user=- replicas=1 restart=0/10 /b /b/b.yaml:2\n"},
		{{BASE, V "services: { y: { command: [c] }, x: null }"},
		 "y: command=c env= user=- replicas=1 restart=0/10 /b /b/b.yaml:2\n"},
		/* a new one under an old name knows nothing of it */
		{{BASE, V "services: { x: null }", V "services: { x: { command: [n] } }"},
		 "x: command=n env= user=- replicas=1 restart=0/10 /c /c/c.yaml:2\n"},
		{{BASE, V "services: { x: null }"},
		 "/b/b.yaml:2:16: services.x: null deletes the last service, nothing is left\n"},
		{{BASE, V "services: { z: null }"},
		 "/b/b.yaml:2:16: z: expected a map, this is nothing | a service needs at least "
		 "command\n"},
		{{BASE, V "services: { x: null }", V "services: { x: null, y: { command: [c] } }"},
		 "/c/c.yaml:2:16: x: expected a map, this is nothing | a service needs at least "
		 "command\n"},
	};

	(void)state;
	check(cases, ARRAY_SIZE(cases), false);
}

static void test_defaults(void **state)
{
	static const struct merge_case cases[] = {
		{{V
		  "defaults: { user: d, environment: { A: 0, Z: 9 } }\n"
		  "services: { x: { command: [a], environment: { A: 1 } }, y: { command: [b] } }"},
		 "x: command=a env=A=1,Z=9 user=d replicas=1 restart=0/10 /a /a/a.yaml:3\n"
		 "y: command=b env=A=0,Z=9 user=d replicas=1 restart=0/10 /a /a/a.yaml:3\n"},
		{{V
		  "defaults: { command: [d], replicas: 4 }\nservices: { x: {}, y: { replicas: 5 } }"},
		 "x: command=d env= user=- replicas=4 restart=0/10 /a /a/a.yaml:3\n"
		 "y: command=d env= user=- replicas=5 restart=0/10 /a /a/a.yaml:3\n"},
		/* a service may do without */
		{{V
		  "defaults: { user: d, restart: never }\n"
		  "services: { x: { command: [a], user: null, restart: { budget: { restarts: 1 } } } }"},
		 "x: command=a env= user=- replicas=1 restart=2/1 /a /a/a.yaml:3\n"},
		/* those of a later file stand below all own values, and reach what it names */
		{{V "defaults: { user: d, replicas: 2 }\n"
		    "services: { x: { command: [a], user: own }, y: { command: [b] } }",
		  V "defaults: { user: e, replicas: 3 }\nservices: { x: {} }"},
		 "x: command=a env= user=own replicas=3 restart=0/10 /a /a/a.yaml:3\n"
		 "y: command=b env= user=d replicas=2 restart=0/10 /a /a/a.yaml:3\n"},
		/* a deleted service's defaults go with it */
		{{V "defaults: { user: d }\nservices: { x: { command: [a] } }",
		  V "services: { x: null }", V "services: { x: { command: [b] } }"},
		 "x: command=b env= user=- replicas=1 restart=0/10 /c /c/c.yaml:2\n"},
	};

	(void)state;
	check(cases, ARRAY_SIZE(cases), false);
}

static void test_siblings(void **state)
{
	static const struct merge_case cases[] = {
		{{V "defaults: { user: d }\nservices: { x: { command: [a] } }",
		  V "services: { y: { command: [b] } }"},
		 "x: command=a env= user=d replicas=1 restart=0/10 /a /a/a.yaml:3\n"
		 "y: command=b env= user=- replicas=1 restart=0/10 /b /b/b.yaml:2\n"},
		{{V "services: { x: { command: [a] } }", V "services: { x: { user: b } }"},
		 "/b/b.yaml:2:13: services.x: defined twice, first at /a/a.yaml:2:13\n"},
		{{V "services: { x: { command: [a] } }", V "services: { x: null }"},
		 "/b/b.yaml:2:13: services.x: defined twice, first at /a/a.yaml:2:13\n"},
		{{V "name: m\nservices: { x: { command: [a] } }",
		  V "name: n\nservices: { y: { command: [b] } }"},
		 "/b/b.yaml:2:7: name: \"n\" is not the name that /a/a.yaml:2 gives, \"m\"\n"},
	};

	(void)state;
	check(cases, ARRAY_SIZE(cases), true);
}

/* Names: a later layer's wins, also over a first file without one. */
static void test_names(void **state)
{
	static const char *const cases[][4] = {
		{V "name: one\nservices: { x: { command: [a] } }",
		 V "name: two\nservices: { x: {} }", NULL, "two"},
		{V "services: { x: { command: [a] } }", V "name: two\nservices: { x: {} }", NULL,
		 "two"},
		{V "name: one\nservices: { x: { command: [a] } }", V "services: { x: {} }", NULL,
		 "one"},
		{V "services: { x: { command: [a] } }", V "services: { x: {} }", NULL, "a"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct manifest_source src[] = {
			{"/a/a.yaml", cases[i][0], strlen(cases[i][0]), 0},
			{"/b/b.yaml", cases[i][1], strlen(cases[i][1]), 1}};
		const struct manifest_input in = {.sources = src, .n = 2};
		struct manifest_errors errors = {0};
		struct manifest *m = NULL;

		assert_int_equal(manifest_parse(&in, &m, &errors), 0);
		assert_string_equal(m->name, cases[i][3]);
		manifest_free(m);
	}
}

#define FROM_DEFAULTS "`defaults` give it to the services of the file"

static void test_places(void **state)
{
	static const struct merge_case cases[] = {
		/* the very value in the right file */
		{{BASE, V "services:\n  x:\n    replicas: many\n"},
		 "/b/b.yaml:4:15: replicas: \"many\" is not a whole number\n"},
		/* what is overridden is nobody's error */
		{{V "services: { x: { command: [a], replicas: many } }",
		  V "services: { x: { replicas: 2 } }"},
		 "x: command=a env= user=- replicas=2 restart=0/10 /a /a/a.yaml:2\n"},
		/* once, however many services it reaches */
		{{V
		  "defaults:\n  replicas: many\nservices: { x: { command: [a] }, y: { command: [b] } }"},
		 "/a/a.yaml:3:13: replicas: \"many\" is not a whole number | " FROM_DEFAULTS "\n"},
		{{V "services:\n  a: &a { command: [a], replicas: many }\n  b: *a\n"},
		 "/a/a.yaml:3:35: replicas: \"many\" is not a whole number\n"
		 "/a/a.yaml:4:6: replicas: \"many\" is not a whole number | an alias brings it here from "
		 "line 3\n"},
		/* a null that deletes nothing */
		{{BASE, V "services: { x: { group: null } }"},
		 "/b/b.yaml:2:25: group: expected text, this is nothing\n"},
		{{BASE, V "services: { x: { environment: { C: ~ } } }"},
		 "/b/b.yaml:2:36: environment.C: there is no value | write \"\" for an empty value, "
		 "${env:NAME} for the caller's\n"},
		/* an unknown key of an overlay, and a layer that is no YAML */
		{{BASE, V "services: { x: { replcas: 2 } }"},
		 "/b/b.yaml:2:18: replcas: unknown key | did you mean \"replicas\"?\n"},
		{{V "services: [\n", V "services: { x: { replicas: 2 } }"},
		 "/a/a.yaml:3:1: expected a value here | check the brackets and quotes above it\n"},
		/* deleting what is needed */
		{{BASE, V "services: { x: { command: null } }"},
		 "/a/a.yaml:3:3: x: command is missing\n"},
		/* each file is a manifest of its own */
		{{BASE, "services: { x: { replicas: 2 } }"},
		 "/b/b.yaml:1:1: version is missing | begin with version: 1\n"},
	};

	(void)state;
	check(cases, ARRAY_SIZE(cases), false);
}

/* `port: N` and `ports.http` are the same thing, whichever layer says which. */
static void test_ports(void **state)
{
	static const char *const cases[][3] = {
		{"port: 8000", "ports: { http: { listen: '::1' } }", "http:8000@::1"},
		{"ports: { http: { port: 7, listen: '::1' } }", "port: 8000", "http:8000@::1"},
		{"port: 8000, ports: { m: { port: 9 } }", "ports: { http: { listen: '::1' } }",
		 "http:8000@::1 m:9@127.0.0.1"},
		{"port: 8000", "ports: { m: { port: 9 } }", "http:8000@127.0.0.1 m:9@127.0.0.1"},
		{"port: 8000", "port: null, ports: { http: { port: 9 } }", "http:9@127.0.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *a =
			mem_printf(V "services: { x: { command: [a], %s } }", cases[i][0]);
		_cleanup_free_ char *b = mem_printf(V "services: { x: { %s } }", cases[i][1]);
		const struct manifest_source src[] = {{"/a/a.yaml", a, strlen(a), 0},
						      {"/b/b.yaml", b, strlen(b), 1}};
		const struct manifest_input in = {.sources = src, .n = 2};
		struct manifest_errors errors = {0};
		_cleanup_buf_ struct buf out = {0};
		const struct port_spec *p;
		struct manifest *m = NULL;

		assert_int_equal(manifest_parse(&in, &m, &errors), 0);
		p = m->services[0]->ports.v;
		for (size_t k = 0; k < m->services[0]->ports.n; k++)
			buf_printf(&out, "%s%s:%d@%s", k ? " " : "", p[k].name, (int)p[k].port,
				   p[k].listen);
		assert_string_equal(buf_cstr(&out), cases[i][2]);
		manifest_free(m);
	}
}

static void add_keys(struct buf *out, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		buf_printf(out, "    K%u: v\n", i);
}

static const char too_many[] =
	"services.y: more than 10000 nodes after merging | every key and value of all files counts, "
	"and `defaults` in each service\n";

/* The limits hold for what comes out, not only for each file. */
static void test_limits(void **state)
{
	_cleanup_buf_ struct buf a = {0}, b = {0}, deep = {0};
	const char *layers[] = {NULL, NULL, NULL};
	_cleanup_free_ char *defaults = NULL, *sum = NULL, *depth = NULL;

	(void)state;
	buf_str(&a, V "defaults:\n  environment:\n");
	add_keys(&a, 0, 2000);
	buf_str(&a,
		"services: { w: { command: [a] }, x: { command: [a] }, y: { command: [a] } }\n");
	layers[0] = buf_cstr(&a);
	defaults = parse(layers, false);
	assert_string_equal(strchr(defaults, ' ') + 1, too_many);

	buf_clear(&a);
	buf_str(&a, V "services:\n  x: { command: [a] }\n  y:\n   command: [a]\n   environment:\n");
	add_keys(&a, 0, 4000);
	buf_str(&b, V "services:\n  y:\n   environment:\n");
	add_keys(&b, 4000, 4000);
	layers[0] = buf_cstr(&a);
	layers[1] = buf_cstr(&b);
	sum = parse(layers, false);
	assert_string_equal(strchr(sum, ' ') + 1, too_many);

	buf_str(&deep, V "defaults: { probes: ");
	for (unsigned i = 0; i < YAMLTREE_DEPTH_MAX - 3; i++)
		buf_str(&deep, "{ a: ");
	buf_str(&deep, "1");
	for (unsigned i = 0; i < YAMLTREE_DEPTH_MAX - 3; i++)
		buf_str(&deep, " }");
	buf_str(&deep, " }\nservices: { x: { command: [a] } }\n");
	layers[0] = buf_cstr(&deep);
	layers[1] = NULL;
	depth = parse(layers, false);
	assert_non_null(strstr(depth, "nested more than 32 levels deep"));
}

/* Many files of many nodes are refused before anything is merged. */
static void test_work_is_bounded(void **state)
{
	struct manifest_source src[8];
	const struct manifest_input in = {.sources = src, .n = 8};
	_cleanup_buf_ struct buf text = {0};
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;

	(void)state;
	buf_str(&text, V "services:\n  x:\n   command: [a]\n   environment:\n");
	add_keys(&text, 0, 4900);
	for (unsigned i = 0; i < 8; i++)
		src[i] =
			(struct manifest_source){i % 2 ? "/a" : "/b", buf_cstr(&text), text.len, i};
	assert_int_equal(manifest_parse(&in, &m, &errors), -ERR_INVALID);
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.errs[0]->msg, "more than 40000 nodes in all files together");
	manifest_errors_done(&errors);
}

/* Every allocation fails once: an error, never a crash or a leak. */
static void test_out_of_memory(void **state)
{
	static const char a[] =
		V "defaults: { restart: never, user: d }\nservices:\n"
		  "  x: { command: [a] }\n  y: { command: [b], restart: { budget: { "
		  "restarts: 1 } } }\n";
	static const char b[] = V "services: { x: null, y: { user: null, environment: { A: 1 } } }";
	const struct manifest_source src[] = {{"/a/a", a, strlen(a), 0}, {"/b/b", b, strlen(b), 1}};
	const struct manifest_input in = {.sources = src, .n = 2};
	int r = -1;

	(void)state;
	for (unsigned long i = 1; r < 0; i++) {
		struct manifest_errors errors = {0};
		struct manifest *m = NULL;

		mem_fail_after(i);
		r = manifest_parse(&in, &m, &errors);
		mem_fail_after(0);
		assert_true(r == 0 || r == -ERR_NOMEM);
		assert_true(i < 2000);
		manifest_free(m);
		manifest_errors_done(&errors);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),		cmocka_unit_test(test_services),
		cmocka_unit_test(test_defaults),	cmocka_unit_test(test_siblings),
		cmocka_unit_test(test_names),		cmocka_unit_test(test_places),
		cmocka_unit_test(test_ports),		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_work_is_bounded), cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
