/*
 * since: options that name a time: a duration back from now, or a time (lib/when.h), local where it
 * has no zone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_SINCE_H
#define AICTL_CLI_SINCE_H

#include <stdint.h>

struct args;

/* Wall time in ms, 0 without the option; exits 2 when its value is no time. */
int64_t since_option_named(const struct args *args, const char *name, int64_t now_ms);
/* --since */
int64_t since_option(const struct args *args, int64_t now_ms);

#endif
