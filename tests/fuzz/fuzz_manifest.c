/*
 * fuzz_manifest: any bytes as a manifest. It is accepted or refused, never both; errors are in
 * order and inside the text; what is accepted equals itself, survives every later step (finding,
 * expanding), and is the same again when it is written and read back. One input in eight runs with
 * one allocation that fails.
 */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_name[] = "manifest";

const char *const fuzz_words[] = {"version: 1\n",
				  "services:",
				  "  web:\n",
				  "command: [a]",
				  "port: 80",
				  "probes:",
				  "readiness: ",
				  "liveness: ",
				  "startup: ",
				  "http: {}",
				  "tcp: {}",
				  "exec: { command: [a] }",
				  "ports: { http: {}, m: { port: 9 } }",
				  "ulimits: { nofile: \"1:2\" }",
				  "secrets: { s: { file: f } }",
				  "rules: [{ exit: [1], then: fail }]",
				  "success_exit_codes: 3",
				  "env_file: x",
				  "labels: { a/b: c }",
				  "umask: 022",
				  "defaults:\n",
				  "x-y: ",
				  "${PORT_M}",
				  "${secret:s}",
				  "restart: no",
				  "backoff: ",
				  "environment: ",
				  "<<: *a",
				  "&a ",
				  "*a",
				  "- ",
				  "? ",
				  ": ",
				  "| \n",
				  ">-\n",
				  "---\n",
				  "...\n",
				  "%YAML 1.1\n",
				  "!!str ",
				  "\t",
				  "\r\n",
				  "\xe2\x80\xa8",
				  "\xc2\x85",
				  "\xef\xbb\xbf",
				  "\xff",
				  "\"",
				  "'",
				  "{",
				  "}",
				  "[",
				  "]",
				  "${PORT}",
				  "${",
				  "$$",
				  "${env:X}",
				  "~",
				  "0x1",
				  "-1",
				  "99999999999999999999",
				  "1e999",
				  ".nan",
				  "10s",
				  "20MiB",
				  "#",
				  "\\x00",
				  "\\ud800",
				  "\n    ",
				  "\n  ",
				  "\n",
				  NULL};

static void require(int condition)
{
	if (!condition)
		abort();
}

static void check_errors(const struct manifest_errors *errors, const char *text)
{
	_cleanup_buf_ struct buf out = {0};

	for (size_t i = 0; i < errors->n; i++) {
		const struct err *e = errors->errs[i];

		require(e->line >= 1 && e->column >= 1 && e->msg[0] != '\0');
		if (i > 0)
			require(e->line > errors->errs[i - 1]->line ||
				(e->line == errors->errs[i - 1]->line &&
				 e->column >= errors->errs[i - 1]->column));
		require(manifest_print_error(&out, e, text, i % 2) == 0);
	}
}

/* A replica of s with numbers for all ports; ports has room for 64. */
static struct expand_vars vars_of(const struct service_spec *s, struct expand_port *ports)
{
	const struct port_spec *v = s->ports.v;

	for (size_t i = 0; i < s->ports.n; i++)
		ports[i] = (struct expand_port){v[i].name, 20000 + (unsigned)i, i % 2 ? 3 : 0};
	return (struct expand_vars){.service = s->name,
				    .port = service_spec_main_port(s) ? 20000 : 0,
				    .ports = ports,
				    .n_ports = s->ports.n,
				    .secrets = &s->secrets,
				    .secrets_dir = "/run/x"};
}

static void check_service(const struct manifest *m, const struct service_spec *s)
{
	struct expand_port ports[65];
	struct expand_vars vars;
	_cleanup_buf_ struct buf keys = {0};
	struct manifest_place at;

	require(s->ports.n <= 65);
	vars = vars_of(s, ports);
	require(manifest_find(m, s->name) == s);
	if (!service_spec_is_container(s)) /* what it lacks is in its image */
		require(s->command && s->working_dir);
	require(!s->command || (s->command[0] && s->command[0][0]));
	require(!s->working_dir || s->working_dir[0] == '/');
	require(service_spec_diff(s, s, &keys) == CHANGE_NONE && keys.len == 0);
	require(service_spec_place(s, "command.nothing", &at) && at.line >= 1 && at.column >= 1);
	require(s->replicas >= 0 && s->replicas <= MANIFEST_REPLICAS_MAX);
	for (size_t i = 0; s->command && s->command[i]; i++) {
		_cleanup_free_ char *out = NULL;

		if (manifest_expand(s->command[i], &vars, &out, NULL) < 0)
			require(strstr(s->command[i], "${env:") != NULL);
	}
}

static int parse(const uint8_t *data, size_t size, struct manifest **m, struct manifest_errors *e)
{
	struct manifest_source src = {"/srv/app/aictl.yaml", (const char *)data, size, 0};

	return manifest_parse(&(struct manifest_input){.sources = &src, .n = 1}, m, e);
}

/* What was accepted is written back and read to the same. */
static void check_round_trip(const struct manifest *m, unsigned flags)
{
	_cleanup_buf_ struct buf out = {0}, keys = {0};
	struct manifest_errors errors = {0};
	struct manifest *back = NULL;
	int r;

	manifest_write_file(m, flags, &out);
	require(!out.failed);
	if (out.len > MANIFEST_BYTES_MAX) /* aliases of long texts */
		return;
	r = parse((const uint8_t *)out.data, out.len, &back, &errors);
	require(r == 0 || strstr(errors.errs[0]->msg, "nodes") != NULL);
	for (size_t i = 0; back && i < m->n_services; i++) {
		if (service_spec_diff(m->services[i], back->services[i], &keys) == CHANGE_NONE)
			continue;
		fprintf(stderr, "%s differ in\n%s", buf_cstr(&keys), out.data);
		abort();
	}
	manifest_free(back);
	manifest_errors_done(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = mem_strndup((const char *)data, size);
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	unsigned long sum = size;
	int r;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + data[i];
	if (sum % 8 == 0)
		mem_fail_after(1 + sum / 8 % 100);
	r = parse(data, size, &m, &errors);
	mem_fail_after(0);
	require((r == 0) == (m != NULL) && (r == 0) == (errors.n == 0));
	if (r == -ERR_INVALID)
		check_errors(&errors, text);
	for (size_t i = 0; m && i < m->n_services; i++)
		check_service(m, m->services[i]);
	if (m)
		check_round_trip(m, sum % 2 ? MANIFEST_WRITE_DEFAULTS : 0);
	manifest_free(m);
	manifest_errors_done(&errors);
	return 0;
}
