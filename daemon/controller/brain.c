/* brain: see brain.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/brain.h"

#include <fcntl.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/api_metrics.h"
#include "daemon/controller/apply.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/inventory.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/link.h"
#include "daemon/controller/load.h"
#include "daemon/controller/manifests.h"
#include "daemon/controller/order.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_push.h"
#include "daemon/controller/replica_slot.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/run.h"
#include "daemon/controller/runtimes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "daemon/controller/traffic.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "lib/version.h"

#define STORE_CLOSE_MS 2000
#define STORE_AGAIN_MS 11000 /* not a death soon after the start, which would count (helper.h) */

/* The next one tries again. */
static void on_again(uv_timer_t *timer)
{
	log_warn("ending, to try again with the store");
	uv_stop(timer->loop);
}

static void on_loaded(void *user, const struct store_snapshot *snap, const struct err *err)
{
	struct controller *c = user;

	if (err || load_from_store(c, snap) < 0) {
		/* nothing is planned on half a truth: the API says "starting", the replicas run on
		 */
		c->store_failed = true;
		c->store_error = mem_strdup(err_msg(err));
		log_error("the store cannot be read: %s", err_msg(err));
		uv_timer_start(&c->again, on_again, STORE_AGAIN_MS, 0);
		return;
	}
	c->store_replaced = c->store_replaced || snap->moved_to;
	events_set_store(c->events, c->store);
}

static void on_hello(struct controller *c, struct wire_packet *p)
{
	_cleanup_err_ struct err *err = NULL;

	if (c->helloed || wire_decode_hello(p->body, p->len, &c->hello) < 0 || p->n_fds < 1 ||
	    strcmp(c->hello.version, version_text) != 0) {
		log_error("bad HELLO from aictld (version %.31s, ours is %s)", c->hello.version,
			  version_text);
		uv_stop(c->loop);
		return;
	}
	c->helloed = true;
	/* It may have changed since aictld made our command line. */
	log_set_level((enum log_level)c->hello.log_level);
	c->shutting_down = c->hello.shutting_down;
	c->status.mode = c->hello.safe_mode ? WIRE_MODE_SAFE : WIRE_MODE_NORMAL;
	if (api_start(c, p->fds[0], &err) < 0) {
		log_error("the API cannot be served: %s", err_msg(err));
		uv_stop(c->loop);
		return;
	}
	p->fds[0] = -1;
	api_metrics_open(c, c->opts.metrics);
}

static void on_slot(struct controller *c, const struct wire_packet *p)
{
	struct wire_slot slot;
	struct service *s;
	struct replica *r;

	if (wire_decode_slot(p->body, p->len, &slot) < 0) {
		log_error("bad SLOT from aictld, ignoring");
		return;
	}
	if (!c->begun) {
		if (inventory_add(c->inventory, &slot) < 0)
			uv_stop(c->loop); /* out of memory: the next controller gets it again */
		return;
	}
	s = controller_find(c, slot.key.service);
	r = s ? service_replica(s, slot.key.index) : NULL;
	if (r)
		replica_slot_take(r, &slot);
	else
		replica_slot_store_exits(c, &slot);
}

/* What depends on nothing aictld stops by itself (WIRE_CONTROL_ORDERED): here it is only said why, so
 * that no exit looks like a crash. */
static void begin_shutdown(struct controller *c)
{
	c->shutting_down = true;
	order_stop_all(c);
	replica_hooks_report(c);
}

static void on_status(struct controller *c, const struct wire_packet *p)
{
	const uint32_t refusals = c->status.refusals;

	if (wire_decode_status(p->body, p->len, &c->status) < 0)
		return;
	api_handover_told(c, refusals);
	if (c->status.mode == WIRE_MODE_SHUTDOWN && !c->shutting_down)
		begin_shutdown(c);
	for (size_t i = 0; i < c->n_services; i++)
		controller_touch(c->services[i]);
}

static void on_run_end(struct controller *c, const struct wire_packet *p)
{
	struct wire_run_end end;

	if (wire_run_decode_end(p->body, p->len, &end) < 0)
		log_error("bad RUN_END from aictld, ignoring");
	else
		run_on_end(c, &end);
}

static void on_evidence(struct controller *c, const struct wire_packet *p)
{
	struct wire_evidence m;
	struct service *s;
	struct replica *r;

	if (wire_push_decode_evidence(p->body, p->len, &m) < 0) {
		log_error("bad EVIDENCE from aictld, ignoring");
		return;
	}
	s = controller_find(c, m.key.service);
	r = s ? service_replica(s, m.key.index) : NULL;
	if (r && strcmp(r->incarnation, m.key.incarnation) == 0)
		replica_push_evidence(r, &m);
}

/* What a container has done, where a process's I/O is looked at. */
static void on_unit_stats(struct controller *c, const struct wire_packet *p)
{
	struct wire_evidence e;
	struct wire_unit_stats m;
	struct service *s;
	struct replica *r;

	if (wire_unit_decode_stats(p->body, p->len, &m) < 0) {
		log_error("bad UNIT_STATS from aictld, ignoring");
		return;
	}
	if (m.err)
		return; /* not known: as if it had not been asked */
	e = (struct wire_evidence){.key = m.key,
				   .io_bytes =
					   m.read_bytes + m.written_bytes + m.rx_bytes + m.tx_bytes,
				   .block_bytes = m.read_bytes + m.written_bytes,
				   .memory_bytes = m.memory_bytes};
	s = controller_find(c, m.key.service);
	r = s ? service_replica(s, m.key.index) : NULL;
	if (r && strcmp(r->incarnation, m.key.incarnation) == 0)
		replica_push_evidence(r, &e);
}

static void on_unit_state(struct controller *c, const struct wire_packet *p)
{
	struct wire_unit_state m;
	struct service *s;
	struct replica *r;

	if (wire_unit_decode_state(p->body, p->len, &m) < 0) {
		log_error("bad UNIT_STATE from aictld, ignoring");
		return;
	}
	if (!c->begun) {
		if (inventory_add_unit(c->inventory, &m) < 0)
			uv_stop(c->loop);
		return;
	}
	s = controller_find(c, m.key.service);
	r = s ? service_replica(s, m.key.index) : NULL;
	if (r)
		replica_unit_take(r, &m);
}

static void on_runtime(struct controller *c, const struct wire_packet *p)
{
	struct wire_runtime m;

	if (wire_unit_decode_runtime(p->body, p->len, &m) < 0)
		log_error("bad RUNTIME from aictld, ignoring");
	else
		runtimes_take(c, &m);
}

static void on_secrets_written(struct controller *c, const struct wire_packet *p)
{
	struct wire_secrets_written m;

	if (wire_secrets_decode_written(p->body, p->len, &m) < 0)
		log_error("bad SECRETS_WRITTEN from aictld, ignoring");
	else
		secrets_on_written(c, &m);
}

static void pong(struct controller *c)
{
	_cleanup_buf_ struct buf b = {0};

	wire_encode_empty(&b, WIRE_PONG);
	link_send(c->link, &b);
}

static void on_log_done(struct controller *c, const struct wire_packet *p)
{
	struct wire_log_done m;

	if (wire_logs_decode_done(p->body, p->len, &m) == 0)
		api_logfiles_told(c, &m);
}

static void on_packet(struct wire_packet *p, void *user)
{
	struct controller *c = user;

	switch (p->type) {
	case WIRE_HELLO:
		on_hello(c, p);
		break;
	case WIRE_SLOT:
		on_slot(c, p);
		break;
	case WIRE_SYNCED:
		c->synced = true;
		controller_begin(c);
		break;
	case WIRE_STATUS:
		on_status(c, p);
		break;
	case WIRE_RELOAD:
		if (p->n_fds > 0)
			manifests_reload(c, TAKE_FD(p->fds[0]), false);
		break;
	case WIRE_RUN_END:
		on_run_end(c, p);
		break;
	case WIRE_EVIDENCE:
		on_evidence(c, p);
		break;
	case WIRE_RUNTIME:
		on_runtime(c, p);
		break;
	case WIRE_UNIT_STATE:
		on_unit_state(c, p);
		break;
	case WIRE_UNIT_STATS:
		on_unit_stats(c, p);
		break;
	case WIRE_SECRETS_WRITTEN:
		on_secrets_written(c, p);
		break;
	case WIRE_LOG_DONE:
		on_log_done(c, p);
		break;
	case WIRE_LISTENING:
	case WIRE_PEER:
		traffic_on_packet(c->traffic, p);
		break;
	case WIRE_PING:
		pong(c);
		break;
	default:
		log_warn("unexpected %s from aictld, ignoring", wire_type_name(p->type));
	}
}

static void on_end(void *user)
{
	struct controller *c = user;

	c->ended = true;
	log_info("aictld closed the connection: ending");
	uv_stop(c->loop);
}

static int open_link(struct controller *c, int fd, struct err **reterr)
{
	const struct link_handlers h = {
		.on_packet = on_packet, .on_end = on_end, .user = c, .peer = "aictld"};
	struct sock_peer peer;

	if (sock_peer(fd, &peer) < 0)
		return err_set(reterr, ERR_INVALID,
			       "descriptor %d is not the socket to aictld: this program is started "
			       "by aictld only",
			       fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_set(reterr, ERR_SYS, "cannot set up descriptor %d", fd);
	c->root = peer.uid == 0;
	c->owner = peer.uid;
	return link_new(c->loop, fd, &h, &c->link, reterr);
}

static int open_store(struct controller *c, struct err **reterr)
{
	_cleanup_free_ char *path = mem_printf("%s/aictl.db", c->opts.state_dir);

	if (!path)
		return err_nomem(reterr);
	return store_new(c->loop, path, on_loaded, c, &c->store, reterr);
}

int brain_begin(struct controller *c, uv_loop_t *loop, const struct controller_opts *opts, int fd,
		struct err **reterr)
{
	int r = controller_init(c, loop, opts, reterr);

	if (r == 0)
		r = open_link(c, fd, reterr);
	if (r == 0)
		r = open_store(c, reterr);
	return r;
}

void brain_close(struct controller *c)
{
	if (c->journal)
		journal_flush(c->journal); /* its events go to the store */
	apply_queue_close(c->apply);
	if (c->store)
		store_close(c->store, STORE_CLOSE_MS);
	if (c->http)
		http_server_close(c->http, NULL, NULL);
	if (c->link)
		link_close(c->link);
	controller_close(c);
}
