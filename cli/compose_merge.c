/* compose_merge: see compose_merge.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/compose_merge.h"

#include <string.h>

#include "cli/x.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

/* Where a map stands: decides what its keys mean. */
enum level { LEVEL_FILE, LEVEL_SERVICES, LEVEL_SERVICE, LEVEL_HEALTH, LEVEL_DEPLOY, LEVEL_ANY };

enum rule {
	RULE_PLAIN,   /* maps are merged, lists appended, texts replaced */
	RULE_REPLACE, /* whatever it is */
	RULE_PAIRS,   /* KEY=VALUE, as a map or a list */
	RULE_HOSTS,   /* the same with ":" */
	RULE_NAMES,   /* a list of names, or a map of them */
	RULE_TARGET,  /* a list: by where it is seen in the container */
	RULE_LIST,    /* a text is a list of one */
};

struct key_rule {
	enum level level;
	const char *key;
	enum rule rule;
	enum level below;
};

static const struct key_rule rules[] = {
	{LEVEL_FILE, "services", RULE_PLAIN, LEVEL_SERVICES},
	{LEVEL_SERVICE, "command", RULE_REPLACE, LEVEL_ANY},
	{LEVEL_SERVICE, "entrypoint", RULE_REPLACE, LEVEL_ANY},
	{LEVEL_SERVICE, "healthcheck", RULE_PLAIN, LEVEL_HEALTH},
	{LEVEL_SERVICE, "deploy", RULE_PLAIN, LEVEL_DEPLOY},
	{LEVEL_SERVICE, "environment", RULE_PAIRS, LEVEL_ANY},
	{LEVEL_SERVICE, "labels", RULE_PAIRS, LEVEL_ANY},
	{LEVEL_SERVICE, "annotations", RULE_PAIRS, LEVEL_ANY},
	{LEVEL_SERVICE, "sysctls", RULE_PAIRS, LEVEL_ANY},
	{LEVEL_SERVICE, "extra_hosts", RULE_HOSTS, LEVEL_ANY},
	{LEVEL_SERVICE, "depends_on", RULE_NAMES, LEVEL_ANY},
	{LEVEL_SERVICE, "networks", RULE_NAMES, LEVEL_ANY},
	{LEVEL_SERVICE, "volumes", RULE_TARGET, LEVEL_ANY},
	{LEVEL_SERVICE, "devices", RULE_TARGET, LEVEL_ANY},
	{LEVEL_SERVICE, "secrets", RULE_TARGET, LEVEL_ANY},
	{LEVEL_SERVICE, "configs", RULE_TARGET, LEVEL_ANY},
	{LEVEL_SERVICE, "dns", RULE_LIST, LEVEL_ANY},
	{LEVEL_SERVICE, "dns_search", RULE_LIST, LEVEL_ANY},
	{LEVEL_SERVICE, "env_file", RULE_LIST, LEVEL_ANY},
	{LEVEL_SERVICE, "tmpfs", RULE_LIST, LEVEL_ANY},
	{LEVEL_HEALTH, "test", RULE_REPLACE, LEVEL_ANY},
	{LEVEL_DEPLOY, "labels", RULE_PAIRS, LEVEL_ANY},
};

static const struct key_rule *rule_of(enum level level, const char *key)
{
	static const struct key_rule service = {LEVEL_SERVICES, "", RULE_PLAIN, LEVEL_SERVICE},
				     plain = {LEVEL_ANY, "", RULE_PLAIN, LEVEL_ANY};

	if (level == LEVEL_SERVICES)
		return &service;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].level == level && strcmp(rules[i].key, key) == 0)
			return &rules[i];
	return &plain;
}

static struct ynode *new_list(struct yamltree *t, const struct ynode *like, size_t room)
{
	struct ynode *node = x_check(yamltree_new_map(t, like, room));

	node->kind = YNODE_LIST;
	return node;
}

static const struct ynode *new_text(struct yamltree *t, const struct ynode *like, const char *text,
				    size_t len, bool quoted)
{
	_cleanup_free_ char *copy = x_strndup(text, len);
	struct ynode *node = x_check(yamltree_new_text(t, like, copy));

	node->quoted = quoted;
	return node;
}

/* Of a map under construction. */
static struct yitem *find(struct ynode *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->items[i].key->text, key) == 0)
			return &map->items[i];
	return NULL;
}

static void put(struct ynode *map, const struct ynode *key, const struct ynode *value)
{
	struct yitem *item = find(map, key->text);

	if (item)
		item->value = value;
	else
		map->items[map->n++] = (struct yitem){key, value};
}

const struct ynode *compose_merge_to_map(struct yamltree *t, const struct ynode *node,
					 const char *separators)
{
	struct ynode *map;

	if (node->kind != YNODE_LIST)
		return node;
	map = x_check(yamltree_new_map(t, node, node->n));
	map->tag = node->tag;
	for (size_t i = 0; i < node->n; i++) {
		const struct ynode *item = node->items[i].value;
		size_t n;

		if (item->kind != YNODE_SCALAR)
			continue;
		n = strcspn(item->text, separators);
		put(map, new_text(t, item, item->text, n, true),
		    item->text[n] ? new_text(t, item, item->text + n + 1,
					     strlen(item->text + n + 1), true)
				  : new_text(t, item, "", 0, false));
	}
	return map;
}

static const struct ynode *to_list(struct yamltree *t, const struct ynode *node)
{
	struct ynode *list;

	if (node->kind == YNODE_LIST || yamltree_is_null(node))
		return node;
	list = new_list(t, node, 1);
	list->tag = node->tag;
	list->items[list->n++] = (struct yitem){NULL, node};
	return list;
}

bool compose_merge_is_same(const struct ynode *a, const struct ynode *b)
{
	if (a->kind != b->kind || a->n != b->n)
		return false;
	if (a->kind == YNODE_SCALAR)
		return strcmp(a->text, b->text) == 0;
	for (size_t i = 0; i < a->n; i++) {
		const struct ynode *other = a->items[i].key ? yamltree_get(b, a->items[i].key->text)
							    : b->items[i].value;

		if (!other || !compose_merge_is_same(a->items[i].value, other))
			return false;
	}
	return true;
}

/* Where an entry of volumes, devices, secrets, configs is seen: "src:TARGET:ro", "NAME". */
static const char *target_of(const struct ynode *item, size_t *ret_len)
{
	const struct ynode *target = yamltree_get(item, "target");
	const char *text, *colon;

	if (!target)
		target = yamltree_get(item, "source");
	if (!target)
		target = item;
	text = target->kind == YNODE_SCALAR ? target->text : "";
	colon = target == item ? strchr(text, ':') : NULL;
	text = colon ? colon + 1 : text;
	*ret_len = target == item ? strcspn(text, ":") : strlen(text);
	return text;
}

static bool same_target(const struct ynode *a, const struct ynode *b)
{
	size_t n, m;
	const char *s = target_of(a, &n), *t = target_of(b, &m);

	return n > 0 && n == m && memcmp(s, t, n) == 0;
}

/* Into one that has room for them, and none yet. */
static void take_items(struct ynode *to, const struct ynode *from)
{
	if (from->n > 0)
		memcpy(to->items, from->items, from->n * sizeof(*from->items));
	to->n = from->n;
}

static const struct ynode *append(struct yamltree *t, const struct ynode *base,
				  const struct ynode *over, bool by_target)
{
	struct ynode *list = new_list(t, over, base->n + over->n);

	take_items(list, base);
	for (size_t i = 0; i < over->n; i++) {
		const struct ynode *item = over->items[i].value;
		size_t k = 0;

		while (k < list->n &&
		       !(by_target ? same_target(list->items[k].value, item)
				   : compose_merge_is_same(list->items[k].value, item)))
			k++;
		list->items[k] = (struct yitem){NULL, item};
		list->n += k == list->n;
	}
	return list;
}

static const struct ynode *merge(struct yamltree *t, const struct key_rule *rule,
				 const struct ynode *base, const struct ynode *over);

static const struct ynode *merge_maps(struct yamltree *t, enum level level,
				      const struct ynode *base, const struct ynode *over)
{
	struct ynode *map = x_check(yamltree_new_map(t, over, base->n + over->n));

	take_items(map, base);
	for (size_t i = 0; i < over->n; i++) {
		const struct yitem *item = &over->items[i];
		struct yitem *there = find(map, item->key->text);
		const struct key_rule *rule = rule_of(level, item->key->text);

		put(map, item->key, merge(t, rule, there ? there->value : NULL, item->value));
	}
	return map;
}

/* Both sides in the form that they are merged in. */
static const struct ynode *shape(struct yamltree *t, enum rule rule, const struct ynode *node)
{
	switch (rule) {
	case RULE_PAIRS:
	case RULE_NAMES:
		return compose_merge_to_map(t, node, "=");
	case RULE_HOSTS:
		return compose_merge_to_map(t, node, "=:");
	case RULE_LIST:
		return to_list(t, node);
	case RULE_PLAIN:
	case RULE_REPLACE:
	case RULE_TARGET:
		break;
	}
	return node;
}

static const struct ynode *merge(struct yamltree *t, const struct key_rule *rule,
				 const struct ynode *base, const struct ynode *over)
{
	if (!base || over->tag != YNODE_PLAIN || rule->rule == RULE_REPLACE)
		return over;
	if (yamltree_is_null(over) && base->kind != YNODE_SCALAR)
		return base;
	base = shape(t, rule->rule, base);
	over = shape(t, rule->rule, over);
	if (base->kind != over->kind || over->kind == YNODE_SCALAR)
		return over;
	if (over->kind == YNODE_MAP)
		return merge_maps(t, rule->below, base, over);
	return append(t, base, over, rule->rule == RULE_TARGET);
}

const struct ynode *compose_merge_files(struct yamltree *t, const struct ynode *base,
					const struct ynode *over)
{
	static const struct key_rule file = {LEVEL_ANY, "", RULE_PLAIN, LEVEL_FILE};

	return merge(t, &file, base, over);
}

const struct ynode *compose_merge_services(struct yamltree *t, const struct ynode *base,
					   const struct ynode *over)
{
	static const struct key_rule service = {LEVEL_ANY, "", RULE_PLAIN, LEVEL_SERVICE};

	return merge(t, &service, base, over);
}

const struct ynode *compose_merge_strip(struct yamltree *t, const struct ynode *node)
{
	struct ynode *copy;

	if (node->kind == YNODE_SCALAR)
		return node;
	copy = x_check(yamltree_new_map(t, node, node->n));
	copy->kind = node->kind;
	for (size_t i = 0; i < node->n; i++)
		if (node->items[i].value->tag != YNODE_RESET)
			copy->items[copy->n++] = (struct yitem){
				node->items[i].key, compose_merge_strip(t, node->items[i].value)};
	return copy;
}

const struct ynode *compose_merge_without(struct yamltree *t, const struct ynode *map,
					  const char *key)
{
	struct ynode *copy = x_check(yamltree_new_map(t, map, map->n));

	copy->tag = map->tag;
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->items[i].key->text, key) != 0)
			copy->items[copy->n++] = map->items[i];
	return copy;
}
