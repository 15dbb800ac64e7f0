/*
 * manifest: YAML text -> checked service specifications. The same function serves `aictl validate`,
 * `apply` on the client and the daemon, so the messages are the same everywhere.
 *
 * Every key is one row of the table in schema.c (key, type, unit, default, range, change class,
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

enum probe_kind { PROBE_STARTUP, PROBE_READINESS, PROBE_LIVENESS, PROBE_KIND_MAX_ };

/* Exactly one of http, tcp and exec is set in an enabled probe. */
struct probe_spec {
	bool enabled;
	bool http, tcp, exec;
	char *path;	     /* http: "/healthz"; starts with '/'; 200-399 is success */
	char *host;	     /* http: default 127.0.0.1; a numeric address */
	char *port;	     /* http: number, or name in ports; "" = the replica's own ${PORT} */
	char *tcp_host;	     /* tcp: as host; success is that it accepts */
	char *tcp_port;	     /* tcp: as port */
	char **exec_command; /* exec: not yet expanded; success is exit code 0 */
	int64_t initial_delay_ms;  /* default 0 */
	int64_t period_ms;	   /* default 10 s; startup 2 s */
	int64_t timeout_ms;	   /* default 2 s */
	int64_t success_threshold; /* default 1; must be 1 for startup and liveness */
	int64_t failure_threshold; /* default 3; startup: unused, see stall_ms */
	int64_t stall_ms;	   /* startup only, default 120 s: failing that long = restart */
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
};

enum port_mode { PORT_PROXY };
enum port_protocol { PORT_HTTP, PORT_TCP };

/* One name in ports; `port: N` is short for ports.http.port. */
struct port_spec {
	char *name;	  /* "http"; ${PORT_HTTP} is what a replica listens on */
	int64_t port;	  /* the stable port; 0 = none, replicas get theirs all the same */
	char *listen;	  /* numeric address of the stable port, default 127.0.0.1 */
	int64_t mode;	  /* enum port_mode */
	int64_t protocol; /* enum port_protocol */
};

/* A secret: where the client reads it, and what it read. */
struct secret_spec {
	char *name;
	char *file;    /* or NULL */
	char *env;     /* variable of the client, or NULL */
	uint8_t *data; /* contents; NULL when they were not asked for */
	size_t len;
	int64_t digest; /* of the contents, so that a change of them is one of the service */
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

struct service_spec {
	char *name;
	char *description; /* "" when not given */
	char **command;	   /* NULL-terminated, at least one */
	char *working_dir; /* absolute; default: the manifest's directory */
	char *user;	   /* NULL = not given */
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
	int64_t replicas;	     /* default 1, 0..MANIFEST_REPLICAS_MAX */
	int64_t port;		     /* 0 = none; 1..65535: the service's stable address */
	struct probe_spec probes[PROBE_KIND_MAX_];
	struct restart_spec restart;
	struct resources_spec resources;
	int64_t stop_signal;	  /* default SIGTERM */
	int64_t grace_period_ms;  /* default 30 s */
	int64_t drain_ms;	  /* default 30 s; takes effect when ports are served */
	int64_t log_max_size;	  /* bytes, default 20 MiB, at least 64 KiB */
	int64_t log_max_files;	  /* default 5, 1..1000 */
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

enum change_class {
	CHANGE_NONE,
	CHANGE_LIVE,	/* applied without touching a process */
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
	char *const *environ;	 /* for ${env:NAME}: "NAME=value"...; NULL = none */
};
/* Expands ${PORT} ${PORT_NAME} ${REPLICA} ${SERVICE} ${REVISION} ${env:NAME} ${secret:NAME} and $$
 * in text. Caller frees *ret. */
int manifest_expand(const char *text, const struct expand_vars *vars, char **ret,
		    struct err **reterr);
/* Would it work for a replica of s, whichever and whatever the caller's environment? *ret_at is the
 * offset in bytes of the "${" that would not. */
int manifest_expand_check(const char *text, const struct service_spec *s, size_t *ret_at,
			  struct err **reterr);
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
