/* strangers: see strangers.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/strangers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_cgroup.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/sockdiag.h"
#include "daemon/controller/stranger.h"
#include "daemon/controller/why.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define REASON "port_taken"

/* Of a replica, while there is one. */
struct replica_stranger {
	uint16_t port;
	uint32_t uid;
	uint64_t cgroup;
	int64_t since_wall_ms;
	int pid;			   /* of the replica that it belongs to; 0 = of none */
	char name[WIRE_SERVICE_SIZE + 16]; /* that one's */
};

struct strangers {
	struct controller *c;
	uv_timer_t timer;
	int64_t looked_mono_ms; /* at all of them */
	int64_t pause_ms;
	int64_t again_mono_ms; /* after err; 0 = there was none */
	int err;
	bool told; /* of err */
};

/* One port of one replica. */
struct watched {
	uint16_t port;
	bool known; /* the claim is filled in: somebody listens there */
	struct replica *r;
	struct look *look;
	struct stranger_claim claim;
};

struct look {
	const struct controller *c;
	struct watched *list; /* by port */
	size_t n, cap;
	uint64_t *cgroups; /* of all replicas, sorted; NULL = nobody has asked yet */
	size_t n_cgroups, cgroups_cap;
};

static void look_done(struct look *l)
{
	mem_free(l->list);
	mem_free(l->cgroups);
}

static void on_timer(uv_timer_t *timer);
static void gone(struct replica *r);

struct strangers *strangers_new(struct controller *c)
{
	struct strangers *k = mem_alloc(sizeof(*k));

	if (!k)
		return NULL;
	k->c = c;
	k->pause_ms = STRANGERS_EVERY_MS;
	uv_timer_init(c->loop, &k->timer);
	k->timer.data = k;
	return k;
}

static void on_closed(uv_handle_t *h)
{
	mem_free(h->data);
}

void strangers_close(struct strangers *k)
{
	if (k)
		uv_close((uv_handle_t *)&k->timer, on_closed);
}

int strangers_error(const struct strangers *k)
{
	return k ? k->err : 0;
}

void strangers_forget(struct replica *r)
{
	mem_free(r->stranger);
	r->stranger = NULL;
}

/* ---- who is looked at ---- */

/* Where the gateway asks it for the k-th of its service's ports, 0 = not by a port; false: no more. */
static bool asked_at(const struct replica *r, size_t k, uint16_t *ret)
{
	const struct port_spec *p = routes_proxied(r->service->spec, k), *own;

	*ret = 0;
	if (!p || r->service->deleted)
		return false;
	own = replica_ports_named(r, p->name);
	if (own && own->mode == PORT_PROXY && !own->on_socket)
		*ret = (uint16_t)replica_ports_number(r, p->name);
	return true;
}

/* Requests go to it, or would but for a stranger. */
static bool is_watched(const struct replica *r)
{
	if (!r->pid || r->closing || !r->spec)
		return false;
	if (r->state == REPLICA_READY)
		return true;
	return (r->state == REPLICA_UNREADY || r->state == REPLICA_STARTING) &&
	       (r->health.ready || r->stranger);
}

static void add(struct look *l, struct replica *r)
{
	uint16_t port;

	for (size_t k = 0; asked_at(r, k, &port); k++)
		if (port && mem_grow(&l->list, &l->cap, l->n + 1, sizeof(*l->list)) == 0)
			l->list[l->n++] = (struct watched){.port = port, .r = r, .look = l};
}

static void add_all(struct look *l)
{
	const struct controller *c = l->c;

	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++) {
			size_t before = l->n;

			if (is_watched(s->replicas[k]))
				add(l, s->replicas[k]);
			if (s->replicas[k]->stranger && l->n == before)
				gone(s->replicas[k]); /* nobody asks it by a port any more */
		}
	}
}

static bool any(const struct controller *c)
{
	uint16_t port;

	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++)
			for (size_t p = 0;
			     is_watched(s->replicas[k]) && asked_at(s->replicas[k], p, &port); p++)
				if (port)
					return true;
	}
	return false;
}

static int by_port(const void *a, const void *b)
{
	uint16_t x = ((const struct watched *)a)->port, y = ((const struct watched *)b)->port;

	return (x > y) - (x < y);
}

/* ---- the look ---- */

static const struct replica *find_replica(const struct controller *c, uint64_t cgroup)
{
	for (size_t i = 0; cgroup > STRANGER_ROOT_CGROUP && i < c->n_services; i++) {
		const struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++)
			if (replica_cgroup_id(s->replicas[k]) == cgroup)
				return s->replicas[k];
	}
	return NULL;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void add_cgroups(struct look *l)
{
	for (size_t i = 0; i < l->c->n_services; i++) {
		const struct service *s = l->c->services[i];

		if (mem_grow(&l->cgroups, &l->cgroups_cap, l->n_cgroups + s->n_replicas + 1,
			     sizeof(*l->cgroups)) < 0)
			break;
		for (size_t k = 0; k < s->n_replicas; k++)
			l->cgroups[l->n_cgroups++] = replica_cgroup_id(s->replicas[k]);
	}
	if (l->n_cgroups > 0)
		qsort(l->cgroups, l->n_cgroups, sizeof(*l->cgroups), by_number);
}

static bool is_below(uint64_t cgroup, void *user)
{
	const struct watched *w = user;

	return replica_cgroup_has(w->r, cgroup);
}

/* Each replica's is a look at its directory: once for all who ask. */
static bool is_anothers(uint64_t cgroup, void *user)
{
	struct look *l = ((const struct watched *)user)->look;

	if (!l->cgroups)
		add_cgroups(l);
	return cgroup > STRANGER_ROOT_CGROUP && l->n_cgroups > 0 &&
	       bsearch(&cgroup, l->cgroups, l->n_cgroups, sizeof(cgroup), by_number);
}

static void take(const struct sockdiag_socket *s, void *user)
{
	struct look *l = user;
	const struct watched key = {.port = s->local_port};
	struct watched *w = bsearch(&key, l->list, l->n, sizeof(key), by_port);

	if (!w)
		return;
	if (!w->known) {
		const struct replica *r = w->r;

		w->known = true;
		w->claim.cgroup = replica_cgroup_id(r);
		w->claim.container = replica_unit_is(r);
		w->claim.uid = r->identity ? r->identity->uid : r->service->controller->owner;
		w->claim.below = is_below;
		w->claim.others = is_anothers;
		w->claim.user = w;
	}
	stranger_see(&w->claim, s);
}

/* Ours, for a moment: the kernel would tell. */
static bool is_shortage(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS || err == EAGAIN;
}

static void tell_error(struct strangers *k, int err)
{
	int64_t pause = is_shortage(err) ? STRANGERS_EVERY_MS : STRANGERS_REFUSED_MS;

	k->again_mono_ms = err ? clock_mono_ms() + pause : 0;
	k->err = err;
	if (err && !k->told)
		log_warn("the kernel does not say who listens (%s): a replica whose port another "
			 "process has taken is not told from others",
			 strerror(err)); /* the loop's thread alone asks it */
	k->told = k->told || err;
}

/* False: nobody can say. */
static bool ask(struct strangers *k, struct look *l)
{
	if (clock_mono_ms() < k->again_mono_ms)
		return false;
	qsort(l->list, l->n, sizeof(*l->list), by_port);
	tell_error(k, sockdiag_read(SOCKDIAG_LISTENING, l->list[0].port, l->list[l->n - 1].port,
				    take, l));
	return !k->err;
}

/* ---- what is found ---- */

static void find_name(const struct controller *c, struct replica_stranger *x)
{
	const struct replica *r = find_replica(c, x->cgroup);

	if (!r)
		return;
	snprintf(x->name, sizeof(x->name), "%s/%u", r->service->name, r->index);
	x->pid = r->pid;
}

static void say(struct replica *r)
{
	const struct replica_stranger *x = r->stranger;

	if (x->name[0])
		replica_say(r, REASON, "no requests: %s listens on its port %u", x->name, x->port);
	else
		replica_say(r, REASON,
			    "no requests: a process of uid %" PRIu32
			    ", not its own, listens on its port %u",
			    x->uid, x->port);
}

/* True: it was not known. */
static bool remember(struct replica *r, const struct watched *w)
{
	struct replica_stranger *x = r->stranger;

	if (x && x->port == w->port && x->uid == w->claim.by_uid && x->cgroup == w->claim.by_cgroup)
		return false;
	if (!x)
		x = r->stranger = mem_alloc(sizeof(*x));
	if (!x)
		return false;
	*x = (struct replica_stranger){.port = w->port,
				       .uid = w->claim.by_uid,
				       .cgroup = w->claim.by_cgroup,
				       .since_wall_ms = clock_wall_ms()};
	find_name(r->service->controller, x);
	return true;
}

/* The first of its ports where somebody else is, or NULL. */
static const struct watched *found_of(const struct look *l, const struct replica *r)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].r == r && l->list[i].claim.found)
			return &l->list[i];
	return NULL;
}

/* It is at work, and shall have no more requests. */
static void found(struct replica *r, const struct watched *w)
{
	if (!remember(r, w))
		return;
	say(r);
	log_warn("replica=%s/%u %s", r->service->name, r->index, replica_message(r));
	if (r->state == REPLICA_READY)
		replica_post(r, REPLICA_EV_UNHEALTHY);
	else
		replica_publish(r, "port", NULL, NULL, NULL);
	controller_touch(r->service);
}

static void gone(struct replica *r)
{
	if (r->stranger)
		log_info("replica=%s/%u nobody else listens on its port %u any more",
			 r->service->name, r->index, r->stranger->port);
	strangers_forget(r);
	controller_touch(r->service);
	if (r->state != REPLICA_READY && r->health.ready && !r->frozen && !replica_hooks_hold(r))
		replica_verdict(r, HEALTH_READY, PROBE_READINESS);
}

/* ---- when ---- */

static void arm(struct strangers *k, int64_t ms)
{
	uv_update_time(k->c->loop);
	uv_timer_start(&k->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

/* What a replica is told may have another one look; none of them goes before the loop's next turn. */
static void judge(struct strangers *k, struct look *l)
{
	k->pause_ms = STRANGERS_EVERY_MS;
	for (size_t i = 0; i < l->n; i++) {
		struct replica *r = l->list[i].r;
		bool other = !l->list[i].claim.found && (r->stranger || r->state != REPLICA_READY);

		if (l->list[i].claim.found)
			found(r, found_of(l, r));
		else if (other && !found_of(l, r))
			gone(r);
		if (r->stranger)
			k->pause_ms = STRANGERS_SOON_MS;
	}
}

static void look_at_all(struct strangers *k)
{
	struct look l = {.c = k->c};

	uv_timer_stop(&k->timer);
	add_all(&l);
	if (l.n > 0) {
		k->looked_mono_ms = clock_mono_ms();
		if (ask(k, &l))
			judge(k, &l);
		if (!k->err)
			arm(k, k->pause_ms);
		else if (is_shortage(k->err))
			arm(k, k->again_mono_ms - k->looked_mono_ms);
	}
	look_done(&l);
}

static void on_timer(uv_timer_t *timer)
{
	look_at_all(timer->data);
}

void strangers_routed(struct strangers *k)
{
	int64_t due;

	if (!k || (k->err && !is_shortage(k->err)) || uv_is_active((uv_handle_t *)&k->timer) ||
	    !any(k->c))
		return;
	due = k->looked_mono_ms ? k->looked_mono_ms + k->pause_ms - clock_mono_ms() : 0;
	arm(k, due);
}

void strangers_chance(struct strangers *k)
{
	int64_t now = clock_mono_ms();

	if (!k || !uv_is_active((uv_handle_t *)&k->timer))
		return;
	if (now - k->looked_mono_ms >= k->pause_ms / 2)
		look_at_all(k);
}

bool strangers_hold(struct replica *r)
{
	struct strangers *k = r->service->controller->strangers;
	const struct watched *w;
	struct look l = {0};
	bool first;

	if (!k || (r->state != REPLICA_STARTING && r->state != REPLICA_UNREADY))
		return false;
	l.c = k->c;
	add(&l, r);
	w = l.n > 0 && ask(k, &l) ? found_of(&l, r) : NULL;
	if (l.n > 0 && !uv_is_active((uv_handle_t *)&k->timer))
		k->looked_mono_ms = clock_mono_ms(); /* there is no other one */
	if (!w) {
		strangers_forget(r);
		look_done(&l);
		return false;
	}
	first = remember(r, w);
	look_done(&l);
	if (!r->stranger) /* no memory: nobody could let it go again */
		return false;
	say(r);
	if (first) {
		log_warn("replica=%s/%u %s", r->service->name, r->index, replica_message(r));
		replica_publish(r, "port", NULL, NULL, NULL);
	}
	k->pause_ms = STRANGERS_SOON_MS;
	arm(k, k->pause_ms);
	controller_touch(r->service);
	return true;
}

/* ---- what is shown ---- */

void strangers_explain(struct why *y, struct why_link *l, const struct replica *r)
{
	const struct replica_stranger *x = r->stranger;

	if (!x)
		return;
	if (x->name[0])
		why_prove(y, l, "port", x->since_wall_ms,
			  "127.0.0.1:%u is not its own: %s (pid %d, uid %" PRIu32 ") listens there",
			  x->port, x->name, x->pid, x->uid);
	else
		why_prove(y, l, "port", x->since_wall_ms,
			  "127.0.0.1:%u is not its own: a process of uid %" PRIu32
			  " in cgroup %" PRIu64 " listens there",
			  x->port, x->uid, x->cgroup);
	why_prove(y, l, "hint", 0, "ss -Hltnp 'sport = :%u' shows that process", x->port);
	why_prove(y, l, "next", 0,
		  "it gets requests again when nobody else listens there; this never restarts it");
	why_decide(y, l, r->service, "ports");
}
