/*
 * docker_engine: whether the engine is there. It asks for the version, takes the newest API that
 * both sides speak, opens the stream of events and says "reachable"; the host then lists. When the
 * stream ends, or the engine does not answer a ping (every ten seconds, and at once when a request
 * went wrong), it says "unreachable" and tries again, after 100 ms first and every two seconds in
 * the end. An answer may take five seconds, and up to thirty from an engine that was slow. Events from before the list are asked for again (`since`), so none is missed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_ENGINE_H
#define AICTL_PLUGINS_DOCKER_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "docker_http.h"
#include "docker_spec.h"

struct docker;
struct docker_engine;

struct docker_engine *docker_engine_new(struct docker *d); /* begins to work */
void docker_engine_free(struct docker_engine *e);

bool docker_engine_up(const struct docker_engine *e);
const char *docker_engine_error(const struct docker_engine *e); /* never NULL */
const struct docker_spec_engine *docker_engine_kind(const struct docker_engine *e);
const char *docker_engine_api(const struct docker_engine *e); /* "1.41" */

/* As docker_http_send; `fmt` is the path behind the version. Failures are looked into. */
struct docker_http_call *docker_engine_send(struct docker_engine *e,
					    const struct docker_http_ask *ask, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A request went wrong: is the engine still there? */
void docker_engine_doubt(struct docker_engine *e);

#endif
