/* gateway_rig: see gateway_rig.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/gateway_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/wire/wire_routes.h"
#include "lib/buf.h"
#include "lib/mem.h"

void rig_forget_gateway(struct rig *r)
{
	for (unsigned i = 0; i < r->n_listeners; i++)
		mem_closep(&r->listeners[i].fd);
	r->n_listeners = r->n_listeners_off = 0;
	r->gateway_synced = r->gateway_quits = false;
	mem_closep(&r->gateway_peer);
}

void rig_got_listener(struct rig *r)
{
	struct rig_listener *l = &r->listeners[r->n_listeners++];

	assert_true(r->n_listeners <= RIG_LISTENERS_MAX);
	assert_int_equal(r->packet.n_fds, 1);
	assert_int_equal(wire_listen_decode_at(r->packet.body, r->packet.len, &l->at), 0);
	l->fd = TAKE_FD(r->packet.fds[0]);
}

void rig_got_listener_off(struct rig *r)
{
	struct wire_listen_at at;
	struct rig_listener *l;

	assert_int_equal(wire_listen_decode_at(r->packet.body, r->packet.len, &at), 0);
	l = rig_listener(r, at.address, at.port);
	assert_non_null(l);
	if (!l)
		return;
	close(l->fd);
	*l = r->listeners[--r->n_listeners];
	r->n_listeners_off++;
}

void rig_got_peer(struct rig *r, struct rig_helper *h)
{
	bool gateway = h == &r->gateway;
	int *fd = gateway ? &r->gateway_peer : &r->controller_peer;

	assert_int_equal(r->packet.n_fds, 1);
	mem_closep(fd);
	*fd = TAKE_FD(r->packet.fds[0]);
	*(gateway ? &r->n_gateway_peers : &r->n_controller_peers) += 1;
}

void rig_take_gateway(struct rig *r, struct rig_helper *gateway,
		      struct rig_listener listeners[RIG_LISTENERS_MAX])
{
	*gateway = r->gateway;
	r->gateway = (struct rig_helper){.conn = -1, .wire = -1};
	memcpy(listeners, r->listeners, sizeof(r->listeners));
	r->n_listeners = 0;
	rig_forget_gateway(r);
}

void rig_listen(struct rig *r, const char *const *all)
{
	struct wire_listen_state list[RIG_LISTENERS_MAX] = {0};
	struct wire_listen m = {.list = list};
	struct buf b = {0};

	for (; *all; all++) {
		unsigned port;

		assert_true(m.n < RIG_LISTENERS_MAX);
		assert_int_equal(sscanf(*all, "%45s %u", list[m.n].at.address, &port), 2);
		list[m.n++].at.port = (uint16_t)port;
	}
	wire_listen_encode(&b, WIRE_LISTEN, &m);
	rig_send_to(r->controller.wire, &b);
}

struct rig_listener *rig_listener(struct rig *r, const char *address, uint16_t port)
{
	for (unsigned i = 0; i < r->n_listeners; i++)
		if (r->listeners[i].at.port == port &&
		    strcmp(r->listeners[i].at.address, address) == 0)
			return &r->listeners[i];
	return NULL;
}

void rig_routed(struct rig *r)
{
	struct buf b = {0};

	wire_routes_encode_routed(&b, 1, 1);
	rig_send_to(r->gateway.wire, &b);
}
