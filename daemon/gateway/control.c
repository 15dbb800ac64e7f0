/* control: see control.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/control.h"

#include <errno.h>
#include <string.h>

#include "daemon/gateway/channel.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/listener.h"
#include "daemon/wire/wire_routes.h"
#include "lib/log.h"
#include "lib/version.h"

static void flush(struct control *c)
{
	const struct routes *r = &c->g->routes;

	if (!c->channel)
		return;
	if (c->pong_due) {
		buf_clear(&c->out);
		wire_encode_empty(&c->out, WIRE_PONG);
		c->pong_due = !channel_send(c->channel, &c->out, NULL, 0);
	}
	if (c->routed_due && !c->pong_due) {
		buf_clear(&c->out);
		wire_routes_encode_routed(&c->out, r->epoch, r->generation);
		c->routed_due = !channel_send(c->channel, &c->out, NULL, 0);
	}
}

static int take_fd(struct wire_packet *p)
{
	int fd = p->fds[0];

	p->fds[0] = -1;
	return fd;
}

static int on_hello(struct control *c, struct wire_packet *p)
{
	struct wire_hello m;

	if (wire_decode_hello(p->body, p->len, &m) < 0)
		return -EBADMSG;
	if (strcmp(m.version, version_text) != 0) {
		log_error("aictld=%s aictl-gateway=%s versions differ", m.version, version_text);
		return -EPROTO;
	}
	c->greeted = true;
	if (p->n_fds == 1)
		access_open(&c->g->access, take_fd(p));
	log_set_level((enum log_level)m.log_level);
	return 0;
}

static int on_listener(struct control *c, struct wire_packet *p)
{
	struct wire_listen_at at;
	int r;

	if (wire_listen_decode_at(p->body, p->len, &at) < 0 || p->n_fds != 1)
		return -EBADMSG;
	r = listener_add(c->g, &at, take_fd(p));
	if (r < 0)
		log_error("address=%s port=%u error=\"%s\" cannot be served", at.address, at.port,
			  strerror(-r));
	return 0;
}

static int dispatch(struct control *c, struct wire_packet *p)
{
	struct wire_listen_at at;
	uint32_t level;

	switch ((int)p->type) {
	case WIRE_HELLO:
		return on_hello(c, p);
	case WIRE_LISTENER:
		return on_listener(c, p);
	case WIRE_LISTENER_OFF:
		if (wire_listen_decode_at(p->body, p->len, &at) < 0)
			return -EBADMSG;
		listener_remove(c->g, &at);
		return 0;
	case WIRE_PEER:
		if (p->n_fds != 1)
			return -EBADMSG;
		peer_set(&c->g->peer, take_fd(p));
		return 0;
	case WIRE_LOG_LEVEL:
		if (wire_decode_u32(p->body, p->len, &level) < 0 || level > LOG_LVL_DEBUG)
			return -EBADMSG;
		log_set_level((enum log_level)level);
		return 0;
	case WIRE_QUIT:
		c->quit = true;
		gateway_end(c->g);
		return 0;
	case WIRE_PING:
		c->pong_due = true;
		flush(c);
		return 0;
	default:
		return 0; /* nothing that concerns us */
	}
}

static void lost(struct control *c, int err)
{
	control_close(c);
	if (!c->quit)
		c->on_lost(c->user, err);
}

static void on_packet(void *user, struct wire_packet *p)
{
	struct control *c = user;
	int r;

	log_debug("packet=%s bytes=%zu", wire_type_name(p->type), p->len);
	r = dispatch(c, p);
	if (r == 0)
		return;
	log_error("error=\"%s\" no understanding with aictld, ending", strerror(-r));
	lost(c, r);
}

static void on_end(void *user, int err)
{
	lost(user, err);
}

static void on_writable(void *user)
{
	flush(user);
}

static const struct channel_ops ops = {
	.on_packet = on_packet, .on_end = on_end, .on_writable = on_writable};

int control_init(struct control *c, struct gateway *g, int fd)
{
	*c = (struct control){.g = g};
	return channel_new(&g->uv, fd, &ops, c, &c->channel);
}

void control_routed(struct control *c)
{
	c->routed_due = true;
	flush(c);
}

void control_close(struct control *c)
{
	if (c->channel)
		channel_close(c->channel);
	c->channel = NULL;
	buf_done(&c->out);
}
