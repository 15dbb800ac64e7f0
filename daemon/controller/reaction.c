/* reaction: see reaction.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/reaction.h"

#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/deps.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_reload.h"
#include "daemon/controller/service.h"
#include "lib/manifest.h"
#include "lib/mem.h"

static bool runs(const struct replica *r)
{
	return r->pid && (r->state == REPLICA_STARTING || r->state == REPLICA_READY ||
			  r->state == REPLICA_UNREADY || r->state == REPLICA_DRAINING);
}

static bool reacts(const struct service *s)
{
	return s->spec && s->spec->on_dependency_restart != DEPENDENCY_IGNORE &&
	       s->spec->depends_on.n > 0;
}

/* ---- the dependency ---- */

/* One that is new begins anywhere: a later one of its name is another one. */
static uint64_t life_of(struct service *d)
{
	if (d->order.life == 0) {
		d->order.life = (controller_random_bits(d->controller) >> 34 << 1) + 2;
		for (size_t i = 0; i < d->n_replicas; i++)
			d->replicas[i]->note_dirty = true;
		controller_touch(d);
	}
	return d->order.life;
}

void reaction_ended(struct replica *r)
{
	int64_t begun = r->health.begun_mono_ms;

	if (r->service->order.watched &&
	    !(replica_sm_is_ending(r->state) && strcmp(r->stop_cause, "scale") == 0))
		r->reaction.ended_mono_ms = begun > 0 ? begun : 1;
}

static void look_at(struct service *s, struct replica *r)
{
	unsigned others = 0;
	bool younger = false;

	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *x = s->replicas[i];

		if (x == r || !runs(x))
			continue;
		others++;
		younger |= x->health.begun_mono_ms > r->reaction.ended_mono_ms;
	}
	life_of(s);
	deps_life_ended(&s->order.life, others, service_desired(s), younger);
	r->reaction.ended_mono_ms = 0;
	r->note_dirty = true;
}

void reaction_look(struct service *s)
{
	for (size_t i = 0; s->order.watched && i < s->n_replicas; i++)
		if (s->replicas[i]->reaction.ended_mono_ms)
			look_at(s, s->replicas[i]);
}

static struct replica *any_running(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (runs(s->replicas[i]))
			return s->replicas[i];
	return NULL;
}

bool reaction_settled(struct service *s)
{
	struct replica *r = s->order.watched ? any_running(s) : NULL;

	if (!r || !service_is_settled(s) || !deps_life_settled(&s->order.life))
		return false;
	r->note_dirty = true; /* the largest of all notes counts */
	replica_flush_note(r);
	return true;
}

void reaction_removed(struct service *s, const struct replica *r)
{
	for (size_t i = 0; s->order.watched && i < s->n_replicas; i++) {
		if (s->replicas[i] == r)
			continue;
		s->replicas[i]->note_dirty = true;
		replica_flush_note(s->replicas[i]);
		return;
	}
}

/* ---- who depends on it ---- */

static bool make_marks(struct replica *r, size_t n)
{
	struct reaction *x = &r->reaction;

	if (x->marks && x->n == n)
		return true;
	mem_free(x->marks);
	x->names = 0;
	x->n = 0;
	x->marks = mem_array(n, sizeof(*x->marks));
	if (x->marks)
		x->n = (uint8_t)n;
	return x->marks;
}

static uint32_t mark_of(const struct service *s, const struct depend_spec *spec)
{
	struct service *d = controller_find(s->controller, spec->name);

	if (!d)
		return 0;
	reaction_look(d); /* it may be settled after us */
	return deps_life_mark(spec->name, life_of(d));
}

void reaction_begun(struct replica *r)
{
	const struct service *s = r->service;
	const struct depend_spec *specs = s->spec ? s->spec->depends_on.v : NULL;
	size_t n = s->spec ? s->spec->depends_on.n : 0;

	/* while notes are still read nobody's life is known */
	if (!reacts(s) || s->controller->inventory || !make_marks(r, n)) {
		r->reaction.names = 0;
		return;
	}
	r->reaction.names = deps_names_mark(specs, n);
	for (size_t i = 0; i < n; i++)
		r->reaction.marks[i] = mark_of(s, &specs[i]);
	r->note_dirty = true;
}

static bool is_replaced(struct replica *r, size_t k)
{
	const struct depend_spec *spec =
		(const struct depend_spec *)r->service->spec->depends_on.v + k;
	const struct service *d = controller_find(r->service->controller, spec->name);
	uint32_t *seen = &r->reaction.marks[k], now;

	if (!d || d->deleted)
		return false;
	now = mark_of(r->service, spec);
	if (*seen == 0) { /* it was not there */
		*seen = now;
		r->note_dirty = true;
	}
	return *seen != now && service_is_settled(d) && any_running(d);
}

static void tell(struct replica *r)
{
	const struct service *s = r->service;

	if (r->reaction.names != deps_names_mark(s->spec->depends_on.v, s->spec->depends_on.n)) {
		reaction_begun(r);
		return;
	}
	for (size_t k = 0; k < r->reaction.n; k++) {
		if (!is_replaced(r, k))
			continue;
		if (s->spec->on_dependency_restart != DEPENDENCY_RELOAD)
			replica_recycle(r, "dependency", false);
		else if (replica_reload_is_able(r))
			replica_reload(r, "dependency");
		return;
	}
}

void reaction_tell(struct service *s)
{
	if (!reacts(s) || s->stopped || s->deleted)
		return;
	for (size_t i = 0; i < s->n_replicas; i++)
		if (runs(s->replicas[i]) && !s->replicas[i]->recycle)
			tell(s->replicas[i]);
}

/* ---- a new controller ---- */

/* Processes of it run, and no note says which life they are of: those that remember one forget it. */
static void forget(struct controller *c, const char *name)
{
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];
		const struct depend_spec *specs;

		if (!reacts(s))
			continue;
		specs = s->spec->depends_on.v;
		for (size_t k = 0; k < s->spec->depends_on.n; k++)
			for (size_t j = 0; j < s->n_replicas; j++)
				if (k < s->replicas[j]->reaction.n &&
				    strcmp(specs[k].name, name) == 0)
					s->replicas[j]->reaction.marks[k] = 0;
	}
}

void reaction_restored(struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++) {
		struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++)
			if (s->replicas[k]->reaction.note_life > s->order.life)
				s->order.life = s->replicas[k]->reaction.note_life;
		if (s->order.watched && s->n_replicas && s->order.life == 0)
			forget(c, s->name);
	}
}
