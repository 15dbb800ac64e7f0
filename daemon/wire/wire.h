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
 * that died loses nothing. Ports: wire_listen.h, wire_routes.h, wire_traffic.h; units: wire_unit.h.
 *
 * aictld -> controller
 *   HELLO        once per connection, first: build version, boot id, modes; fds: the API's listener
 *   SLOT         the state of one slot; sent when dirty until there is nothing new. Covers what
 *                DESIGN.md calls INVENTORY item, SPAWNED, SPAWN_FAILED and EXIT
 *   SYNCED       after the last SLOT of the inventory: the controller may plan now
 *   STATUS       mode (safe, shutdown, detach) and what `daemon info` shows of aictld and the logger
 *   RELOAD       re-apply the manifest directory; fds: one SOCK_SEQPACKET socket from which the
 *                files come, a packet each: "name NUL error" + its descriptor; EOF ends it
 *   RUN_END      how one RUN ended, once
 *   EVIDENCE     what the processes of a slot have done so far: the answer to LOOK. And PING,
 *                SECRETS_WRITTEN (those with a version are there, or why not)
 * controller -> aictld
 *   SPAWN        refused (stage WIRE_STAGE_REFUSED) while the slot lives. With `standby` it is kept
 *                for a slot that lives: when its process ends by itself, aictld starts this one at
 *                once, and one SLOT tells of the end and of the new incarnation. Given only where
 *                the restart policy says "at once" in advance. So a restart takes no detour, and
 *                happens even while there is no controller
 *   STANDBY_OFF  drops a standby, as do a STOP and another standby
 *   STOP         of an incarnation; an empty slot is swept and reported under that name
 *   RUN          one process beside the slots (an exec probe, `aictl exec`), not restarted and not
 *                logged; fds: its stdin, stdout and stderr (with tty: the terminal thrice). With
 *                `log` (a hook) there are none: its output is stored with the slot's, under its own
 *                incarnation, and what it leaves behind is swept. RUN_KILL signals its process
 *                group. All are killed when the controller goes
 *   SECRETS      files for a service, at wire_secrets_path, before the SPAWN that names them, and at
 *                each connection. Written once; another version takes their place, all at once
 *   SECRETS_DROP of the service's generations all but that one, of former controllers too; 0: all
 *   LOG_LEVEL, LOG_WORK  of and for the logger, too; LOG_DONE comes back unless the logger dies
 *   LIMITS, LOGS of a slot's cgroup, while its process runs; what is kept of its output from now on
 *   FREEZE       freezes or thaws a slot's cgroup; its state comes back with SLOT
 *   WATCH        the replica is up: its watchdog begins, if nothing from it has begun it
 *   LOOK, SIGNAL, NOTE, RELEASE (slot no longer wanted), ACK (exit records committed), CONTROL, PONG
 * aictld -> logger
 *   HELLO        fds: intent table, own-log pipe read end, vault (vault.h); LOG_LEVEL, PING
 *   STREAM       fds: stdout and stderr read ends of one incarnation
 *   GONE         its main process is gone: drain to EOF, or 2 s after empty
 *   QUIT         end now: what was given back is in other hands. End of file without it means that
 *                aictld died: the logger works on and gives back what it holds to the next one
 * logger -> aictld
 *   DRAINED      both ends of that incarnation are closed and stored; aictld drops its copies
 *   LOG_FAULT    what is wrong with the storing of an incarnation's output, before its DRAINED
 * logger, gateway -> the next aictld, over <runtime-dir>/sup/sup.sock
 *   JOIN, GIVE_BACK for each stream (gateway: GIVE_LISTENER), GIVE_BACK_END; then it waits for QUIT.
 *                Their format is frozen: the two may be of different builds (wire_giveback.c)
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_H
#define AICTL_DAEMON_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire_listen.h"

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
#define WIRE_NOTE_MAX 768
#define WIRE_PATH_SIZE 4096
#define WIRE_RLIMITS_MAX 16
#define WIRE_LOG_LEVEL_MAX 3 /* LOG_LVL_DEBUG */
#define WIRE_RUNS_MAX 256    /* at once; one more is refused with EAGAIN */
#define WIRE_SECRETS_MAX 64  /* in one generation of one service */
#define WIRE_SECRET_NAME_SIZE 64
#define WIRE_SECRET_BYTES_MAX (1 << 20)
#define WIRE_REFUSAL_SIZE 512
#define WIRE_RUNTIME_SIZE 32 /* a label + NUL */
#define WIRE_EXITS_MAX 8     /* unacknowledged exits kept per slot; more are counted */

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
	WIRE_RUN,
	WIRE_RUN_END,
	WIRE_RUN_KILL,
	WIRE_SECRETS,
	WIRE_SECRETS_DROP,
	WIRE_LOG_LEVEL,
	WIRE_QUIT,
	WIRE_JOIN,
	WIRE_GIVE_BACK,
	WIRE_GIVE_BACK_END,
	WIRE_LIMITS,
	WIRE_FREEZE,
	WIRE_WATCH,
	WIRE_LOOK,
	WIRE_EVIDENCE,
	WIRE_LOGS,
	WIRE_SECRETS_WRITTEN,
	WIRE_LOG_FAULT,
	WIRE_LOG_WORK,
	WIRE_LOG_DONE,
	WIRE_LISTEN,
	WIRE_LISTENING,
	WIRE_LISTENER,
	WIRE_LISTENER_OFF,
	WIRE_PEER,
	WIRE_ROUTES,
	WIRE_ROUTED,
	WIRE_LOAD,
	WIRE_GIVE_LISTENER,
	WIRE_DEMAND,
	WIRE_STATS,
	WIRE_UNIT_START,
	WIRE_UNIT_KEEP,
	WIRE_UNIT_REMOVE,
	WIRE_UNIT_STATE,
	WIRE_UNIT_STATS,
	WIRE_UNIT_PID,
	WIRE_RUNTIME,
	WIRE_TYPE_MAX_
};

enum wire_flags { WIRE_F_MEMFD = 1 };

/* The slot is (service, index); one run of a process in it is (service, index, incarnation). */
struct wire_key {
	char service[WIRE_SERVICE_SIZE];
	uint32_t index;
	char incarnation[WIRE_INCARNATION_SIZE];
};

/* How far a child got before exec; the names are in wire_failure_name. */
enum wire_stage {
	WIRE_STAGE_NONE,
	WIRE_STAGE_REFUSED, /* the slot lives already, no free slot, or shutting down: err says
			       which (EBUSY, ENOSPC, ESHUTDOWN) */
	WIRE_STAGE_SECRETS, /* they could not be written, or were never sent (ENOENT) */
	WIRE_STAGE_CLONE,   /* clone3 or the pipes failed */
	WIRE_STAGE_FDS,
	WIRE_STAGE_LIMITS,
	WIRE_STAGE_USER,
	WIRE_STAGE_CHDIR,
	WIRE_STAGE_EXEC, /* with err 0: running */
	WIRE_STAGE_MAX_
};

/* Which part of the stage failed. */
enum wire_what {
	WIRE_WHAT_NONE,
	WIRE_WHAT_RLIMIT, /* + the resource's number */
	WIRE_WHAT_NICE = WIRE_WHAT_RLIMIT + WIRE_RLIMITS_MAX,
	WIRE_WHAT_OOM_SCORE,
	WIRE_WHAT_TTY,
	WIRE_WHAT_CGROUP,  /* it could not be made, or is not empty yet */
	WIRE_WHAT_NOTIFY,  /* its notify socket */
	WIRE_WHAT_LISTEN,  /* a listening socket that it is to get */
	WIRE_WHAT_SOCKET,  /* the directory for its ${SOCKET} */
	WIRE_WHAT_RUNTIME, /* of a unit, as the next two (stage CLONE): not enabled, or not usable */
	WIRE_WHAT_IMAGE,   /* it is not there, or could not be fetched */
	WIRE_WHAT_CONTAINER, /* it could not be made or started */
	WIRE_WHAT_MAX_
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
	bool oom_killed;    /* memory.events of its cgroup counted a kill while it ran */
	int32_t stage, err; /* stage < EXEC or err != 0: it never ran; errno of the stage */
	uint8_t what;	    /* enum wire_what; part of a failed stage */
	int64_t started_wall_ms, ended_wall_ms, started_mono_ms, ended_mono_ms;
};

#define WIRE_PUSH_STATUS_SIZE 161 /* UTF-8 without control characters, and NUL */

enum wire_push_flags {
	WIRE_PUSH_READY = 1,
	WIRE_PUSH_STOPPING = 2,
	WIRE_PUSH_RELOADING = 4,
	WIRE_PUSH_WATCHED = 8,	/* its watchdog has begun */
	WIRE_PUSH_EXPIRED = 16, /* and was not served in time */
	WIRE_PUSH_MAX_ = 31,
};

/* What the present process has said through its notify socket: levels, not messages. */
struct wire_push {
	uint8_t flags; /* enum wire_push_flags */
	int32_t err;   /* ERRNO=, 0 = none */
	int64_t watchdog_ms;
	int64_t extend_until_mono_ms; /* EXTEND_TIMEOUT_USEC, 0 = none */
	uint32_t dropped;	      /* messages of strangers, or malformed ones */
	char status[WIRE_PUSH_STATUS_SIZE];
};

#define WIRE_LIMITS_FAILED_SIZE 64

enum wire_log_state {
	WIRE_LOG_OK,
	WIRE_LOG_STALLED,  /* nothing is stored: the writer waits once its pipe is full */
	WIRE_LOG_DROPPING, /* nothing is stored, and what does not fit into the pipe is dropped */
	WIRE_LOG_WEAK,	   /* copied: a killed logger may store the bytes of that moment twice */
	WIRE_LOG_STATE_MAX_
};

/* WIRE_LOG_FAULT: of one incarnation. In SLOT: of all of the slot's that are being stored. */
struct wire_log_fault {
	uint8_t state;	       /* enum wire_log_state */
	int32_t err;	       /* errno, or 0; ETIMEDOUT: the file system does not answer */
	int64_t since_wall_ms; /* of the trouble */
	/* LOG_FAULT: in all. SLOT: in the present or last trouble. */
	uint64_t dropped_bytes, dropped_lines;
	/* SLOT only: since aictld began, and which state a controller was told last. */
	uint64_t all_bytes, all_lines;
	uint8_t told;
};

/* WIRE_SLOT. Strings and arrays borrow from the decoded body. */
struct wire_slot {
	struct wire_key
		key;   /* incarnation of the current or last process; "" when there was none */
	uint8_t state; /* enum wire_slot_state */
	uint8_t stage; /* enum wire_stage; of the current or last attempt */
	uint8_t what;  /* enum wire_what; part of a failed stage */
	int32_t err;   /* errno of a failed stage, else 0 */
	int32_t pid;   /* 0 = none */
	char runtime[WIRE_RUNTIME_SIZE]; /* of a unit (wire_unit.h); "" = a process */
	bool frozen;
	bool tracked;		 /* it is in a cgroup, and can be frozen */
	uint32_t freeze_request; /* the last FREEZE that was done or failed; 0 = none */
	int32_t freeze_err;	 /* how; errno, 0 = done */
	char limits_failed
		[WIRE_LIMITS_FAILED_SIZE]; /* why the last LIMITS are not in force, or "" */
	bool swept; /* EMPTY only: a scan found no left-over process of any incarnation of the slot
		     */
	int64_t started_wall_ms, started_mono_ms;
	uint32_t exits_lost; /* exits pushed out of the ring since the last ACK */
	uint32_t n_exits;
	struct wire_exit exits[WIRE_EXITS_MAX];
	const uint8_t *note; /* as the controller wrote it last; only in the inventory, else NULL */
	uint32_t note_len;
	bool has_push; /* it has a notify socket */
	struct wire_push push;
	bool has_log; /* the storing of its output was not always all right */
	struct wire_log_fault log;
};

struct wire_hello {
	char version[32]; /* PACKAGE_VERSION: helpers are the exact build, others exit */
	char boot_id[40];
	int32_t aictld_pid;
	bool safe_mode;
	bool shutting_down;
	bool first_start; /* no table existed before: the manifests directory is to be applied */
	bool other_state; /* what runs was begun with another store: unknown is no reason to stop */
	uint8_t log_level;		  /* enum log_level of aictld now */
	char secrets_dir[WIRE_PATH_SIZE]; /* see wire_secrets_path */
	char sockets_dir[WIRE_PATH_SIZE]; /* see wire_listen_socket_dir */
};

enum wire_mode {
	WIRE_MODE_NORMAL,
	WIRE_MODE_SAFE,
	WIRE_MODE_SHUTDOWN,
	WIRE_MODE_DETACH, /* aictld ends, or becomes another build; what runs runs on */
	WIRE_MODE_MAX_
};

/* What the cgroup of a slot can do here. */
enum wire_cgroup_can {
	WIRE_CGROUP_TRACK = 1, /* a cgroup2 tree is writable: tracking, killing, freezing */
	WIRE_CGROUP_MEMORY = 2,
	WIRE_CGROUP_CPU = 4,
	WIRE_CGROUP_IO = 8,
	WIRE_CGROUP_PIDS = 16,
	WIRE_CGROUP_CPUSET = 32,
};

/* WIRE_STATUS */
struct wire_status {
	uint8_t mode;	     /* enum wire_mode; safe: answer the API, change nothing */
	int32_t logger_pid;  /* 0 = not running at the moment */
	int32_t gateway_pid; /* 0 = not running: there may be nothing to serve */
	uint32_t controller_restarts, logger_restarts, gateway_restarts; /* since aictld started */
	uint32_t gateway_threads;
	uint32_t gateways_leaving;	 /* of former aictlds; they end what they have under way */
	uint32_t slots;			 /* slots in use */
	uint32_t cgroup_can;		 /* enum wire_cgroup_can */
	char cgroup_dir[WIRE_PATH_SIZE]; /* of all slots, see wire_cgroup_path; "" = none */
	int64_t started_wall_ms;	 /* of this aictld: another one after a reexec */
	uint32_t adopted;		 /* replicas that it took over when it began */
	uint32_t refusals;		 /* DETACH and REEXEC that were refused */
	char refusal[WIRE_REFUSAL_SIZE]; /* why, of the last one */
};

#define WIRE_CPUSET_SIZE 256

/* Of one slot's cgroup; 0 and "" = not limited (the kernel's default). */
struct wire_limits {
	uint64_t memory_max, memory_high; /* bytes */
	uint64_t swap_max;		  /* bytes */
	bool has_swap_max;		  /* swap_max 0 means no swap */
	bool oom_group;			  /* memory.oom.group */
	uint32_t cpu_milli;		  /* thousandths of a processor */
	uint32_t cpu_weight, io_weight;	  /* 1..10000 */
	uint64_t pids_max;
	char cpuset[WIRE_CPUSET_SIZE]; /* "0-3,8" */
};

#define WIRE_LIMIT_INFINITY UINT64_MAX
#define WIRE_LIMIT_KEEP (UINT64_MAX - 1) /* as inherited */

struct wire_rlimit {
	uint32_t resource; /* RLIMIT_NOFILE ...; < WIRE_RLIMITS_MAX */
	uint64_t soft, hard;
};

/*
 * What a child process shall be; part of SPAWN and RUN. In: what to encode. Out: the arrays point
 * into one allocation that is freed with the message.
 */
struct wire_child {
	const char *cwd;		 /* absolute */
	char *const *paths;		 /* candidates for execve, tried in order as execvp does */
	char *const *argv, *const *envp; /* NULL-terminated */
	uint32_t uid, gid;
	const uint32_t *groups; /* supplementary; only used when aictld is root */
	uint32_t n_groups;
	bool set_user;	    /* false: run as aictld itself does */
	bool set_oom_score; /* false: as aictld's own */
	int32_t oom_score;  /* oom_score_adj, -1000..1000 */
	int32_t nice;	    /* -20..19; 0 = as aictld's own */
	uint32_t umask;	    /* 0..0777 */
	const struct wire_rlimit *rlimits;
	uint32_t n_rlimits;
	void *memory_; /* owned by a decoded message */
};

#define WIRE_NOTIFY_FD_MAX 12
#define WIRE_LISTEN_FD 3	/* the first listening socket in a process that gets some */
#define WIRE_SPAWN_LISTEN_MAX 8 /* so many at most */
#define WIRE_SPAWN_SOCKETS_MAX 16
#define WIRE_PORT_NAME_SIZE 64

enum wire_logs_flags {
	WIRE_LOGS_DROP = 1,
	WIRE_LOGS_ZSTD = 2,
	WIRE_LOGS_JOURNALD = 4,
	WIRE_LOGS_ALL = 7
};

/* What is kept of a replica's output. 0 = no such limit, but for the first two. */
struct wire_logs {
	uint64_t max_size; /* bytes of one segment */
	uint32_t max_files;
	uint32_t flags;	    /* enum wire_logs_flags */
	uint64_t max_total; /* bytes of the service */
	int64_t max_age_ms;
	int64_t rotate_ms; /* a segment begins so long after the one before it, at the latest */
	uint64_t revision; /* for the journal; 0 = not known */
};

/* WIRE_SPAWN; child is as in struct wire_child, note lies in its memory, too. */
struct wire_spawn {
	struct wire_key key;
	bool standby; /* see SPAWN at the top */
	struct wire_child child;
	struct wire_limits limits;
	uint64_t secrets;    /* generation that must be there; 0 = none */
	bool notify;	     /* it gets a NOTIFY_SOCKET */
	uint8_t notify_fd;   /* a newline on it means ready; 0 = none, else 3..WIRE_NOTIFY_FD_MAX */
	int64_t watchdog_ms; /* 0 = none; else with notify */
	uint32_t n_listen; /* it gets these as descriptors from WIRE_LISTEN_FD on, and LISTEN_PID */
	struct wire_listen_at listen[WIRE_SPAWN_LISTEN_MAX];
	uint32_t n_sockets; /* it may listen there for these ports */
	char sockets[WIRE_SPAWN_SOCKETS_MAX][WIRE_PORT_NAME_SIZE];
	int32_t stop_signal; /* 1..64 */
	int64_t grace_ms;
	struct wire_logs logs;
	const uint8_t *note; /* stored with the slot, see NOTE */
	uint32_t note_len;
};

/* WIRE_EVIDENCE: what only grows while something is done. 0 = not known. */
struct wire_evidence {
	struct wire_key key;
	uint64_t io_bytes;     /* read and written, to and from anything, by all of its processes */
	uint64_t memory_bytes; /* resident now */
	uint64_t
		block_bytes; /* the same of all that ever were in its cgroup, to and from devices */
};

/* WIRE_RUN, with three descriptors, or with `log` none. */
struct wire_run {
	uint64_t id;	     /* the controller's, never used twice */
	struct wire_key key; /* it runs in this slot's cgroup; service "" = in none */
	bool tty;	     /* the descriptors are a terminal, which becomes the controlling one */
	bool inside;	     /* in the unit that runs in the slot (wire_unit.h); ESRCH: none does */
	bool log; /* key has an incarnation of its own, which stands in its environment, too */
	struct wire_logs logs; /* as in a SPAWN */
	int64_t timeout_ms;    /* then SIGKILL to the group; 0 = none */
	struct wire_child child;
};

#define WIRE_RUN_TEXT_SIZE 256

/* WIRE_RUN_END */
struct wire_run_end {
	uint64_t id;
	uint8_t stage;	/* as in wire_exit: EXEC and err 0 = it ran */
	uint8_t what;	/* enum wire_what */
	int32_t err;	/* REFUSED with EAGAIN: too many at once; EALREADY: the same one is stuck */
	int32_t code;	/* exit code, or -1 */
	int32_t signal; /* 0 = none */
	bool timed_out;
	char text[WIRE_RUN_TEXT_SIZE]; /* why not, in the words of who runs a unit; "" = none */
};

struct wire_secret {
	char name[WIRE_SECRET_NAME_SIZE]; /* a file name: letters, digits, ._-, not hidden */
	const uint8_t *data;		  /* decoded: borrowed from the body */
	uint32_t len;
};

/* WIRE_SECRETS */
struct wire_secrets {
	char service[WIRE_SERVICE_SIZE];
	uint64_t generation; /* not 0; where they lie */
	uint64_t version;    /* of the contents; 0: this generation never has others */
	uint32_t uid, gid;   /* of the files; only used when aictld is root */
	bool everyone; /* may read them who gets there, as from a container that they are mounted in */
	uint32_t n;
	struct wire_secret secrets[WIRE_SECRETS_MAX];
};

/* WIRE_SECRETS_WRITTEN; of SECRETS with a version only. */
struct wire_secrets_written {
	char service[WIRE_SERVICE_SIZE];
	uint64_t generation, version;
	int32_t err; /* errno, 0 = they are there */
};

struct wire_stop {
	struct wire_key key; /* another incarnation than the living one: ignored */
	int32_t signal;	     /* 0 = the slot's own */
	int64_t grace_ms;    /* -1 = the slot's own; 0 = SIGKILL at once */
};

struct wire_stream {
	struct wire_key key;
	uint32_t intent_index; /* word of the intent table: slot number */
	struct wire_logs logs;
	bool gone; /* the main process is gone already (a resend after the logger died) */
};

/* WIRE_JOIN; see wire_giveback.c for the frozen format. */
struct wire_join {
	char version[32]; /* of the helper's build */
	int32_t pid;
	uint32_t role; /* enum wire_role */
};

enum wire_role { WIRE_ROLE_LOGGER = 1, WIRE_ROLE_GATEWAY };

enum wire_give_back_fds { WIRE_GIVE_STDOUT = 1, WIRE_GIVE_STDERR = 2, WIRE_GIVE_PIDFD = 4 };

/* WIRE_GIVE_BACK; fds: those that `fds` names, in that order. */
struct wire_give_back {
	struct wire_stream stream;
	uint32_t fds; /* enum wire_give_back_fds; no pipe: it is stored to its end */
};

enum wire_control {
	WIRE_CONTROL_RELOAD = 1,
	WIRE_CONTROL_STOP,
	WIRE_CONTROL_LEAVE_SAFE,
	WIRE_CONTROL_DETACH, /* end, and leave everything running */
	WIRE_CONTROL_REEXEC, /* check the program on disk, then become it */
	/* Services depend on each other, or drain before they stop: at a shutdown the controller stops
	 * them, and aictld only what it leaves. Until UNORDERED comes. Said again while that takes time. */
	WIRE_CONTROL_ORDERED,
	WIRE_CONTROL_UNORDERED,
	/* Hooks follow the last stops of a shutdown, which waits for them. Until NO_HOOKS comes. */
	WIRE_CONTROL_HOOKS,
	WIRE_CONTROL_NO_HOOKS,
	WIRE_CONTROL_MAX_
};

/* Encoders append one packet to b (check b->failed). The body may exceed WIRE_INLINE_MAX: wire_send
 * copes. */
void wire_encode_hello(struct buf *b, const struct wire_hello *m);
void wire_encode_slot(struct buf *b, const struct wire_slot *m);
void wire_encode_spawn(struct buf *b, const struct wire_spawn *m);
void wire_encode_stop(struct buf *b, const struct wire_stop *m);
void wire_encode_signal(struct buf *b, const struct wire_key *key, int32_t signal);
void wire_encode_note(struct buf *b, const struct wire_key *key, const uint8_t *note, uint32_t len);
void wire_encode_ack(struct buf *b, const struct wire_key *key, uint64_t seq);
void wire_encode_key(
	struct buf *b, enum wire_type type,
	const struct wire_key *key); /* RELEASE, STANDBY_OFF, GONE, DRAINED, WATCH, LOOK */
void wire_encode_stream(struct buf *b, const struct wire_stream *m);
void wire_encode_status(struct buf *b, const struct wire_status *m);
void wire_encode_u32(struct buf *b, enum wire_type type, uint32_t value); /* CONTROL, LOG_LEVEL */
void wire_encode_empty(struct buf *b,
		       enum wire_type type); /* SYNCED, RELOAD, PING, PONG, QUIT ... */

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

/* RUN and its company (wire_run.c), encoders and decoders as above. */
void wire_run_encode(struct buf *b, const struct wire_run *m);
int wire_run_decode(const uint8_t *body, size_t len, struct wire_run *m);
void wire_run_free(struct wire_run *m);
void wire_run_encode_end(struct buf *b, const struct wire_run_end *m);
int wire_run_decode_end(const uint8_t *body, size_t len, struct wire_run_end *m);
void wire_run_encode_kill(struct buf *b, uint64_t id, int32_t signal);
int wire_run_decode_kill(const uint8_t *body, size_t len, uint64_t *id, int32_t *signal);

enum wire_log_what { WIRE_LOG_ROTATE = 1, WIRE_LOG_PRUNE };

#define WIRE_LOG_STAY_MAX 1024

/* WIRE_LOG_WORK: with the log files of one service, by hand. */
struct wire_log_work {
	uint64_t id;   /* the controller's, never used twice */
	uint32_t what; /* enum wire_log_what */
	char service[WIRE_SERVICE_SIZE];
	int64_t index; /* a replica, or -1 = all */
	/* PRUNE: closed files of which this is true go. */
	int64_t older_than_ms; /* nothing was written for so long */
	uint64_t keep;	       /* they are not among the newest so many of their replica */
	bool dry_run;	       /* they would go */
	uint32_t n_stay;       /* replicas of which all stay */
	uint32_t stay[WIRE_LOG_STAY_MAX];
};

/* WIRE_LOG_DONE */
struct wire_log_done {
	uint64_t id;
	int32_t err;	       /* errno, 0 = done */
	uint64_t files, bytes; /* that went, or would; ROTATE: files that are closed now or soon */
	uint64_t kept, kept_bytes;
	uint64_t failed; /* files that could not be deleted */
};

/* LOGS, LOG_WORK, LOG_DONE and LOG_FAULT, and what SLOT says of the latter (wire_logs.c). */
void wire_logs_encode_work(struct buf *b, const struct wire_log_work *m);
int wire_logs_decode_work(const uint8_t *body, size_t len, struct wire_log_work *m);
void wire_logs_encode_done(struct buf *b, const struct wire_log_done *m);
int wire_logs_decode_done(const uint8_t *body, size_t len, struct wire_log_done *m);
void wire_logs_encode(struct buf *b, const struct wire_key *key, const struct wire_logs *m);
int wire_logs_decode(const uint8_t *body, size_t len, struct wire_key *key, struct wire_logs *m);
void wire_logs_encode_fault(struct buf *b, const struct wire_key *key,
			    const struct wire_log_fault *m);
int wire_logs_decode_fault(const uint8_t *body, size_t len, struct wire_key *key,
			   struct wire_log_fault *m);
/* Are lines not stored, or lost? */
bool wire_logs_is_trouble(uint8_t state);

/* LIMITS and FREEZE (wire_cgroup.c). */
void wire_cgroup_encode_limits(struct buf *b, const struct wire_key *key,
			       const struct wire_limits *m);
int wire_cgroup_decode_limits(const uint8_t *body, size_t len, struct wire_key *key,
			      struct wire_limits *m);
/* request: a number by which SLOT answers it. */
void wire_cgroup_encode_freeze(struct buf *b, const struct wire_key *key, bool frozen,
			       uint32_t request);
int wire_cgroup_decode_freeze(const uint8_t *body, size_t len, struct wire_key *key, bool *frozen,
			      uint32_t *request);
/* Where a slot's cgroup lies: dir is STATUS's cgroup_dir. 0, or -ERR_INVALID when size is too small. */
int wire_cgroup_path(char *path, size_t size, const char *dir, const struct wire_key *key);

/* EVIDENCE, and what SLOT says of a notify socket (wire_push.c). */
void wire_push_encode_evidence(struct buf *b, const struct wire_evidence *m);
int wire_push_decode_evidence(const uint8_t *body, size_t len, struct wire_evidence *m);

/* JOIN and GIVE_BACK (wire_giveback.c). */
void wire_giveback_encode_join(struct buf *b, const struct wire_join *m);
int wire_giveback_decode_join(const uint8_t *body, size_t len, struct wire_join *m);
void wire_giveback_encode(struct buf *b, const struct wire_give_back *m);
int wire_giveback_decode(const uint8_t *body, size_t len, struct wire_give_back *m);

/* SECRETS, SECRETS_DROP and SECRETS_WRITTEN (wire_secrets.c). */
void wire_secrets_encode(struct buf *b, const struct wire_secrets *m);
int wire_secrets_decode(const uint8_t *body, size_t len, struct wire_secrets *m);
void wire_secrets_encode_drop(struct buf *b, const char *service, uint64_t generation);
int wire_secrets_decode_drop(const uint8_t *body, size_t len, char service[WIRE_SERVICE_SIZE],
			     uint64_t *generation);
void wire_secrets_encode_written(struct buf *b, const struct wire_secrets_written *m);
int wire_secrets_decode_written(const uint8_t *body, size_t len, struct wire_secrets_written *m);
/* May that be the name of a secret? */
bool wire_secrets_is_name(const char *name);
/* Appends where a generation's files lie, without a slash at the end; dir is HELLO's. */
void wire_secrets_path(struct buf *b, const char *dir, const char *service, uint64_t generation);

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
void wire_encode_again(struct buf *b, const struct wire_packet *p); /* as it came, without fds */

bool wire_key_same_slot(const struct wire_key *a, const struct wire_key *b);
bool wire_key_equal(const struct wire_key *a, const struct wire_key *b);
const char *wire_type_name(enum wire_type type);
const char *wire_stage_name(enum wire_stage stage);
/* "chdir", "limits: nofile"; for messages such as "cannot start: chdir: No such file or directory".
 * Written to out, and returned. */
#define WIRE_FAILURE_SIZE 32
const char *wire_failure_name(char out[WIRE_FAILURE_SIZE], int stage, int what);

#endif
