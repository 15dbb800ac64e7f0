/*
 * ask: begins one operation for a line of the script.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINCHECK_ASK_H
#define AICTL_PLUGINCHECK_ASK_H

#include <aictl/plugin.h>

struct check;

/* NULL, or what is wrong with spec ("@FILE" or JSON) or json. */
const char *ask_start(struct check *c, const char *unit, const char *spec);
const char *ask_exec(struct check *c, const char *unit, const char *json);
void ask_signal(struct check *c, const char *unit, int signal_number);
void ask_remove(struct check *c, const char *unit);
void ask_list(struct check *c);
void ask_stats(struct check *c, const char *unit);
void ask_logs(struct check *c, const char *unit, struct aictl_log_position from);
void ask_close(struct check *c); /* once; the loop stops when it has ended */

#endif
