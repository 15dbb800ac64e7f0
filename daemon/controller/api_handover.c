/*
 * api_handover: POST /v1/daemon/detach and /reexec. aictld decides, and tells with STATUS: a mode
 * in which it leaves (202, the last that this controller says), or one refusal more (409, with the
 * reason). Nothing else answers the request.
 *
 * SPDX-License-Identifier: MIT
 */
#include <sys/queue.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/link.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

struct handover {
	LIST_ENTRY(handover) entry;
	struct http_request *r;
};

static void handover_free(struct handover *h)
{
	LIST_REMOVE(h, entry);
	mem_free(h);
}

static void on_gone(struct http_request *r, void *user)
{
	http_request_forget(r);
	handover_free(user);
}

static void begin(struct api_call *call, enum wire_control what)
{
	struct handover *h = mem_alloc(sizeof(*h));
	_cleanup_buf_ struct buf packet = {0};

	if (!h) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	h->r = call->r;
	LIST_INSERT_HEAD(&call->c->handovers, h, entry);
	http_request_set_user(call->r, h, on_gone);
	wire_encode_u32(&packet, WIRE_CONTROL, (uint32_t)what);
	link_send(call->c->link, &packet);
}

void api_handover_detach(struct api_call *call)
{
	begin(call, WIRE_CONTROL_DETACH);
}

void api_handover_reexec(struct api_call *call)
{
	begin(call, WIRE_CONTROL_REEXEC);
}

static void accept_all(struct controller *c)
{
	while (!LIST_EMPTY(&c->handovers)) {
		_cleanup_buf_ struct buf b = {0};
		struct jsonw w = {.out = &b};
		struct handover *h = LIST_FIRST(&c->handovers);

		jsonw_object_begin(&w, NULL);
		jsonw_bool(&w, "accepted", true);
		jsonw_object_end(&w);
		api_reply(h->r, 202, &b);
		handover_free(h);
	}
}

static void refuse_all(struct controller *c)
{
	while (!LIST_EMPTY(&c->handovers)) {
		struct handover *h = LIST_FIRST(&c->handovers);

		api_reply_error(h->r, 409, "conflict", "%s", c->status.refusal);
		handover_free(h);
	}
}

void api_handover_told(struct controller *c, uint32_t refusals_before)
{
	if (c->status.mode == WIRE_MODE_DETACH)
		accept_all(c);
	else if (c->status.refusals != refusals_before)
		refuse_all(c);
}
