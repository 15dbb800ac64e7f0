/* import_network: see import_network.h. A container of ours is in one network; in Compose it may be in
 * several, and without a word it is in the project's own. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_network.h"

#include <string.h>

#include "cli/compose.h"
#include "cli/compose_merge.h"
#include "cli/compose_value.h"
#include "cli/import.h"
#include "cli/import_out.h"
#include "cli/x.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

/* As a map, or NULL when there is none. */
static const struct ynode *networks_of(const struct import *im, const struct ynode *service)
{
	const struct ynode *node = yamltree_get(service, "networks");

	if (node)
		node = compose_merge_to_map(im->c->tree, node, "");
	return node && node->kind == YNODE_MAP && node->n > 0 ? node : NULL;
}

static void note_top(struct import *im)
{
	static const char *const known[] = {"name", "external", "driver", "labels", "attachable"};
	const struct ynode *all = yamltree_get(im->c->root, "networks");

	for (size_t i = 0; all && all->kind == YNODE_MAP && i < all->n; i++) {
		const struct ynode *net = all->items[i].value;

		for (size_t k = 0; net->kind == YNODE_MAP && k < net->n; k++) {
			const char *key = net->items[k].key->text;
			_cleanup_free_ char *field =
				x_printf("networks.%s.%s", all->items[i].key->text, key);
			size_t n = 0;

			while (n < ARRAY_SIZE(known) && strcmp(known[n], key) != 0)
				n++;
			if (n == ARRAY_SIZE(known) && strncmp(key, "x-", 2) != 0)
				import_notes_add(&im->notes, IMPORT_DROPPED, NULL, field,
						 "give it to `docker network create`");
		}
	}
}

void import_network_choose(struct import *im)
{
	for (size_t i = 0; i < im->n_services; i++) {
		const struct ynode *nets = networks_of(im, im->services[i].node);

		im->one_network |= nets && nets->n > 1;
	}
	if (im->one_network)
		import_notes_add(&im->notes, IMPORT_CHANGED, NULL, "networks",
				 "a service is in one network here: all of them are in the "
				 "project's own, which separates nobody from the others");
	note_top(im);
}

static void note_keys(const struct import_part *p, const struct ynode *nets)
{
	static const char *const known[] = {"priority", NULL};

	for (size_t i = 0; i < nets->n; i++) {
		_cleanup_free_ char *prefix = x_printf("networks.%s.", nets->items[i].key->text);

		import_unknown(p, nets->items[i].value, prefix, known);
	}
}

static bool is_external(const struct import_part *p, const char *name)
{
	const struct ynode *node = yamltree_get(import_defined(p, "networks", name), "external");
	bool on = node && node->kind == YNODE_MAP; /* { name } of Compose 2 */

	if (node && node->kind == YNODE_SCALAR)
		compose_value_bool(node->text, &on);
	return on;
}

/* The others in an external network are not ours to move. */
static void check_networks(const struct import_part *p, const struct ynode *nets)
{
	for (size_t i = 0; i < nets->n; i++) {
		const char *name = nets->items[i].key->text;
		_cleanup_free_ char *engine = NULL;

		if (strcmp(name, "default") == 0 ||
		    !import_is_defined(p, "networks", name, nets->items[i].key) || nets->n == 1 ||
		    !is_external(p, name))
			continue;
		engine = import_engine_name(p, "networks", name);
		import_note(p, IMPORT_DROPPED, "networks",
			    "%s: the others in it do not reach this one", engine);
	}
}

/* The one that it is in; NULL = the engine's default. Caller frees. */
static char *choose(const struct import_part *p, const struct ynode *nets)
{
	const char *only = nets && nets->n == 1 ? nets->items[0].key->text : NULL;
	_cleanup_free_ char *name = only ? import_engine_name(p, "networks", only) : NULL;

	if (only && (!p->im->one_network || is_external(p, only)))
		return TAKE_PTR(name);
	if (p->im->n_services > 1 || nets)
		return import_engine_name(p, "networks", "default");
	return NULL;
}

static bool emit_mode(const struct import_part *p)
{
	const struct ynode *mode = import_key(p, "network_mode");
	const char *text = compose_value_text(mode);

	if (!text)
		return false;
	if (!strchr(text, ':')) { /* host, none, bridge, or one of the engine's */
		import_out_text(p->out, IMPORT_DEPTH, "network", text);
		return true;
	}
	import_note(p, IMPORT_DROPPED, "network_mode",
		    "%s: a network of another container cannot be shared", text);
	return false;
}

void import_network_emit(const struct import_part *p)
{
	const struct ynode *nets = networks_of(p->im, p->s->node);
	_cleanup_free_ char *name = NULL;

	if (emit_mode(p))
		return;
	if (nets) {
		check_networks(p, nets);
		note_keys(p, nets);
	}
	name = choose(p, nets);
	if (!name)
		return;
	import_out_text(p->out, IMPORT_DEPTH, "network", name);
}
