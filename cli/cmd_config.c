/*
 * cmd_config: aictl config, the manifest as the daemon would understand it: files merged, defaults
 * and aliases in place, paths absolute. Checked as `aictl validate` does; no daemon is needed.
 *
 * What it prints goes into bug reports, so values of the environment are masked unless
 * --show-values asks for them; contents of secrets are never printed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/pretty.h"
#include "cli/sources.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/fs.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"

static void print(const struct buf *b)
{
	if (b->failed)
		x_check(NULL);
	fwrite(b->data, 1, b->len, stdout);
}

static void print_yaml(const struct manifest *m, unsigned flags)
{
	_cleanup_buf_ struct buf out = {0};

	manifest_write_file(m, flags, &out);
	print(&out);
}

static void print_json(const struct manifest *m, unsigned flags)
{
	_cleanup_buf_ struct buf compact = {0}, out = {0};
	struct jsonw w = {.out = &compact};

	jsonw_object_begin(&w, NULL);
	manifest_write_file_json(m, flags, &w);
	jsonw_object_end(&w);
	if (compact.failed)
		x_check(NULL);
	pretty_json(compact.data, compact.len, &out);
	print(&out);
}

/* A path below the file that names it, as the reader of what is printed needs it. */
static void resolve_secrets(struct service_spec *s)
{
	for (size_t i = 0; i < s->secrets.n; i++) {
		struct secret_spec *secret = (struct secret_spec *)s->secrets.v + i;
		_cleanup_free_ char *key = x_printf("secrets.%s.file", secret->name), *dir = NULL;
		struct manifest_place at;
		char *path;

		if (!secret->file || secret->file[0] == '~' || !service_spec_place(s, key, &at))
			continue;
		dir = x_check(fs_dirname(at.file));
		path = x_check(fs_join(dir, secret->file));
		mem_free(secret->file);
		secret->file = path;
	}
}

/* Nothing of it depends on where it stands any more. The variables of env_file are among those of
 * environment already. */
static void resolve(struct manifest *m)
{
	for (size_t i = 0; i < m->n_services; i++) {
		mem_strv_free(m->services[i]->env_file);
		m->services[i]->env_file = NULL;
		resolve_secrets(m->services[i]);
	}
}

static int run(struct cli *cli, const struct args *args)
{
	const char *format = args_value(args, "output", "yaml");
	unsigned flags = (args_flag(args, "show-values") ? 0u : MANIFEST_WRITE_MASKED) |
			 (args_flag(args, "defaults") ? MANIFEST_WRITE_DEFAULTS : 0u);
	struct sources sources;
	struct manifest *m;

	sources_load(cli, args, &sources);
	m = sources_check(&sources);
	resolve(m);
	if (strcmp(format, "json") == 0) {
		print_json(m, flags);
	} else if (strcmp(format, "name") == 0) {
		for (size_t i = 0; i < m->n_services; i++)
			puts(m->services[i]->name);
	} else {
		print_yaml(m, flags);
	}
	manifest_free(m);
	cli->dir = NULL;
	sources_done(&sources);
	return CODE_OK;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "manifest; may be repeated, - is standard input", NULL},
	{'o', "output", "FORMAT", "yaml, json or name (default yaml)", "yaml|json|name"},
	{0, "defaults", NULL, "with the defaults of keys that are not given", NULL},
	{0, "show-values", NULL, "do not mask the values of environment", NULL},
	{0},
};

const struct command cmd_config_command = {
	.name = "config",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS]",
	.summary = "Show the manifest merged and resolved",
	.details =
		"What `aictl apply` with the same -f would apply, as one manifest: overlays merged,\n"
		"defaults, aliases and env_file in place, paths absolute. Values of environment are\n"
		"shown as *** unless --show-values is given; contents of secrets are never shown.\n"
		"References such as ${PORT} stay: they differ for each replica.\n\n"
		"-o name lists the services. Exits 9 when anything is wrong.",
	.examples = "aictl config\n"
		    "aictl config -f aictl.yaml -f production.yaml --defaults\n"
		    "generate | aictl config -f - -o name",
	.options = options,
	.run = run,
};
