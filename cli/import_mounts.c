/* import_mounts: see import_mounts.h. Named volumes keep the names that Compose gave them, so what is in
 * them stays. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_mounts.h"

#include <inttypes.h>
#include <string.h>

#include "cli/compose.h"
#include "cli/compose_value.h"
#include "cli/import.h"
#include "cli/import_out.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/schema_check.h"
#include "lib/yamltree.h"

struct mount {
	const char *type;   /* bind, volume, tmpfs */
	const char *source; /* as the manifest has it, or NULL */
	const char *target;
	bool read_only;
	int64_t size; /* 0 = none */
};

/* One entry of `volumes`, short where that says it all. */
static void put(const struct mount *m, struct buf *out)
{
	_cleanup_free_ char *brief = NULL;
	bool tmpfs = strcmp(m->type, "tmpfs") == 0;

	buf_str(out, "      - ");
	if (!tmpfs && m->source && !strchr(m->source, ':') && !strchr(m->source, '$')) {
		brief = x_printf("%s:%s%s", m->source, m->target, m->read_only ? ":ro" : "");
		import_out_scalar(out, brief, false);
		buf_char(out, '\n');
		return;
	}
	buf_printf(out, "{ type: %s", m->type);
	if (m->source) {
		brief = import_out_escape(m->source);
		buf_str(out, ", source: ");
		import_out_scalar(out, brief, true);
	}
	buf_str(out, ", target: ");
	import_out_scalar(out, m->target, true);
	if (m->read_only)
		buf_str(out, ", read_only: true");
	if (m->size) {
		buf_str(out, ", size: ");
		import_out_size(out, m->size);
	}
	buf_str(out, " }\n");
}

static bool is_path(const char *source)
{
	return source[0] == '/' || source[0] == '.' || source[0] == '~';
}

static void put_checked(const struct import_part *p, const struct mount *m, const struct ynode *at,
			struct buf *out)
{
	const char *wrong = schema_check_target(m->target);

	if (wrong)
		compose_fail(p->im->c, at, NULL, "services.%s.volumes: \"%s\" %s", p->s->from,
			     m->target, wrong);
	else
		put(m, out);
}

/* What a top-level volume says that the engine has to be told before. */
static void note_volume(const struct import_part *p, const char *name, const char *engine)
{
	const struct ynode *def = import_defined(p, "volumes", name);
	const char *driver = compose_value_get(def, "driver");

	if (driver && strcmp(driver, "local") != 0)
		import_note(p, IMPORT_TODO, "volumes",
			    "make %s with its driver before: docker volume create --driver %s %s",
			    name, driver, engine);
	if (yamltree_get(def, "driver_opts"))
		import_note(p, IMPORT_TODO, "volumes",
			    "make %s with its options before: docker volume create --opt ... %s",
			    name, engine);
}

static void put_named(const struct import_part *p, struct mount *m, const struct ynode *at,
		      struct buf *out)
{
	_cleanup_free_ char *name = import_engine_name(p, "volumes", m->source);
	const char *was = m->source;

	if (!import_is_defined(p, "volumes", was, at))
		return;
	m->type = "volume";
	m->source = name;
	note_volume(p, was, name);
	put_checked(p, m, at, out);
}

static void put_bind(const struct import_part *p, struct mount *m, const struct ynode *at,
		     struct buf *out)
{
	_cleanup_free_ char *path = import_path(p->im, at, m->source);

	m->type = "bind";
	m->source = path;
	if (path[0] == '~')
		import_note(p, IMPORT_CHANGED, "volumes",
			    "%s is in the home of the daemon's user, not in yours", path);
	else if (path[0] == '.' && !import_exists(p->im, path)) /* others: `validate` says it */
		import_note(p, IMPORT_TODO, "volumes", "%s is not there yet; Compose would make it",
			    path);
	put_checked(p, m, at, out);
}

static void read_modes(const struct import_part *p, struct mount *m, char *modes)
{
	static const char *const harmless[] = {"rw", "cached", "delegated", "consistent"};

	for (char *mode = modes, *next; mode; mode = next) {
		size_t i = 0;

		next = strchr(mode, ',');
		if (next)
			*next++ = '\0';
		while (i < ARRAY_SIZE(harmless) && strcmp(harmless[i], mode) != 0)
			i++;
		if (strcmp(mode, "ro") == 0)
			m->read_only = true;
		else if (i == ARRAY_SIZE(harmless))
			import_note(p, IMPORT_DROPPED, "volumes", "mode %s of %s", mode, m->target);
	}
}

/* [SOURCE:]TARGET[:MODES] */
static void read_short(const struct import_part *p, const struct ynode *item, struct buf *out)
{
	_cleanup_free_ char *text = x_strdup(item->text);
	char *target = strchr(text, ':'), *modes = NULL;
	struct mount m = {.type = "volume", .target = text};

	if (!target) {
		put_checked(p, &m, item, out);
		return;
	}
	*target++ = '\0';
	modes = strchr(target, ':');
	if (modes)
		*modes++ = '\0';
	m.target = target;
	m.source = text;
	read_modes(p, &m, modes);
	if (is_path(text))
		put_bind(p, &m, item, out);
	else
		put_named(p, &m, item, out);
}

static void note_options(const struct import_part *p, const struct ynode *item, const char *kind,
			 const char *target)
{
	static const char *const harmless[] = {"create_host_path", "size"};
	const struct ynode *options = yamltree_get(item, kind);

	for (size_t i = 0; options && options->kind == YNODE_MAP && i < options->n; i++) {
		const char *key = options->items[i].key->text;

		if (strcmp(key, harmless[0]) != 0 && strcmp(key, harmless[1]) != 0)
			import_note(p, IMPORT_DROPPED, "volumes", "%s.%s of %s", kind, key, target);
	}
}

static void read_size(const struct import_part *p, struct mount *m, const struct ynode *size)
{
	const char *text = compose_value_text(size);

	if (text && !compose_value_size(text, &m->size))
		import_bad(p, size, "volumes", "a size");
}

static void read_long(const struct import_part *p, const struct ynode *item, struct buf *out)
{
	static const char *const known[] = {"type",   "source", "target",      "read_only", "bind",
					    "volume", "tmpfs",	"consistency", NULL};
	const char *type = compose_value_get(item, "type");
	const char *ro = compose_value_get(item, "read_only");
	struct mount m = {.type = type ? type : "volume",
			  .source = compose_value_get(item, "source"),
			  .target = compose_value_get(item, "target")};

	import_unknown(p, item, "volumes.", known);
	if (!m.target || (strcmp(m.type, "bind") == 0 && !m.source)) {
		import_bad(p, item, "volumes", "a mount with source and target");
		return;
	}
	if (ro)
		compose_value_bool(ro, &m.read_only);
	note_options(p, item, m.type, m.target);
	read_size(p, &m, yamltree_get(yamltree_get(item, "tmpfs"), "size"));
	if (strcmp(m.type, "bind") == 0) {
		put_bind(p, &m, item, out);
	} else if (strcmp(m.type, "volume") == 0 && m.source) {
		put_named(p, &m, item, out);
	} else if (strcmp(m.type, "tmpfs") == 0 || strcmp(m.type, "volume") == 0) {
		m.source = NULL;
		put_checked(p, &m, item, out);
	} else {
		import_note(p, IMPORT_DROPPED, "volumes", "%s: type %s", m.target, m.type);
	}
}

/* "/run:size=64m,mode=1777" */
static void read_tmpfs(const struct import_part *p, const struct ynode *node, const char *item,
		       struct buf *out)
{
	_cleanup_free_ char *text = x_strdup(item);
	struct mount m = {.type = "tmpfs", .target = text};
	char *option = strchr(text, ':');

	if (option)
		*option++ = '\0';
	while (option && *option) {
		char *next = strchr(option, ',');

		if (next)
			*next++ = '\0';
		if (strncmp(option, "size=", 5) == 0 && compose_value_size(option + 5, &m.size))
			;
		else if (strcmp(option, "ro") == 0)
			m.read_only = true;
		else if (strcmp(option, "rw") != 0)
			import_note(p, IMPORT_DROPPED, "tmpfs", "%s of %s", option, text);
		option = next;
	}
	put_checked(p, &m, node, out);
}

static void volumes(const struct import_part *p, struct buf *out)
{
	const struct ynode *node = import_key(p, "volumes"), *tmpfs = import_key(p, "tmpfs");
	_cleanup_texts_ struct compose_texts t = {0};

	if (node && node->kind != YNODE_LIST)
		import_bad(p, node, "volumes", "a list");
	for (size_t i = 0; node && node->kind == YNODE_LIST && i < node->n; i++) {
		const struct ynode *item = node->items[i].value;

		if (item->kind == YNODE_SCALAR)
			read_short(p, item, out);
		else
			read_long(p, item, out);
	}
	if (tmpfs && !compose_value_texts(tmpfs, &t))
		import_bad(p, tmpfs, "tmpfs", "a text or a list of texts");
	for (size_t i = 0; i < t.n; i++)
		read_tmpfs(p, tmpfs, t.v[i], out);
}

/* ---- configs ---- */

/* The path of a file that holds it; NULL: there is none, and a note. Caller frees. */
static char *config_file(const struct import_part *p, const char *name)
{
	const struct ynode *def = import_defined(p, "configs", name);
	const struct ynode *file = yamltree_get(def, "file"), *content;
	const char *variable = compose_value_get(def, "environment"), *text;
	struct import *im = p->im;
	char *path;

	if (compose_value_text(file))
		return import_path(im, file, file->text);
	content = yamltree_get(def, "content");
	text = content && content->kind == YNODE_SCALAR ? content->text : NULL;
	if (variable)
		text = compose_env_get(&im->c->env, variable);
	if (!text || strchr(name, '/')) {
		import_note(p, IMPORT_DROPPED, "configs", "%s: %s", name,
			    variable ? "its variable is not set"
				     : "it is in no file of this project");
		return NULL;
	}
	path = x_printf("./aictl.configs/%s", name);
	for (size_t i = 0; i < im->n_files; i++)
		if (strcmp(im->files[i].path, path) == 0)
			return path;
	x_grow(&im->files, &im->cap_files, im->n_files + 1, sizeof(*im->files));
	im->files[im->n_files++] = (struct import_file){x_strdup(path), x_strdup(text)};
	import_notes_add(&im->notes, IMPORT_CHANGED, NULL, "configs",
			 "the content of %s is in the file %s", name, path);
	return path;
}

static void note_owner(const struct import_part *p, const struct ynode *item, const char *kind)
{
	static const char *const known[] = {"source", "target", NULL};
	_cleanup_free_ char *prefix = x_printf("%s.", kind);

	import_unknown(p, item, prefix, known);
}

static void configs(const struct import_part *p, struct buf *out)
{
	const struct ynode *node = import_key(p, "configs");

	if (node && node->kind != YNODE_LIST)
		import_bad(p, node, "configs", "a list");
	for (size_t i = 0; node && node->kind == YNODE_LIST && i < node->n; i++) {
		const struct ynode *item = node->items[i].value;
		const char *name =
			item->kind == YNODE_SCALAR ? item->text : compose_value_get(item, "source");
		const char *target = compose_value_get(item, "target");
		bool defined = import_is_defined(p, "configs", name, item);
		_cleanup_free_ char *path = defined ? config_file(p, name) : NULL, *at = NULL;

		note_owner(p, item, "configs");
		if (!path)
			continue;
		at = target && target[0] == '/' ? x_strdup(target)
						: x_printf("/%s", target ? target : name);
		put_checked(p, &(struct mount){"bind", path, at, true, 0}, item, out);
	}
}

/* ---- secrets ---- */

/* Its name in the manifest is that of its file in /run/secrets. */
static const char *secret_name(const struct import_part *p, const char *name, const char *target)
{
	static const char dir[] = "/run/secrets/";

	if (!target)
		return name;
	if (strncmp(target, dir, strlen(dir)) == 0)
		target += strlen(dir);
	if (!schema_check_secret_name(target))
		return target;
	import_note(p, IMPORT_CHANGED, "secrets", "%s is at %s%s, not at %s", name, dir, name,
		    target);
	return name;
}

static void put_secret(const struct import_part *p, const struct ynode *item, struct buf *out)
{
	const char *name =
		item->kind == YNODE_SCALAR ? item->text : compose_value_get(item, "source");
	const struct ynode *def = name ? import_defined(p, "secrets", name) : NULL;
	const struct ynode *file = yamltree_get(def, "file");
	const char *variable = compose_value_get(def, "environment"), *ours;
	_cleanup_free_ char *path = NULL;

	note_owner(p, item, "secrets");
	if (!import_is_defined(p, "secrets", name, item))
		return;
	if (!compose_value_text(file) && !variable) {
		import_note(p, IMPORT_TODO, "secrets",
			    "%s: say where it comes from, as { file: ... }", name);
		return;
	}
	ours = secret_name(p, name, compose_value_get(item, "target"));
	if (schema_check_secret_name(ours)) {
		import_bad(p, item, "secrets", "a name for a file");
		return;
	}
	import_out_key(out, IMPORT_DEPTH + 1, ours);
	path = variable ? NULL : import_path(p->im, file, file->text);
	buf_printf(out, " { %s: ", variable ? "env" : "file");
	import_out_scalar(out, variable ? variable : path, true);
	buf_str(out, " }\n");
	if (variable && (!p->im->c->reader.variable || !p->im->c->reader.variable(variable)))
		import_note(p, IMPORT_TODO, "secrets",
			    "%s: aictl reads it from the shell's %s, "
			    "which is not set",
			    ours, variable);
	if (path && !import_exists(p->im, path))
		import_note(p, IMPORT_TODO, "secrets", "%s is not there yet", path);
}

static void secrets(const struct import_part *p, struct buf *out)
{
	const struct ynode *node = import_key(p, "secrets");

	if (node && node->kind != YNODE_LIST)
		import_bad(p, node, "secrets", "a list");
	for (size_t i = 0; node && node->kind == YNODE_LIST && i < node->n; i++)
		put_secret(p, node->items[i].value, out);
}

static void put_block(const struct import_part *p, const char *key, const struct buf *lines)
{
	if (lines->len == 0)
		return;
	import_out_open(p->out, IMPORT_DEPTH, key);
	buf_str(p->out, buf_cstr(lines));
}

void import_mounts_emit(const struct import_part *p)
{
	_cleanup_buf_ struct buf mounts = {0}, hidden = {0};

	secrets(p, &hidden);
	put_block(p, "secrets", &hidden);
	volumes(p, &mounts);
	configs(p, &mounts);
	put_block(p, "volumes", &mounts);
}
