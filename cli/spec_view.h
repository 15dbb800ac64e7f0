/*
 * spec_view: the specification of a service key by key, each with its line in the manifest:
 *
 *   Specification
 *     command            python3 -m uvicorn app:app  (line 13)
 *     environment.MODEL  ***  (line 15)
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_SPEC_VIEW_H
#define AICTL_CLI_SPEC_VIEW_H

#include <cjson/cJSON.h>

struct term;

/* Of a described service: its "spec", and its "keys": {"restart.policy": {"file", "line"}}. */
void spec_view(const struct term *term, const cJSON *service);

#endif
