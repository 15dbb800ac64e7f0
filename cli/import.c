/* import: see import.h. The project as a whole: which services, their names, head of the manifest. */
/* SPDX-License-Identifier: MIT */
#include "cli/import.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "cli/compose.h"
#include "cli/compose_value.h"
#include "cli/import_network.h"
#include "cli/import_out.h"
#include "cli/import_service.h"
#include "cli/suggest.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/yamltree.h"

void import_note(const struct import_part *p, enum import_kind kind, const char *field,
		 const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = x_check(mem_vprintf(fmt, ap));
	va_end(ap);
	import_notes_add(&p->im->notes, kind, p->s->from, field, "%s", text);
}

void import_bad(const struct import_part *p, const struct ynode *at, const char *field,
		const char *what)
{
	if (at->kind == YNODE_SCALAR)
		compose_fail(p->im->c, at, NULL, "services.%s.%s: \"%s\" is not %s", p->s->from,
			     field, at->text, what);
	else
		compose_fail(p->im->c, at, NULL, "services.%s.%s: expected %s, this is %s",
			     p->s->from, field, what, yamltree_kind_name(at));
}

const struct ynode *import_key(const struct import_part *p, const char *key)
{
	const struct ynode *node = yamltree_get(p->s->node, key);

	return node && !yamltree_is_null(node) ? node : NULL;
}

const struct ynode *import_defined(const struct import_part *p, const char *kind, const char *name)
{
	return yamltree_get(yamltree_get(p->im->c->root, kind), name);
}

bool import_is_defined(const struct import_part *p, const char *kind, const char *name,
		       const struct ynode *at)
{
	if (name && import_defined(p, kind, name))
		return true;
	if (name)
		compose_fail(p->im->c, at, NULL, "services.%s.%s: the project has no %s.%s",
			     p->s->from, kind, kind, name);
	else
		import_bad(p, at, kind, "one of those that the project defines");
	return false;
}

char *import_engine_name(const struct import_part *p, const char *kind, const char *name)
{
	const struct ynode *def = import_defined(p, kind, name);
	const char *own = compose_value_get(def, "name");
	const struct ynode *external = yamltree_get(def, "external");
	bool is_external = false;

	if (external && external->kind == YNODE_MAP) { /* Compose 2.x: external: { name } */
		own = compose_value_get(external, "name") ? compose_value_get(external, "name")
							  : own;
		is_external = true;
	} else if (external && external->kind == YNODE_SCALAR) {
		compose_value_bool(external->text, &is_external);
	}
	if (own)
		return x_strdup(own);
	return is_external ? x_strdup(name) : x_printf("%s_%s", p->im->project, name);
}

/* dir/rest for path below dir, else NULL. */
static const char *below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strncmp(path, dir, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path[n] ? path + n + 1 : path + n;
}

char *import_path(const struct import *im, const struct ynode *at, const char *path)
{
	_cleanup_free_ char *whole = NULL;
	const char *rest;
	size_t n;

	if (path[0] == '/' || (path[0] == '~' && (path[1] == '/' || !path[1])))
		return x_strdup(path);
	while (path[0] == '.' && path[1] == '/')
		path += 2 + strspn(path + 2, "/");
	whole = x_check(fs_join(compose_base(im->c, at), strcmp(path, ".") == 0 ? "" : path));
	n = strlen(whole);
	while (n > 1 && whole[n - 1] == '/')
		whole[--n] = '\0';
	rest = below(whole, im->out_dir);
	return rest ? x_printf("./%s", rest) : TAKE_PTR(whole);
}

bool import_exists(const struct import *im, const char *path)
{
	_cleanup_free_ char *whole = path[0] == '~' ? NULL : x_check(fs_join(im->out_dir, path));

	return !whole || !im->exists || im->exists(whole);
}

const struct import_service *import_service_find(const struct import *im, const char *from)
{
	for (size_t i = 0; i < im->n_services; i++)
		if (strcmp(im->services[i].from, from) == 0)
			return &im->services[i];
	return NULL;
}

const char *import_service_name(const struct import *im, const char *from)
{
	const struct import_service *s = import_service_find(im, from);

	return s ? s->name : NULL;
}

void import_unknown(const struct import_part *p, const struct ynode *map, const char *prefix,
		    const char *const *known)
{
	for (size_t i = 0; map && map->kind == YNODE_MAP && i < map->n; i++) {
		const char *key = map->items[i].key->text;
		_cleanup_free_ char *field = x_printf("%s%s", prefix, key);
		const char *const *k = known;

		while (*k && strcmp(*k, key) != 0)
			k++;
		if (!*k && strncmp(key, "x-", 2) != 0 && !yamltree_is_null(map->items[i].value))
			import_note(p, IMPORT_DROPPED, field, "no counterpart");
	}
}

void import_escape(struct compose_texts *t)
{
	for (size_t i = 0; i < t->n; i++) {
		char *text = import_out_escape(t->v[i]);

		mem_free(t->v[i]);
		t->v[i] = text;
	}
}

bool import_command(const struct import_part *p, const struct ynode *node, const char *field,
		    struct compose_texts *ret)
{
	bool ok = node->kind == YNODE_SCALAR ? compose_value_words(node->text, ret)
					     : compose_value_texts(node, ret);

	if (!ok)
		import_bad(p, node, field,
			   node->kind == YNODE_SCALAR ? "a command: its quotes are not closed"
						      : "a text or a list of texts");
	import_escape(ret);
	return ok;
}

/* ---- which services ---- */

static bool is_enabled(const struct import *im, const struct ynode *profiles)
{
	_cleanup_texts_ struct compose_texts t = {0};

	if (!profiles || !compose_value_texts(profiles, &t) || t.n == 0)
		return true;
	for (size_t i = 0; i < im->n_profiles; i++) {
		if (strcmp(im->profiles[i], "*") == 0)
			return true;
		for (size_t k = 0; k < t.n; k++)
			if (strcmp(im->profiles[i], t.v[k]) == 0)
				return true;
	}
	return false;
}

static bool is_taken(const struct import *im, const char *name)
{
	for (size_t i = 0; i < im->n_services; i++)
		if (strcmp(im->services[i].name, name) == 0)
			return true;
	return false;
}

static void add_service(struct import *im, const struct ynode *key, const struct ynode *node)
{
	const char *slash = strrchr(key->text, '/');
	_cleanup_free_ char *base =
		x_check(schema_make_label(slash ? slash + 1 : key->text, "service"));
	char *name = x_strdup(base);

	for (int i = 2; is_taken(im, name); i++) {
		mem_free(name);
		name = x_printf("%.55s-%d", base, i);
	}
	x_grow(&im->services, &im->cap_services, im->n_services + 1, sizeof(*im->services));
	im->services[im->n_services++] =
		(struct import_service){.from = key->text, .name = name, .node = node};
	if (strcmp(name, key->text) != 0)
		import_notes_add(&im->notes, IMPORT_CHANGED, key->text, "(name)",
				 "it is called %s here: a name is a DNS label", name);
}

static void choose_services(struct import *im)
{
	const struct ynode *services = yamltree_get(im->c->root, "services");

	for (size_t i = 0; i < services->n; i++) {
		const struct ynode *key = services->items[i].key, *node = services->items[i].value;
		_cleanup_texts_ struct compose_texts t = {0};
		const struct ynode *profiles = yamltree_get(node, "profiles");

		if (node->kind != YNODE_MAP) {
			compose_fail(im->c, node, NULL, "services.%s: expected a map, this is %s",
				     key->text, yamltree_kind_name(node));
		} else if (is_enabled(im, profiles)) {
			add_service(im, key, node);
		} else {
			compose_value_texts(profiles, &t);
			import_notes_add(&im->notes, IMPORT_DROPPED, key->text, "profiles",
					 "left out; --profile %s takes it in", t.v[0]);
		}
	}
}

/* Whom another one waits for to complete is a task. */
static void find_tasks(struct import *im)
{
	for (size_t i = 0; i < im->n_services; i++) {
		const struct ynode *depends = yamltree_get(im->services[i].node, "depends_on");
		const char *mode =
			compose_value_get(yamltree_get(im->services[i].node, "deploy"), "mode");

		if (mode && strstr(mode, "-job"))
			im->services[i].task = true;
		for (size_t k = 0; depends && depends->kind == YNODE_MAP && k < depends->n; k++) {
			const char *condition =
				compose_value_get(depends->items[k].value, "condition");
			const struct import_service *s =
				import_service_find(im, depends->items[k].key->text);

			if (s && condition &&
			    strcmp(condition, "service_completed_successfully") == 0)
				im->services[s - im->services].task = true;
		}
	}
}

/* As Compose makes it of a name: a-z, 0-9, "_" and "-". */
static char *project_name(const struct compose *c)
{
	const char *name = compose_value_get(c->root, "name");
	const char *variable = compose_env_get(&c->env, "COMPOSE_PROJECT_NAME");
	const char *slash = strrchr(c->dir, '/');
	struct buf out = {0};

	if (variable && variable[0])
		name = variable;
	else if (!name || !name[0])
		name = slash ? slash + 1 : c->dir;
	for (const char *p = name; *p; p++) {
		char lower = (char)tolower((unsigned char)*p);

		if (isascii(*p) && (isalnum((unsigned char)*p) || (out.len && strchr("_-", *p))))
			buf_char(&out, lower);
	}
	return out.len ? x_check(buf_take(&out)) : x_strdup("app");
}

/* ---- the manifest ---- */

static void put_head(struct import *im, struct buf *out)
{
	_cleanup_buf_ struct buf files = {0};

	for (size_t i = 0; i < im->c->n_paths; i++) {
		const char *path = im->c->paths[i], *slash = strrchr(path, '/');

		buf_printf(&files, "%s%s", i ? ", " : "",
			   strcmp(path, "-") == 0 ? "standard input"
			   : slash		  ? slash + 1
						  : path);
	}
	buf_str(out, "# yaml-language-server: $schema=" DATADIR "/aictl-manifest.schema.json\n");
	_cleanup_free_ char *line = x_printf("Made by `aictl import` of %s.", buf_cstr(&files));

	import_out_comment(out, 0, line);
	import_notes_comment(&im->notes, NULL, 0, out);
	buf_str(out, "version: 1\n");
	import_out_text(out, 0, "name", im->set);
	buf_str(out, "\nservices:\n");
}

/* Variables that nothing stood for. */
static void note_unset(struct import *im)
{
	for (size_t i = 0; i < im->c->n_used; i++) {
		_cleanup_free_ char *field = x_printf("${%s}", im->c->used[i].name);

		if (!im->c->used[i].set)
			import_notes_add(&im->notes, IMPORT_CHANGED, NULL, field,
					 "it is not set: nothing stands in its place");
	}
}

static void note_stranger(struct import *im, const char *key, const char *const *known, size_t n)
{
	struct suggest s = {.wanted = key};

	for (size_t i = 0; i < n; i++)
		suggest_offer(&s, known[i]);
	import_notes_add(&im->notes, IMPORT_DROPPED, NULL, key, "no %s%s%s",
			 s.best ? "key of Compose's; is it " : "counterpart", s.best ? s.best : "",
			 s.best ? "?" : "");
}

static void note_top(struct import *im)
{
	static const char *const known[] = {"version", "name",	  "services", "networks",
					    "volumes", "secrets", "configs",  "include"};
	const struct ynode *root = im->c->root;

	for (size_t i = 0; i < root->n; i++) {
		const char *key = root->items[i].key->text;
		size_t k = 0;

		while (k < ARRAY_SIZE(known) && strcmp(known[k], key) != 0)
			k++;
		if (k == ARRAY_SIZE(known) && strncmp(key, "x-", 2) != 0)
			note_stranger(im, key, known, k);
	}
}

void import_make(struct import *im, struct buf *out)
{
	_cleanup_buf_ struct buf body = {0};

	im->project = project_name(im->c);
	im->set = x_check(schema_make_label(im->project, "app"));
	choose_services(im);
	find_tasks(im);
	import_network_choose(im);
	note_unset(im);
	note_top(im);
	for (size_t i = 0; i < im->n_services; i++) {
		_cleanup_buf_ struct buf lines = {0};
		struct import_part p = {im, &im->services[i], &lines};

		import_service_emit(&p);
		buf_str(&body, i ? "\n" : "");
		import_out_open(&body, 1, im->services[i].name);
		import_notes_comment(&im->notes, im->services[i].from, IMPORT_DEPTH, &body);
		buf_str(&body, buf_cstr(&lines));
	}
	if (im->n_services == 0 && im->c->errors.n == 0)
		compose_fail(im->c, im->c->root, "--profile NAME takes in those of a profile",
			     "no service is left: all are in profiles");
	put_head(im, out);
	buf_str(out, buf_cstr(&body));
	if (out->failed || body.failed)
		x_check(NULL);
}

void import_done(struct import *im)
{
	for (size_t i = 0; i < im->n_services; i++)
		mem_free(im->services[i].name);
	for (size_t i = 0; i < im->n_files; i++) {
		mem_free(im->files[i].path);
		mem_free(im->files[i].content);
	}
	mem_free(im->services);
	mem_free(im->files);
	mem_free(im->set);
	mem_free(im->project);
	import_notes_done(&im->notes);
}
