/*
 * supervisor: all that one aictld is, in one struct passed down. Part of it is defined by the
 * modules whose state it embeds.
 *
 * Everything runs on one thread and one epoll. Callbacks return quickly: no disk, no name service,
 * no waiting for a child or a peer after start-up.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_SUPERVISOR_H
#define AICTL_SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/supervisor/cgroups.h"
#include "daemon/supervisor/activation.h"
#include "daemon/supervisor/adopt.h"
#include "daemon/supervisor/child.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/detach.h"
#include "daemon/supervisor/dirs.h"
#include "daemon/supervisor/dying.h"
#include "daemon/supervisor/gateway.h"
#include "daemon/supervisor/giveback.h"
#include "daemon/supervisor/helper.h"
#include "daemon/supervisor/listen.h"
#include "daemon/supervisor/logwork.h"
#include "daemon/supervisor/manifests.h"
#include "daemon/supervisor/notify.h"
#include "daemon/supervisor/options.h"
#include "daemon/supervisor/push.h"
#include "daemon/supervisor/reexec.h"
#include "daemon/supervisor/run.h"
#include "daemon/supervisor/runtime.h"
#include "daemon/supervisor/secrets.h"
#include "daemon/supervisor/shutdown.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/sockets.h"
#include "daemon/supervisor/spawn.h"
#include "daemon/supervisor/standby.h"
#include "daemon/supervisor/stream.h"
#include "daemon/supervisor/sweep.h"
#include "daemon/supervisor/table.h"
#include "daemon/wire/wire.h"
#include "lib/loop.h"

struct supervisor {
	const struct options *opt;
	struct dirs dirs;
	struct loop loop;
	struct spawner spawner;
	struct table table;
	struct child *by_pid[CHILD_BUCKETS];

	struct slot **slots; /* by number; NULL = free */
	size_t slots_cap;
	uint32_t n_slots, n_used;
	struct slot *by_key[SLOT_BUCKETS];

	struct helper controller, logger, gateway;
	struct adopt adopt;
	struct giveback giveback;
	struct control control;
	struct logwork logwork;
	struct listens listens;
	struct gateway gateways;
	struct runtimes runtimes;
	struct streams streams;
	struct dying dying;
	struct standbys standbys;
	struct runs runs;
	struct secrets secrets;
	struct pushes pushes;
	struct sockets sockets;
	struct sweep sweep;
	struct cgroups cgroups;
	struct manifests manifests;
	struct shutdown shutdown;
	struct detach detach;
	struct reexec reexec;
	struct notify notify;

	uint8_t mode; /* enum wire_mode */
	int64_t started_wall_ms;
	bool helpers_started;
	bool other_state; /* what runs was begun with another state directory */
	bool alone;	  /* no child existed when we started: all orphans are ours */
	char boot_id[40];
	char **environ_;	      /* for helpers */
	struct activation activation; /* the API's socket, also when we bound it; given ports */
	char *api_path;		      /* unlinked at the end, unless it came from who started us */
	int self_fd;		      /* our own binary */
	int stderr_fd;		      /* what stderr was at the start */
	int own_log_read_fd, own_log_write_fd;
	int signal_fd;

	struct loop_io signal_io, parent_io;
	struct loop_timer start_times; /* reads them from /proc, in batches */
	struct loop_timer safe_timer;  /* end of safe mode */
	struct loop_timer start_timer; /* helpers start at the latest then */

	struct wire_packet *packet;    /* being handled */
	struct wire_slot slot_message; /* being sent */
};

struct err;

/* 0, or a negative code; supervisor_done in either case. */
int supervisor_init(struct supervisor *sup, const struct options *opt, struct err **reterr);
/* Returns the exit code. */
int supervisor_run(struct supervisor *sup);
void supervisor_done(struct supervisor *sup, int exit_code);

void supervisor_reload(struct supervisor *sup);
void supervisor_enter_safe(struct supervisor *sup);
void supervisor_leave_safe(struct supervisor *sup);
/* What a former aictld left is gone (or had its time): start the helpers. */
void supervisor_start_helpers(struct supervisor *sup);
void supervisor_fill_hello(const struct supervisor *sup, struct wire_hello *m);
void supervisor_fill_key(struct wire_key *key, const struct slot *s, const char *incarnation);

#endif
