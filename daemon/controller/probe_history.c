/* probe_history: see probe_history.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/probe_history.h"

#include <stddef.h>
#include <string.h>

#include "lib/mem.h"

struct probe_text {
	uint32_t refs;
	char text[];
};

static void unref(struct probe_text *t)
{
	if (t && --t->refs == 0)
		mem_free(t);
}

static struct probe_text *share(const struct probe_entry *last, const char *message)
{
	size_t n = strlen(message) + 1;
	struct probe_text *t;

	if (last && last->text && strcmp(last->text->text, message) == 0) {
		last->text->refs++;
		return last->text;
	}
	t = mem_alloc(sizeof(*t) + n);
	if (!t)
		return NULL;
	t->refs = 1;
	memcpy(t->text, message, n);
	return t;
}

void probe_history_add(struct probe_history *h, int64_t at_wall_ms, int64_t duration_ms, bool ok,
		       const char *message)
{
	struct probe_entry *e;
	struct probe_text *text;

	h->count += h->count < UINT32_MAX;
	if (!h->v)
		h->v = mem_array(PROBE_HISTORY_MAX, sizeof(*h->v));
	if (!h->v)
		return;
	text = share(probe_history_at(h, 0), message);
	e = &h->v[h->next];
	if (h->n == PROBE_HISTORY_MAX)
		unref(e->text);
	*e = (struct probe_entry){.at_wall_ms = at_wall_ms,
				  .duration_ms = duration_ms > INT32_MAX ? INT32_MAX
									 : (int32_t)duration_ms,
				  .ok = ok,
				  .text = text};
	h->next = (uint8_t)((h->next + 1u) % PROBE_HISTORY_MAX);
	if (h->n < PROBE_HISTORY_MAX)
		h->n++;
}

const struct probe_entry *probe_history_at(const struct probe_history *h, unsigned i)
{
	if (i >= h->n)
		return NULL;
	return &h->v[(h->next + PROBE_HISTORY_MAX - 1 - i) % PROBE_HISTORY_MAX];
}

const char *probe_history_message(const struct probe_entry *e)
{
	return e && e->text ? e->text->text : "";
}

void probe_history_done(struct probe_history *h)
{
	for (unsigned i = 0; i < h->n; i++)
		unref(h->v[i].text);
	mem_free(h->v);
	*h = (struct probe_history){0};
}
