/* gateway: see gateway.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/gateway.h"

#include <errno.h>
#include <unistd.h>

#include "daemon/supervisor/giveback.h"
#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/listen.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/wire/wire.h"
#include "daemon/wire/wire_routes.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"

/* ---- start ---- */

static bool has_no_user(const struct supervisor *sup)
{
	return geteuid() == 0 && !sup->dirs.gateway.set;
}

bool gateway_is_missing(struct supervisor *sup)
{
	return sup->gateway.binary_fd < 0 || has_no_user(sup);
}

void gateway_start(struct supervisor *sup)
{
	if (sup->gateways.wanted || gateway_is_missing(sup))
		return;
	sup->gateways.wanted = true; /* from here on helper.c keeps it running */
	helper_start(&sup->gateway);
}

void gateway_init(struct supervisor *sup)
{
	sup->gateways = (struct gateway){.ends = {-1, -1}};
}

static void close_ends(struct supervisor *sup)
{
	for (int i = 0; i < GATEWAY_ENDS; i++)
		mem_closep(&sup->gateways.ends[i]);
}

void gateway_done(struct supervisor *sup)
{
	close_ends(sup);
}

/* ---- PEER ---- */

void gateway_pair(struct supervisor *sup)
{
	int pair[2], r;

	close_ends(sup);
	if (sup->controller.link.fd < 0 || sup->gateway.link.fd < 0)
		return;
	r = sock_pair(pair);
	if (r < 0) {
		errno = -r;
		log_error("cannot make the socket between controller and gateway: %m");
		return;
	}
	sup->gateways.ends[GATEWAY_END_CONTROLLER] = pair[0];
	sup->gateways.ends[GATEWAY_END_GATEWAY] = pair[1];
}

bool gateway_flush_peer(struct supervisor *sup, struct link *l, enum gateway_end which)
{
	int *end = &sup->gateways.ends[which];

	if (*end < 0)
		return true;
	buf_clear(&l->out);
	wire_encode_empty(&l->out, WIRE_PEER);
	if (!link_send(l, end, 1))
		return false;
	mem_closep(end);
	return true;
}

/* ---- sending ---- */

void gateway_connected(struct supervisor *sup)
{
	struct gateway *g = &sup->gateways;

	g->hello_due = g->synced_due = true;
	g->level_due = g->routed = false;
	listen_connected(sup);
	gateway_pair(sup);
}

void gateway_log_level(struct supervisor *sup)
{
	sup->gateways.level_due = sup->gateway.link.fd >= 0;
	link_flush(&sup->gateway.link);
}

void gateway_quit(struct supervisor *sup)
{
	sup->gateways.quit_due = true;
	link_flush(&sup->gateway.link);
}

static void encode_hello(struct supervisor *sup, struct buf *b)
{
	struct wire_hello m;

	supervisor_fill_hello(sup, &m);
	wire_encode_hello(b, &m);
}

static bool send_once(struct link *l, bool *due, enum wire_type type)
{
	bool is_hello = type == WIRE_HELLO;

	if (!*due)
		return true;
	buf_clear(&l->out);
	if (type == WIRE_HELLO)
		encode_hello(l->sup, &l->out);
	else if (type == WIRE_LOG_LEVEL)
		wire_encode_u32(&l->out, WIRE_LOG_LEVEL, (uint32_t)log_level_get());
	else
		wire_encode_empty(&l->out, type);
	*due = !link_send(l, &l->sup->dirs.access_fd, is_hello && l->sup->dirs.access_fd >= 0);
	return !*due;
}

static void quit_former(struct supervisor *sup)
{
	const struct gateway *g = &sup->gateways;

	if (g->routed && !g->synced_due)
		giveback_quit_gateways(sup);
}

void gateway_flush(void *user)
{
	struct helper *h = user;
	struct gateway *g = &h->sup->gateways;
	struct link *l = &h->link;

	if (send_once(l, &g->hello_due, WIRE_HELLO) && listen_flush(h->sup, l) &&
	    send_once(l, &g->synced_due, WIRE_SYNCED) &&
	    gateway_flush_peer(h->sup, l, GATEWAY_END_GATEWAY) &&
	    send_once(l, &g->level_due, WIRE_LOG_LEVEL))
		send_once(l, &g->quit_due, WIRE_QUIT);
	quit_former(h->sup);
}

/* ---- receiving ---- */

void gateway_packet(void *user, struct wire_packet *p)
{
	struct helper *h = user;
	uint64_t epoch, generation;

	if (p->type != WIRE_ROUTED ||
	    wire_routes_decode_routed(p->body, p->len, &epoch, &generation) < 0) {
		log_warn("helper=%s sent a bad %s message, ignoring", h->name,
			 wire_type_name(p->type));
		return;
	}
	h->sup->gateways.routed = true;
	helpers_note_gateway(h->sup, helper_pid(h), TABLE_GATEWAY_SERVES);
	quit_former(h->sup);
}
