/* store_task: see store_task.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/store_task.h"

#include <string.h>

#include "lib/err.h"
#include "lib/mem.h"

/* A task whose text holds copies of the n strings *at[i], which are made to point at them. */
static struct store_task *task_new(enum store_task_kind kind, const char **const *at, size_t n)
{
	struct store_task *t;
	size_t size = 0;
	char *to;

	for (size_t i = 0; i < n; i++)
		size += *at[i] ? strlen(*at[i]) + 1 : 0;
	t = mem_alloc(sizeof(*t) + size);
	if (!t)
		return NULL;
	t->kind = kind;
	to = t->text;
	for (size_t i = 0; i < n; i++) {
		size_t len = *at[i] ? strlen(*at[i]) + 1 : 0;

		if (len) {
			memcpy(to, *at[i], len);
			*at[i] = to;
		}
		to += len;
	}
	return t;
}

struct store_task *store_task_revision(const struct store_revision *r)
{
	struct store_revision c = *r;
	const char **const at[] = {&c.set,	&c.sources,    &c.user,
				   &c.services, &c.git_commit, &c.git_branch};
	struct store_task *t = task_new(STORE_TASK_REVISION, at, ARRAY_SIZE(at));

	if (t)
		t->u.revision = c;
	return t;
}

struct store_task *store_task_read_revision(const char *set, uint64_t number)
{
	struct store_revision c = {.set = set, .number = number};
	const char **const at[] = {&c.set};
	struct store_task *t = task_new(STORE_TASK_READ_REVISION, at, ARRAY_SIZE(at));

	if (t)
		t->u.revision = c;
	return t;
}

struct store_task *store_task_service(const struct store_service *v)
{
	struct store_service c = *v;
	const char **const at[] = {&c.name, &c.set, &c.sources};
	struct store_task *t = task_new(STORE_TASK_SERVICE, at, ARRAY_SIZE(at));

	if (t)
		t->u.service = c;
	return t;
}

struct store_task *store_task_del_service(const char *name)
{
	struct store_service c = {.name = name};
	const char **const at[] = {&c.name};
	struct store_task *t = task_new(STORE_TASK_DEL_SERVICE, at, ARRAY_SIZE(at));

	if (t)
		t->u.service = c;
	return t;
}

struct store_task *store_task_run(const char *name, int64_t due_wall_ms, int64_t after_wall_ms)
{
	struct store_service c = {
		.name = name, .run_due_wall_ms = due_wall_ms, .run_after_wall_ms = after_wall_ms};
	const char **const at[] = {&c.name};
	struct store_task *t = task_new(STORE_TASK_RUN, at, ARRAY_SIZE(at));

	if (t)
		t->u.service = c;
	return t;
}

struct store_task *store_task_start(const char *name, int64_t start_ms)
{
	struct store_service c = {.name = name, .start_ms = start_ms};
	const char **const at[] = {&c.name};
	struct store_task *t = task_new(STORE_TASK_START, at, ARRAY_SIZE(at));

	if (t)
		t->u.service = c;
	return t;
}

struct store_task *store_task_scale(const char *name, int64_t until_wall_ms, unsigned scaled)
{
	struct store_service c = {
		.name = name, .override_until_wall_ms = until_wall_ms, .scaled = scaled};
	const char **const at[] = {&c.name};
	struct store_task *t = task_new(STORE_TASK_SCALE, at, ARRAY_SIZE(at));

	if (t)
		t->u.service = c;
	return t;
}

struct store_task *store_task_event(const struct store_event *e)
{
	struct store_event c = *e;
	const char **const at[] = {&c.service, &c.type, &c.reason, &c.message, &c.from, &c.to};
	struct store_task *t = task_new(STORE_TASK_EVENT, at, ARRAY_SIZE(at));

	if (t) {
		t->u.event = c;
		t->droppable = true;
	}
	return t;
}

struct store_task *store_task_exit(const struct store_exit *x)
{
	struct store_exit c = *x;
	const char **const at[] = {&c.service, &c.incarnation, &c.cause};
	struct store_task *t = task_new(STORE_TASK_EXIT, at, ARRAY_SIZE(at));

	if (t)
		t->u.exit = c;
	return t;
}

struct store_task *store_task_lines(enum store_task_kind kind, const struct store_exit *x)
{
	struct store_exit c = {.service = x->service,
			       .index = x->index,
			       .incarnation = x->incarnation,
			       .lines = x->lines};
	const char **const at[] = {&c.service, &c.incarnation, &c.lines};
	struct store_task *t = task_new(kind, at, ARRAY_SIZE(at));

	if (t)
		t->u.exit = c;
	return t;
}

struct store_task *store_task_rollout(const struct store_rollout *r)
{
	struct store_rollout c = *r;
	const char **const at[] = {&c.service, &c.state, &c.reason, &c.keys, &c.good_sources};
	struct store_task *t = task_new(STORE_TASK_ROLLOUT, at, ARRAY_SIZE(at));

	if (t)
		t->u.rollout = c;
	return t;
}

void store_task_free(struct store_task *t)
{
	if (!t)
		return;
	err_free(t->err);
	mem_free(t->found);
	mem_free(t);
}

void store_task_free_all(struct store_task_list *list)
{
	struct store_task *t;

	while ((t = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, t, link);
		store_task_free(t);
	}
}
