/* manifest_task: see manifest_task.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_task.h"

#include <string.h>

#include "lib/cron.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_decode.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

static struct manifest_place place(const struct ynode *node)
{
	return (struct manifest_place){node->file, node->line, node->column};
}

static const struct yitem *item_of(const struct ynode *map, const char *key)
{
	for (size_t i = 0; map && map->kind == YNODE_MAP && i < map->n; i++)
		if (strcmp(map->items[i].key->text, key) == 0)
			return &map->items[i];
	return NULL;
}

static void check_cron(const struct service_spec *s, const struct ynode *node,
		       struct manifest_errors *errors)
{
	const struct yitem *schedule = item_of(node, "schedule"), *at = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct manifest_place where;
	struct cron cron;

	if (!s->schedule.cron || !schedule || cron_parse(s->schedule.cron, &cron, &e) == 0)
		return;
	at = item_of(schedule->value, "cron");
	where = place(at ? at->value : schedule->value);
	manifest_errors_take(errors, &where, "schedule.cron", &e);
}

/* What only tasks have; `defaults` may say it for those among the services that are. */
static void check_keys(const struct ynode *node, struct manifest_errors *errors,
		       struct manifest_errors *warnings)
{
	static const char *const keys[] = {"retries", "timeout", "run_again", "schedule"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct yitem *item = item_of(node, keys[i]);
		bool schedule = strcmp(keys[i], "schedule") == 0;
		struct manifest_place at;

		if (!item || item->key->is_default)
			continue;
		at = place(item->key);
		manifest_errors_add(schedule ? errors : warnings, &at, "write type: task",
				    "%s: only a task has it, this is a service", keys[i]);
	}
}

/* What a task does not have. */
static void check_task(const struct service_spec *s, const struct ynode *node,
		       struct manifest_errors *warnings)
{
	const struct yitem *restart = item_of(node, "restart"), *again = item_of(node, "run_again");
	const struct yitem *item = restart ? item_of(restart->value, "policy") : NULL;
	struct manifest_place at;

	if (!item && restart && restart->value->kind == YNODE_SCALAR)
		item = restart;
	if (item && !item->key->is_default) {
		at = place(item->value);
		manifest_errors_add(warnings, &at, "write retries: N",
				    "restart.policy: a task has none, it has retries");
	}
	if (again && s->schedule.enabled && !again->key->is_default) {
		at = place(again->key);
		manifest_errors_add(warnings, &at, NULL,
				    "run_again: the schedule alone says when it runs");
	}
}

void manifest_task_check(const struct service_spec *s, const struct ynode *node,
			 struct manifest_errors *errors, struct manifest_errors *warnings)
{
	check_cron(s, node, errors);
	if (s->type == SPEC_TASK)
		check_task(s, node, warnings);
	else
		check_keys(node, errors, warnings);
}

static const struct service_spec *find(const struct manifest_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->entries[i].spec->name, name) == 0)
			return set->entries[i].spec;
	return NULL;
}

void manifest_task_check_set(const struct manifest_set *set, struct manifest_errors *errors)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct service_spec *s = set->entries[i].spec;
		const struct depend_spec *v = s->depends_on.v;

		for (size_t k = 0; k < s->depends_on.n; k++) {
			const struct service_spec *d = find(set, v[k].name);
			_cleanup_free_ char *key = mem_printf("depends_on.%s.condition", v[k].name);
			struct manifest_place at = {s->file, s->line, 1};

			if (!d || d->type == SPEC_TASK || v[k].condition != DEPEND_COMPLETED)
				continue;
			if (key)
				service_spec_place(s, key, &at);
			manifest_errors_add(errors, &at,
					    "write condition: ready, or type: task there",
					    "depends_on.%s: %s is a service and never completes",
					    v[k].name, v[k].name);
		}
	}
}
