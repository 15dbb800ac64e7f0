/* listener: see listener.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/gateway/client.h"
#include "daemon/gateway/gateway.h"
#include "lib/log.h"
#include "lib/mem.h"

#define ACCEPTS_PER_TURN 64

static void on_poll(uv_poll_t *poll, int status, int events);

/* Replicas may have had it, too, and have made it block: the flag is the socket's, for all of us. */
static void unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static void update(struct listener *l)
{
	struct gateway *g = l->g;
	bool on = l->fd >= 0 && l->route && !l->route->gone && !g->draining && !g->closing &&
		  !g->starved && (g->n_clients < g->clients_max || client_any_idle(g));

	if (on == l->polled)
		return;
	l->polled = on;
	if (on)
		unblock(l->fd);
	if (on)
		uv_poll_start(&l->poll, UV_READABLE, on_poll);
	else
		uv_poll_stop(&l->poll);
}

static void update_all(struct gateway *g)
{
	for (struct listener *l = g->listeners; l; l = l->next)
		update(l);
}

static void on_starved(void *user)
{
	struct gateway *g = user;

	g->starved = false;
	update_all(g);
}

/* Nothing tells when there is room again. */
static void starve(struct gateway *g)
{
	g->starved = true;
	g->starved_for.fn = on_starved;
	g->starved_for.user = g;
	deadline_set(&g->deadlines, &g->starved_for, DEADLINE_AGAIN);
	update_all(g);
}

/* True: there may be more. */
static bool accept_one(struct listener *l)
{
	struct gateway *g = l->g;
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	int fd;

	if (g->n_clients >= g->clients_max && !client_evict(g)) {
		update(l);
		return false;
	}
	fd = accept4(l->fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		g->starved_told = false;
		client_new(l, fd, &from);
		return l->fd >= 0;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		if (!g->starved_told)
			log_error("port=%u error=\"%s\" cannot accept; going on with %u clients",
				  l->at.port, strerror(errno), g->n_clients);
		g->starved_told = true;
		return client_evict(g) || (starve(g), false);
	}
	return errno == EINTR || errno == ECONNABORTED;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;

	(void)events;
	if (status < 0) {
		log_error("port=%u error=\"%s\" the listener is broken", l->at.port,
			  uv_strerror(status));
		l->polled = false;
		return;
	}
	for (int i = 0; i < ACCEPTS_PER_TURN && l->polled; i++)
		if (!accept_one(l))
			return;
}

static void free_if_unused(struct listener *l)
{
	if (l->closed && l->clients == 0)
		mem_free(l);
}

static void on_closed(uv_handle_t *h)
{
	struct listener *l = h->data;

	l->closed = true;
	free_if_unused(l);
}

static void close_one(struct listener *l)
{
	struct gateway *g = l->g;

	if (l->next)
		l->next->prev = l->prev;
	if (l->prev)
		l->prev->next = l->next;
	else
		g->listeners = l->next;
	l->polled = false;
	l->route = NULL;
	uv_close((uv_handle_t *)&l->poll, on_closed);
	mem_closep(&l->fd);
}

static struct listener *find(const struct gateway *g, const struct wire_listen_at *at)
{
	struct listener *l = g->listeners;

	while (l && (l->at.port != at->port || strcmp(l->at.address, at->address) != 0))
		l = l->next;
	return l;
}

/* Clients inherit it: one that vanished without a word is noticed, however long it said nothing. */
static void keep_alive(int fd)
{
	static const int on = 1, idle_s = 60, every_s = 15, probes = 4;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

int listener_add(struct gateway *g, const struct wire_listen_at *at, int fd)
{
	struct listener *l = find(g, at);
	int r;

	if (g->draining) {
		close(fd);
		return 0;
	}
	if (l) /* its clients stay */
		close_one(l);
	l = mem_alloc(sizeof(*l));
	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	*l = (struct listener){.g = g, .at = *at, .fd = fd};
	snprintf(l->host, sizeof(l->host), strchr(at->address, ':') ? "[%s]:%u" : "%s:%u",
		 at->address, at->port);
	r = uv_poll_init(&g->uv, &l->poll, fd);
	if (r < 0) {
		close(fd);
		mem_free(l);
		return r;
	}
	l->poll.data = l;
	keep_alive(fd);
	l->next = g->listeners;
	if (l->next)
		l->next->prev = l;
	g->listeners = l;
	l->route = routes_find(&g->routes, at);
	update(l);
	return 0;
}

void listener_remove(struct gateway *g, const struct wire_listen_at *at)
{
	struct listener *l = find(g, at);

	if (!l)
		return;
	if (l->route && l->route->gone)
		routes_drop_gone(g, l->route);
	client_leave_all(g, l);
	close_one(l);
}

void listener_close_all(struct gateway *g)
{
	while (g->listeners)
		close_one(g->listeners);
}

void listener_unroute(struct gateway *g, const struct route *r)
{
	for (struct listener *l = g->listeners; l; l = l->next)
		if (l->route == r)
			l->route = NULL;
}

void listener_route_all(struct gateway *g)
{
	for (struct listener *l = g->listeners; l; l = l->next) {
		l->route = routes_find(&g->routes, &l->at);
		update(l);
	}
}

bool listener_has_clients(const struct gateway *g, const struct route *r)
{
	for (const struct listener *l = g->listeners; l; l = l->next)
		if (l->route == r && l->fd >= 0 && l->clients > 0)
			return true;
	return false;
}

bool listener_is_at(const struct gateway *g, uint16_t port)
{
	for (const struct listener *l = g->listeners; l; l = l->next)
		if (l->at.port == port && !(l->route && l->route->gone) &&
		    (strcmp(l->at.address, "127.0.0.1") == 0 ||
		     strcmp(l->at.address, "0.0.0.0") == 0))
			return true;
	return false;
}

void listener_drop_client(struct listener *l)
{
	struct gateway *g = l->g;

	l->clients--;
	free_if_unused(l);
	update_all(g);
}
