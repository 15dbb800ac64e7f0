/* inventory: see inventory.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/inventory.h"

#include <stddef.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

struct inventory {
	struct wire_slot *slots; /* note is an own copy */
	size_t n, cap;
};

struct inventory *inventory_new(void)
{
	return mem_alloc(sizeof(struct inventory));
}

void inventory_free(struct inventory *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n; i++)
		mem_free((void *)v->slots[i].note);
	mem_free(v->slots);
	mem_free(v);
}

static struct wire_slot *find(struct inventory *v, const struct wire_key *key)
{
	for (size_t i = v->n; i-- > 0;)
		if (wire_key_same_slot(&v->slots[i].key, key))
			return &v->slots[i];
	return NULL;
}

int inventory_add(struct inventory *v, const struct wire_slot *slot)
{
	struct wire_slot *at = find(v, &slot->key);
	const uint8_t *note = slot->note ? mem_dup(slot->note, slot->note_len) : NULL;
	uint32_t note_len = slot->note_len;

	if (slot->note && !note)
		return -ERR_NOMEM;
	if (!at) {
		if (mem_grow(&v->slots, &v->cap, v->n + 1, sizeof(*v->slots)) < 0) {
			mem_free((void *)note);
			return -ERR_NOMEM;
		}
		at = &v->slots[v->n++];
		*at = (struct wire_slot){0};
	}
	if (note) {
		mem_free((void *)at->note);
	} else { /* a later word carries none: the first one's stays */
		note = at->note;
		note_len = at->note_len;
	}
	*at = *slot;
	at->note = note;
	at->note_len = note_len;
	return 0;
}

/* A service of which only processes are left. */
static struct service *unknown_service(struct controller *c, const char *name)
{
	struct service *s = service_new(c, name, "");

	if (s && controller_add_service(c, s) < 0) {
		service_free(s);
		return NULL;
	}
	if (s) {
		s->deleted = true;
		log_warn("service=%s has processes but is not known: stopping them", name);
	}
	return s;
}

void inventory_restore(struct inventory *v, struct controller *c)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct wire_slot *slot = &v->slots[i];
		struct service *s = controller_find(c, slot->key.service);
		struct replica *r;

		if (!s)
			s = unknown_service(c, slot->key.service);
		r = s ? service_replica(s, slot->key.index) : NULL;
		if (s && !r)
			r = service_add_replica(s, slot->key.index);
		if (!r) {
			log_error("replica=%s/%u is not taken over: out of memory",
				  slot->key.service, slot->key.index);
			continue;
		}
		replica_restore(r, slot);
		controller_touch(s);
	}
}
