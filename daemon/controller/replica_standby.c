/* replica_standby: see replica_standby.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_standby.h"

#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/launch.h"
#include "daemon/controller/link.h"
#include "daemon/controller/order.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_note.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/point.h"

int64_t replica_standby_due(const struct replica *r)
{
	const struct service *s = r->service;

	if (r->standby[0] || r->pid == 0 || replica_unit_is(r) || !s->spec || s->stopped ||
	    s->deleted || s->left_alone || replica_sm_is_ending(r->state) ||
	    !replica_is_current(r) || r->recycle || s->spec->type == SPEC_TASK ||
	    replica_hooks_need_us(s->spec) || !order_is_open(s) || controller_frozen(s->controller))
		return INT64_MAX;
	return policy_at_once_from(&s->spec->restart, &r->policy, r->ready_mono_ms);
}

void replica_standby_give(struct replica *r)
{
	struct controller *c = r->service->controller;
	char current[WIRE_INCARNATION_SIZE];
	int rc;

	if (replica_standby_due(r) > clock_mono_ms())
		return;
	controller_new_incarnation(c, r->incarnation, r->standby);
	r->standby_hash = r->service->launch_hash;
	r->standby_revision = r->service->revision;
	r->standby_secrets = r->service->secrets.version; /* or newer ones, when it starts */
	buf_clear(&c->note);
	buf_clear(&c->packet);
	replica_note_encode_standby(r, &c->note);
	memcpy(current, r->incarnation, sizeof(current)); /* the packet is made for the next one */
	memcpy(r->incarnation, r->standby, sizeof(r->incarnation));
	rc = launch_encode(c, r, true, &c->note, &c->packet, NULL);
	memcpy(r->incarnation, current, sizeof(r->incarnation));
	if (rc < 0 || c->note.failed)
		r->standby[0] = '\0'; /* the ordinary way will say why */
	else
		link_send(c->link, &c->packet);
	POINT("controller.spawn.standby");
}

void replica_standby_off(const struct replica *r)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);

	buf_clear(&c->packet);
	wire_encode_key(&c->packet, WIRE_STANDBY_OFF, &key);
	link_send(c->link, &c->packet);
}

void replica_standby_renew(struct replica *r)
{

	if (!r->standby[0])
		return;
	r->standby[0] = '\0';
	replica_standby_give(r);
	if (!r->standby[0]) /* else it has replaced the old one */
		replica_standby_off(r);
}

/* Our process has ended and the slot has the next one already: aictld has used the standby. */
bool replica_standby_is_used(const struct replica *r, const struct wire_slot *slot)
{
	bool living = slot->state != WIRE_SLOT_EMPTY;

	if (strcmp(slot->key.incarnation, r->incarnation) == 0)
		return false;
	return living || (r->standby[0] && strcmp(slot->key.incarnation, r->standby) == 0);
}

void replica_standby_take(struct replica *r, const char *incarnation)
{
	if (r->state == REPLICA_STOPPING) { /* our STOP named the old one: again */
		memcpy(r->incarnation, incarnation, sizeof(r->incarnation));
		replica_send_stop(r);
		return;
	}
	if (strcmp(r->standby, incarnation) != 0) { /* a former controller's */
		memcpy(r->standby, incarnation, sizeof(r->standby));
		r->standby_hash = r->launch_hash;
		r->standby_revision = r->revision;
		r->standby_secrets = r->secrets_read;
	}
	r->standby_used = true;
	replica_say(r, "spawning", "starting again");
	replica_post(r, REPLICA_EV_START);
	r->standby_used = false;
}
