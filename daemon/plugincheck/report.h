/*
 * report: what aictl-plugin-check says: a JSON object per line, on stdout, written at once.
 *
 *   plugin    name version kind description path abi          it was loaded
 *   opened                                                     … and opened
 *   begin     op command [unit]                                an operation has begun
 *   end       op command [unit] code message ms …              … has ended (exit_status, stats)
 *   item      op unit phase …                                  of a list
 *   unit      unit phase …                                     the plugin told a unit's state
 *   engine    reachable name version endpoint error
 *   progress, position, started, output, log, fault, wait, error, closed
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINCHECK_REPORT_H
#define AICTL_PLUGINCHECK_REPORT_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/jsonw.h"

struct check;

struct report {
	struct check *check;
	struct jsonw w;
};

/* A line: begin, members with jsonw_… of r.w, end. */
struct report report_begin(struct check *c, const char *event);
void report_end(struct report *r);

void report_plugin(struct check *c);
void report_plain(struct check *c, const char *event);
void report_text(struct check *c, const char *event, const char *text);
void report_state(struct check *c, const char *event, uint64_t op,
		  const struct aictl_unit_state *s);
void report_engine(struct check *c, const struct aictl_engine_state *s);
void report_stats(struct report *r, const struct aictl_stats *s);

#endif
