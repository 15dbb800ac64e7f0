/* wire_child: see wire_child.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/wire/wire_child.h"

#include <string.h>

#include "daemon/wire/field.h"
#include "lib/err.h"
#include "lib/mem.h"

#define GROUPS_MAX 65536
#define PATHS_MAX 64
#define OOM_MAX 1000

void wire_child_put(struct buf *b, const struct wire_child *m)
{
	field_put_u32(b, m->uid);
	field_put_u32(b, m->gid);
	field_put_u8(b, m->set_user);
	field_put_u8(b, m->set_oom_score);
	field_put_i32(b, m->oom_score);
	field_put_i32(b, m->nice);
	field_put_u32(b, m->umask);
	field_put_u32(b, m->n_rlimits);
	for (uint32_t i = 0; i < m->n_rlimits; i++) {
		field_put_u32(b, m->rlimits[i].resource);
		field_put_u64(b, m->rlimits[i].soft);
		field_put_u64(b, m->rlimits[i].hard);
	}
	field_put_u32(b, m->n_groups);
	for (uint32_t i = 0; i < m->n_groups; i++)
		field_put_u32(b, m->groups[i]);
	field_put_text(b, m->cwd);
	field_put_strv(b, m->paths);
	field_put_strv(b, m->argv);
	field_put_strv(b, m->envp);
}

static void get_head(struct field_reader *r, struct wire_child *m)
{
	m->uid = field_get_u32(r);
	m->gid = field_get_u32(r);
	m->set_user = field_get_bool(r);
	m->set_oom_score = field_get_bool(r);
	m->oom_score = field_get_i32(r);
	m->nice = field_get_i32(r);
	m->umask = field_get_u32(r);
	if (m->umask > 0777 || m->nice < -20 || m->nice > 19 || m->oom_score < -OOM_MAX ||
	    m->oom_score > OOM_MAX)
		r->bad = true;
}

/* Skips a list of texts and adds its pointers (terminator included) to *n_ptr. */
static void count_strv(struct field_reader *r, size_t min, size_t max, size_t *n_ptr)
{
	uint32_t n = field_get_u32(r), len;

	if (n < min || n > max || n > r->left / 4)
		r->bad = true;
	for (uint32_t i = 0; !r->bad && i < n; i++)
		field_get_text(r, WIRE_BODY_MAX, &len);
	*n_ptr += r->bad ? 0 : (size_t)n + 1;
}

/* Checks all that follows the head; sets the counts of rlimits and groups. */
static size_t count(struct field_reader *r, struct wire_child *m)
{
	size_t n_ptr = 0;
	const char *cwd;
	uint32_t n;

	m->n_rlimits = field_get_u32(r);
	if (m->n_rlimits > WIRE_RLIMITS_MAX)
		r->bad = true;
	for (uint32_t i = 0; !r->bad && i < m->n_rlimits; i++) {
		if (field_get_u32(r) >= WIRE_RLIMITS_MAX)
			r->bad = true;
		field_get_bytes(r, 16);
	}
	m->n_groups = field_get_u32(r);
	if (m->n_groups > GROUPS_MAX)
		r->bad = true;
	field_get_bytes(r, (size_t)m->n_groups * 4);
	cwd = field_get_text(r, WIRE_BODY_MAX, &n);
	if (!cwd || n == 0 || cwd[0] != '/')
		r->bad = true;
	count_strv(r, 1, PATHS_MAX, &n_ptr);
	count_strv(r, 1, UINT32_MAX, &n_ptr);
	count_strv(r, 0, UINT32_MAX, &n_ptr);
	return n_ptr;
}

/* The allocation: limits first, then pointers, groups, bytes. */
struct arena {
	struct wire_rlimit *rlimit;
	char **ptr;
	uint32_t *group;
	char *byte;
};

static char *take_text(struct field_reader *r, struct arena *a)
{
	uint32_t len;
	const char *s = field_get_text(r, WIRE_BODY_MAX, &len);
	char *out = a->byte;

	if (s && len)
		memcpy(out, s, len);
	out[len] = '\0';
	a->byte += len + 1;
	return out;
}

static char *const *take_strv(struct field_reader *r, struct arena *a)
{
	char **v = a->ptr;
	uint32_t n = field_get_u32(r);

	for (uint32_t i = 0; i < n; i++)
		v[i] = take_text(r, a);
	v[n] = NULL;
	a->ptr += (size_t)n + 1;
	return v;
}

/* Copies what count has found good. Returns the byte after it all. */
static char *take(struct field_reader *r, struct wire_child *m, size_t n_ptr)
{
	struct arena a = {.rlimit = m->memory_};

	a.ptr = (char **)(void *)(a.rlimit + m->n_rlimits);
	a.group = (uint32_t *)(void *)(a.ptr + n_ptr);
	a.byte = (char *)(a.group + m->n_groups);
	m->rlimits = a.rlimit;
	m->groups = a.group;
	field_get_u32(r);
	for (uint32_t i = 0; i < m->n_rlimits; i++) {
		a.rlimit[i].resource = field_get_u32(r);
		a.rlimit[i].soft = field_get_u64(r);
		a.rlimit[i].hard = field_get_u64(r);
	}
	field_get_u32(r);
	for (uint32_t i = 0; i < m->n_groups; i++)
		a.group[i] = field_get_u32(r);
	m->cwd = take_text(r, &a);
	m->paths = take_strv(r, &a);
	m->argv = take_strv(r, &a);
	m->envp = take_strv(r, &a);
	return a.byte;
}

int wire_child_get(struct field_reader *r, struct wire_child *m, size_t extra, void **ret_extra)
{
	struct field_reader tail;
	size_t n_ptr;

	*m = (struct wire_child){0};
	get_head(r, m);
	tail = *r;
	n_ptr = count(r, m);
	if (field_check(r) < 0) {
		*m = (struct wire_child){0};
		return -ERR_INVALID;
	}
	/* Each text of the body has four bytes of length, more than the NUL of its copy. */
	m->memory_ = mem_alloc(m->n_rlimits * sizeof(struct wire_rlimit) + n_ptr * sizeof(char *) +
			       m->n_groups * sizeof(uint32_t) + tail.left + extra);
	if (!m->memory_)
		return -ERR_NOMEM;
	*ret_extra = take(&tail, m, n_ptr);
	return 0;
}
