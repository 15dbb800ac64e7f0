/*
 * manifest: YAML text -> checked service specifications. The same function serves `aictl validate`,
 * `apply` on the client and the daemon, so the messages are the same everywhere.
 *
 * Every key is one row of the table in schema_table.c (key, type, unit, default, range, change class,
 * doc); a key that is not in the table does not exist. manifest_parse collects up to
 * MANIFEST_ERRORS_MAX errors, each with file, 1-based line and column.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_H
#define AICTL_LIB_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/manifest_errors.h"

struct err;
struct buf;

#define MANIFEST_BYTES_MAX (1 << 20)
#define MANIFEST_NAME_MAX 63 /* DNS label */
#define MANIFEST_REPLICAS_MAX 1000
#define MANIFEST_PORTS_MAX 16 /* names of one service */

enum probe_kind {
	PROBE_STARTUP,
	PROBE_READINESS,
	PROBE_LIVENESS,
	PROBE_WARMUP, /* no key of its own below probes: what `warmup` asks for */
	PROBE_KIND_MAX_
};
#define PROBE_KEYS PROBE_WARMUP /* those before it are keys below probes */

enum request_method { REQUEST_GET, REQUEST_HEAD, REQUEST_POST, REQUEST_PUT };

/* An HTTP request and what its answer must be. */
struct request_spec {
	int64_t method;	 /* enum request_method, default GET */
	char *path;	 /* "/healthz"; starts with '/' */
	char *host;	 /* default 127.0.0.1; a numeric address */
	char *port;	 /* number, or name in ports; "" = the replica's own ${PORT} */
	char **headers;	 /* "Name=value", sorted */
	char *body;	 /* NULL = none */
	char **statuses; /* "200", "200-299"; NULL = 200 to 399 */
	char *json;	 /* an object as canonical JSON; its members must be in the answer; NULL */
	int64_t max_latency_ms; /* 0 = only the time-out */
};

/* Exactly one of the handlers is set in an enabled probe; none of them in one that only waits for
 * a word (readiness.notify, readiness.notify_fd), or in a startup probe that only has a deadline. */
struct probe_spec {
	bool enabled;
	bool http, tcp, exec, grpc, file, log, progress;
	struct request_spec request; /* http */
	char *tcp_host;		     /* tcp: as host; success is that it accepts */
	char *tcp_port;		     /* tcp: as port */
	char *grpc_host, *grpc_port; /* grpc: as tcp's */
	char *grpc_service;	     /* "" = the server as a whole */
	char *file_path;	     /* file: not yet expanded; success is that it is there */
	int64_t file_max_age_ms;     /* and was changed since then; 0 = ever */
	char *log_pattern;	     /* log: a POSIX extended regular expression */
	/* progress: a page of metrics as Prometheus reads them */
	char *progress_path, *progress_host, *progress_port;
	char *progress_metric, *progress_pending; /* names without labels */
	int64_t progress_stall_ms;		  /* default 60 s */
	char **exec_command;	   /* exec: not yet expanded; success is exit code 0 */
	int64_t initial_delay_ms;  /* default 0 */
	int64_t period_ms;	   /* default 10 s; startup 2 s */
	int64_t timeout_ms;	   /* default 2 s */
	int64_t success_threshold; /* default 1; must be 1 for startup and liveness */
	int64_t failure_threshold; /* default 3; startup: unused, see stall_ms */
	int64_t stall_ms;    /* startup only, default 120 s: no evidence of progress so long */
	int64_t deadline_ms; /* startup only: 0 = none; from the start, whatever there is */
	int64_t notify;	     /* readiness only: READY=1 must hold */
	int64_t notify_fd;   /* readiness only: a newline on this descriptor; 0 = none */
};

/* Is there somebody to ask, or does the probe only wait? */
static inline bool probe_spec_polls(const struct probe_spec *p)
{
	return p->enabled &&
	       (p->http || p->tcp || p->exec || p->grpc || p->file || p->log || p->progress);
}

/* Must the replica say itself that it is ready? */
static inline bool probe_spec_is_pushed(const struct probe_spec *readiness)
{
	return readiness->enabled && (readiness->notify || readiness->notify_fd);
}

/* A request that must succeed before a replica is ready. */
struct warmup_spec {
	bool http;
	struct request_spec request;
	int64_t timeout_ms; /* default 60 s */
};

enum restart_when { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
enum budget_then { BUDGET_SLOW, BUDGET_FAIL };

/* Whole numbers. */
struct spec_ints {
	int64_t *v;
	size_t n;
};

/* A map of named objects, or a list of objects: elements of one size, sorted by name when named. */
struct spec_table {
	void *v;
	size_t n;
};

enum log_compress { LOG_COMPRESS_NONE, LOG_COMPRESS_ZSTD };

enum update_strategy { UPDATE_ROLLING, UPDATE_CANARY };
enum update_order { UPDATE_START_FIRST, UPDATE_STOP_FIRST };
enum update_then { UPDATE_ROLLBACK, UPDATE_PAUSE, UPDATE_CONTINUE };

/* A canary beside the stable revision, by the gateway's samples of the same time. */
struct judge_spec {
	double error_rate;    /* share of requests, 0..1: so much above the stable one's is bad */
	double p95;	      /* so many times the stable one's latency is bad */
	int64_t min_requests; /* of the canary, before it is judged */
};

struct update_spec {
	int64_t strategy; /* enum update_strategy, default rolling */
	char **steps;	  /* canary: "5%/2m", the last "100%"; NULL = 5%/2m, 25%/5m, 100% */
	struct judge_spec judge;
	int64_t order;		 /* enum update_order, default start-first */
	int64_t max_surge;	 /* default 1; below 0: percent of the replicas, rounded up */
	int64_t max_unavailable; /* default 0; below 0: percent, rounded down */
	int64_t min_ready_ms;	 /* default 10 s */
	int64_t deadline_ms;	 /* default 10 m: without progress for that long it has failed */
	int64_t pause_after;	 /* default 0 = never: so many new replicas, then it pauses */
	int64_t on_failure;	 /* enum update_then, default rollback */
};

enum rule_then { RULE_RESTART, RULE_FAIL, RULE_SUCCEED };

/* The first rule that names an exit code decides, before success_exit_codes and policy. */
struct restart_rule {
	struct spec_ints exit; /* 0..255 */
	int64_t then;	       /* enum rule_then */
};

struct restart_spec {
	int64_t policy;			     /* enum restart_when, default always */
	struct spec_ints success_exit_codes; /* default 0 */
	struct spec_table rules;	     /* of struct restart_rule, in the file's order */
	int64_t backoff_initial_ms;	     /* default 1 s; 0 = always at once */
	double backoff_factor;		     /* default 2, >= 1 */
	int64_t backoff_max_ms;		     /* default 60 s */
	double backoff_jitter;		     /* default 0.2: +-20 % */
	int64_t budget_restarts;	     /* default 10; 0 = no budget */
	int64_t budget_window_ms;	     /* default 10 m */
	int64_t budget_then;		     /* enum budget_then, default slow */
	int64_t max_age_ms;		     /* 0 = any; then it is recycled */
	double max_age_variance;	     /* default 0.1: +-10 % */
	int64_t max_memory;		     /* bytes; 0 = any; above it is recycled */
};

enum port_mode { PORT_PROXY, PORT_SOCKET };
enum port_protocol { PORT_HTTP, PORT_TCP };

/* One name in ports; `port: N` is short for ports.http.port. */
struct port_spec {
	char *name;		/* "http"; ${PORT_HTTP} is what a replica listens on */
	int64_t port;		/* the stable port; 0 = none, replicas get theirs all the same */
	char *listen;		/* numeric address of the stable port, default 127.0.0.1 */
	int64_t mode;		/* enum port_mode */
	int64_t protocol;	/* enum port_protocol */
	int64_t container_port; /* of a container; 0 = port, or without it the replica's own */
	int64_t handed; /* digest of port and listen where the replicas get that socket, else 0 */
	bool on_socket; /* the service uses ${SOCKET} for it: replicas listen at a path */
};

/* A secret: where the client reads it, and what it read. */
struct secret_spec {
	char *name;
	char *file;    /* or NULL */
	char *env;     /* variable of the client, or NULL */
	uint8_t *data; /* contents; NULL when they were not asked for */
	size_t len;
	/* Of the contents, so that a change of them is one of the service: the second one where it
	 * declares a reload and is no container, else the first. The other is 0. */
	int64_t digest, reloaded_digest;
};

enum spec_rlimit {
	SPEC_RLIMIT_AS,
	SPEC_RLIMIT_CORE,
	SPEC_RLIMIT_CPU,
	SPEC_RLIMIT_DATA,
	SPEC_RLIMIT_FSIZE,
	SPEC_RLIMIT_LOCKS,
	SPEC_RLIMIT_MEMLOCK,
	SPEC_RLIMIT_MSGQUEUE,
	SPEC_RLIMIT_NICE,
	SPEC_RLIMIT_NOFILE,
	SPEC_RLIMIT_NPROC,
	SPEC_RLIMIT_RSS,
	SPEC_RLIMIT_RTPRIO,
	SPEC_RLIMIT_RTTIME,
	SPEC_RLIMIT_SIGPENDING,
	SPEC_RLIMIT_STACK,
	SPEC_RLIMIT_MAX_
};

#define SPEC_UNSET INT64_MIN /* of an int64_t without a default: not given */
#define SPEC_UNLIMITED INT64_MAX

struct spec_limit {
	int64_t soft, hard; /* SPEC_UNSET: inherited; SPEC_UNLIMITED */
};

/* What a replica may use; limits are 0 where there is none. */
struct resources_spec {
	int64_t memory, memory_high;   /* bytes */
	int64_t swap;		       /* bytes; SPEC_UNSET = no limit, 0 = no swap */
	double cpus;		       /* processors */
	int64_t cpu_weight, io_weight; /* 1..10000 */
	int64_t pids;		       /* processes and threads */
	char *cpuset;		       /* "0-3,8"; NULL = any */
	int64_t oom_group; /* bool: what runs out of memory is killed as a whole; default true */
	int64_t required;  /* bool: a limit that cannot be enforced is an error */
};

enum depend_condition { DEPEND_STARTED, DEPEND_READY, DEPEND_COMPLETED };
enum dependency_restart { DEPENDENCY_IGNORE, DEPENDENCY_RESTART, DEPENDENCY_RELOAD };

/* A service that must be there before this one starts. */
struct depend_spec {
	char *name;
	int64_t condition;  /* enum depend_condition, default started */
	int64_t required;   /* bool: without it this one fails; default true */
	int64_t timeout_ms; /* how long a start waits for it; 0 = for ever */
};

enum retry_when { RETRY_IDEMPOTENT, RETRY_UNSAFE, RETRY_NEVER };

/* Of the stable ports; ms, 0 = none. */
struct timeouts_spec {
	int64_t connect_ms;
	int64_t head_ms;     /* of a request, from its first byte */
	int64_t idle_ms;     /* of a client's connection between requests */
	int64_t response_ms; /* from the request's last byte to the answer's first */
	int64_t stall_ms;    /* while a message is under way, without a byte of it */
	int64_t total_ms;    /* of a request and its answer */
	int64_t tunnel_ms;   /* of a connection that is passed on as it is, without a byte */
};

enum autoscale_kind {
	AUTOSCALE_CONCURRENCY,
	AUTOSCALE_RPS,
	AUTOSCALE_CPU,
	AUTOSCALE_MEMORY,
	AUTOSCALE_PROMETHEUS
};

struct autoscale_metric {
	int64_t kind;	   /* enum autoscale_kind */
	double target;	   /* of one replica: requests under way, requests per second, percent of a
			  processor, percent of resources.limits.memory, the metric; 0 = not given */
	char *name;	   /* prometheus: of the metric */
	char *path, *port; /* prometheus: as those of a probe */
};

/* Bounds that hold for a while. */
struct autoscale_window {
	char *cron;
	int64_t for_ms;
	int64_t min, max; /* SPEC_UNSET = as always */
	char *timezone;	  /* NULL = the machine's */
};

struct autoscale_spec {
	bool enabled;
	struct autoscale_metric metric; /* where metrics is empty */
	struct spec_table metrics;	/* of struct autoscale_metric; the largest answer counts */
	int64_t window_ms, panic_window_ms; /* concurrency and rps: Knative's */
	double panic_threshold, max_up_rate, max_down_rate;
	int64_t scale_down_delay_ms;
	double tolerance; /* cpu, memory, prometheus: the HPA's */
	int64_t stabilization_ms;
	struct spec_table schedule; /* of struct autoscale_window */
};

enum spec_type { SPEC_SERVICE, SPEC_TASK };
enum task_again { AGAIN_ON_CHANGE, AGAIN_ALWAYS, AGAIN_NEVER };
enum log_on_full { LOG_BLOCK, LOG_DROP };
enum schedule_missed { MISSED_SKIP, MISSED_RUN };

/* When a task runs; exactly one of cron and every. */
struct schedule_spec {
	bool enabled;
	char *cron;	  /* lib/cron.h; NULL = every */
	int64_t every_ms; /* 0 = cron */
	char *timezone;	  /* of cron; NULL = the machine's */
	int64_t missed;	  /* enum schedule_missed, default skip */
};

/* How a service reads its files again; exactly one of signal and http. */
struct reload_spec {
	bool enabled;
	int64_t signal; /* 0 = http */
	bool http;
	struct request_spec request;
	int64_t timeout_ms; /* of http, default 10 s */
};

enum hook_kind {
	HOOK_PRE_START,	 /* before each start; without its success there is none */
	HOOK_POST_START, /* beside the process; it is not ready before they are done */
	HOOK_PRE_STOP,	 /* before the stop signal, inside the grace period; not after a crash */
	HOOK_POST_STOP,	 /* when all processes are gone, also after a crash */
	HOOK_KIND_MAX_
};
enum hook_then { HOOK_ABORT, HOOK_IGNORE };

/* One step of a hook; exactly one of exec and http. */
struct hook_spec {
	bool exec, http;
	char **command; /* exec: not yet expanded */
	struct request_spec request;
	int64_t timeout_ms; /* default 30 s */
	int64_t on_failure; /* enum hook_then, default abort: those behind it are not run */
};

enum pull_policy { PULL_MISSING, PULL_ALWAYS, PULL_NEVER };
enum volume_type { VOLUME_BIND, VOLUME_NAMED, VOLUME_TMPFS };

/* What is mounted into a container. */
struct volume_spec {
	int64_t type; /* enum volume_type */
	/* bind: absolute, or begins with "~/" or "${"; not yet expanded. volume: its name, NULL = one
	 * that lives and dies with the container. tmpfs: NULL. */
	char *source;
	char *target;	   /* absolute */
	int64_t read_only; /* bool */
	int64_t size;	   /* tmpfs: bytes; 0 = the engine's default */
};

struct device_spec {
	char *source, *target; /* target NULL = source */
	char *permissions;     /* some of "rwm" */
};

struct gpus_spec {
	bool enabled;
	int64_t count;	     /* -1 = all; of no use beside device_ids and cdi */
	char **device_ids;   /* numbers or UUIDs; or NULL */
	char *driver;	     /* NULL = the engine's */
	char **capabilities; /* all of them; NULL = gpu */
	char **cdi;	     /* "nvidia.com/gpu=0"; or NULL */
};

/* What only a container has. */
struct container_spec {
	char *image;		   /* NULL = it is a process */
	char *runtime;		   /* default "docker" */
	int64_t pull_policy;	   /* enum pull_policy, default missing */
	char **entrypoint;	   /* NULL = the image's; not yet expanded */
	char *network;		   /* "bridge" (default), "host", "none", or a network's name */
	char *hostname;		   /* not yet expanded; or NULL */
	struct spec_table volumes; /* of struct volume_spec */
	struct spec_table devices; /* of struct device_spec */
	struct gpus_spec gpus;
	int64_t shm_size;	 /* bytes; 0 = the engine's default */
	int64_t init, read_only; /* bool */
	char **cap_add, **cap_drop, **security_opt, **group_add; /* or NULL */
};

struct service_spec {
	char *name;
	char *description; /* "" when not given */
	char **command; /* NULL-terminated, at least one; of a container also NULL: the image's */
	/* Absolute; default: the manifest's directory. Of a container: inside it, NULL = the image's. */
	char *working_dir;
	struct container_spec container;
	char *user;	   /* NULL = not given; of a container perhaps "user:group" */
	char *group;	   /* NULL = the user's own */
	int64_t umask;	   /* 0..0777, default 022 */
	int64_t nice;	   /* -20..19, default 0 */
	int64_t oom_score; /* oom_score_adj, -1000..1000; SPEC_UNSET = inherited */
	struct spec_limit ulimits[SPEC_RLIMIT_MAX_];
	char **env_file;	   /* as written; their variables stand in environment already */
	char **environment;	   /* "NAME=value", sorted by name, NULL-terminated; values not yet
			       expanded; those of env_file below the manifest's own */
	char **labels;		   /* "key=value", sorted by key */
	struct spec_table secrets; /* of struct secret_spec */
	uint64_t secrets_generation; /* the daemon's: of what they hold now; 0 = there are none */
	struct spec_table ports;     /* of struct port_spec; `port` is among them as "http" */
	int64_t replicas; /* default 1, 0..MANIFEST_REPLICAS_MAX; with a range: at first */
	int64_t replicas_min, replicas_max; /* the scaler's range; max 0 = there is none */
	struct autoscale_spec autoscale;
	int64_t idle_ms;     /* replicas_min 0: without a request for so long none runs; 0 = 10 m */
	int64_t hold_ms;     /* how long a request is held while the first one starts */
	int64_t concurrency; /* requests of one replica at a time; 0 = any number */
	int64_t queue_max, queue_timeout_ms; /* of those that wait for a replica */
	char *affinity_header; /* requests with equal values go to one replica; NULL */
	int64_t retry;	       /* enum retry_when */
	struct timeouts_spec timeouts;
	double access_log; /* share of requests, 0..1 */
	int64_t port;	   /* 0 = none; 1..65535: the service's stable address */
	struct probe_spec probes[PROBE_KIND_MAX_];
	struct spec_table warmup; /* of struct warmup_spec, in the file's order */
	int64_t watchdog_ms;	  /* 0 = none */
	int64_t type;		  /* enum spec_type, default service; what follows is a task's */
	int64_t retries;	  /* default 0 */
	int64_t timeout_ms;	  /* of one attempt; 0 = none */
	int64_t run_again;	  /* enum task_again, default on_change */
	struct schedule_spec schedule;
	struct spec_table depends_on;  /* of struct depend_spec */
	int64_t on_dependency_restart; /* enum dependency_restart, default ignore */
	struct restart_spec restart;
	struct update_spec update;
	struct resources_spec resources;
	int64_t stop_signal;	 /* default SIGTERM */
	int64_t grace_period_ms; /* default 30 s */
	int64_t drain_ms;	 /* default 30 s; of a service with a stable port */
	struct reload_spec reload;
	struct spec_table hooks[HOOK_KIND_MAX_]; /* of struct hook_spec, in the file's order */
	int64_t log_max_size;			 /* bytes, default 20 MiB, at least 64 KiB */
	int64_t log_on_full;			 /* enum log_on_full, default block */
	int64_t log_max_files;			 /* default 5, 1..1000 */
	int64_t log_max_age_ms, log_max_total, log_rotate_ms; /* 0 = none */
	char **log_to;		  /* "file", perhaps "journald"; NULL = file */
	int64_t log_compress;	  /* enum log_compress */
	unsigned line;		  /* where the service starts in its file */
	const char *file;	  /* borrowed from the manifest */
	struct spec_table places; /* of struct spec_place: read by service_spec_place() */
};

/* Where a key stands: "probes.liveness", "environment.MODEL", "" = the service itself. */
struct spec_place {
	char *key;
	struct manifest_place at;
};

struct manifest_file { /* an env_file or secret that was read; all owned */
	char *path;    /* as manifest_input.read was asked */
	char *data;    /* NUL behind it */
	size_t len;
};

struct manifest {
	char *name; /* the apply set; default: base name of the first file's directory, made a DNS
		       label */
	struct service_spec **services; /* sorted by name */
	size_t n_services;
	struct manifest_errors warnings; /* what is allowed, but probably not meant */
	struct manifest_file *files;	 /* what was read besides the manifests, to be sent along */
	size_t n_files;
	char **files_; /* owns the strings behind service_spec.file */
};

/* One file of an apply: path is for messages and for relative paths in it; text need not end in
 * NUL. */
struct manifest_source {
	const char *path; /* absolute */
	const char *text;
	size_t len;
	unsigned layer; /* files of one layer are siblings; a higher one is merged over it */
};

/*
 * All of an apply. Sources stand in the order of their layers. How layers and `defaults` are merged
 * is said in manifest_merge.h.
 */
struct manifest_input {
	const struct manifest_source *sources;
	size_t n;
	/*
	 * The content of an env_file or of a secret's file: relative paths have been joined to the
	 * directory of the file that names them, "~/x" is left as it is, "env:NAME" is a variable
	 * of the caller. 0 with *ret_data (to be freed with mem_free, a NUL behind it) or an error.
	 * The client reads with its own rights; the daemon only looks up what was sent. NULL:
	 * nothing is read, secrets stay without data.
	 */
	int (*read)(void *user, const char *path, char **ret_data, size_t *ret_len,
		    struct err **reterr);
	void *user;
};

/*
 * Parses and checks all sources as one set. 0, or -ERR_INVALID with at least one error in *errors
 * (which must be empty on entry), or -ERR_NOMEM. Without services it is an error too.
 */
int manifest_parse(const struct manifest_input *in, struct manifest **ret,
		   struct manifest_errors *errors);
void manifest_free(struct manifest *m);
void manifest_forget_files(struct manifest *m); /* frees m->files before m */
const struct service_spec *manifest_find(const struct manifest *m, const char *service);
void service_spec_free(struct service_spec *s);

static inline bool service_spec_is_container(const struct service_spec *s)
{
	return s->container.image != NULL;
}

/* The port that ${PORT} means: the one named http, else the only one; NULL = there is none. */
const struct port_spec *service_spec_main_port(const struct service_spec *s);
/* The first port of b whose stable address one of a's takes, too (0.0.0.0 and :: take all); NULL =
 * none. *ret_a (may be NULL) is a's. */
const struct port_spec *service_spec_clash(const struct service_spec *a,
					   const struct service_spec *b,
					   const struct port_spec **ret_a);
/* Where `key`, as service_spec_diff names it, is written: "user", "environment.MODEL",
 * "ports.http.port"; else its nearest parent that is, else the service. false without any. */
bool service_spec_place(const struct service_spec *s, const char *key, struct manifest_place *ret);
/* That very key is written, in the service or in defaults. */
bool service_spec_says(const struct service_spec *s, const char *key);

enum change_class {
	CHANGE_NONE,
	CHANGE_LIVE,	/* applied without touching a process */
	CHANGE_RELOAD,	/* replicas are asked to reload */
	CHANGE_REPLACE, /* replicas are replaced */
};
/*
 * The strongest change from a to b; the dotted keys that differ ("environment.MODEL",
 * "probes.liveness") are appended to keys (may be NULL), separated by ", ".
 */
enum change_class service_spec_diff(const struct service_spec *a, const struct service_spec *b,
				    struct buf *keys);

/*
 * Over all keys whose change replaces replicas: equal means that service_spec_diff would not say
 * CHANGE_REPLACE. Kept with each replica, so that a new controller knows what is outdated.
 */
uint64_t service_spec_hash(const struct service_spec *s);

/* Names for ${...}; values borrowed. */
struct expand_port {
	const char *name; /* "metrics": ${PORT_METRICS} */
	unsigned port;	  /* of this replica; 0 = none: an error */
	int listen_fd;	  /* ${LISTEN_FD_METRICS}; 0 = none: an error */
};
struct expand_vars {
	const char *service;
	unsigned replica;
	unsigned port; /* ${PORT}: of service_spec_main_port(); 0 = none: an error */
	uint64_t revision;
	const struct expand_port *ports; /* the replica's, by the names in service_spec.ports */
	size_t n_ports;
	const struct spec_table *secrets; /* service_spec.secrets; NULL = there are none */
	const char *secrets_dir; /* ${secret:NAME} is SECRETS_DIR/NAME; NULL: as no such secret */
	const char *sockets_dir; /* ${SOCKET_METRICS} is SOCKETS_DIR/metrics; NULL: an error */
	char *const *environ;	 /* for ${env:NAME}: "NAME=value"...; NULL = none */
};
/* Expands ${PORT} ${PORT_NAME} ${LISTEN_FD} ${SOCKET} ${REPLICA} ${SERVICE} ${REVISION} ${env:NAME}
 * ${secret:NAME} and $$ in text. Caller frees *ret. */
int manifest_expand(const char *text, const struct expand_vars *vars, char **ret,
		    struct err **reterr);
/* Would it work for a replica of s, whichever and whatever the caller's environment? *ret_at is the
 * offset in bytes of the "${" that would not. */
int manifest_expand_check(const char *text, const struct service_spec *s, size_t *ret_at,
			  struct err **reterr);
/* The ports of s whose ${SOCKET} stands in text, as bits. */
uint32_t manifest_expand_sockets(const char *text, const struct service_spec *s);
/* "metrics" -> "PORT_METRICS", as in ${PORT_METRICS} and the variable. Returns buf. */
const char *manifest_port_variable(const char *port, char *buf, size_t n);
#define MANIFEST_PORT_VARIABLE_SIZE (MANIFEST_NAME_MAX + 6)

/* For `aictl explain` and the man page: schema_rows() in lib/schema.h. */

/*
 * One error as the terminal shows it: "file:line:column: error: ...", the source line, what is
 * wrong underlined, the hint. text is the file's (NULL: no source line). Returns 0 or -ERR_NOMEM.
 */
int manifest_print_error(struct buf *out, const struct err *e, const char *text, bool colour);
int manifest_print_warning(struct buf *out, const struct err *e, const char *text, bool colour);

#endif
