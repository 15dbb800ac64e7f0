/*
 * cmd_import: aictl import, Compose files -> a manifest. Errors of the files have a place and a caret,
 * as those of manifests; what has no counterpart is a table on stderr, and a comment in the manifest.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/compose.h"
#include "cli/compose_find.h"
#include "cli/import.h"
#include "cli/report.h"
#include "cli/report_manifest.h"
#include "cli/sources.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define BYTES_MAX (1 << 20)

struct job {
	struct compose c;
	struct import im;
	const char *out;   /* NULL: standard output */
	const char *shown; /* as it was given */
	char *out_dir;
	const char **profiles;
	size_t n_profiles, cap_profiles;
	char *environment; /* COMPOSE_PROFILES, in pieces */
	bool force, strict;
};

static int read_file(void *user, const char *path, char **ret_data, size_t *ret_len,
		     struct err **reterr)
{
	(void)user;
	if (strcmp(path, "-") == 0)
		return fs_read_fd(STDIN_FILENO, "standard input", BYTES_MAX, ret_data, ret_len,
				  reterr);
	return fs_read_file(path, BYTES_MAX, ret_data, ret_len, reterr);
}

static const char *variable(const char *name)
{
	return getenv(name);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static char *absolute(const char *path)
{
	_cleanup_free_ char *cwd = NULL;
	char *real = realpath(path, NULL);

	if (real)
		return real;
	cwd = x_check(getcwd(NULL, 0));
	return x_check(fs_join(cwd, path));
}

/* Paths in a file count from where it is named: the link, not what it leads to. As in Compose. */
static char *absolute_file(const char *path)
{
	_cleanup_free_ char *dir = x_check(fs_dirname(path)), *real = absolute(dir);
	const char *slash = strrchr(path, '/');

	return x_check(fs_join(real, slash ? slash + 1 : path));
}

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- what to read ---- */

static void add_path(struct compose *c, char *path)
{
	c->paths = x_check(mem_realloc(c->paths, c->n_paths + 1, sizeof(*c->paths)));
	c->paths[c->n_paths++] = path;
}

/* The file of a directory, with the one that overrides it. */
static void add_dir(struct compose *c, const char *dir)
{
	_cleanup_free_ char *path = compose_find(dir), *over = NULL;

	if (!path) {
		report_plain("no compose.yaml in %s",
			     strcmp(dir, ".") == 0 ? "this directory" : dir);
		report_hint("name the file: aictl import FILE");
		exit(CODE_USAGE);
	}
	add_path(c, absolute_file(path));
	over = compose_find_override(path);
	if (over)
		add_path(c, absolute_file(over));
}

static void add_file(struct compose *c, const char *path)
{
	_cleanup_free_ char *over = NULL;

	if (strcmp(path, "-") == 0) {
		add_path(c, x_strdup("-"));
		return;
	}
	if (is_dir(path)) {
		add_dir(c, path);
		return;
	}
	if (!path[0])
		report_usage(&cmd_import_command, "a file without a name");
	if (access(path, R_OK) < 0) {
		_cleanup_err_ struct err *e = NULL;

		err_sys(&e, errno, "%s", path);
		report_err(e);
		exit(e->sys == ENOENT ? CODE_USAGE : CODE_FAILED);
	}
	add_path(c, absolute_file(path));
}

/* $COMPOSE_FILE of the shell or of .env: true when it names any. */
static bool add_listed(struct compose *c)
{
	struct compose_env env = {.shell = variable};
	struct manifest_errors errors = {0};
	_cleanup_free_ char *text = NULL, *list = NULL;
	_cleanup_err_ struct err *e = NULL;
	const char *value, *separator;
	size_t len;

	if (fs_read_file(".env", BYTES_MAX, &text, &len, &e) == 0)
		compose_env_parse(&env, ".env", text, len, &errors);
	value = compose_env_get(&env, "COMPOSE_FILE");
	separator = compose_env_get(&env, "COMPOSE_PATH_SEPARATOR");
	list = x_strdup(value ? value : "");
	for (char *p = list, *next; p; p = next) {
		next = strstr(p, separator && separator[0] ? separator : ":");
		if (next) {
			*next = '\0';
			next += separator && separator[0] ? strlen(separator) : 1;
		}
		if (p[0])
			add_file(c, p);
	}
	compose_env_done(&env);
	manifest_errors_done(&errors);
	return c->n_paths > 0;
}

/* Of the first file; what is piped has none. */
static char *project_dir(const struct compose *c)
{
	struct stat st;

	if (strcmp(c->paths[0], "-") != 0 && stat(c->paths[0], &st) == 0 && S_ISREG(st.st_mode))
		return x_check(fs_dirname(c->paths[0]));
	return absolute(".");
}

static void choose_files(struct job *j, const struct args *args)
{
	struct compose *c = &j->c;
	const char *path;

	for (size_t i = 0; i < args->n_operands; i++)
		add_file(c, args->operands[i]);
	for (size_t i = 0; (path = args_nth(args, "file", i)) != NULL; i++)
		add_file(c, path);
	if (c->n_paths == 0 && !add_listed(c))
		add_dir(c, ".");
	c->dir = project_dir(c);
	for (size_t i = 0; (path = args_nth(args, "env-file", i)) != NULL; i++) {
		c->env_paths = x_check(mem_realloc(c->env_paths, i + 1, sizeof(*c->env_paths)));
		c->env_paths[c->n_env_paths++] = absolute(path);
	}
}

static void add_profile(struct job *j, const char *name)
{
	x_grow(&j->profiles, &j->cap_profiles, j->n_profiles + 1, sizeof(*j->profiles));
	j->profiles[j->n_profiles++] = name;
}

static void choose_profiles(struct job *j, const struct args *args)
{
	const char *list = compose_env_get(&j->c.env, "COMPOSE_PROFILES"), *name;

	for (size_t i = 0; (name = args_nth(args, "profile", i)) != NULL; i++)
		add_profile(j, name);
	if (j->n_profiles > 0 || !list)
		return;
	j->environment = x_strdup(list);
	for (char *p = j->environment, *next; p; p = next) {
		next = strchr(p, ',');
		if (next)
			*next++ = '\0';
		if (p[0])
			add_profile(j, p);
	}
}

/* An override beside a file that was named is not read: as Compose has it, and worth a word. */
static void note_override(struct job *j, const struct args *args)
{
	_cleanup_free_ char *over = NULL;

	if (j->c.n_paths != 1 || args->n_operands + (args_nth(args, "file", 0) != NULL) == 0)
		return;
	over = strcmp(j->c.paths[0], "-") == 0 ? NULL : compose_find_override(j->c.paths[0]);
	if (over)
		import_notes_add(&j->im.notes, IMPORT_DROPPED, NULL, strrchr(over, '/') + 1,
				 "it is read when no file is named, or as another -f");
}

/* ---- what comes out ---- */

static void show_errors(const struct compose *c)
{
	struct sources s = {0};

	for (size_t i = 0; i < c->n_files; i++) {
		x_grow(&s.v, &s.cap, s.n + 1, sizeof(*s.v));
		s.v[s.n++] = (struct manifest_source){c->files[i]->path, c->files[i]->text,
						      c->files[i]->len, 0};
	}
	report_manifest_errors(&s, &c->errors);
	mem_free(s.v);
}

/* Values of .env and the shell stand in the manifest then. */
static bool holds_variables(const struct compose *c)
{
	for (size_t i = 0; i < c->n_used; i++)
		if (c->used[i].set)
			return true;
	return false;
}

static int write_new(const char *path, const char *text, size_t len, mode_t mode, bool force)
{
	_cleanup_free_ char *temporary = x_printf("%s.XXXXXX", path);
	_cleanup_close_ int fd = -1;
	int r;

	if (!force && access(path, F_OK) == 0)
		return -EEXIST;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, text, len);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && (force ? rename(temporary, path) : link(temporary, path)) < 0)
		r = -errno;
	if (r < 0 || !force)
		unlink(temporary);
	return r;
}

static int write_out(const char *path, const char *text, size_t len, mode_t mode, bool force)
{
	int r = write_new(path, text, len, mode, force);

	if (r == 0)
		return CODE_OK;
	if (r == -EEXIST) {
		report_plain("%s is there already", path);
		report_hint("--force overwrites it");
		return CODE_CONFLICT;
	}
	report_plain("cannot write %s: %s", path, strerror(-r));
	return CODE_FAILED;
}

/* The contents of configs, beside the manifest. */
static int write_files(const struct job *j)
{
	int code = CODE_OK;

	for (size_t i = 0; i < j->im.n_files && code == CODE_OK; i++) {
		const struct import_file *f = &j->im.files[i];
		_cleanup_free_ char *path = x_check(fs_join(j->out_dir, f->path));
		_cleanup_free_ char *dir = x_check(fs_dirname(path));
		_cleanup_err_ struct err *e = NULL;

		if (fs_mkdir_p(dir, 0755, &e) < 0)
			return (int)report_err(e);
		code = write_out(path, f->content, strlen(f->content), 0644, j->force);
	}
	return code;
}

static int write_manifest(const struct job *j, const struct buf *text)
{
	mode_t mask = umask(0), mode = holds_variables(&j->c) ? 0600 : 0666 & ~mask;
	int code;

	umask(mask);
	if (!j->out) {
		fwrite(text->data, 1, text->len, stdout);
		for (size_t i = 0; i < j->im.n_files; i++)
			report_hint("%s is written only with -o", j->im.files[i].path);
		return CODE_OK;
	}
	code = write_files(j);
	if (code == CODE_OK)
		code = write_out(j->out, text->data, text->len, mode, j->force);
	return code;
}

/* What our own check says of it, which Compose had no quarrel with: a range, a name. */
static bool check_manifest(const struct job *j, const struct buf *text)
{
	_cleanup_free_ char *path =
		x_check(fs_join(j->out_dir, j->out ? strrchr(j->out, '/') + 1 : "aictl.yaml"));
	struct manifest_source source = {path, text->data, text->len, 0};
	struct manifest_input in = {.sources = &source, .n = 1};
	struct sources s = {.v = &source, .n = 1};
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	bool ok = manifest_parse(&in, &m, &errors) == 0;

	report_manifest_errors(&s, &errors);
	manifest_errors_done(&errors);
	manifest_free(m);
	return ok;
}

static int finish(struct job *j, struct cli *cli, const struct buf *text)
{
	_cleanup_free_ char *services = text_count((int64_t)j->im.n_services, "service");
	_cleanup_free_ char *notes = text_count((int64_t)j->im.notes.n, "note");
	struct term term = cli->term;
	bool valid;
	int code;

	term.columns = term_columns(STDERR_FILENO);
	import_notes_print(&j->im.notes, &term);
	if (j->strict && j->im.notes.n > 0) {
		report_plain("%s, and --strict makes errors of them", notes);
		return CODE_MANIFEST;
	}
	valid = check_manifest(j, text);
	code = write_manifest(j, text);
	if (code != CODE_OK)
		return code;
	if (!valid) {
		report_plain("the manifest has to be corrected where the errors say");
		return CODE_MANIFEST;
	}
	if (j->out)
		printf("%s: %s, %s. Next: aictl validate -f %s\n", j->shown, services, notes,
		       j->shown);
	return CODE_OK;
}

static void done(struct job *j)
{
	import_done(&j->im);
	compose_done(&j->c);
	mem_free(j->out_dir);
	mem_free(j->environment);
	mem_free(j->profiles);
}

static bool may_write(const struct job *j)
{
	if (is_dir(j->out))
		report_plain("%s is a directory", j->shown);
	else if (!j->force && access(j->out, F_OK) == 0) {
		report_plain("%s is there already", j->shown);
		report_hint("--force overwrites it");
	} else {
		return true;
	}
	return false;
}

/* Nobody wants that: not even with --force. */
static bool overwrites_source(const struct job *j)
{
	struct stat out, st;

	if (!j->out || stat(j->out, &out) < 0)
		return false;
	for (size_t i = 0; i < j->c.n_files; i++) {
		if (stat(j->c.files[i]->path, &st) < 0 || st.st_ino != out.st_ino ||
		    st.st_dev != out.st_dev)
			continue;
		report_plain("%s is what the manifest is made of", j->shown);
		return true;
	}
	return false;
}

static int run(struct cli *cli, const struct args *args)
{
	struct job j = {.c.reader = {read_file, variable, NULL},
			.force = args_flag(args, "force"),
			.strict = args_flag(args, "strict")};
	const char *out = args_value(args, "output", NULL);
	_cleanup_free_ char *whole = out && strcmp(out, "-") != 0 ? absolute(out) : NULL;
	_cleanup_buf_ struct buf text = {0};
	int code = CODE_MANIFEST;

	if (out && !out[0])
		report_usage(&cmd_import_command, "-o needs the name of a file");
	j.out = whole;
	j.shown = out;
	j.out_dir = whole ? x_check(fs_dirname(whole)) : absolute(".");
	if (whole && !may_write(&j)) {
		done(&j);
		return is_dir(whole) ? CODE_USAGE : CODE_CONFLICT;
	}
	choose_files(&j, args);
	compose_load(&j.c);
	choose_profiles(&j, args);
	if (j.c.root) {
		j.im.c = &j.c;
		j.im.out_dir = j.out_dir;
		j.im.profiles = j.profiles;
		j.im.n_profiles = j.n_profiles;
		j.im.exists = exists;
		note_override(&j, args);
		import_make(&j.im, &text);
	}
	if (j.c.errors.n > 0)
		show_errors(&j.c);
	else
		code = overwrites_source(&j) ? (int)CODE_CONFLICT : finish(&j, cli, &text);
	done(&j);
	return code;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "Compose file; may be repeated, - is standard input", NULL},
	{'o', "output", "FILE", "where the manifest goes (default: standard output)", NULL},
	{0, "profile", "NAME", "take in the services of this profile; may be repeated, * is all",
	 NULL},
	{0, "env-file", "FILE", "variables for ${NAME}, in place of .env; may be repeated", NULL},
	{0, "strict", NULL, "notes are errors: nothing is written", NULL},
	{0, "force", NULL, "overwrite a manifest that is there", NULL},
	{0},
};

const struct command cmd_import_command = {
	.name = "import",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS] [FILE|DIR]...",
	.summary = "Make a manifest of Compose files",
	.details =
		"Reads compose.yaml (or what else Compose takes) of this directory with its\n"
		"override, or the named files, each over those before it, and writes a manifest\n"
		"with the same services as containers. ${NAME} is replaced from the shell and\n"
		".env; include, extends, anchors and profiles are followed.\n\n"
		"A table on stderr says field by field what has no counterpart, became something\n"
		"else, or is left to do; the manifest has it as comments. Ports are at 127.0.0.1\n"
		"unless the Compose file names another address. A file that is there is kept\n"
		"(exit code 8) unless --force is given. Where values came from .env or the shell,\n"
		"only you may read the file.",
	.examples = "aictl import -o aictl.yaml && aictl up\n"
		    "aictl import compose.yaml compose.gpu.yaml --profile gpu -o aictl.yaml\n"
		    "docker compose config | aictl import -f - --strict",
	.options = options,
	.args_max = ARGS_MANY,
	.run = run,
};
