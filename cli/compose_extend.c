/* compose_extend: see compose_extend.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/compose_extend.h"

#include <string.h>

#include "cli/compose.h"
#include "cli/compose_merge.h"
#include "cli/x.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

#define DEPTH_MAX 16

struct extension {
	struct compose *c;
	const struct ynode *services; /* of the file under way */
	const struct ynode *before;   /* services of earlier ones, or NULL */
	const struct compose_env *env;
	unsigned depth;
};

static const struct ynode *resolve(const struct extension *x, const struct ynode *service);

static const char *text_of(const struct ynode *node, const char *key)
{
	const struct ynode *value = yamltree_get(node, key);

	return value && value->kind == YNODE_SCALAR ? value->text : NULL;
}

/* The services of another file, as an extension of their own. false: an error was added. */
static bool open_file(const struct extension *x, const struct ynode *extends, const char *file,
		      struct extension *ret)
{
	_cleanup_free_ char *path = x_check(fs_join(compose_base(x->c, extends), file));
	_cleanup_free_ char *base = x_check(fs_dirname(path));
	const struct ynode *root = compose_read(x->c, path, base, x->env, extends);

	if (!root)
		return false;
	*ret = *x;
	ret->services = yamltree_get(root, "services");
	ret->before = NULL;
	return true;
}

/* The service that is extended, complete; NULL: an error was added. */
static const struct ynode *parent_of(const struct extension *x, const struct ynode *extends)
{
	const char *file = text_of(extends, "file");
	const char *name =
		extends->kind == YNODE_SCALAR ? extends->text : text_of(extends, "service");
	struct extension next = *x;
	const struct ynode *found;

	if (!name) {
		compose_fail(x->c, extends, NULL, "extends: names no service");
		return NULL;
	}
	if (x->depth >= DEPTH_MAX) {
		compose_fail(x->c, extends, NULL,
			     "extends: more than 16 levels deep, or in a circle");
		return NULL;
	}
	if (file && !open_file(x, extends, file, &next))
		return NULL;
	next.depth++;
	found = yamltree_get(next.services, name);
	if (!found)
		found = yamltree_get(next.before, name);
	if (found && found->kind == YNODE_MAP)
		return resolve(&next, found);
	compose_fail(x->c, extends, NULL, "extends: %s has no service %s",
		     file ? file : "this file", name);
	return NULL;
}

static const struct ynode *resolve(const struct extension *x, const struct ynode *service)
{
	const struct ynode *extends = yamltree_get(service, "extends"), *parent;

	if (!extends || extends->tag == YNODE_RESET || yamltree_is_null(extends))
		return service;
	parent = parent_of(x, extends);
	service = compose_merge_without(x->c->tree, service, "extends");
	return parent ? compose_merge_services(x->c->tree, parent, service) : service;
}

const struct ynode *compose_extend_file(struct compose *c, const struct ynode *root,
					const struct ynode *before, const struct compose_env *env)
{
	struct extension x = {c, yamltree_get(root, "services"), yamltree_get(before, "services"),
			      env, 0};
	struct ynode *copy, *services;

	if (!x.services || x.services->kind != YNODE_MAP)
		return root;
	services = x_check(yamltree_new_map(c->tree, x.services, x.services->n));
	services->tag = x.services->tag;
	for (; services->n < x.services->n; services->n++) {
		const struct yitem *item = &x.services->items[services->n];
		bool is_map = item->value->kind == YNODE_MAP;

		services->items[services->n] =
			(struct yitem){item->key, is_map ? resolve(&x, item->value) : item->value};
	}
	copy = x_check(yamltree_new_map(c->tree, root, root->n));
	for (; copy->n < root->n; copy->n++) {
		copy->items[copy->n] = root->items[copy->n];
		if (root->items[copy->n].value == x.services)
			copy->items[copy->n].value = services;
	}
	return copy;
}
