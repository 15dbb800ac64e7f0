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
#include "lib/yamltree.h"

#define INCLUDES_MAX 8 /* deep */

/* Files, one over the other, and where they are asked for. */
struct project {
	char *paths[COMPOSE_FILES_MAX];
	size_t n;
	const char *base;
	const struct compose_env *env;
	const struct ynode *at; /* NULL: on the command line */
	unsigned depth;
};

static const struct ynode *load_project(struct compose *c, const struct project *p);

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

/* An editor's byte-order mark: Compose takes it. */
static void drop_mark(struct compose_file *f)
{
	if (f->len < 3 || memcmp(f->text, "\xef\xbb\xbf", 3) != 0)
		return;
	f->len -= 3;
	memmove(f->text, f->text + 3, f->len + 1);
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
	if (c->reader.read(c->reader.user, path, &f->text, &f->len, &e) == 0) {
		drop_mark(f);
		return f;
	}
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
	struct project p = {.at = entry, .depth = depth + 1};
	const struct ynode *root = NULL;

	if (!first || first->kind != YNODE_SCALAR || depth >= INCLUDES_MAX) {
		compose_fail(c, entry, NULL, "include: %s",
			     depth >= INCLUDES_MAX ? "too deep, or in a circle" : "names no file");
		return NULL;
	}
	main = x_check(fs_join(here, first->text));
	base = dir && dir->kind == YNODE_SCALAR ? x_check(fs_join(here, dir->text))
						: x_check(fs_dirname(main));
	for (size_t i = 0; path->kind == YNODE_LIST && i < path->n && p.n < COMPOSE_FILES_MAX; i++)
		if (path->items[i].value->kind == YNODE_SCALAR)
			p.paths[p.n++] = x_check(fs_join(here, path->items[i].value->text));
	if (p.n == 0)
		p.paths[p.n++] = x_strdup(main);
	p.base = base;
	p.env = inner_env(c, entry, base, env);
	root = load_project(c, &p);
	while (p.n > 0)
		mem_free(p.paths[--p.n]);
	return root;
}

/* What two of them call the same has to be the same. */
static void check_conflicts(struct compose *c, const struct ynode *included,
			    const struct ynode *root, const struct ynode *at)
{
	static const char *const kinds[] = {"services", "networks", "volumes", "secrets",
					    "configs"};

	for (size_t k = 0; included && k < ARRAY_SIZE(kinds); k++) {
		const struct ynode *theirs = yamltree_get(included, kinds[k]);
		const struct ynode *ours = yamltree_get(root, kinds[k]), *other;

		for (size_t i = 0; ours && ours->kind == YNODE_MAP && i < ours->n; i++) {
			const struct yitem *item = &ours->items[i];

			other = yamltree_get(theirs, item->key->text);
			if (other && !compose_merge_is_same(other, item->value))
				compose_fail(
					c, at ? at : item->key,
					"a file that changes an included one is named with it: "
					"path: [one.yaml, changes.yaml]",
					"%s.%s: an included file has another one", kinds[k],
					item->key->text);
		}
	}
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
		if (!one)
			continue;
		check_conflicts(c, all, one, include->items[i].value);
		all = compose_merge_files(c->tree, all, one);
	}
	return all;
}

/* ---- projects ---- */

static const struct ynode *load_project(struct compose *c, const struct project *p)
{
	const struct ynode *all = NULL, *included;

	for (size_t i = 0; i < p->n; i++) {
		const struct ynode *root = compose_read(c, p->paths[i], p->base, p->env, p->at);

		if (!root)
			continue;
		included = include_all(c, root, p->env, p->depth);
		root = compose_extend_file(c, root, all ? all : included, p->env);
		check_conflicts(c, included, root, NULL);
		if (included)
			all = compose_merge_files(c->tree, all, included);
		all = compose_merge_files(c->tree, all, root);
	}
	return all;
}

/* Version 1 had its services at the top. */
static const char *hint_of(const struct ynode *root)
{
	for (size_t i = 0; i < root->n; i++)
		if (yamltree_get(root->items[i].value, "image") ||
		    yamltree_get(root->items[i].value, "build"))
			return "write them below `services:`, as since version 2 of the format";
	return NULL;
}

void compose_load(struct compose *c)
{
	struct project p = {.base = c->dir, .env = &c->env};
	const struct ynode *root, *services;

	c->tree = x_check(yamltree_new());
	c->env.shell = c->reader.variable;
	for (size_t i = 0; i < c->n_env_paths; i++)
		read_env(c, &c->env, c->env_paths[i], NULL, true);
	if (c->n_env_paths == 0) {
		_cleanup_free_ char *path = x_check(fs_join(c->dir, ".env"));

		read_env(c, &c->env, path, NULL, false);
	}
	for (; p.n < c->n_paths && p.n < COMPOSE_FILES_MAX; p.n++)
		p.paths[p.n] = c->paths[p.n];
	if (p.n < c->n_paths)
		compose_fail(c, NULL, NULL, "more than %d files", COMPOSE_FILES_MAX);
	root = load_project(c, &p);
	if (!root)
		return;
	root = compose_merge_strip(c->tree, root);
	services = yamltree_get(root, "services");
	if (c->errors.n > 0)
		return;
	if (!services || services->kind != YNODE_MAP || services->n == 0)
		compose_fail(c, services ? services : root, hint_of(root), "there are no services");
	else
		c->root = root;
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
