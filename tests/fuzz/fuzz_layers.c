/*
 * fuzz_layers: any bytes as up to four manifests in layers, "\x1e" between them; one that begins with
 * "=" is a sibling of the one before. What they name (env_file, secrets) has the first one's bytes
 * as content. Accepted or refused, never both; each error stands in one of the files, inside of it;
 * no error of an env_file quotes it; a second parse says the same. One input in eight runs with one
 * allocation that fails. The same bytes go to the base64 decoder, which must be exact.
 */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/yamltree.h"
#include "tests/fuzz/fuzz.h"

#define LAYERS_MAX 4
#define SEPARATOR '\x1e'

const char fuzz_name[] = "layers";

const char *const fuzz_words[] = {"version: 1\n",
				  "services:\n",
				  "  web:",
				  "  api:",
				  "command: [a]",
				  "defaults:",
				  " null",
				  " ~",
				  "name: x\n",
				  "environment:",
				  "env_file: [e]",
				  "env_file: e",
				  "secrets: { t: { file: f } }",
				  "secrets: { t: { env: F } }",
				  "${secret:t}",
				  "restart: always",
				  "restart: { budget: { restarts: 1 } }",
				  "probes:",
				  "port: 80",
				  "ports: { http: { port: 81 } }",
				  "ports: { http: { listen: '::1' } }",
				  "\x1e",
				  "\x1e=",
				  "\x1eversion: 1\nservices:\n",
				  "&a ",
				  "*a",
				  "<<: *a",
				  "A=1",
				  "export ",
				  "='x'",
				  "=\"\\n\"",
				  "# c",
				  "{",
				  "}",
				  "[",
				  "]",
				  "\n    ",
				  "\n  ",
				  "\n",
				  "\r\n",
				  "Zm9v",
				  "Zg==",
				  NULL};

struct layers {
	struct manifest_source v[LAYERS_MAX];
	size_t n;
	char *texts[LAYERS_MAX];
};

static void require(int condition)
{
	if (!condition)
		abort();
}

static void split(struct layers *l, const char *p, size_t left)
{
	static const char *const paths[] = {"/a/a.yaml", "/a/b.yaml", "/c/c.yaml", "/d/d.yaml"};
	unsigned layer = 0;

	while (l->n < LAYERS_MAX) {
		const char *end = memchr(p, SEPARATOR, left);
		size_t len = end && l->n < LAYERS_MAX - 1 ? (size_t)(end - p) : left;
		size_t skip = len > 0 && p[0] == '=';

		layer += l->n > 0 && !skip;
		l->texts[l->n] = mem_strndup(p + skip, len - skip);
		l->v[l->n] = (struct manifest_source){paths[l->n], p + skip, len - skip, layer};
		l->n++;
		if (len == left)
			break;
		p += len + 1;
		left -= len + 1;
	}
}

static int read_first(void *user, const char *path, char **ret_data, size_t *ret_len,
		      struct err **reterr)
{
	const struct layers *l = user;
	char *copy = mem_alloc(l->v[0].len + 1);

	require(path[0] == '/' || strncmp(path, "~/", 2) == 0 || strncmp(path, "env:", 4) == 0);
	if (!copy)
		return err_nomem(reterr);
	memcpy(copy, l->v[0].text, l->v[0].len);
	*ret_data = copy;
	*ret_len = l->v[0].len;
	return 0;
}

static int parse(struct layers *l, struct manifest **m, struct manifest_errors *errors)
{
	const struct manifest_input in = {
		.sources = l->v, .n = l->n, .read = read_first, .user = l};

	return manifest_parse(&in, m, errors);
}

static const char *text_of(const struct layers *l, const char *file)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].path, file) == 0)
			return l->texts[i];
	return NULL;
}

static unsigned lines_of(const char *text)
{
	const char *end = text + strlen(text);
	unsigned lines = 1;

	for (const char *p = text; p < end;) {
		size_t n = yamltree_break_len(p, end);

		lines += n > 0;
		p += n > 0 ? n : 1;
	}
	return lines;
}

static void check_errors(const struct layers *l, const struct manifest_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++) {
		const struct err *e = errors->errs[i];
		const char *text = text_of(l, e->file);
		_cleanup_buf_ struct buf out = {0};

		require(e->line >= 1 && e->column >= 1 && e->msg[0] != '\0');
		require(!text || e->line <= lines_of(text) + 1); /* the end may be one behind */
		require(manifest_print_error(&out, e, text, i % 2) == 0);
	}
}

static void check_same(struct layers *l, const struct manifest *m)
{
	struct manifest_errors errors = {0};
	struct manifest *again = NULL;

	require(parse(l, &again, &errors) == 0 && again->n_services == m->n_services);
	for (size_t i = 0; i < m->n_services; i++)
		require(service_spec_diff(m->services[i], again->services[i], NULL) == CHANGE_NONE);
	manifest_free(again);
}

static void check_base64(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = base64_encode(data, size), *back = NULL, *guess = NULL;
	_cleanup_free_ char *again = NULL;
	size_t len = 0;

	require(base64_decode(text, strlen(text), &back, &len, NULL) == 0);
	require(len == size && memcmp(back, data, size) == 0);
	if (base64_decode((const char *)data, size, &guess, &len, NULL) < 0)
		return;
	again = base64_encode(guess, len);
	require(strlen(again) == size && memcmp(again, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest_errors errors = {0};
	struct layers l = {0};
	struct manifest *m = NULL;
	unsigned long sum = size;
	int r;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + data[i];
	check_base64(data, size);
	split(&l, (const char *)data, size);
	if (sum % 8 == 0)
		mem_fail_after(1 + sum / 8 % 200);
	r = parse(&l, &m, &errors);
	mem_fail_after(0);
	require((r == 0) == (m != NULL) && (r == 0) == (errors.n == 0));
	if (r == -ERR_INVALID)
		check_errors(&l, &errors);
	if (m)
		check_same(&l, m);
	manifest_free(m);
	manifest_errors_done(&errors);
	for (size_t i = 0; i < l.n; i++)
		mem_free(l.texts[i]);
	return 0;
}
