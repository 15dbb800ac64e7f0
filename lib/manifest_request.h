/*
 * manifest_request: what the rows alone cannot say about a request (of a probe, a hook): a body that
 * would not be sent, an answer that cannot hold what is expected, values that would break the
 * message.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_REQUEST_H
#define AICTL_LIB_MANIFEST_REQUEST_H

#include <stdint.h>

struct manifest_errors;
struct request_spec;
struct ynode;

/* node is the map at path ("probes.liveness.http"); timeout_ms is what ends an attempt. */
void manifest_request_check(const struct ynode *node, const char *path,
			    const struct request_spec *r, int64_t timeout_ms,
			    struct manifest_errors *errors, struct manifest_errors *warnings);

#endif
