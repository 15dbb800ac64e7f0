/*
 * aictld_rig: runs a real aictld in a directory of its own, with fake helpers, and plays controller
 * and logger over the wire.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_AICTLD_RIG_H
#define AICTL_TESTS_AICTLD_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/wire/wire.h"
#include "daemon/wire/wire_listen.h"

struct buf;

#define RIG_TIMEOUT_MS 20000
#define RIG_SLOTS_MAX 4096
#define RIG_RUNS_MAX 1024

struct rig_helper {
	pid_t pid;  /* 0 = not connected */
	int conn;   /* closing it ends the helper */
	int wire;   /* its end of aictld's socket */
	int n_seen; /* connections so far */
};

struct rig_slot { /* the last SLOT message of a slot */
	struct wire_slot m;
	char note[WIRE_NOTE_MAX + 1];
	unsigned n_sent;    /* SLOT messages for it */
	unsigned n_running; /* of them in this state */
};

struct rig_stream {
	struct wire_stream m;
	int fds[2];
	int pidfd; /* or -1 */
	bool gone;
	int n_sent; /* STREAM messages for it */
};

#define RIG_LISTENERS_MAX 32

struct rig_listener { /* LISTENER of the present gateway */
	struct wire_listen_at at;
	int fd;
};

struct rig {
	char dir[64];
	pid_t pid;
	int listen_fd;
	struct rig_helper controller, logger, gateway, runtime;
	/* For aictl-runtime, and about units for the controller; may take descriptors. NULL: what there is
	 * for the former waits. To be set after rig_start. */
	void (*on_unit)(struct rig *r, struct rig_helper *h, struct wire_packet *p);
	struct rig_slot *slots;
	unsigned n_slots;
	struct wire_exit *exits; /* all that were ever reported, one per incarnation */
	unsigned n_exits, exits_lost;
	struct rig_stream *streams;
	unsigned n_streams;
	struct wire_run_end *runs; /* all RUN_END messages */
	unsigned n_runs;
	int logger_level; /* of the logger's last HELLO or LOG_LEVEL, -1 = none */
	struct wire_hello hello;
	struct wire_status status;
	unsigned n_synced, n_reload;
	int reload_fd;			     /* of the last RELOAD, or -1 */
	struct wire_secrets_written written; /* the last one */
	struct wire_packet packet;
	int stderr_fd; /* read end */
	unsigned incarnations;
	struct rig_listener listeners[RIG_LISTENERS_MAX];
	unsigned n_listeners, n_listeners_off;
	struct wire_listen listening; /* the last one */
	unsigned n_listening;
	bool gateway_synced, gateway_quits;
	int controller_peer, gateway_peer; /* of the last PEER, or -1 */
	unsigned n_controller_peers, n_gateway_peers;
	bool logger_quits;  /* it was sent QUIT */
	bool logger_drains; /* answer GONE with DRAINED at once */
	bool acks;	    /* acknowledge exits at once */
};

/* extra: further arguments, NULL-terminated, or NULL. Waits for both helpers and SYNCED. */
void rig_start(struct rig *r, const char *const *extra);
void rig_run(struct rig *r, const char *const *extra); /* in the same directory again; no wait */
void rig_wait_synced(struct rig *r);
/* SIGTERM; waits for the end; returns the wait status. Frees all but the directory. */
int rig_stop(struct rig *r);
int rig_wait_exit(struct rig *r);
/* SIGKILL to aictld. Helpers that the caller does not take end; the others live until
 * rig_drop_helper, and keep aictld's socket open. */
void rig_crash(struct rig *r, struct rig_helper *controller, struct rig_helper *logger);
void rig_drop_helper(struct rig_helper *h);
/* A SOCK_SEQPACKET socket that the helper's process has connected to path, or -1. */
int rig_connect_as(const struct rig_helper *h, const char *path);
void rig_remove(struct rig *r);
void rig_clean_stop(struct rig *r);    /* rig_stop, which has to succeed, and rig_remove */
void rig_remove_tree(const char *dir); /* with all that is in it; follows no symlink */
/* A zombie is dead: nobody may reap it where pid 1 does not. */
bool rig_is_alive(pid_t pid);
/* A directory that never answers (fusehang with that mode); false where that cannot be had. */
bool rig_hang(const char *mode, char *dir, size_t size, pid_t *ret_pid);
void rig_unhang(const char *dir, pid_t pid); /* ends the server, and with it whoever waits for it */
/* Handles what has come, waiting at most ms for the first thing. */
void rig_pump(struct rig *r, int ms);
/* aictld has dealt with all that the controller has sent. */
void rig_settle(struct rig *r);
void rig_kill_helper(struct rig *r, struct rig_helper *h);

/* A key of a new incarnation. */
struct wire_key rig_key(struct rig *r, const char *service, uint32_t index);
/* sh -c SCRIPT. */
void rig_spawn_sh(struct rig *r, const struct wire_key *key, const char *script, int64_t grace_ms);
void rig_spawn(struct rig *r, const struct wire_spawn *m);
void rig_stop_key(struct rig *r, const struct wire_key *key, int signal, int64_t grace_ms);
/* The packet goes to aictld as from the controller; b is done with. */
void rig_send(struct rig *r, struct buf *b, const int *fds, unsigned n_fds);
/* From a helper whose end of the socket is fd. */
void rig_send_to(int fd, struct buf *b);
/* Pumps until the RUN has ended. */
const struct wire_run_end *rig_wait_run(struct rig *r, uint64_t id);
struct rig_slot *rig_slot(struct rig *r, const struct wire_key *key); /* or NULL */
struct rig_stream *rig_stream(struct rig *r, const struct wire_key *key);
/* Pumps until the slot is in this state with this incarnation; fails the test on time-out. */
struct rig_slot *rig_wait_state(struct rig *r, const struct wire_key *key,
				enum wire_slot_state state);
struct rig_slot *rig_wait_swept(struct rig *r, const struct wire_key *key);
/* The exit of that incarnation, or NULL while none has been reported. */
const struct wire_exit *rig_exit(const struct rig *r, const struct wire_key *key);
/* Pumps until it has. */
const struct wire_exit *rig_wait_exit_of(struct rig *r, const struct wire_key *key);
/* Reads stdout of the stream until `what` has come; returns what was read (static length). */
void rig_expect_output(struct rig *r, const struct wire_key *key, const char *what);
void rig_ack(struct rig *r, const struct wire_key *key, uint64_t seq);
void rig_drained(struct rig *r, const struct wire_key *key);

/* Pumps until expr is true. */
#define RIG_UNTIL(r, expr)                                                                         \
	do {                                                                                       \
		int64_t until_ = clock_mono_ms() + RIG_TIMEOUT_MS;                                 \
		while (!(expr)) {                                                                  \
			if (clock_mono_ms() >= until_)                                             \
				fail_msg("timed out: %s", #expr);                                  \
			rig_pump((r), 20);                                                         \
		}                                                                                  \
	} while (0)

#endif
