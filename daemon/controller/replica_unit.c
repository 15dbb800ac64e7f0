/* replica_unit: see replica_unit.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_unit.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/runtimes.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define PULL_EVENT_MS 5000 /* between two events of one pull */
#define SIZE_SIZE 24

struct replica_unit {
	struct wire_unit_state said;
	/* The last one that could not be started, and why. */
	char failed[WIRE_INCARNATION_SIZE];
	char failure[WIRE_UNIT_TEXT_SIZE];
	uint8_t failed_what;	   /* enum wire_what */
	bool direct;		   /* said.address is in a network that this machine is part of */
	int64_t pull_mono_ms;	   /* its beginning; 0 = none is known of */
	int64_t pull_told_mono_ms; /* the last event of it */
	uint32_t pull_told_layers; /* done, when it was told */
	uint64_t pull_total;	   /* bytes, as far as they were known */
};

void replica_unit_free(struct replica *r)
{
	mem_free(r->unit);
	r->unit = NULL;
}

void replica_unit_begin(struct replica *r)
{
	if (!r->unit)
		return;
	r->unit->said = (struct wire_unit_state){0};
	r->unit->pull_mono_ms = r->unit->pull_told_mono_ms = 0;
	r->unit->pull_told_layers = 0;
	r->unit->pull_total = 0;
}

void replica_unit_asked(const struct replica *r)
{
	if (!replica_unit_is_lost(r))
		return;
	events_add(r->service->controller->events,
		   &(struct event_args){.service = r->service->name,
					.replica = (int)r->index,
					.type = "engine",
					.reason = "engine_lost",
					.message = replica_unit_why_lost(r)});
}

bool replica_unit_is(const struct replica *r)
{
	const struct service_spec *spec = r->spec ? r->spec : r->service->spec;

	return spec && service_spec_is_container(spec);
}

static const char *name_of(const struct replica *r)
{
	return runtimes_name_of(r->spec ? r->spec : r->service->spec);
}

bool replica_unit_is_lost(const struct replica *r)
{
	return replica_unit_is(r) && replica_sm_is_live(r->state) && !r->preparing &&
	       runtimes_is_lost(r->service->controller->runtimes, name_of(r), clock_mono_ms());
}

enum replica_state replica_unit_shown(const struct replica *r)
{
	return replica_unit_is_lost(r) ? REPLICA_UNKNOWN : r->state;
}

const char *replica_unit_why_lost(const struct replica *r)
{
	return runtimes_why_lost(r->service->controller->runtimes, name_of(r));
}

const char *replica_unit_failure(const struct replica *r, const char *incarnation)
{
	const struct replica_unit *u = r->unit;

	return u && u->failure[0] && strcmp(u->failed, incarnation) == 0 ? u->failure : NULL;
}

const char *replica_unit_failed_key(const struct replica *r)
{
	int what = r->unit ? r->unit->failed_what : WIRE_WHAT_NONE;

	return what == WIRE_WHAT_IMAGE	   ? "image"
	       : what == WIRE_WHAT_RUNTIME ? "runtime"
					   : "command";
}

const struct wire_unit_state *replica_unit_said(const struct replica *r)
{
	const struct replica_unit *u = r->unit;

	return u && u->said.key.incarnation[0] &&
			       strcmp(u->said.key.incarnation, r->incarnation) == 0
		       ? &u->said
		       : NULL;
}

/* ---- its address ---- */

/* Of one interface: its own address and mask, IPv4 only, as bridges are by default. */
static bool is_in(const struct ifaddrs *i, struct in_addr address)
{
	const struct sockaddr_in *own = (const struct sockaddr_in *)(const void *)i->ifa_addr;
	const struct sockaddr_in *mask = (const struct sockaddr_in *)(const void *)i->ifa_netmask;

	if (!own || !mask || own->sin_family != AF_INET || mask->sin_addr.s_addr == 0)
		return false;
	return ((own->sin_addr.s_addr ^ address.s_addr) & mask->sin_addr.s_addr) == 0;
}

/* Not so of an engine in a machine of its own, or of an ordinary user's. */
static bool is_near(const char *text)
{
	struct ifaddrs *list = NULL;
	struct in_addr address;
	bool near = false;

	if (inet_pton(AF_INET, text, &address) != 1 || getifaddrs(&list) < 0)
		return false;
	for (const struct ifaddrs *i = list; i && !near; i = i->ifa_next)
		near = is_in(i, address);
	freeifaddrs(list);
	return near;
}

const char *replica_unit_address(const struct replica *r)
{
	const struct wire_unit_state *m = replica_unit_is(r) ? replica_unit_said(r) : NULL;

	return m && r->unit->direct ? m->address : NULL;
}

/* ---- the pull ---- */

static const char *size_text(uint64_t bytes, char out[SIZE_SIZE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(out, SIZE_SIZE, unit > 0 && value < 9.95 ? "%.1f%s" : "%.0f%s", value,
		 units[unit]);
	return out;
}

static const char *image_of(const struct replica *r)
{
	return r->spec && r->spec->container.image ? r->spec->container.image : "its image";
}

/* "pulling postgres:16: 3 of 14 layers, 12MiB of 40MiB" */
static void say_pull(struct replica *r, const struct wire_unit_state *m)
{
	char done[SIZE_SIZE], total[SIZE_SIZE];
	_cleanup_buf_ struct buf text = {0};

	buf_printf(&text, "pulling %s", image_of(r));
	if (m->layers)
		buf_printf(&text, ": %" PRIu32 " of %" PRIu32 " layers", m->layers_done, m->layers);
	if (m->done)
		buf_printf(&text, "%s%s", m->layers ? ", " : ": ", size_text(m->done, done));
	if (m->done && m->total)
		buf_printf(&text, " of %s", size_text(m->total, total));
	if (!m->layers && !m->done && m->text[0])
		buf_printf(&text, ": %s", m->text);
	replica_say(r, "pulling", "%s", buf_cstr(&text));
}

static void on_pull(struct replica *r, const struct wire_unit_state *m)
{
	struct replica_unit *u = r->unit;
	int64_t now = clock_mono_ms();

	if (r->state != REPLICA_STARTING)
		return;
	say_pull(r, m);
	if (!u->pull_mono_ms)
		u->pull_mono_ms = now;
	if (m->total > u->pull_total)
		u->pull_total = m->total;
	else if (m->done > u->pull_total)
		u->pull_total = m->done;
	controller_touch(r->service);
	if (u->pull_told_mono_ms &&
	    (now - u->pull_told_mono_ms < PULL_EVENT_MS || u->pull_told_layers == m->layers_done))
		return;
	u->pull_told_mono_ms = now;
	u->pull_told_layers = m->layers_done;
	replica_publish(r, "pull", NULL, NULL, NULL);
}

/* It is over, with success: the container is being made. */
static void on_pulled(struct replica *r)
{
	struct replica_unit *u = r->unit;
	char size[SIZE_SIZE], took[32];

	replica_say(r, "image_pulled", "pulled %s%s%s in %s", image_of(r),
		    u->pull_total ? ", " : "", u->pull_total ? size_text(u->pull_total, size) : "",
		    clock_human(clock_mono_ms() - u->pull_mono_ms, took, sizeof(took)));
	replica_publish(r, "pull", NULL, NULL, NULL);
	replica_say(r, "spawning", "starting");
	u->pull_mono_ms = 0;
	controller_touch(r->service);
}

/* Its engine has not answered; its runtime asks again. */
static void on_delay(struct replica *r, const struct wire_unit_state *m)
{
	replica_say(r, "spawning", "not started yet: %s; trying again", m->text);
	controller_touch(r->service);
}

/* ---- what its runtime says ---- */

void replica_unit_take(struct replica *r, const struct wire_unit_state *m)
{
	struct replica_unit *u = r->unit;
	if (!u)
		u = r->unit = mem_alloc(sizeof(*u));
	if (!u)
		return;
	if (m->state == WIRE_UNIT_FAILED) {
		memcpy(u->failed, m->key.incarnation, sizeof(u->failed));
		memcpy(u->failure, m->text, sizeof(u->failure));
		u->failed_what = m->what;
	}
	if (strcmp(m->key.incarnation, r->incarnation) != 0)
		return; /* a former one's, which is still to be removed */
	if (strcmp(u->said.address, m->address) != 0 || !m->address[0])
		u->direct = m->address[0] && is_near(m->address);
	u->said = *m;
	if (m->state == WIRE_UNIT_PULLING)
		on_pull(r, m);
	else if (m->state == WIRE_UNIT_CREATED && m->text[0] && r->state == REPLICA_STARTING)
		on_delay(r, m);
	else if (u->pull_mono_ms &&
		 (m->state == WIRE_UNIT_CREATED || m->state == WIRE_UNIT_RUNNING))
		on_pulled(r);
}

/* ---- shown ---- */

void replica_unit_write(const struct replica *r, struct jsonw *w)
{
	const struct wire_unit_state *m = replica_unit_said(r);

	if (!replica_unit_is(r))
		return;
	if (!m || !replica_sm_is_live(r->state)) {
		jsonw_null(w, "container");
		return;
	}
	jsonw_object_begin(w, "container");
	jsonw_string(w, "state", wire_unit_name(m->state));
	jsonw_string(w, "id", m->id[0] ? m->id : NULL);
	jsonw_string(w, "image", image_of(r));
	jsonw_string(w, "ip", m->address[0] ? m->address : NULL);
	if (m->state == WIRE_UNIT_PULLING) {
		jsonw_object_begin(w, "pull");
		jsonw_int(w, "layers_done", m->layers_done);
		jsonw_int(w, "layers", m->layers);
		jsonw_int(w, "done_bytes", (int64_t)m->done);
		jsonw_int(w, "total_bytes", (int64_t)m->total);
		jsonw_object_end(w);
	} else {
		jsonw_null(w, "pull");
	}
	jsonw_object_end(w);
}
