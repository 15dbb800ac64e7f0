/*
 * script: the commands of aictl-plugin-check, a line each (script_help has them). One that begins an
 * operation does not wait for its end; `wait` does. The end of the script closes the plugin.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINCHECK_SCRIPT_H
#define AICTL_PLUGINCHECK_SCRIPT_H

struct check;

extern const char script_help[];

void script_init(struct check *c); /* first of all */
/* Reads fd, which stays the caller's. 0 or -errno. */
int script_begin(struct check *c, int fd);
/* What is waited for may have come: goes on in the next round of the loop. */
void script_go_on(struct check *c);
void script_done(struct check *c);

#endif
