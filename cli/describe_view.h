/*
 * describe_view: GET /v1/services/NAME as a page: state and why first, then the replicas with their
 * probes, the last exits (with `ends`, of GET /v1/services/NAME/exits, the last lines of one that
 * failed), the events, and the service's manifest key by key with its lines.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_DESCRIBE_VIEW_H
#define AICTL_CLI_DESCRIBE_VIEW_H

#include <stdbool.h>
#include <cjson/cJSON.h>

struct term;

/* To stdout, wrapped at the terminal's width. wide: identifiers and all kept events, too. */
void describe_view(const struct term *term, const cJSON *service, bool wide);

#endif
