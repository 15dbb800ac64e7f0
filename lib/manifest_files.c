/* manifest_files: see manifest_files.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_files.h"

#include <stdlib.h>
#include <string.h>

#include "lib/env_file.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/manifest_decode.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

struct files {
	const struct manifest_input *in;
	struct manifest_set *set;
	struct manifest *m;
	size_t cap;
	size_t bytes; /* of all, as they are sent */
	struct manifest_errors *errors;
};

/* "./.env" of /srv/app/aictl.yaml is /srv/app/.env; the reader knows whose home "~" is. */
static char *resolve(const struct ynode *at)
{
	_cleanup_free_ char *base = fs_dirname(at->file);

	if (strncmp(at->text, "~/", 2) == 0)
		return mem_strdup(at->text);
	return base ? fs_join(base, at->text) : NULL;
}

static const struct manifest_file *find(const struct files *f, const char *path)
{
	for (size_t i = 0; i < f->m->n_files; i++)
		if (strcmp(f->m->files[i].path, path) == 0)
			return &f->m->files[i];
	return NULL;
}

static void refuse(struct files *f, const struct ynode *at, const char *key, const char *why)
{
	struct manifest_place place = {at->file, at->line, at->column};

	manifest_errors_add(f->errors, &place, NULL, "%s: cannot read %s: %s", key, at->text, why);
}

/* Counts a file; false with an error added when it does not fit into a request. */
static bool count(struct files *f, const struct ynode *at, const char *key, size_t len)
{
	size_t encoded = len / 3 * 4 + (len % 3 ? 4 : 0);

	if (encoded > MANIFEST_FILES_BYTES_MAX - f->bytes) {
		refuse(f, at, key, "more than 16 MiB in all, encoded");
		return false;
	}
	f->bytes += encoded;
	return true;
}

/* The file that stands at `at`, read now or before; NULL with an error added. Owns path. */
static const struct manifest_file *get(struct files *f, const struct ynode *at, const char *key,
				       char *path)
{
	const struct manifest_file *known = path ? find(f, path) : NULL;
	struct manifest_file file = {.path = path};
	_cleanup_err_ struct err *e = NULL;
	int r = -ERR_NOMEM;

	if (known) {
		mem_free(path);
		return known;
	}
	if (path && f->in->n + f->m->n_files >= MANIFEST_FILES_MAX) {
		refuse(f, at, key, "more than 256 files in all");
		mem_free(path);
		return NULL;
	}
	if (path)
		r = f->in->read(f->in->user, path, &file.data, &file.len, &e);
	if (r == 0 && !count(f, at, key, file.len)) {
		mem_free(file.data);
		mem_free(path);
		return NULL;
	}
	if (r == 0 &&
	    mem_grow(&f->m->files, &f->cap, f->m->n_files + 1, sizeof(*f->m->files)) == 0) {
		f->m->files[f->m->n_files++] = file;
		return &f->m->files[f->m->n_files - 1];
	}
	if (r == 0 || r == -ERR_NOMEM)
		f->errors->nomem = true;
	else
		refuse(f, at, key, err_msg(e));
	mem_free(file.data);
	mem_free(path);
	return NULL;
}

/* ---- env_file ---- */

/* The port whose variable it is; NULL = none. */
static const struct port_spec *port_of(const struct service_spec *s, const char *assignment)
{
	const struct port_spec *ports = s->ports.v;
	char name[MANIFEST_PORT_VARIABLE_SIZE];

	for (size_t i = 0; i < s->ports.n; i++) {
		size_t len = strlen(manifest_port_variable(ports[i].name, name, sizeof(name)));

		if (strncmp(assignment, name, len) == 0 && assignment[len] == '=')
			return &ports[i];
	}
	return NULL;
}

/* Of the variables from `first` on, drops those that are set for ports anyway. */
static void drop_ports(struct files *f, const struct service_spec *s, const struct ynode *at,
		       struct env_file_list *list, size_t first)
{
	struct manifest_place place = {at->file, at->line, at->column};
	size_t kept = first;

	for (size_t i = first; i < list->n; i++) {
		const struct port_spec *port = port_of(s, list->v[i]);

		if (!port) {
			list->v[kept++] = list->v[i];
			continue;
		}
		manifest_errors_add(
			&f->set->warnings, &place, NULL,
			"env_file: %.*s in it is ignored, aictl itself sets it for ports.%s",
			(int)strcspn(list->v[i], "="), list->v[i], port->name);
		mem_free(list->v[i]);
	}
	list->n = kept;
}

static void read_env(struct files *f, const struct service_spec *s, const struct ynode *at,
		     struct env_file_list *to)
{
	_cleanup_free_ char *hint = NULL;
	struct env_file_log log = {.errors = f->errors, .warnings = &f->set->warnings};
	const struct manifest_file *file;
	size_t first = to->n;

	if (at->kind != YNODE_SCALAR || yamltree_is_null(at) || !at->text[0])
		return; /* the decoder has said so */
	file = get(f, at, "env_file", resolve(at));
	if (!file)
		return;
	log.hint = hint =
		mem_printf("it is an env_file of service %s: %s:%u", s->name, at->file, at->line);
	env_file_parse(file->path, file->data, file->len, to, &log);
	drop_ports(f, s, at, to, first);
}

struct variable {
	char *text; /* "NAME=value" */
	size_t order;
};

static int by_name(const void *a, const void *b)
{
	const struct variable *x = a, *y = b;
	size_t lx = strcspn(x->text, "="), ly = strcspn(y->text, "=");
	int order = strncmp(x->text, y->text, lx < ly ? lx : ly);

	if (order == 0)
		order = (lx > ly) - (lx < ly);
	return order ? order : (x->order > y->order) - (x->order < y->order);
}

static bool same_name(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return strcspn(b, "=") == len && strncmp(a, b, len) == 0;
}

/* The last of each name out of all[], sorted; the others are freed. v has room. */
static void keep_last(struct variable *all, size_t n, char **v)
{
	size_t kept = 0;

	qsort(all, n, sizeof(*all), by_name);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && same_name(all[i].text, all[i + 1].text))
			mem_free(all[i].text);
		else
			v[kept++] = all[i].text;
	}
	v[kept] = NULL;
}

/* Puts the list below the manifest's own variables; takes its texts. */
static void merge_env(struct files *f, struct service_spec *s, struct env_file_list *list)
{
	size_t own = 0, n = list->n;
	struct variable *all;
	char **v;

	while (s->environment && s->environment[own])
		own++;
	all = mem_array(n + own + 1, sizeof(*all));
	v = mem_array(n + own + 1, sizeof(*v));
	if (!all || !v) {
		f->errors->nomem = true;
		mem_free(v);
	} else {
		for (size_t i = 0; i < n; i++)
			all[i] = (struct variable){list->v[i], i};
		for (size_t i = 0; i < own; i++)
			all[n + i] = (struct variable){s->environment[i], n + i};
		list->n = 0;
		mem_free(s->environment);
		s->environment = v;
		keep_last(all, n + own, v);
	}
	mem_free(all);
}

static void read_env_files(struct files *f, struct service_spec *s, const struct ynode *node)
{
	struct env_file_list list = {0};

	if (!node)
		return;
	if (node->kind == YNODE_SCALAR)
		read_env(f, s, node, &list);
	for (size_t i = 0; node->kind == YNODE_LIST && i < node->n; i++)
		read_env(f, s, node->items[i].value, &list);
	if (list.n > 0)
		merge_env(f, s, &list);
	env_file_done(&list);
}

/* ---- secrets ---- */

/*
 * FNV-1a with 64 bits: it only says that a content changed, which makes it one of the service. It
 * is never shown and names nothing: a short secret could be guessed from it.
 */
static int64_t digest(const char *data, size_t len)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)data[i]) * UINT64_C(1099511628211);
	return (int64_t)h;
}

/* sum: bytes of the service's secrets so far. */
static void read_secret(struct files *f, struct secret_spec *s, const struct ynode *node,
			bool reloads, size_t *sum)
{
	const struct ynode *at = yamltree_get(node, s->file ? "file" : "env");
	const struct manifest_file *file;
	_cleanup_free_ char *key = NULL;

	if (!at || at->kind != YNODE_SCALAR || (!s->file && !s->env))
		return; /* the decoder has said so */
	key = mem_printf("secrets.%s.%s", s->name, s->file ? "file" : "env");
	if (!key) {
		f->errors->nomem = true;
		return;
	}
	file = get(f, at, key, s->file ? resolve(at) : mem_printf("env:%s", s->env));
	if (!file)
		return;
	if (file->len > MANIFEST_SECRETS_BYTES_MAX - *sum) {
		refuse(f, at, key, "the secrets of a service have at most 4 MiB together");
		return;
	}
	*sum += file->len;
	s->data = mem_alloc(file->len + 1);
	if (!s->data) {
		f->errors->nomem = true;
		return;
	}
	memcpy(s->data, file->data, file->len);
	s->len = file->len;
	*(reloads ? &s->reloaded_digest : &s->digest) = digest(file->data, file->len);
}

static void read_secrets(struct files *f, struct service_spec *s, const struct ynode *node)
{
	struct secret_spec *v = s->secrets.v;
	/* What is mounted in a container stays what it was. */
	bool reloads = s->reload.enabled && !service_spec_is_container(s);
	size_t sum = 0;

	for (size_t i = 0; node && i < s->secrets.n; i++)
		read_secret(f, &v[i], yamltree_get(node, v[i].name), reloads, &sum);
}

void manifest_files_read(const struct manifest_input *in, const struct ynode *services,
			 struct manifest_set *set, struct manifest *m,
			 struct manifest_errors *errors)
{
	struct files f = {.in = in, .set = set, .m = m, .errors = errors};

	for (size_t i = 0; i < in->n && f.bytes < MANIFEST_FILES_BYTES_MAX; i++)
		f.bytes += in->sources[i].len;
	if (f.bytes > MANIFEST_FILES_BYTES_MAX)
		f.bytes = MANIFEST_FILES_BYTES_MAX;
	for (size_t i = 0; in->read && i < set->n && i < services->n; i++) {
		struct service_spec *s = set->entries[i].spec;
		const struct ynode *node = services->items[i].value;

		read_env_files(&f, s, yamltree_get(node, "env_file"));
		read_secrets(&f, s, yamltree_get(node, "secrets"));
	}
}
