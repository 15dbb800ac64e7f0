/* compose: see compose.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/compose.h"

#include <stdarg.h>
#include <string.h>

#include "cli/compose_extend.h"
#include "cli/compose_interp.h"
#include "cli/compose_merge.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/yamltree.h"

#define INCLUDES_MAX 8 /* deep */

static const struct ynode *load_project(struct compose *c, char *const *paths, size_t n,
					const char *base, const struct compose_env *env,
					unsigned depth);

void compose_fail(struct compose *c, const struct ynode *at, const char *hint, const char *fmt, ...)
{
	struct manifest_place place = {at ? at->file : NULL, at ? at->line : 0,
				       at ? at->column : 0};
	va_list ap;

	va_start(ap, fmt);
	manifest_errors_vadd(&c->errors, &place, hint, fmt, ap);
	va_end(ap);
}

static struct compose_file *find_file(const struct compose *c, const char *path)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (strcmp(c->files[i]->path, path) == 0)
			return c->files[i];
	return NULL;
}

const char *compose_base(const struct compose *c, const struct ynode *node)
{
	const struct compose_file *f = find_file(c, node->file);

	return f ? f->base : c->dir;
}

/* Its text; NULL with an error. */
static struct compose_file *open_file(struct compose *c, const char *path, const char *base,
				      const struct ynode *at)
{
	struct compose_file *f = find_file(c, path);
	_cleanup_err_ struct err *e = NULL;

	if (f)
		return f;
	if (c->n_files == COMPOSE_FILES_MAX) {
		compose_fail(c, at, NULL, "more than %d files", COMPOSE_FILES_MAX);
		return NULL;
	}
	f = x_alloc(sizeof(*f));
	f->path = x_strdup(path);
	f->base = x_strdup(base);
	x_grow(&c->files, &c->cap_files, c->n_files + 1, sizeof(*c->files));
	c->files[c->n_files++] = f;
	if (c->reader.read(c->reader.user, path, &f->text, &f->len, &e) == 0)
		return f;
	compose_fail(c, at, NULL, "%s", err_msg(e));
	return NULL;
}

static void note_used(void *user, const struct ynode *at, const char *name, const char *value)
{
	struct compose *c = user;

	if (c->n_used >= 1000)
		return;
	x_grow(&c->used, &c->cap_used, c->n_used + 1, sizeof(*c->used));
	c->used[c->n_used++] = (struct compose_used){x_strdup(name), at, value != NULL};
}

const struct ynode *compose_read(struct compose *c, const char *path, const char *base,
				 const struct compose_env *env, const struct ynode *at)
{
	struct compose_interp in = {
		.env = env, .tree = c->tree, .errors = &c->errors, .used = note_used, .user = c};
	struct compose_file *f;
	const struct ynode *root;

	if (++c->loads > 4 * COMPOSE_FILES_MAX) {
		compose_fail(c, at, NULL, "more than %d files", 4 * COMPOSE_FILES_MAX);
		return NULL;
	}
	f = open_file(c, path, base, at);
	if (!f || !f->text)
		return NULL;
	if (!f->tree && yamltree_parse_compose(f->path, f->text, f->len, &f->tree, &c->errors) < 0)
		return NULL;
	root = yamltree_root(f->tree);
	if (root->kind != YNODE_MAP) {
		compose_fail(c, root, NULL, "a Compose file is a map with services, this is %s",
			     yamltree_kind_name(root));
		return NULL;
	}
	return compose_interp_tree(&in, root);
}

/* ---- include ---- */

static const struct ynode *first_of(const struct ynode *node)
{
	return node && node->kind == YNODE_LIST && node->n > 0 ? node->items[0].value : node;
}

static void read_env(struct compose *c, struct compose_env *env, const char *path,
		     const struct ynode *at, bool required)
{
	_cleanup_err_ struct err *e = NULL;
	struct compose_file *f = find_file(c, path);

	if (!f && !required) {
		_cleanup_free_ char *data = NULL;
		size_t len;

		if (c->reader.read(c->reader.user, path, &data, &len, &e) < 0)
			return;
	}
	if (!f)
		f = open_file(c, path, c->dir, at);
	if (f && f->text)
		compose_env_parse(env, f->path, f->text, f->len, &c->errors);
}

/* The variables of an included project. */
static const struct compose_env *inner_env(struct compose *c, const struct ynode *entry,
					   const char *base, const struct compose_env *parent)
{
	const struct ynode *file = yamltree_get(entry, "env_file");
	struct compose_env *env = x_alloc(sizeof(*env));
	_cleanup_free_ char *dot_env = x_check(fs_join(base, ".env"));

	env->parent = parent;
	x_grow(&c->inner, &c->cap_inner, c->n_inner + 1, sizeof(*c->inner));
	c->inner[c->n_inner++] = env;
	if (!file)
		read_env(c, env, dot_env, entry, false);
	for (size_t i = 0; file && i < (file->kind == YNODE_LIST ? file->n : 1); i++) {
		const struct ynode *item = file->kind == YNODE_LIST ? file->items[i].value : file;
		_cleanup_free_ char *path = NULL;

		if (item->kind != YNODE_SCALAR)
			continue;
		path = x_check(fs_join(compose_base(c, item), item->text));
		read_env(c, env, path, item, true);
	}
	return env;
}

/* One entry of include: a path, or { path, project_directory, env_file }. */
static const struct ynode *include_one(struct compose *c, const struct ynode *entry,
				       const struct compose_env *env, unsigned depth)
{
	const struct ynode *path = entry->kind == YNODE_MAP ? yamltree_get(entry, "path") : entry;
	const struct ynode *dir = yamltree_get(entry, "project_directory"), *first = first_of(path);
	const char *here = compose_base(c, entry);
	_cleanup_free_ char *main = NULL, *base = NULL;
	const struct ynode *root = NULL;
	char *paths[COMPOSE_FILES_MAX];
	size_t n = 0;

	if (!first || first->kind != YNODE_SCALAR || depth >= INCLUDES_MAX) {
		compose_fail(c, entry, NULL, "include: %s",
			     depth >= INCLUDES_MAX ? "too deep, or in a circle" : "names no file");
		return NULL;
	}
	main = x_check(fs_join(here, first->text));
	base = dir && dir->kind == YNODE_SCALAR ? x_check(fs_join(here, dir->text))
						: x_check(fs_dirname(main));
	for (size_t i = 0; path->kind == YNODE_LIST && i < path->n && n < COMPOSE_FILES_MAX; i++)
		if (path->items[i].value->kind == YNODE_SCALAR)
			paths[n++] = x_check(fs_join(here, path->items[i].value->text));
	if (n == 0)
		paths[n++] = x_strdup(main);
	root = load_project(c, paths, n, base, inner_env(c, entry, base, env), depth + 1);
	while (n > 0)
		mem_free(paths[--n]);
	return root;
}

/* What a file includes, merged. */
static const struct ynode *include_all(struct compose *c, const struct ynode *root,
				       const struct compose_env *env, unsigned depth)
{
	const struct ynode *include = yamltree_get(root, "include"), *all = NULL, *one;

	if (!include || include->tag == YNODE_RESET || yamltree_is_null(include))
		return NULL;
	if (include->kind != YNODE_LIST) {
		compose_fail(c, include, NULL, "include: expected a list, this is %s",
			     yamltree_kind_name(include));
		return NULL;
	}
	for (size_t i = 0; i < include->n; i++) {
		one = include_one(c, include->items[i].value, env, depth);
		if (one)
			all = compose_merge_files(c->tree, all, one);
	}
	return all;
}

/* ---- projects ---- */

static const struct ynode *load_project(struct compose *c, char *const *paths, size_t n,
					const char *base, const struct compose_env *env,
					unsigned depth)
{
	const struct ynode *all = NULL, *included;

	for (size_t i = 0; i < n; i++) {
		const struct ynode *root = compose_read(c, paths[i], base, env, NULL);

		if (!root)
			continue;
		included = include_all(c, root, env, depth);
		root = compose_extend_file(c, root, all ? all : included, env);
		if (included)
			all = compose_merge_files(c->tree, all, included);
		all = compose_merge_files(c->tree, all, root);
	}
	return all;
}

void compose_load(struct compose *c)
{
	const struct ynode *root, *services;

	c->tree = x_check(yamltree_new());
	c->env.shell = c->reader.variable;
	for (size_t i = 0; i < c->n_env_paths; i++)
		read_env(c, &c->env, c->env_paths[i], NULL, true);
	if (c->n_env_paths == 0) {
		_cleanup_free_ char *path = x_check(fs_join(c->dir, ".env"));

		read_env(c, &c->env, path, NULL, false);
	}
	root = load_project(c, c->paths, c->n_paths, c->dir, &c->env, 0);
	if (!root)
		return;
	root = compose_merge_strip(c->tree, root);
	services = yamltree_get(root, "services");
	if (!services || services->kind != YNODE_MAP)
		compose_fail(c, services ? services : root, NULL, "there are no services");
	else if (c->errors.n == 0)
		c->root = root;
}

char *compose_name(const struct compose *c)
{
	const struct ynode *name = yamltree_get(c->root, "name");
	const char *variable = compose_env_get(&c->env, "COMPOSE_PROJECT_NAME");

	if (variable && variable[0])
		return x_check(schema_make_label(variable, "app"));
	if (name && name->kind == YNODE_SCALAR && name->text[0])
		return x_check(schema_make_label(name->text, "app"));
	return x_check(schema_make_label(c->dir, "app"));
}

void compose_done(struct compose *c)
{
	for (size_t i = 0; i < c->n_files; i++) {
		yamltree_free(c->files[i]->tree);
		mem_free(c->files[i]->path);
		mem_free(c->files[i]->text);
		mem_free(c->files[i]->base);
		mem_free(c->files[i]);
	}
	for (size_t i = 0; i < c->n_inner; i++) {
		compose_env_done(c->inner[i]);
		mem_free(c->inner[i]);
	}
	for (size_t i = 0; i < c->n_used; i++)
		mem_free(c->used[i].name);
	for (size_t i = 0; i < c->n_paths; i++)
		mem_free(c->paths[i]);
	for (size_t i = 0; i < c->n_env_paths; i++)
		mem_free(c->env_paths[i]);
	mem_free(c->files);
	mem_free(c->inner);
	mem_free(c->used);
	mem_free(c->paths);
	mem_free(c->env_paths);
	mem_free(c->dir);
	compose_env_done(&c->env);
	yamltree_free(c->tree);
	manifest_errors_done(&c->errors);
	*c = (struct compose){0};
}
