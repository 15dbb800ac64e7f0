/*
 * wire: what aictld and its helpers say to each other over SOCK_SEQPACKET. One packet is one
 * message: a 16-byte header and a body, both in explicit little-endian encoding (never a struct
 * image).
 *
 *   header: u32 magic "aiw1"  u16 type  u16 flags  u32 body length  u32 reserved (0)
 *
 * A body over WIRE_INLINE_MAX travels in a sealed memfd, which is then the last descriptor of the
 * packet (flag WIRE_F_MEMFD). The codec is sans-IO: wire_encode_* appends a whole packet to a
 * struct buf, wire_decode_* reads a body and never trusts a length. Every message is
 * level-triggered or idempotent (DESIGN.md 2.3), so both sides may resend at any time, and a peer
 * that died loses nothing.
 *
 * aictld -> controller
 *   HELLO        once per connection, first: build version, boot id, modes; fds: the API's listener
 *   SLOT         the state of one slot; sent when dirty until there is nothing new. Covers what
 *                DESIGN.md calls INVENTORY item, SPAWNED, SPAWN_FAILED and EXIT
 *   SYNCED       after the last SLOT of the inventory: the controller may plan now
 *   STATUS       mode (safe, shutdown) and what `daemon info` shows of aictld and the logger
 *   RELOAD       re-apply the manifest directory; fds: one SOCK_SEQPACKET socket from which the
 *                files come, a packet each: "name NUL error" + its descriptor; EOF ends it
 *   PING
 * controller -> aictld
 *   SPAWN        refused (stage WIRE_STAGE_REFUSED) while the slot lives. With `standby` it is kept
 *                for a slot that lives: when its process ends by itself, aictld starts this one at
 *                once, and one SLOT tells of the end and of the new incarnation. Given only where
 *                the restart policy says "at once" in advance. So a restart takes no detour, and
 *                happens even while there is no controller
 *   STANDBY_OFF  drops a standby, as do a STOP and another standby
 *   STOP         of an incarnation; an empty slot is swept and reported under that name
 *   SIGNAL, NOTE, RELEASE (slot no longer wanted), ACK (exit records committed), CONTROL, PONG
 * aictld -> logger
 *   HELLO        fds: intent table, own-log pipe read end
 *   STREAM       fds: stdout and stderr read ends of one incarnation
 *   GONE         its main process is gone: drain to EOF, or 2 s after empty
 *   PING
 * logger -> aictld
 *   DRAINED      both ends of that incarnation are closed and stored; aictld drops its copies
 *   PONG
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_H
#define AICTL_DAEMON_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

#define WIRE_MAGIC UINT32_C(0x31776961) /* "aiw1" */
#define WIRE_HEADER_SIZE 16
#define WIRE_INLINE_MAX (64 << 10) /* larger bodies go by memfd */
#define WIRE_BODY_MAX (8 << 20)	   /* bytes; larger is refused on both sides */
#define WIRE_FDS_MAX 8		   /* descriptors in one packet */
#define WIRE_HELPER_FD 3	   /* the socket to aictld in a freshly started helper */
#define WIRE_SERVICE_SIZE 64	   /* DNS label + NUL */
#define WIRE_INCARNATION_SIZE                                                                      \
	33 /* 32 lower-case hex digits + NUL; the first 12 are wall ms: sorts by time */
#define WIRE_NOTE_MAX 1024
#define WIRE_EXITS_MAX 8 /* unacknowledged exits kept per slot; more are counted */

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_SLOT,
	WIRE_SYNCED,
	WIRE_STATUS,
	WIRE_RELOAD,
	WIRE_SPAWN,
	WIRE_STOP,
	WIRE_SIGNAL,
	WIRE_NOTE,
	WIRE_RELEASE,
	WIRE_STANDBY_OFF,
	WIRE_ACK,
	WIRE_CONTROL,
	WIRE_STREAM,
	WIRE_GONE,
	WIRE_DRAINED,
	WIRE_PING,
	WIRE_PONG,
	WIRE_TYPE_MAX_
};

enum wire_flags { WIRE_F_MEMFD = 1 };

/* The slot is (service, index); one run of a process in it is (service, index, incarnation). */
struct wire_key {
	char service[WIRE_SERVICE_SIZE];
	uint32_t index;
	char incarnation[WIRE_INCARNATION_SIZE];
};

/* How far a child got before exec; the names are in wire_stage_name. */
enum wire_stage {
	WIRE_STAGE_NONE,
	WIRE_STAGE_REFUSED, /* the slot lives already, no free slot, or shutting down: err says
			       which (EBUSY, ENOSPC, ESHUTDOWN) */
	WIRE_STAGE_CLONE,   /* clone3 or the pipes failed */
	WIRE_STAGE_FDS,
	WIRE_STAGE_LIMITS,
	WIRE_STAGE_USER,
	WIRE_STAGE_CHDIR,
	WIRE_STAGE_EXEC, /* with err 0: running */
	WIRE_STAGE_MAX_
};

enum wire_slot_state {
	WIRE_SLOT_EMPTY,    /* nothing runs; the note and unacknowledged exits may remain */
	WIRE_SLOT_SPAWNING, /* cloned, not yet exec'd */
	WIRE_SLOT_RUNNING,
	WIRE_SLOT_STOPPING, /* the stop signal is out; SIGKILL follows after the grace period */
	WIRE_SLOT_STUCK,    /* past the spawn deadline or SIGKILL, in uninterruptible sleep: not
			       replaced before reaped */
	WIRE_SLOT_STATE_MAX_
};

struct wire_exit {
	char incarnation[WIRE_INCARNATION_SIZE];
	uint64_t seq; /* per slot, from 1; ACK names the last one committed */
	int32_t pid;
	int32_t code;	/* exit code, or -1 */
	int32_t signal; /* signal number, or 0 */
	bool core_dumped;
	bool by_stop;	    /* a STOP was out when it ended */
	bool killed;	    /* our SIGKILL after the grace period */
	bool status_known;  /* false: it ended while nobody could read its status */
	int32_t stage, err; /* stage < EXEC or err != 0: it never ran; errno of the stage */
	int64_t started_wall_ms, ended_wall_ms, started_mono_ms, ended_mono_ms;
};

/* WIRE_SLOT. Strings and arrays borrow from the decoded body. */
struct wire_slot {
	struct wire_key
		key;   /* incarnation of the current or last process; "" when there was none */
	uint8_t state; /* enum wire_slot_state */
	uint8_t stage; /* enum wire_stage; of the current or last attempt */
	int32_t err;   /* errno of a failed stage, else 0 */
	int32_t pid;   /* 0 = none */
	bool swept; /* EMPTY only: a scan found no left-over process of any incarnation of the slot
		     */
	int64_t started_wall_ms, started_mono_ms;
	uint32_t exits_lost; /* exits pushed out of the ring since the last ACK */
	uint32_t n_exits;
	struct wire_exit exits[WIRE_EXITS_MAX];
	const uint8_t *note; /* as the controller wrote it last; only in the inventory, else NULL */
	uint32_t note_len;
};

struct wire_hello {
	char version[32]; /* PACKAGE_VERSION: helpers are the exact build, others exit */
	char boot_id[40];
	int32_t aictld_pid;
	bool safe_mode;
	bool shutting_down;
	bool first_start; /* no table existed before: the manifests directory is to be applied */
};

enum wire_mode { WIRE_MODE_NORMAL, WIRE_MODE_SAFE, WIRE_MODE_SHUTDOWN };

/* WIRE_STATUS */
struct wire_status {
	uint8_t mode;	    /* enum wire_mode; safe: answer the API, change nothing */
	int32_t logger_pid; /* 0 = not running at the moment */
	uint32_t controller_restarts, logger_restarts; /* since aictld started */
	uint32_t slots;				       /* slots in use */
};

/* WIRE_SPAWN. In: what to encode. Out: arrays point into one allocation freed by wire_spawn_free.
 */
struct wire_spawn {
	struct wire_key key;
	bool standby;			 /* see SPAWN at the top */
	const char *cwd;		 /* absolute */
	char *const *paths;		 /* candidates for execve, tried in order as execvp does */
	char *const *argv, *const *envp; /* NULL-terminated */
	uint32_t uid, gid;
	const uint32_t *groups; /* supplementary; only used when aictld is root */
	uint32_t n_groups;
	bool set_user;	     /* false: run as aictld itself does */
	uint32_t umask;	     /* 0..0777 */
	int32_t stop_signal; /* 1..64 */
	int64_t grace_ms;
	uint64_t log_max_size; /* bytes of one segment */
	uint32_t log_max_files;
	const uint8_t *note; /* stored with the slot, see NOTE */
	uint32_t note_len;
	void *memory_; /* owned by a decoded message */
};

struct wire_stop {
	struct wire_key key; /* another incarnation than the living one: ignored */
	int32_t signal;	     /* 0 = the slot's own */
	int64_t grace_ms;    /* -1 = the slot's own; 0 = SIGKILL at once */
};

struct wire_stream {
	struct wire_key key;
	uint32_t intent_index; /* word of the intent table: slot number */
	uint64_t max_size;
	uint32_t max_files;
	bool gone; /* the main process is gone already (a resend after the logger died) */
};

enum wire_control { WIRE_CONTROL_RELOAD = 1, WIRE_CONTROL_STOP, WIRE_CONTROL_LEAVE_SAFE };

/* Encoders append one packet to b (check b->failed). The body may exceed WIRE_INLINE_MAX: wire_send
 * copes. */
void wire_encode_hello(struct buf *b, const struct wire_hello *m);
void wire_encode_slot(struct buf *b, const struct wire_slot *m);
void wire_encode_spawn(struct buf *b, const struct wire_spawn *m);
void wire_encode_stop(struct buf *b, const struct wire_stop *m);
void wire_encode_signal(struct buf *b, const struct wire_key *key, int32_t signal);
void wire_encode_note(struct buf *b, const struct wire_key *key, const uint8_t *note, uint32_t len);
void wire_encode_ack(struct buf *b, const struct wire_key *key, uint64_t seq);
void wire_encode_key(struct buf *b, enum wire_type type,
		     const struct wire_key *key); /* RELEASE, STANDBY_OFF, GONE, DRAINED */
void wire_encode_stream(struct buf *b, const struct wire_stream *m);
void wire_encode_status(struct buf *b, const struct wire_status *m);
void wire_encode_u32(struct buf *b, enum wire_type type, uint32_t value); /* CONTROL */
void wire_encode_empty(struct buf *b, enum wire_type type); /* SYNCED, RELOAD, PING, PONG */

/* Decoders of a body; 0 or -ERR_INVALID (-ERR_NOMEM for spawn). Trailing bytes are an error. */
int wire_decode_hello(const uint8_t *body, size_t len, struct wire_hello *m);
int wire_decode_slot(const uint8_t *body, size_t len, struct wire_slot *m);
int wire_decode_spawn(const uint8_t *body, size_t len, struct wire_spawn *m);
void wire_spawn_free(struct wire_spawn *m);
int wire_decode_stop(const uint8_t *body, size_t len, struct wire_stop *m);
int wire_decode_signal(const uint8_t *body, size_t len, struct wire_key *key, int32_t *signal);
int wire_decode_note(const uint8_t *body, size_t len, struct wire_key *key, const uint8_t **note,
		     uint32_t *note_len);
int wire_decode_ack(const uint8_t *body, size_t len, struct wire_key *key, uint64_t *seq);
int wire_decode_key(const uint8_t *body, size_t len, struct wire_key *key);
int wire_decode_stream(const uint8_t *body, size_t len, struct wire_stream *m);
int wire_decode_status(const uint8_t *body, size_t len, struct wire_status *m);
int wire_decode_u32(const uint8_t *body, size_t len, uint32_t *value);

/* A received packet. body is valid until wire_packet_done; descriptors not taken (set to -1) are
 * closed by it. */
struct wire_packet {
	enum wire_type type;
	const uint8_t *body;
	size_t len;
	int fds[WIRE_FDS_MAX];
	unsigned n_fds;
	void *map_; /* memfd mapping */
	size_t map_len_;
	uint8_t data_[WIRE_HEADER_SIZE + WIRE_INLINE_MAX];
};

/*
 * Sends the one packet in b with its descriptors (they stay the caller's). 0; -EAGAIN when the
 * peer's queue is full (also for ETOOMANYREFS and ENOBUFS: wait for writability or a few ms);
 * -EPIPE when it is gone; else -errno.
 */
int wire_send(int fd, const struct buf *b, const int *fds, unsigned n_fds);
/* 1 = a packet; 0 = EOF; -EAGAIN = nothing there; -EBADMSG = truncated or malformed (drop the
 * peer); else -errno. */
int wire_recv(int fd, struct wire_packet *p);
void wire_packet_done(struct wire_packet *p);

bool wire_key_same_slot(const struct wire_key *a, const struct wire_key *b);
bool wire_key_equal(const struct wire_key *a, const struct wire_key *b);
const char *wire_type_name(enum wire_type type);
/* "chdir", "exec", ...; for messages such as "cannot start: chdir: No such file or directory". */
const char *wire_stage_name(enum wire_stage stage);

#endif
