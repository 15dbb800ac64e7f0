/*
 * doctor: what this machine allows, and what each lack costs. Three parts: doctor_machine gathers
 * facts (the only part that asks the kernel), doctor_checks is a table of checks, each one function
 * from the facts to a finding, and doctor puts the findings into a document and prints it.
 *
 * Facts that are files are read below `root`, so a test gives a directory of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_DOCTOR_H
#define AICTL_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <cjson/cJSON.h>

struct output;

enum doctor_level { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_PROBLEM };

/* A directory of ours, or its nearest parent that exists. */
struct doctor_dir {
	char *path, *looked_at;
	int64_t free_bytes, total_bytes; /* -1 = unknown */
	int access;			 /* 0 = we may write there, else errno */
	bool tmpfs;
	bool hangs; /* it did not answer: nothing else is known */
};

struct doctor_machine {
	const char *root; /* prefix of files: "" but in tests */
	uid_t uid;
	char *user;
	char release[65];				 /* of the kernel: "6.1.0-18-amd64" */
	int clone3, pidfd_open, close_range, pidfd_info; /* 0 = there, else errno */
	uint64_t nofile_soft, nofile_hard;		 /* ours; of the daemon where one answers */
	bool nofile_of_daemon;
	struct doctor_dir runtime, state, logs;
	bool shm_tmpfs;
	bool clock_synced;
	int64_t wall_ms;
	bool helper_users; /* aictl and aictl-log exist */
	bool system_users; /* and aictl-gw */
	unsigned port_first, port_last;
	const cJSON *daemon; /* reply of GET /v1/daemon, or NULL */
	const char *daemon_socket, *our_version;
	const char *daemon_why; /* what the API says while it is not ready, or NULL */
};

struct doctor_finding {
	enum doctor_level level;
	char *found;	    /* one line */
	const char *costs;  /* or NULL: nothing */
	const char *advice; /* or NULL */
};

struct doctor_check {
	const char *name;
	void (*look)(const struct doctor_machine *m, struct doctor_finding *f);
};

/* The table ends with name NULL. */
extern const struct doctor_check doctor_checks[];

/* Facts of this machine; daemon, socket and why may be NULL and are borrowed. */
void doctor_machine_read(struct doctor_machine *m, const cJSON *daemon, const char *socket,
			 const char *why);
void doctor_machine_done(struct doctor_machine *m);

/* {"checks":[{"name","level","found","costs","advice"}],"ok":N,"warnings":N,"problems":N} */
cJSON *doctor_document(const struct doctor_machine *m);
/* For output_view. */
void doctor_print(const struct output *out, const cJSON *document);

#endif
