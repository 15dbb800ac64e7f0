/*
 * manifest_files: env_file and secrets are read by the function of the caller, once each, by paths
 * that belong to the file naming them; what wins, what is said when it fails, and what is not.
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
#include "lib/mem.h"

#define V "version: 1\n"
#define X V "services:\n  x:\n    command: [a]\n"

struct disk {
	struct buf asked; /* paths in order */
	const char *const (*files)[2];
	size_t n;
};

static int read_disk(void *user, const char *path, char **ret_data, size_t *ret_len,
		     struct err **reterr)
{
	struct disk *d = user;

	buf_printf(&d->asked, "%s ", path);
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->files[i][0], path) != 0)
			continue;
		*ret_data = mem_strdup(d->files[i][1]);
		*ret_len = strlen(d->files[i][1]);
		return *ret_data ? 0 : err_nomem(reterr);
	}
	return err_set(reterr, ERR_SYS, "No such file or directory");
}

static const char *const files[][2] = {
	{"/a/.env", "A=file\nB=file\nC=$HOME\n"},
	{"/a/two.env", "B=two\nD=\"two words\"\n"},
	{"/b/.env", "A=other\n"},
	{"/a/bad.env", "A=1\nHunter2\n"},
	{"/a/port.env", "PORT=1\n"},
	{"/a/ports.env", "A=1\nPORT_MY_WEB=1\nPORT_WEB=2\nPORT_MY_WEB=3\n"},
	{"~/tok", "hush"},
	{"/a/tok", "hush"},
	{"/a/tok2", "hush2"},
	{"/a/empty", ""},
	{"/abs/tok", "abs"},
	{"env:TOKEN", "from-env"},
};

static struct manifest *parse(const char *a, const char *b, struct disk *disk,
			      struct manifest_errors *errors)
{
	const struct manifest_source src[] = {{"/a/aictl.yaml", a, strlen(a), 0},
					      {"/b/aictl.yaml", b ? b : "", b ? strlen(b) : 0, 1}};
	const struct manifest_input in = {
		.sources = src, .n = b ? 2 : 1, .read = read_disk, .user = disk};
	struct manifest *m = NULL;
	int r;

	*disk = (struct disk){.files = files, .n = ARRAY_SIZE(files)};
	r = manifest_parse(&in, &m, errors);
	assert_int_equal(r == 0, errors->n == 0);
	return m;
}

static char *environment(const char *a, const char *b)
{
	struct manifest_errors errors = {0};
	struct disk disk;
	struct manifest *m = parse(a, b, &disk, &errors);
	struct buf out = {0};

	for (size_t i = 0; m && m->services[0]->environment && m->services[0]->environment[i]; i++)
		buf_printf(&out, "%s\n", m->services[0]->environment[i]);
	for (size_t i = 0; i < errors.n; i++)
		buf_printf(&out, "%s:%u:%u: %s | %s\n", errors.errs[i]->file, errors.errs[i]->line,
			   errors.errs[i]->column, errors.errs[i]->msg,
			   errors.errs[i]->hint ? errors.errs[i]->hint : "");
	for (size_t i = 0; m && i < m->warnings.n; i++)
		buf_printf(&out, "warning %s:%u: %s\n", m->warnings.errs[i]->file,
			   m->warnings.errs[i]->line, m->warnings.errs[i]->msg);
	manifest_free(m);
	manifest_errors_done(&errors);
	buf_done(&disk.asked);
	return buf_take(&out);
}

static void test_env_files(void **state)
{
	static const struct {
		const char *a, *b, *want;
	} cases[] = {
		{X "    env_file: .env\n", NULL, "A=file\nB=file\nC=$$HOME\n"},
		{X "    env_file: [.env, two.env]\n", NULL,
		 "A=file\nB=two\nC=$$HOME\nD=two words\n"},
		{X "    env_file: [two.env, ./.env]\n", NULL,
		 "A=file\nB=file\nC=$$HOME\nD=two words\n"},
		/* the manifest's own win, also those of defaults and of a lower layer */
		{X "    env_file: [.env]\n    environment: { A: own, Z: own }\n", NULL,
		 "A=own\nB=file\nC=$$HOME\nZ=own\n"},
		{V
		 "defaults: { environment: { A: d } }\nservices: { x: { command: [a], env_file: .env } }",
		 NULL, "A=d\nB=file\nC=$$HOME\n"},
		{X "    environment: { A: own }\n", V "services: { x: { env_file: .env } }",
		 "A=own\n"},
		/* relative to the file that names it */
		{X, V "services: { x: { env_file: [.env] } }", "A=other\n"},
		{X "    env_file: [.env, two.env]\n", V "services: { x: { env_file: .env } }",
		 "A=other\n"},
		/* errors: the place in the manifest, or the line in the file and never its text */
		{X "    env_file: [two.env, no.env]\n", NULL,
		 "/a/aictl.yaml:5:25: env_file: cannot read no.env: No such file or directory | \n"},
		{X "    env_file: [bad.env]\n", NULL,
		 "/a/bad.env:2:1: expected NAME=value, a comment or nothing | it is an env_file of "
		 "service x: /a/aictl.yaml:5\n"},
		{X "    env_file: port.env\n", NULL,
		 "warning /a/port.env:1: PORT is set by aictl itself, this line is ignored\n"},
		{X "    env_file: ports.env\n    ports: { my-web: {} }\n", NULL,
		 "A=1\nPORT_WEB=2\nwarning /a/aictl.yaml:5: env_file: PORT_MY_WEB in it is ignored, "
		 "aictl itself sets it for ports.my-web\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = environment(cases[i].a, cases[i].b);

		assert_string_equal(got ? got : "", cases[i].want);
	}
}

static void test_read_once(void **state)
{
	static const char text[] =
		V "defaults: { env_file: .env }\nservices:\n  x: { command: [a], secrets: { t: { "
		  "file: ./tok } } }\n  y: { command: [b], secrets: { u: { file: tok }, e: { env: "
		  "TOKEN } } }\n";
	struct manifest_errors errors = {0};
	struct disk disk;
	struct manifest *m = parse(text, NULL, &disk, &errors);

	(void)state;
	assert_non_null(m);
	assert_int_equal(m->n_files, 3);
	assert_string_equal(m->files[0].path, "/a/.env");
	assert_string_equal(m->files[1].path, "/a/tok");
	assert_string_equal(m->files[1].data, "hush");
	assert_string_equal(m->files[2].path, "env:TOKEN");
	assert_string_equal(buf_cstr(&disk.asked), "/a/.env /a/tok env:TOKEN ");
	manifest_free(m);
	buf_done(&disk.asked);
}

static const struct secret_spec *secret(const struct manifest *m, size_t i)
{
	assert_true(i < m->services[0]->secrets.n);
	return (const struct secret_spec *)m->services[0]->secrets.v + i;
}

static void assert_secret(const struct secret_spec *s, const char *name, const char *data)
{
	assert_string_equal(s->name, name);
	assert_int_equal(s->len, strlen(data));
	assert_memory_equal(s->data, data, s->len);
}

static void test_secrets(void **state)
{
	static const char text[] =
		X "    secrets:\n      b: { file: tok }\n      a: { file: ~/tok }\n"
		  "      c: { env: TOKEN }\n      d: { file: /abs/tok }\n"
		  "      e: { file: empty }\n";
	struct manifest_errors errors = {0};
	struct disk disk;
	struct manifest *m = parse(text, NULL, &disk, &errors);

	(void)state;
	assert_non_null(m);
	assert_secret(secret(m, 0), "a", "hush");
	assert_secret(secret(m, 1), "b", "hush");
	assert_secret(secret(m, 2), "c", "from-env");
	assert_secret(secret(m, 3), "d", "abs");
	assert_secret(secret(m, 4), "e", "");
	assert_int_equal(secret(m, 0)->digest, secret(m, 1)->digest);
	assert_int_not_equal(secret(m, 0)->digest, secret(m, 2)->digest);
	manifest_free(m);
	buf_done(&disk.asked);
}

/* Where it is read again; a container has mounted what it was. */
static void test_reloaded_secrets(void **state)
{
	static const char keys[] = X "    secrets: { t: { file: tok } }\n"
				     "    reload: { signal: SIGHUP }\n";
	_cleanup_free_ char *contained = mem_printf("%s    image: a\n", keys);
	struct manifest_errors errors = {0};
	struct disk d1, d2;
	struct manifest *process = parse(keys, NULL, &d1, &errors);
	struct manifest *container = parse(contained, NULL, &d2, &errors);

	(void)state;
	assert_true(secret(process, 0)->reloaded_digest && !secret(process, 0)->digest);
	assert_true(!secret(container, 0)->reloaded_digest && secret(container, 0)->digest);
	manifest_free(process);
	manifest_free(container);
	buf_done(&d1.asked);
	buf_done(&d2.asked);
}

/* Another content is a change of the service, whatever else stays. */
static void test_content_is_a_change(void **state)
{
	struct manifest_errors errors = {0};
	_cleanup_buf_ struct buf keys = {0};
	struct disk d1, d2, d3;
	struct manifest *a = parse(X "    secrets: { t: { file: tok } }\n", NULL, &d1, &errors);
	struct manifest *same =
		parse(X "    secrets: { t: { file: ~/tok } }\n", NULL, &d2, &errors);
	struct manifest *b = parse(X "    secrets: { t: { file: tok2 } }\n", NULL, &d3, &errors);

	(void)state;
	assert_int_equal(service_spec_diff(a->services[0], b->services[0], &keys), CHANGE_REPLACE);
	assert_non_null(strstr(buf_cstr(&keys), "secrets.t"));
	assert_null(strstr(buf_cstr(&keys), "hush"));
	assert_int_not_equal(service_spec_hash(a->services[0]), service_spec_hash(b->services[0]));
	assert_int_equal(service_spec_hash(a->services[0]), service_spec_hash(same->services[0]));
	manifest_free(a);
	manifest_free(same);
	manifest_free(b);
	buf_done(&d1.asked);
	buf_done(&d2.asked);
	buf_done(&d3.asked);
}

static void test_missing_secrets(void **state)
{
	static const char text[] = X "    secrets:\n      a: { file: no }\n      b: { env: NO }\n";
	struct manifest_errors errors = {0};
	struct disk disk;

	(void)state;
	assert_null(parse(text, NULL, &disk, &errors));
	assert_int_equal(errors.n, 2);
	assert_string_equal(errors.errs[0]->msg,
			    "secrets.a.file: cannot read no: No such file or directory");
	assert_int_equal(errors.errs[0]->line, 6);
	assert_int_equal(errors.errs[0]->column, 18);
	assert_string_equal(errors.errs[1]->msg,
			    "secrets.b.env: cannot read NO: No such file or directory");
	manifest_errors_done(&errors);
	buf_done(&disk.asked);
}

/* Without a reader nothing is asked for: the keys are checked all the same. */
static void test_no_reader(void **state)
{
	static const char text[] = X "    env_file: no\n    secrets: { t: { file: no } }\n";
	const struct manifest_source src = {"/a/aictl.yaml", text, strlen(text), 0};
	const struct manifest_input in = {.sources = &src, .n = 1};
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;

	(void)state;
	assert_int_equal(manifest_parse(&in, &m, &errors), 0);
	assert_null(secret(m, 0)->data);
	assert_int_equal(m->n_files, 0);
	manifest_free(m);
}

/* The secrets of a service travel in one packet. */
static int read_large(void *user, const char *path, char **ret_data, size_t *ret_len,
		      struct err **reterr)
{
	(void)user;
	(void)path;
	*ret_data = mem_alloc(MANIFEST_BYTES_MAX + 1);
	*ret_len = MANIFEST_BYTES_MAX;
	return *ret_data ? 0 : err_nomem(reterr);
}

static void test_secrets_together(void **state)
{
	static const char text[] = X
		"    secrets: { a: { file: a }, b: { file: b }, c: { file: c }, d: { file: d } }\n"
		"  y:\n    command: [a]\n    secrets: { e: { file: e }, f: { file: e }, g: { file: e "
		"},\n              h: { file: e }, i: { file: e } }\n";
	const struct manifest_source src = {"/a/aictl.yaml", text, strlen(text), 0};
	const struct manifest_input in = {.sources = &src, .n = 1, .read = read_large};
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;

	(void)state;
	assert_int_equal(manifest_parse(&in, &m, &errors), -ERR_INVALID);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.errs[0]->line, 9);
	assert_string_equal(
		errors.errs[0]->msg,
		"secrets.i.file: cannot read e: the secrets of a service have at most 4 MiB together");
	manifest_errors_done(&errors);
}

/* They must fit into one request; here the file that does not is named. */
static void test_files_together(void **state)
{
	static const char text[] = V
		"services:\n"
		"  x: { command: [a], secrets: { a: { file: a }, b: { file: b }, c: { file: c }, d: "
		"{ file: d } } }\n"
		"  y: { command: [a], secrets: { a: { file: e }, b: { file: f }, c: { file: g }, d: "
		"{ file: h } } }\n"
		"  z: { command: [a], secrets: { a: { file: i }, b: { file: j }, c: { file: k }, d: "
		"{ file: l } } }\n";
	const struct manifest_source src = {"/a/aictl.yaml", text, strlen(text), 0};
	const struct manifest_input in = {.sources = &src, .n = 1, .read = read_large};
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;

	(void)state;
	assert_int_equal(manifest_parse(&in, &m, &errors), -ERR_INVALID);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.errs[0]->column, 92);
	assert_string_equal(errors.errs[0]->msg,
			    "secrets.d.file: cannot read l: more than 16 MiB in all, encoded");
	manifest_errors_done(&errors);
}

static int read_empty(void *user, const char *path, char **ret_data, size_t *ret_len,
		      struct err **reterr)
{
	(void)user;
	(void)path;
	(void)reterr;
	*ret_data = mem_strdup("");
	*ret_len = 0;
	return 0;
}

/* No more files than a daemon takes; one under many names counts once. */
static void test_file_count(void **state)
{
	struct manifest_input in = {.n = 1, .read = read_empty};
	struct manifest_source src = {.path = "/a/aictl.yaml"};

	(void)state;
	in.sources = &src;
	for (unsigned n = 255; n <= 256; n++) {
		struct manifest_errors errors = {0};
		struct manifest *m = NULL;
		struct buf text = {0};

		buf_str(&text, V "services:\n");
		for (unsigned i = 0; i < n; i++)
			buf_printf(&text, "  s%u: { command: [a], env_file: [e%u, ./e%u] }\n", i, i,
				   i);
		src.text = buf_cstr(&text);
		src.len = text.len;
		manifest_parse(&in, &m, &errors);
		if (n == 255) {
			assert_non_null(m);
			assert_int_equal(m->n_files, 255);
		} else {
			assert_string_equal(
				errors.errs[0]->msg,
				"env_file: cannot read e255: more than 256 files in all");
			assert_int_equal(errors.errs[0]->line, 2 + 256);
		}
		manifest_free(m);
		manifest_errors_done(&errors);
		buf_done(&text);
	}
}

static void test_out_of_memory(void **state)
{
	static const char text[] =
		X "    env_file: [.env, two.env, port.env]\n"
		  "    environment: { A: own }\n    secrets: { t: { file: tok } }\n";
	const struct manifest_source src = {"/a/aictl.yaml", text, strlen(text), 0};
	int r = -1;

	(void)state;
	for (unsigned long i = 1; r < 0; i++) {
		struct disk disk = {.files = files, .n = ARRAY_SIZE(files)};
		const struct manifest_input in = {
			.sources = &src, .n = 1, .read = read_disk, .user = &disk};
		struct manifest_errors errors = {0};
		struct manifest *m = NULL;

		mem_fail_after(i);
		r = manifest_parse(&in, &m, &errors);
		mem_fail_after(0);
		assert_true(r == 0 || r == -ERR_NOMEM);
		assert_true(i < 3000);
		manifest_free(m);
		manifest_errors_done(&errors);
		buf_done(&disk.asked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_env_files),	    cmocka_unit_test(test_read_once),
		cmocka_unit_test(test_reloaded_secrets),    cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_content_is_a_change), cmocka_unit_test(test_missing_secrets),
		cmocka_unit_test(test_no_reader),	    cmocka_unit_test(test_secrets_together),
		cmocka_unit_test(test_files_together),	    cmocka_unit_test(test_file_count),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
