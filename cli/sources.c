/* sources: see sources.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/sources.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/compose_find.h"
#include "cli/report.h"
#include "cli/report_manifest.h"
#include "cli/x.h"
#include "lib/base64.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define FILES_MAX 256 /* as the daemon takes */

/* A pipe, of <(...) or /dev/stdin, stands in no directory: in the current one then, as "-" does. */
static char *absolute(const char *path)
{
	_cleanup_free_ char *cwd = NULL;
	char *real = realpath(path, NULL);
	struct stat st;

	if (real)
		return real;
	cwd = x_check(getcwd(NULL, 0));
	if (path[0] == '/' && stat(path, &st) == 0)
		path = strrchr(path, '/') + 1;
	return x_check(fs_join(cwd, path));
}

static void add(struct sources *s, char *path, char *text, size_t len, unsigned layer)
{
	if (sources_find(s, path)) {
		report_plain("%s: this manifest is named twice", path);
		exit(CODE_USAGE);
	}
	if (s->n == FILES_MAX) {
		report_plain("more than %d manifests", FILES_MAX);
		exit(CODE_USAGE);
	}
	x_grow(&s->v, &s->cap, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = (struct manifest_source){path, text, len, layer};
}

static void load_file(struct sources *s, const char *path, unsigned layer)
{
	_cleanup_err_ struct err *e = NULL;
	size_t len = 0;
	char *text;

	if (strcmp(path, "-") == 0)
		fs_read_fd(STDIN_FILENO, "standard input", MANIFEST_BYTES_MAX, &text, &len, &e);
	else
		fs_read_file(path, MANIFEST_BYTES_MAX, &text, &len, &e);
	if (e && e->code == ERR_INVALID) { /* too large: for the parser to say, by its length */
		len = MANIFEST_BYTES_MAX + 1;
		text = x_check(mem_alloc(len + 1));
	} else if (e) {
		report_err(e);
		exit(e->sys == ENOENT ? CODE_USAGE : CODE_FAILED);
	}
	add(s, absolute(path), text, len, layer);
}

static int is_manifest(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return d->d_name[0] != '.' && dot &&
	       (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static void load_dir(struct sources *s, const char *dir, unsigned layer)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, is_manifest, alphasort);

	if (n <= 0) {
		report_plain("no *.yaml or *.yml in %s", dir);
		exit(CODE_USAGE);
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = x_check(fs_join(dir, list[i]->d_name));

		load_file(s, path, layer);
		mem_free(list[i]);
	}
	mem_free(list);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void load_default(struct sources *s)
{
	if (access("aictl.yaml", F_OK) == 0) {
		load_file(s, "aictl.yaml", 0);
	} else if (access("aictl.yml", F_OK) == 0) {
		load_file(s, "aictl.yml", 0);
	} else {
		_cleanup_free_ char *compose = compose_find(".");

		report_plain("no aictl.yaml in this directory");
		if (compose)
			report_hint("there is %s; a manifest is made of it by: aictl import -o "
				    "aictl.yaml",
				    strrchr(compose, '/') + 1);
		else
			report_hint("name the manifest with -f FILE, or go to its directory");
		exit(CODE_USAGE);
	}
}

char *sources_dir(const struct args *args)
{
	const char *first = args_nth(args, "file", 0);
	_cleanup_free_ char *path = absolute(first ? first : ".");

	if (!first || strcmp(first, "-") == 0)
		return absolute(".");
	return is_dir(path) ? TAKE_PTR(path) : x_check(fs_dirname(path));
}

void sources_load(struct cli *cli, const struct args *args, struct sources *ret)
{
	const char *path;

	*ret = (struct sources){.dir = sources_dir(args)};
	cli->dir = ret->dir;
	for (size_t i = 0; (path = args_nth(args, "file", i)) != NULL; i++) {
		if (strcmp(path, "-") != 0 && is_dir(path))
			load_dir(ret, path, (unsigned)i);
		else
			load_file(ret, path, (unsigned)i);
	}
	if (ret->n == 0)
		load_default(ret);
}

/* path is "env:NAME", below "~/" or absolute (manifest_input). With the caller's own rights. */
static int read_named(void *user, const char *path, char **ret_data, size_t *ret_len,
		      struct err **reterr)
{
	const char *value = getenv(strncmp(path, "env:", 4) == 0 ? path + 4 : "HOME");
	_cleanup_free_ char *home_path = NULL;
	_cleanup_err_ struct err *e = NULL;

	(void)user;
	if (strncmp(path, "env:", 4) == 0) {
		if (!value)
			return err_set(reterr, ERR_NOTFOUND, "this variable is not set");
		*ret_len = strlen(value);
		*ret_data = x_strdup(value);
		return 0;
	}
	if (path[0] == '~') {
		if (!value || value[0] != '/')
			return err_set(reterr, ERR_NOTFOUND, "HOME is not set");
		path = home_path = x_check(fs_join(value, path + 2));
	}
	if (fs_read_file(path, MANIFEST_BYTES_MAX, ret_data, ret_len, &e) == 0)
		return 0;
	if (e->sys)
		return err_set(reterr, ERR_SYS, "%s", strerror(e->sys));
	return err_set(reterr, e->code, "it is larger than 1 MiB");
}

struct manifest *sources_parse(struct sources *s, struct manifest_errors *errors)
{
	const struct manifest_input in = {
		.sources = s->v, .n = s->n, .read = s->names_only ? NULL : read_named};
	struct manifest *m = NULL;

	if (manifest_parse(&in, &m, errors) == 0) {
		s->files = TAKE_PTR(m->files);
		s->n_files = m->n_files;
		m->n_files = 0;
		return m;
	}
	if (errors->n == 0 || errors->nomem)
		x_check(NULL);
	return NULL;
}

struct manifest *sources_check(struct sources *s)
{
	struct manifest_errors errors = {0};
	struct manifest *m = sources_parse(s, &errors);

	if (m) {
		report_manifest_warnings(s, &m->warnings);
		return m;
	}
	report_manifest_errors(s, &errors);
	exit(CODE_MANIFEST);
}

void sources_to_json(const struct sources *s, cJSON *body)
{
	cJSON *list = x_check(cJSON_AddArrayToObject(body, "manifests"));

	for (size_t i = 0; i < s->n; i++) {
		cJSON *o = x_check(cJSON_CreateObject());

		x_check(cJSON_AddStringToObject(o, "path", s->v[i].path));
		x_check(cJSON_AddStringToObject(o, "text", s->v[i].text));
		x_check(cJSON_AddNumberToObject(o, "layer", s->v[i].layer));
		cJSON_AddItemToArray(list, o);
	}
	for (size_t i = 0; i < s->n_files; i++) {
		_cleanup_free_ char *base64 =
			x_check(base64_encode(s->files[i].data, s->files[i].len));
		cJSON *o = x_check(cJSON_CreateObject());

		x_check(cJSON_AddStringToObject(o, "path", s->files[i].path));
		x_check(cJSON_AddStringToObject(o, "base64", base64));
		cJSON_AddItemToArray(list, o);
	}
}

const struct manifest_source *sources_find(const struct sources *s, const char *path)
{
	for (size_t i = 0; s && path && i < s->n; i++) {
		if (strcmp(s->v[i].path, path) == 0)
			return &s->v[i];
	}
	return NULL;
}

void sources_done(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		mem_free((void *)(uintptr_t)s->v[i].path);
		mem_free((void *)(uintptr_t)s->v[i].text);
	}
	for (size_t i = 0; i < s->n_files; i++) {
		mem_free(s->files[i].path);
		mem_free(s->files[i].data);
	}
	mem_free(s->files);
	mem_free(s->v);
	mem_free(s->dir);
	*s = (struct sources){0};
}
