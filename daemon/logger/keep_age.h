/*
 * keep_age: a service's max_age as a small file in its directory, so that a logger which never saw
 * the service write knows it: one that was stopped, or deleted, before this process began. There is
 * none without a max_age.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_KEEP_AGE_H
#define AICTL_LOGGER_KEEP_AGE_H

#include <stdbool.h>
#include <stdint.h>

#define KEEP_AGE_NAME ".max_age_ms"

/* Milliseconds; 0 = none, or nothing that makes sense. */
int64_t keep_age_read(int service_fd);
/* 0 removes it. False: it is not stored. */
bool keep_age_write(int service_fd, int64_t max_age_ms);

#endif
