/*
 * fuzz_compose: any bytes as a Compose project: compose.yaml, an override, a file that include and
 * extends may name, and .env, with a line of "%%%" between them. It is refused with errors, or becomes
 * a manifest that is sound YAML, with nothing in it that could move a terminal's cursor.
 */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/compose.h"
#include "cli/import.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"
#include "lib/yamltree.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_name[] = "compose";

const char *const fuzz_words[] = {"services:\n",
				  "  web:\n",
				  "    image: a\n",
				  "    extends: web\n",
				  "    extends: {file: other.yaml, service: web}\n",
				  "include: [other.yaml]\n",
				  "    ports: [\"80:80\"]\n",
				  "\"127.0.0.1:80-90:80-90/udp\"",
				  "\"[::1]:1:1\"",
				  "    volumes: [a:/a:ro]\n",
				  "{type: tmpfs, target: /x}",
				  "    healthcheck: {test: [CMD, a]}\n",
				  "    depends_on: [web]\n",
				  "{condition: service_completed_successfully}",
				  "    environment: [A=b]\n",
				  "    deploy: {replicas: 2}\n",
				  "    command: a 'b'\n",
				  "    secrets: [s]\n",
				  "secrets: {s: {file: f}}\n",
				  "configs: {c: {content: x}}\n",
				  "    configs: [c]\n",
				  "    networks: [n, m]\n",
				  "    gpus: all\n",
				  "    profiles: [p]\n",
				  "    ulimits: {nofile: {soft: 1}}\n",
				  "!reset ",
				  "!override ",
				  "<<: *a",
				  "&a ",
				  "x-a: ",
				  "\n%%%\n",
				  "${A}",
				  "${A:-b}",
				  "${A:?c}",
				  "$$",
				  "A='b'\n",
				  "\n    ",
				  "\n",
				  ": ",
				  "- ",
				  "|\n",
				  "\"\\e[2J\"",
				  "\xc2\x9b",
				  "1h30m",
				  "512m",
				  "-1",
				  "99999999999999999999",
				  "~",
				  NULL};

struct part {
	const char *path;
	const char *text;
	size_t len;
};

#define PARTS 4

static void require(int condition)
{
	if (!condition)
		abort();
}

static int read_part(void *user, const char *path, char **ret_data, size_t *ret_len,
		     struct err **reterr)
{
	const struct part *parts = user;

	for (size_t i = 0; i < PARTS; i++) {
		if (strcmp(parts[i].path, path) != 0 || !parts[i].text)
			continue;
		*ret_data = x_alloc(parts[i].len + 1); /* it may hold a NUL */
		memcpy(*ret_data, parts[i].text, parts[i].len);
		*ret_len = parts[i].len;
		return 0;
	}
	return err_set(reterr, ERR_NOTFOUND, "not there");
}

static void split(const char *text, size_t len, struct part *parts)
{
	static const char mark[] = "\n%%%\n";
	const char *end = text + len;

	for (size_t i = 0; i < PARTS && text; i++) {
		const char *next = memmem(text, (size_t)(end - text), mark, strlen(mark));

		parts[i].text = text;
		parts[i].len = (size_t)((next && i + 1 < PARTS ? next : end) - text);
		text = next ? next + strlen(mark) : NULL;
	}
}

static void check_manifest(const struct buf *text)
{
	struct manifest_errors errors = {0};
	struct yamltree *t = NULL;
	unsigned code;
	int r;

	for (const char *p = text->data; *p;) {
		size_t n = yamltree_utf8(p, text->data + text->len, &code);

		require(n > 0 && (code >= ' ' || code == '\n') && !(code >= 0x7f && code < 0xa0));
		p += n;
	}
	r = yamltree_parse("/m", text->data, text->len, &t, &errors);
	if (r < 0 && text->len <= YAMLTREE_BYTES_MAX && !strstr(err_msg(errors.errs[0]), "nodes")) {
		fprintf(stderr, "%u: %s in\n%s", errors.errs[0]->line, err_msg(errors.errs[0]),
			text->data);
		abort();
	}
	yamltree_free(t);
	manifest_errors_done(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const profiles[] = {"p"};
	struct part parts[PARTS] = {{.path = "/p/compose.yaml"},
				    {.path = "/p/over.yaml"},
				    {.path = "/p/other.yaml"},
				    {.path = "/p/.env"}};
	struct compose c = {.reader = {read_part, NULL, parts}, .dir = x_strdup("/p")};
	struct import im = {.c = &c, .out_dir = "/p", .profiles = profiles, .n_profiles = size % 2};
	_cleanup_buf_ struct buf text = {0};

	split((const char *)data, size, parts);
	c.n_paths = parts[1].text ? 2 : 1;
	c.paths = x_alloc(2 * sizeof(*c.paths));
	for (size_t i = 0; i < c.n_paths; i++)
		c.paths[i] = x_strdup(parts[i].path);
	compose_load(&c);
	require((c.root == NULL) == (c.errors.n > 0));
	if (c.root)
		import_make(&im, &text);
	if (c.errors.n == 0)
		check_manifest(&text);
	import_done(&im);
	compose_done(&c);
	return 0;
}
