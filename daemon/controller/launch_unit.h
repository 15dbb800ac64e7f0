/*
 * launch_unit: from a service's specification to the JSON by which a runtime starts a container: the
 * spec of UNIT_START. What a process gets by SPAWN (launch.h) is said here in the words of an engine:
 * ${...} is replaced, ports are mapped, secrets are mounted. No file-system call, nothing of an engine.
 *
 * The JSON, all members but image optional (absent = the engine's default):
 * {"image","pull_policy","command":[],"entrypoint":[],"environment":{},"user","working_dir",
 *  "hostname","init","read_only","stop_signal","network","volumes":[{"type","source","target",
 *  "read_only","size"}],"secrets":[{"source","target"}],"ports":[{"name","host_ip","host_port",
 *  "container_port","protocol"}],"devices":[{"source","target","permissions"}],"shm_size",
 *  "cap_add":[],"cap_drop":[],"security_opt":[],"ulimits":[{"name","soft","hard"}],
 *  "limits":{"memory","memory_swap","cpus","cpu_weight","pids","cpuset"},"gpus":{"driver","count",
 *  "device_ids":[],"capabilities":[[]],"cdi":[]},"labels":{},"group_add":[]}
 * Sizes are bytes, cpus are thousandths, -1 is no limit (ulimits, memory_swap) or all (gpus.count).
 * labels are the manifest's, and io.aictl.service, .index, .incarnation and .revision; who starts the
 * container adds io.aictl.instance.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_LAUNCH_UNIT_H
#define AICTL_CONTROLLER_LAUNCH_UNIT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/manifest.h"

struct buf;
struct controller;
struct err;
struct launch_what;
struct replica;

/* All borrowed. */
struct launch_unit_what {
	const struct service_spec *spec; /* of a container */
	unsigned index;
	uint64_t revision;
	const char *incarnation;
	/* Of the replica, by the names in spec->ports: this machine's numbers. */
	const struct expand_port *ports;
	size_t n_ports;
	const char *secrets_dir; /* on this machine; NULL = there are none */
	const char *home;	 /* what "~/" in volumes means; NULL: an error */
	char *const *environ;	 /* for ${env:NAME}; NULL = none */
};

/* Where secrets lie inside: ${secret:NAME} is this and "/NAME". */
#define LAUNCH_UNIT_SECRETS "/run/secrets"

/* Appends the JSON. */
int launch_unit_json(const struct launch_unit_what *w, struct buf *out, struct err **reterr);
/* For what runs inside beside it (probes, hooks): command with ${...} replaced. Caller frees with
 * mem_strv_free. */
int launch_unit_command(const struct launch_unit_what *w, char *const *command, char ***ret,
			struct err **reterr);
/* The port inside that stands behind this machine's number. */
unsigned launch_unit_port(const struct service_spec *spec, const struct port_spec *port,
			  unsigned number);
/* launch_unit_json for r: what->spec, identity and revision count. */
int launch_unit_describe(const struct controller *c, const struct replica *r,
			 const struct launch_what *what, struct buf *out, struct err **reterr);
/* what->command as it is run inside r, beside it. Caller frees with mem_strv_free. */
int launch_unit_inside(const struct controller *c, const struct replica *r,
		       const struct launch_what *what, char ***ret, struct err **reterr);

#endif
