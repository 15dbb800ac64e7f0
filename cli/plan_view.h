/*
 * plan_view: the reply of POST /v1/plan (or the "plan" of an apply that is not carried out) for
 * people: what each service would go through and why, which replicas are touched in which order,
 * how long something would be away, and a summary line.
 *
 *   chat      replace  environment.MODEL (aictl.yaml:12)
 *                      chat/0: restart; down for about 4.2s: its only replica
 *   1 to replace, 4 unchanged
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_PLAN_VIEW_H
#define AICTL_CLI_PLAN_VIEW_H

#include <stdbool.h>
#include <cjson/cJSON.h>

struct cli;

/*
 * To stdout; the warnings of the manifest are not shown: who read it has shown them. diff: with the changed lines of each service's
 * manifest, in colour on a terminal. Texts come from the reply and are made safe.
 */
void plan_view(const struct cli *cli, const cJSON *plan, bool diff);
/* Anything to do: services that change, or (with prune) services that go. */
bool plan_view_changes(const cJSON *plan);

#endif
