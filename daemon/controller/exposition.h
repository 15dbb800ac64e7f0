/*
 * exposition: Prometheus' text format, version 0.0.4: a family is its HELP and TYPE lines and then
 * all of its samples. Pure. The buffer's failure is sticky, as everywhere.
 *
 *   exposition_family(b, "aictl_replicas", "gauge", "Replicas by state");
 *   exposition_begin(b, "aictl_replicas");
 *   exposition_label(b, "service", name);
 *   exposition_end_int(b, 3);
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_EXPOSITION_H
#define AICTL_CONTROLLER_EXPOSITION_H

#include <stdint.h>

struct buf;

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* type: counter, gauge, histogram. */
void exposition_family(struct buf *b, const char *name, const char *type, const char *help);
void exposition_begin(struct buf *b, const char *name);
void exposition_label(struct buf *b, const char *key, const char *value);
void exposition_end_int(struct buf *b, uint64_t value);
void exposition_end_double(struct buf *b, double value);

#endif
