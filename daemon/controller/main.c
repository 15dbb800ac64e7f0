/*
 * aictl-controller: the brain (DESIGN.md 2): manifests, plan, probes, API, store. Started by aictld
 * with the socket to it as descriptor 3; exits when that reports its end. It holds nothing that
 * must outlive it: killed at any moment, the next one rebuilds everything from the store and from
 * aictld's inventory.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/apply.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/inventory.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/link.h"
#include "daemon/controller/load.h"
#include "daemon/controller/events.h"
#include "daemon/controller/manifests.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/run.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"
#include "lib/sock.h"
#include "lib/version.h"

#define STORE_CLOSE_MS 2000

static void on_loaded(void *user, const struct store_snapshot *snap, const struct err *err)
{
	struct controller *c = user;

	if (err || load_from_store(c, snap) < 0) {
		/* nothing is planned on half a truth: the API says "starting", the replicas run on
		 */
		c->store_failed = true;
		log_error("the store cannot be read: %s", err_msg(err));
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
		replica_on_slot(r, &slot);
	else
		replica_store_exits_of(c, &slot);
}

/* aictld stops everything by itself; here it is only said why, so that no exit looks like a crash.
 */
static void begin_shutdown(struct controller *c)
{
	c->shutting_down = true;
	for (size_t i = 0; i < c->n_services; i++) {
		struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++)
			if (replica_sm_is_live(s->replicas[k]->state))
				replica_stop(s->replicas[k], STOP_REMOVE, "shutting_down");
	}
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

static void pong(struct controller *c)
{
	_cleanup_buf_ struct buf b = {0};

	wire_encode_empty(&b, WIRE_PONG);
	link_send(c->link, &b);
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
			manifests_reload(c, TAKE_FD(p->fds[0]));
		break;
	case WIRE_RUN_END:
		on_run_end(c, p);
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

static int open_link(struct controller *c, struct err **reterr)
{
	const struct link_handlers h = {.on_packet = on_packet, .on_end = on_end, .user = c};
	struct sock_peer peer;

	if (sock_peer(WIRE_HELPER_FD, &peer) < 0)
		return err_set(
			reterr, ERR_INVALID,
			"descriptor 3 is not the socket to aictld: this program is started by aictld only");
	if (fcntl(WIRE_HELPER_FD, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(WIRE_HELPER_FD, F_SETFL, O_NONBLOCK) < 0)
		return err_set(reterr, ERR_SYS, "cannot set up descriptor 3");
	c->root = peer.uid == 0;
	c->owner = peer.uid;
	return link_new(c->loop, WIRE_HELPER_FD, &h, &c->link, reterr);
}

static int open_store(struct controller *c, struct err **reterr)
{
	_cleanup_free_ char *path = mem_printf("%s/aictl.db", c->opts.state_dir);

	if (!path)
		return err_nomem(reterr);
	return store_new(c->loop, path, on_loaded, c, &c->store, reterr);
}

static int run(const struct controller_opts *opts, struct err **reterr)
{
	struct controller *c = mem_alloc(sizeof(*c));
	uv_loop_t *loop = mem_alloc(sizeof(*loop));
	int r;

	if (!c || !loop || uv_loop_init(loop) < 0) {
		mem_free(c);
		mem_free(loop);
		return err_nomem(reterr);
	}
	r = controller_init(c, loop, opts, reterr);
	if (r == 0)
		r = open_link(c, reterr);
	if (r == 0)
		r = open_store(c, reterr);
	if (r == 0)
		uv_run(loop, UV_RUN_DEFAULT);
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
	uv_run(loop, UV_RUN_NOWAIT); /* close callbacks: requests under way let go */
	controller_done(c);
	uv_run(loop, UV_RUN_NOWAIT);	/* and what those closed */
	if (uv_loop_close(loop) == 0) { /* else a worker still runs: the process ends now */
		mem_free(loop);
		mem_free(c);
	}
	return r;
}

enum {
	OPT_RUNTIME_DIR = 256,
	OPT_STATE_DIR,
	OPT_LOG_DIR,
	OPT_MANIFESTS,
	OPT_DEFAULT_USER,
	OPT_PORT_RANGE,
	OPT_INHERIT_ENV,
	OPT_LOG_LEVEL
};

static const struct option options[] = {{"runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR},
					{"state-dir", required_argument, NULL, OPT_STATE_DIR},
					{"log-dir", required_argument, NULL, OPT_LOG_DIR},
					{"manifests", required_argument, NULL, OPT_MANIFESTS},
					{"default-user", required_argument, NULL, OPT_DEFAULT_USER},
					{"port-range", required_argument, NULL, OPT_PORT_RANGE},
					{"inherit-env", no_argument, NULL, OPT_INHERIT_ENV},
					{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
					{NULL, 0, NULL, 0}};

static int parse_range(char *text, struct controller_opts *o)
{
	char *dash = strchr(text, '-');
	int64_t first, last;

	if (!dash)
		return -1;
	*dash = '\0';
	if (parse_i64(text, 1, 65535, &first, NULL) < 0 ||
	    parse_i64(dash + 1, first, 65535, &last, NULL) < 0)
		return -1;
	o->port_first = (unsigned)first;
	o->port_last = (unsigned)last;
	return 0;
}

/* aictld has checked everything: a wrong option here is our own mistake. */
static int parse_options(int argc, char **argv, struct controller_opts *o)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case OPT_RUNTIME_DIR:
			o->runtime_dir = optarg;
			break;
		case OPT_STATE_DIR:
			o->state_dir = optarg;
			break;
		case OPT_LOG_DIR:
			o->log_dir = optarg;
			break;
		case OPT_MANIFESTS:
			o->manifests = optarg;
			break;
		case OPT_DEFAULT_USER:
			o->default_user = optarg;
			break;
		case OPT_PORT_RANGE:
			if (parse_range(optarg, o) < 0)
				return -1;
			break;
		case OPT_INHERIT_ENV:
			o->inherit_env = true;
			break;
		case OPT_LOG_LEVEL:
			if (log_parse_level(optarg) < 0)
				return -1;
			log_set_level((enum log_level)log_parse_level(optarg));
			break;
		default:
			return -1;
		}
	}
	return o->runtime_dir && o->state_dir && o->log_dir ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct controller_opts opts = {.port_first = 20000, .port_last = 29999};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	_cleanup_err_ struct err *err = NULL;
	int r;

	log_open("aictl-controller", STDERR_FILENO, LOG_LVL_INFO);
	if (point_list(argc, argv))
		return 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("aictl-controller %s\n", version_text);
		return 0;
	}
	if (parse_options(argc, argv, &opts) < 0) {
		fprintf(stderr, "aictl-controller is started by aictld: see aictld(8)\n");
		return 2;
	}
	sigaction(SIGPIPE, &ignore, NULL);
	umask(077);
	mallopt(M_ARENA_MAX, 1); /* other threads allocate little: not worth a heap of their own */
	log_hold();		 /* a restart goes out before the lines about it */
	r = run(&opts, &err);
	if (r < 0)
		log_error("%s", err_msg(err));
	log_flush();
	return r < 0;
}
