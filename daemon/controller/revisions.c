/* revisions: see revisions.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/revisions.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/store.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

static void done(struct revision *r)
{
	mem_free(r->user);
	mem_free(r->services);
	mem_free(r->git_commit);
	mem_free(r->git_branch);
}

static int copy(char **ret, const char *text)
{
	*ret = text ? mem_strdup(text) : NULL;
	return text && !*ret ? -ERR_NOMEM : 0;
}

int revisions_add(struct set *set, const struct store_revision *row)
{
	struct revision r = {.number = row->number,
			     .at_wall_ms = row->at_wall_ms,
			     .uid = row->uid,
			     .hash = row->hash,
			     .git_dirty = row->git_dirty};

	if (!set->revisions)
		set->revisions = mem_array(STORE_REVISIONS_KEPT, sizeof(*set->revisions));
	if (!set->revisions || copy(&r.user, row->user) < 0 ||
	    copy(&r.services, row->services ? row->services : "") < 0 ||
	    copy(&r.git_commit, row->git_commit) < 0 || copy(&r.git_branch, row->git_branch) < 0) {
		done(&r);
		return -ERR_NOMEM;
	}
	if (set->n_revisions == STORE_REVISIONS_KEPT)
		done(&set->revisions[--set->n_revisions]);
	memmove(&set->revisions[1], &set->revisions[0], set->n_revisions * sizeof(*set->revisions));
	set->revisions[0] = r;
	set->n_revisions++;
	return 0;
}

void revisions_free(struct set *set)
{
	for (size_t i = 0; i < set->n_revisions; i++)
		done(&set->revisions[i]);
	mem_free(set->revisions);
	set->revisions = NULL;
	set->n_revisions = 0;
}

const struct revision *revisions_find(const struct set *set, uint64_t number)
{
	for (size_t i = 0; i < set->n_revisions; i++)
		if (set->revisions[i].number == number)
			return &set->revisions[i];
	return NULL;
}

static void write_git(const struct revision *r, struct jsonw *w)
{
	if (!r->git_commit) {
		jsonw_null(w, "git");
		return;
	}
	jsonw_object_begin(w, "git");
	jsonw_string(w, "commit", r->git_commit);
	jsonw_string(w, "branch", r->git_branch);
	jsonw_bool(w, "dirty", r->git_dirty);
	jsonw_object_end(w);
}

static void write_names(const char *names, struct jsonw *w)
{
	jsonw_array_begin(w, "services");
	while (*names) {
		size_t n = strcspn(names, " ");

		jsonw_string_n(w, NULL, names, n);
		names += n + (names[n] == ' ');
	}
	jsonw_array_end(w);
}

void revisions_write_json(const struct revision *r, bool show_hash, struct jsonw *w)
{
	_cleanup_free_ char *hash = show_hash ? mem_printf("%016" PRIx64, r->hash) : NULL;

	jsonw_int(w, "number", (int64_t)r->number);
	jsonw_time(w, "at", r->at_wall_ms);
	jsonw_int(w, "uid", r->uid);
	jsonw_string(w, "user", r->user);
	jsonw_string(w, "hash", hash);
	write_git(r, w);
	write_names(r->services, w);
}

uint64_t revisions_hash(const char *text)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return h;
}
