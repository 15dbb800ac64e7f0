/*
 * manifest: see manifest.h. Each source goes through yamltree, its services through manifest_merge,
 * then through manifest_decode into one set; manifest_files reads what they name, and
 * manifest_check_set judges the whole. Only a set without any error becomes a struct manifest.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest_check.h"
#include "lib/manifest_decode.h"
#include "lib/manifest_files.h"
#include "lib/manifest_merge.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/yamltree.h"

struct trees {
	struct yamltree **v; /* those that could be built */
	struct manifest_merge_doc *docs;
	size_t n;
	bool too_much;
};

static void free_trees(struct trees *t)
{
	for (size_t i = 0; i < t->n; i++)
		yamltree_free(t->v[i]);
	mem_free(t->v);
	mem_free(t->docs);
}

/* Reads each file by itself. */
static void read_sources(const struct manifest_input *in, char *const *files, struct trees *t,
			 struct manifest_set *set, struct manifest_errors *errors)
{
	unsigned nodes = 0;

	t->v = mem_array(in->n + 1, sizeof(*t->v));
	t->docs = mem_array(in->n + 1, sizeof(*t->docs));
	errors->nomem = errors->nomem || !t->v || !t->docs;
	for (size_t i = 0; !errors->nomem && !t->too_much && i < in->n; i++) {
		const struct manifest_source *src = &in->sources[i];
		const struct manifest_place start = {files[i], 1, 1};
		struct yamltree *tree = NULL;

		if (yamltree_parse(files[i], src->text, src->len, &tree, errors) < 0)
			continue;
		yamltree_mark_default(tree, "defaults");
		t->docs[t->n] = (struct manifest_merge_doc){yamltree_root(tree), src->layer};
		t->v[t->n++] = tree;
		nodes += yamltree_nodes(tree);
		t->too_much = nodes > MANIFEST_MERGE_NODES_MAX;
		if (t->too_much)
			manifest_errors_add(errors, &start, NULL,
					    "more than %d nodes in all files together",
					    MANIFEST_MERGE_NODES_MAX);
		else
			manifest_decode_file(yamltree_root(tree), src->layer, set, errors);
	}
}

/* The services of all files, merged, into the set; then what they name. */
static void read_services(const struct manifest_input *in, const struct trees *t,
			  struct manifest_set *set, struct manifest *m,
			  struct manifest_errors *errors)
{
	struct yamltree *merged = NULL;
	const struct ynode *services;

	if (manifest_merge(t->docs, t->n, &merged, errors) < 0)
		return;
	services = yamltree_root(merged);
	if (services) {
		manifest_decode_services(services, set, errors);
		manifest_files_read(in, services, set, m, errors);
	}
	yamltree_free(merged);
}

static void read_all(const struct manifest_input *in, struct manifest *m, struct manifest_set *set,
		     struct manifest_errors *errors)
{
	bool layered = in->n > 0 && in->sources[in->n - 1].layer != in->sources[0].layer;
	struct trees t = {0};

	read_sources(in, m->files_, &t, set, errors);
	/* A layer without the one below it would be wrong in ways that the user did not write. */
	if (!t.too_much && t.n > 0 && (t.n == in->n || !layered))
		read_services(in, &t, set, m, errors);
	free_trees(&t);
	manifest_check_set(set, errors);
}

static char *default_name(const char *path)
{
	_cleanup_free_ char *dir = fs_dirname(path);

	return dir ? schema_make_label(dir, "default") : NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct service_spec *x = *(struct service_spec *const *)a;
	const struct service_spec *y = *(struct service_spec *const *)b;

	return strcmp(x->name, y->name);
}

/* Moves the services out of the set. -ERR_NOMEM leaves m half-built. */
static int take_set(struct manifest *m, struct manifest_set *set, const char *first_path)
{
	m->name = set->name ? TAKE_PTR(set->name) : default_name(first_path);
	m->services = mem_array(set->n, sizeof(struct service_spec *));
	if (!m->name || !m->services)
		return -ERR_NOMEM;
	for (; m->n_services < set->n; m->n_services++)
		m->services[m->n_services] = TAKE_PTR(set->entries[m->n_services].spec);
	qsort(m->services, m->n_services, sizeof(struct service_spec *), by_name);
	m->warnings = set->warnings;
	set->warnings = (struct manifest_errors){0};
	return 0;
}

static char **copy_paths(const struct manifest_source *sources, size_t n)
{
	char **paths = mem_array(n + 1, sizeof(char *));

	for (size_t i = 0; paths && i < n; i++) {
		paths[i] = mem_strdup(sources[i].path);
		if (!paths[i]) {
			mem_strv_free(paths);
			return NULL;
		}
	}
	return paths;
}

static int out_of_memory(struct manifest_errors *errors)
{
	manifest_errors_done(errors);
	err_nomem(&errors->errs[0]); /* static: cannot fail */
	errors->n = 1;
	return -ERR_NOMEM;
}

int manifest_parse(const struct manifest_input *in, struct manifest **ret,
		   struct manifest_errors *errors)
{
	static const struct manifest_place nowhere;
	struct manifest_set set = {0};
	struct manifest *m = mem_alloc(sizeof(*m));
	int r = -ERR_NOMEM;

	if (in->n == 0)
		manifest_errors_add(errors, &nowhere, NULL, "there is no manifest");
	if (m)
		m->files_ = copy_paths(in->sources, in->n);
	if (!m || !m->files_) {
		errors->nomem = true;
	} else {
		read_all(in, m, &set, errors);
		r = errors->n > 0 ? -ERR_INVALID : 0;
	}
	if (r == 0 && !errors->nomem)
		r = take_set(m, &set, in->sources[0].path);
	manifest_decode_done(&set);
	if (r == 0 && !errors->nomem) {
		*ret = m;
		return 0;
	}
	manifest_free(m);
	return r == -ERR_NOMEM || errors->nomem ? out_of_memory(errors) : r;
}

void manifest_forget_files(struct manifest *m)
{
	for (size_t i = 0; i < m->n_files; i++) {
		mem_free(m->files[i].path);
		mem_free(m->files[i].data);
	}
	mem_free(m->files);
	m->files = NULL;
	m->n_files = 0;
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	manifest_forget_files(m);
	for (size_t i = 0; i < m->n_services; i++)
		service_spec_free(m->services[i]);
	manifest_errors_done(&m->warnings);
	mem_free(m->services);
	mem_free(m->name);
	mem_strv_free(m->files_);
	mem_free(m);
}

static int find_name(const void *key, const void *element)
{
	return strcmp(key, (*(struct service_spec *const *)element)->name);
}

const struct service_spec *manifest_find(const struct manifest *m, const char *service)
{
	struct service_spec *const *found = m->n_services
						    ? bsearch(service, m->services, m->n_services,
							      sizeof(*m->services), find_name)
						    : NULL;

	return found ? *found : NULL;
}

const char *manifest_port_variable(const char *port, char *buf, size_t n)
{
	size_t len = strlen("PORT_");

	memcpy(buf, "PORT_", len + 1);
	for (; *port && len + 1 < n; port++)
		buf[len++] = *port == '-' ? '_' : (char)toupper((unsigned char)*port);
	buf[len] = '\0';
	return buf;
}
