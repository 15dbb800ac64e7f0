/* manifest_depends: see manifest_depends.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_depends.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/depends.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_decode.h"
#include "lib/mem.h"
#include "lib/schema_hint.h"

/* Where s names that dependency. */
static struct manifest_place place_of(const struct service_spec *s, const char *name)
{
	_cleanup_free_ char *key = mem_printf("depends_on.%s", name);
	struct manifest_place at;

	if (!key || !service_spec_place(s, key, &at))
		at = (struct manifest_place){s->file, s->line, 1};
	return at;
}

static void add_cycle(const struct service_spec *const *services, const size_t *path, size_t n,
		      struct manifest_errors *errors)
{
	const struct service_spec *first = services[path[0]], *second = services[path[1 % n]];
	struct manifest_place at = place_of(first, second->name);
	_cleanup_buf_ struct buf text = {0};

	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%s -> ", services[path[i]]->name);
	if (n == 1)
		manifest_errors_add(errors, &at, NULL, "depends_on.%s: it depends on itself",
				    first->name);
	else
		manifest_errors_add(errors, &at, "take one of them out",
				    "depends_on.%s: %s%s is a cycle, none of them could start",
				    second->name, buf_cstr(&text), first->name);
}

void manifest_depends_cycle(const struct service_spec *const *services, size_t n,
			    struct manifest_errors *errors)
{
	_cleanup_free_ size_t *path = mem_array(n + 1, sizeof(*path));
	size_t length = 0;

	if (!path || depends_cycle(services, n, path, &length) < 0)
		errors->nomem = true;
	else if (length > 0)
		add_cycle(services, path, length, errors);
}

/* A name that nobody in the set has, but somebody nearly. */
static void check_name(const struct service_spec *s, const char *name, const char *all,
		       struct manifest_errors *warnings)
{
	struct manifest_place at = place_of(s, name);
	_cleanup_free_ char *hint = NULL;
	size_t len = 0;
	const char *near = schema_hint_nearest(all, name, &len);

	if (!near)
		return;
	hint = mem_printf("did you mean %.*s?", (int)len, near);
	manifest_errors_add(warnings, &at, hint,
			    "depends_on.%s: this manifest has no such service; another set must",
			    name);
}

static void check_names(const struct service_spec *const *services, size_t n, size_t at,
			struct manifest_errors *warnings)
{
	const struct depend_spec *v = services[at]->depends_on.v;
	_cleanup_buf_ struct buf all = {0};

	for (size_t i = 0; i < n; i++)
		if (i != at)
			buf_printf(&all, "%s%s", all.len ? "|" : "", services[i]->name);
	for (size_t i = 0; i < services[at]->depends_on.n; i++)
		if (depends_find(services, n, v[i].name) == n)
			check_name(services[at], v[i].name, buf_cstr(&all), warnings);
}

static int by_name(const void *a, const void *b)
{
	const struct service_spec *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

void manifest_depends_check(const struct manifest_set *set, struct manifest_errors *errors,
			    struct manifest_errors *warnings)
{
	const struct service_spec **sorted = mem_array(set->n + 1, sizeof(*sorted));

	if (!sorted) {
		errors->nomem = true;
		return;
	}
	for (size_t i = 0; i < set->n; i++)
		sorted[i] = set->entries[i].spec;
	qsort(sorted, set->n, sizeof(*sorted), by_name);
	manifest_depends_cycle(sorted, set->n, errors);
	for (size_t i = 0; i < set->n; i++)
		if (sorted[i]->depends_on.n > 0)
			check_names(sorted, set->n, i, warnings);
	mem_free(sorted);
}
