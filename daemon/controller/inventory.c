/* inventory: see inventory.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/inventory.h"

#include <stddef.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_slot.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "daemon/wire/wire.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

struct past_exit {
	char service[WIRE_SERVICE_SIZE];
	uint32_t index;
	struct replica_exit exit;
};

struct inventory {
	struct wire_slot *slots; /* note is an own copy */
	size_t n, cap;
	struct past_exit *exits; /* the newest of each replica */
	size_t n_exits, cap_exits;
	struct wire_unit_state *units;
	size_t n_units, cap_units;
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
	mem_free(v->exits);
	mem_free(v->units);
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

int inventory_add_unit(struct inventory *v, const struct wire_unit_state *m)
{
	size_t i = 0;

	while (i < v->n_units && !wire_key_equal(&v->units[i].key, &m->key))
		i++;
	if (i == v->n_units) {
		if (mem_grow(&v->units, &v->cap_units, v->n_units + 1, sizeof(*v->units)) < 0)
			return -ERR_NOMEM;
		v->n_units++;
	}
	v->units[i] = *m;
	return 0;
}

static void restore_unit(const struct inventory *v, struct replica *r, const struct wire_slot *slot)
{
	for (size_t i = 0; i < v->n_units; i++)
		if (wire_key_same_slot(&v->units[i].key, &slot->key))
			replica_unit_take(r, &v->units[i]);
}

static struct past_exit *find_exit(const struct inventory *v, const char *service, uint32_t index)
{
	for (size_t i = v->n_exits; i-- > 0;) /* the store gives them sorted: mostly the last */
		if (v->exits[i].index == index && strcmp(v->exits[i].service, service) == 0)
			return &v->exits[i];
	return NULL;
}

int inventory_add_exit(struct inventory *v, const struct store_exit *x)
{
	struct past_exit *at = find_exit(v, x->service, x->index);

	if (at && at->exit.at_wall_ms > x->ended_wall_ms)
		return 0;
	if (!at) {
		if (mem_grow(&v->exits, &v->cap_exits, v->n_exits + 1, sizeof(*v->exits)) < 0)
			return -ERR_NOMEM;
		at = &v->exits[v->n_exits++];
	}
	*at = (struct past_exit){.index = x->index, .exit = exits_from_store(x)};
	memccpy(at->service, x->service, '\0', sizeof(at->service) - 1);
	return 0;
}

const struct replica_exit *inventory_last_exit(const struct inventory *v, const char *service,
					       uint32_t index)
{
	const struct past_exit *at = find_exit(v, service, index);

	return at ? &at->exit : NULL;
}

/* A service of which only processes are left: to be ended, unless it is we who have forgotten it.
 */
static struct service *unknown_service(struct controller *c, const char *name)
{
	struct service *s = service_new(c, name, "");

	if (s && controller_add_service(c, s) < 0) {
		service_free(s);
		return NULL;
	}
	if (s && c->store_replaced) {
		s->left_alone = true;
		log_warn(
			"service=%s has processes and its manifest is lost: left alone, apply it again",
			name);
	} else if (s) {
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
		struct past_exit *past;
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
		past = find_exit(v, slot->key.service, slot->key.index);
		if (past)
			r->last_exit = replica_last_exit(&past->exit);
		restore_unit(v, r, slot); /* why it could not start, above all */
		replica_slot_restore(r, slot);
		restore_unit(v, r, slot);
		if (r->was_left_alone && s->deleted && !s->spec) { /* by the controller before us */
			s->deleted = false;
			s->left_alone = true;
		}
		controller_touch(s);
	}
}
