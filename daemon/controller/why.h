/*
 * why: the chain of causes of a service's or a replica's present state: what it is and since when,
 * what it waits for (and that one's own cause, down to the root), the evidence, and the line of the
 * manifest that decides. Made at once from what the controller knows, with copies only, so that it
 * may then wait for a worker: why_look reads what needs files, the log and what memory is used.
 *
 * A chain is a list in reading order; a link's cause follows it with a greater depth.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_WHY_H
#define AICTL_CONTROLLER_WHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

struct jsonw;
struct replica;
struct replica_exit;
struct service;
struct spec_place;

#define WHY_LOG_LINES 5
#define WHY_EVIDENCE_MAX 24

struct why_evidence {
	const char *kind; /* static: "exit", "memory", "probe", "status", "log", "restarts", "next",
			       "deadline", "others", "hint", "hook", "reload", "limits",
			       "logs", "drain", "scaler", "engine" */
	int64_t at_wall_ms; /* 0 = no time; may be in the future */
	char *text;	    /* owned */
};

struct why_link {
	unsigned depth;
	char *what;		    /* owned: "chat", "chat/0", "aictld" */
	const char *state, *reason; /* static; reason may be NULL */
	int64_t since_wall_ms;	    /* of the state; 0 = not known */
	char *text;		    /* owned */
	struct why_evidence evidence[WHY_EVIDENCE_MAX];
	size_t n;
	char *key, *file; /* owned: of the manifest, or NULL */
	unsigned line;
	bool is_default; /* the key is not given: the line is its parent's */
	/* For why_look: */
	char service[WIRE_SERVICE_SIZE];
	uint32_t index;
	bool container;	      /* pid is one's */
	int32_t pid;	      /* whose memory counts against memory_limit; 0 = nobody's */
	int64_t memory_limit; /* 0 = none */
	char log_of[WIRE_INCARNATION_SIZE]; /* whose last lines; "" = nobody's */
	size_t log_at;			    /* where they come among the evidence */
	bool log_gone;			    /* there are none (any more): see why_take_lines */
};

struct why {
	struct why_link *links; /* owned */
	size_t n, cap;
	bool fine;   /* all is as it is wanted */
	bool failed; /* out of memory */
};

/* replica: an index that is there, or -1 = the service. *y is all zero. */
void why_explain(struct why *y, const struct service *s, int64_t replica);
/* In a worker thread: adds the log's last lines and the memory in use. */
void why_look(struct why *y, const char *log_dir, const char *cgroup_dir);
/* The last of the lines that are kept with the exit that link i is about (exit_lines.h): when log_gone
 * says so. On the loop. */
void why_take_lines(struct why *y, size_t i, const char *lines);
void why_write_json(const struct why *y, struct jsonw *w); /* the array "links" */
void why_done(struct why *y);

/* For why*.c alone: a new last link, NULL when there is no memory or no room; what is taken. */
struct why_link *why_add(struct why *y, unsigned depth, char *what);
void why_say(struct why *y, struct why_link *l, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void why_prove(struct why *y, struct why_link *l, const char *kind, int64_t at_wall_ms,
	       const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* why_look shows here what that incarnation wrote last. */
void why_show_log(struct why_link *l, const char *incarnation);
/* The key that decides: where it stands, or its nearest parent that is given. */
void why_decide(struct why *y, struct why_link *l, const struct service *s, const char *key);
/* A link about the replica. others: so many more are as it is. */
void why_replica(struct why *y, const struct replica *r, unsigned depth, unsigned others);
/* It has been restarted, or ended, by nobody's wish: worth a word though it is ready. */
bool why_replica_is_told(const struct replica *r);
/* A cause that nobody wished for: "exit", "oom", ... */
bool why_replica_is_trouble(const char *cause);
/* How it ended, and that its last log lines are to be shown. */
void why_replica_prove_exit(struct why *y, struct why_link *l, const struct replica_exit *x);

#endif
