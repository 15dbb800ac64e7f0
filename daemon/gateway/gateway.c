/* gateway: see gateway.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/gateway.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "daemon/gateway/client.h"
#include "daemon/gateway/listener.h"
#include "daemon/gateway/upstream.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define GATEWAY_ID_LEN 32
#define OTHER_FDS 128u /* listeners come on top */
#define THREAD_FDS 16u /* of each of several */

/* Each client needs a second descriptor, for its backend. */
static unsigned how_many_clients(unsigned of)
{
	unsigned others = OTHER_FDS + (of > 1 ? THREAD_FDS * of : 0);
	struct rlimit lim;
	rlim_t n;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return 256;
	n = lim.rlim_cur > 1 << 20 ? 1 << 20 : lim.rlim_cur;
	return n > 2 * others ? (unsigned)(n - others) / 2 / of : (unsigned)n / 4 / of + 1;
}

/* Without /proc: any. */
static void find_own_ports(struct gateway *g)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_err_ struct err *err = NULL;
	char *rest, *first, *last;
	int64_t from, to;
	size_t n;

	g->own_ports[1] = UINT16_MAX;
	if (fs_read_file("/proc/sys/net/ipv4/ip_local_port_range", 64, &text, &n, &err) < 0)
		return;
	first = strtok_r(text, " \t\n", &rest);
	last = strtok_r(NULL, " \t\n", &rest);
	if (!last || parse_i64(first, 0, UINT16_MAX, &from, &err) < 0 ||
	    parse_i64(last, 0, UINT16_MAX, &to, &err) < 0)
		return;
	g->own_ports[0] = (uint16_t)from;
	g->own_ports[1] = (uint16_t)to;
}

int gateway_init(struct gateway *g, unsigned of)
{
	int r;

	memset(g, 0, sizeof(*g));
	r = uv_loop_init(&g->uv);
	if (r < 0)
		return r;
	r = io_loop_init(&g->io, &g->uv);
	if (r < 0)
		return r;
	deadline_init(&g->deadlines, &g->uv);
	measure_init(&g->measure, &g->uv);
	access_init(&g->access, &g->uv);
	uv_timer_init(&g->uv, &g->drain);
	g->drain.data = g;
	peer_init(&g->peer, g);
	g->clients_max = how_many_clients(of);
	find_own_ports(g);
	if (getrandom(&g->id_base, sizeof(g->id_base), GRND_NONBLOCK) != sizeof(g->id_base))
		g->id_base = uv_hrtime();
	return 0;
}

void gateway_new_id(struct gateway *g, char *id, size_t size)
{
	const uint64_t halves[] = {g->id_base, ++g->id_next};

	for (size_t i = 0; i + 1 < size && i < GATEWAY_ID_LEN; i++)
		id[i] = "0123456789abcdef"[halves[i / 16] >> (60 - i % 16 * 4) & 15];
	id[size - 1 < GATEWAY_ID_LEN ? size - 1 : GATEWAY_ID_LEN] = '\0';
}

void gateway_left(struct gateway *g)
{
	if (!g->draining || g->closing || g->n_clients > 0)
		return;
	g->closing = true;
	if (g->on_drained)
		g->on_drained(g->user);
}

static void cut_all(struct gateway *g)
{
	while (g->clients)
		client_cut(g->clients);
}

static void on_drain_end(uv_timer_t *t)
{
	struct gateway *g = t->data;

	log_warn("clients=%u did not end in time, cutting them", g->n_clients);
	cut_all(g);
}

static void drain(struct gateway *g, bool handed_over, uint64_t ms)
{
	struct client *next;

	if (g->draining)
		return;
	g->draining = true;
	listener_close_all(g);
	if (handed_over)
		routes_hand_over(g);
	for (struct client *c = g->clients; c; c = next) {
		next = c->next;
		client_leave(c, handed_over);
	}
	uv_timer_start(&g->drain, on_drain_end, ms, 0);
	log_info("clients=%u ending with what is under way", g->n_clients);
	gateway_left(g);
}

void gateway_drain(struct gateway *g)
{
	drain(g, g->listeners != NULL, GATEWAY_DRAIN_MS);
}

void gateway_end(struct gateway *g)
{
	drain(g, false, GATEWAY_END_MS);
}

bool gateway_done(struct gateway *g)
{
	g->closing = true;
	g->on_drained = NULL;
	listener_close_all(g);
	cut_all(g);
	for (struct backend *b = g->routes.backends; b; b = b->next)
		upstream_close_idle(b);
	peer_close(&g->peer);
	uv_close((uv_handle_t *)&g->peer.timer, NULL);
	uv_close((uv_handle_t *)&g->drain, NULL);
	/* Some have a rest to send, until their deadline. */
	while (g->io.n_open > 0)
		uv_run(&g->uv, UV_RUN_ONCE);
	if (!access_close(&g->access)) {
		log_error("the access log's disk hangs, ending without its last lines");
		return false;
	}
	deadline_close(&g->deadlines);
	measure_close(&g->measure);
	io_loop_close(&g->io);
	uv_run(&g->uv, UV_RUN_DEFAULT);
	routes_done(g);
	deadline_done(&g->deadlines);
	io_loop_done(&g->io);
	buf_done(&g->scratch);
	if (uv_loop_close(&g->uv) < 0)
		log_error("something is still open at the end");
	return true;
}
