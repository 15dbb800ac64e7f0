/* replica_cgroup: see replica_cgroup.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_cgroup.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/limits.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"

void replica_cgroup_send_limits(const struct replica *r)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);
	struct wire_limits limits;

	if (!r->spec || !replica_sm_is_live(r->state) ||
	    !(c->status.cgroup_can & ~(uint32_t)WIRE_CGROUP_TRACK))
		return; /* nothing runs, or nobody would keep them */
	limits_of(r->spec, &limits);
	buf_clear(&c->packet);
	wire_cgroup_encode_limits(&c->packet, &key, &limits);
	link_send(c->link, &c->packet);
}

const char *replica_cgroup_why_not(const struct controller *c)
{
	if (c->status.cgroup_can & WIRE_CGROUP_TRACK)
		return NULL;
	return "the daemon may use no cgroup2 tree here (see aictl doctor)";
}

void replica_cgroup_freeze(struct replica *r, bool frozen)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);

	if (!r->pid)
		return;
	r->freeze_asked = frozen;
	buf_clear(&c->packet);
	wire_cgroup_encode_freeze(&c->packet, &key, frozen);
	link_send(c->link, &c->packet);
}

static void publish(const struct replica *r)
{
	struct journal_entry *e = journal_next(r->service->controller->journal);

	memccpy(e->service, r->service->name, '\0', sizeof(e->service) - 1);
	e->replica = (int32_t)r->index;
	e->type = r->frozen ? "frozen" : "thawed";
	e->reason = r->frozen ? "user_freeze" : "user_thaw";
	e->from = e->to = e->cause = NULL;
	snprintf(e->message, sizeof(e->message), "%s",
		 r->frozen ? REPLICA_CGROUP_MESSAGE : "thawed by the user");
}

void replica_cgroup_take(struct replica *r, const struct wire_slot *slot)
{
	bool frozen = slot->frozen;

	r->tracked = slot->tracked;
	if (r->frozen == frozen || r->state == REPLICA_STOPPING)
		return; /* a stop has thawed it */
	r->frozen = frozen;
	controller_touch(r->service);
	if (frozen)
		replica_probe_pause(r);
	log_info("replica=%s/%u frozen=%s", r->service->name, r->index, frozen ? "yes" : "no");
	publish(r);
	if (frozen || !r->spec)
		return;
	if (!r->health.started) /* its start has as long as ever */
		r->health.begun_mono_ms = clock_mono_ms();
	replica_probe_resume(r);
}
