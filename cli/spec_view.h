/*
 * spec_view: the specification of a service key by key, each with its line in the manifest:
 *
 *   Specification
 *     command            python3 -m uvicorn app:app    aictl.yaml:13
 *     environment.MODEL  ***                           aictl.yaml:15
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_SPEC_VIEW_H
#define AICTL_CLI_SPEC_VIEW_H

#include <cjson/cJSON.h>

struct term;

/* keys: {"restart.policy": {"file", "line"}}, may be NULL. */
void spec_view(const struct term *term, const cJSON *spec, const cJSON *keys);

#endif
