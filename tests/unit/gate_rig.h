/*
 * gate_rig: runs the real aictl-gateway; the test plays aictld and the controller at the other
 * ends of its sockets, and clients and backends on loopback.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_GATE_RIG_H
#define AICTL_TESTS_GATE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/wire/wire.h"
#include "daemon/wire/wire_routes.h"
#include "daemon/wire/wire_traffic.h"

#define GATE_RIG_DEADLINE_MS 20000
#define GATE_RIG_BACKENDS 3
#define GATE_RIG_THREADS 3
#define GATE_RIG_TEXT (1 << 20)

struct gate_rig {
	char sup[64];
	int sock, peer; /* ours; -1 */
	pid_t pid;
	unsigned fds_max; /* of the gateway; 0 = as ours */
	unsigned threads; /* of it; 0 = it is not told */
	int listener;
	struct wire_listen_at at;
	int backends[GATE_RIG_BACKENDS]; /* they listen */
	uint16_t ports[GATE_RIG_BACKENDS];
	char paths[GATE_RIG_BACKENDS][WIRE_ROUTES_SOCKET_SIZE]; /* "" = the port */
	bool draining[GATE_RIG_BACKENDS];
	uint8_t protocol;
	struct wire_routes_rules rules;
	struct wire_routes_news news;
	bool canary[GATE_RIG_BACKENDS];
	uint64_t epoch, generation;
	struct wire_routes_load load[GATE_RIG_BACKENDS]; /* the last of each */
	struct wire_traffic_stats stats[GATE_RIG_BACKENDS];
	struct wire_traffic_demand demand; /* the last one */
	unsigned demands;		   /* how many came */
	struct wire_packet packet;
	size_t n;
	char text[GATE_RIG_TEXT + 1]; /* what gate_rig_read read */
};

int gate_rig_setup(void **state);	  /* a gateway with a listener, a peer and no routes */
int gate_rig_setup_threads(void **state); /* the same with GATE_RIG_THREADS */
int gate_rig_teardown(void **state);
void gate_rig_start(struct gate_rig *h);
void gate_rig_reap(struct gate_rig *h, int sig);
void gate_rig_say(struct gate_rig *h, enum wire_type type);
void gate_rig_new_peer(struct gate_rig *h);
/* ROUTES with the first n backends, and waits until they are in force. */
void gate_rig_route(struct gate_rig *h, uint32_t n);
/* ROUTED of the generation, from the peer. */
void gate_rig_expect_routed(struct gate_rig *h);
/* LOAD, DEMAND or STATS: h->packet is one; it is kept below; the next one is waited for and kept. */
bool gate_rig_is_report(const struct gate_rig *h);
void gate_rig_take_report(struct gate_rig *h);
void gate_rig_next_report(struct gate_rig *h);
bool gate_rig_next_packet(struct gate_rig *h, int fd, int64_t ms);
/* Waits for a LOAD that says so of backend i. */
void gate_rig_expect_active(struct gate_rig *h, int i, uint32_t active);

/* And that so many have failed. */
void gate_rig_expect_failures(struct gate_rig *h, int i, uint64_t failures);

int gate_rig_listen(uint16_t *port);
int gate_rig_listen_at(uint16_t port);
int gate_rig_connect(struct gate_rig *h);
/* The next connection to backend i. */
int gate_rig_accept(struct gate_rig *h, int i);
bool gate_rig_is_readable(int fd, int ms);
void gate_rig_send(int fd, const char *text);
/* Reads into h->text until it ends with `until`; fails at the deadline, or at the end of file. */
void gate_rig_read(struct gate_rig *h, int fd, const char *until);
/* The same until the end of file. False: it was a reset. */
bool gate_rig_read_end(struct gate_rig *h, int fd);
/* A request at the backend: its head ends. Returns the connection. */
/* The same on one of the n fds or on a new connection, which becomes one of them. */
int gate_rig_any_request(struct gate_rig *h, int *fds, int *n);
/* As the next aictld does. */
int gate_rig_listen_packets(struct gate_rig *h);
int gate_rig_take(struct gate_rig *h, int i, const char *until);

#endif
