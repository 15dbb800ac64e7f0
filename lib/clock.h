/*
 * clock: the only reader of the clocks. Milliseconds everywhere; the suffix tells which clock:
 * *_mono_ms is CLOCK_BOOTTIME (never stepped, shared by all processes of one boot, so it may travel
 * on the wire and in the table together with the boot id), *_wall_ms is CLOCK_REALTIME (display
 * only).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_CLOCK_H
#define AICTL_LIB_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_RFC3339_SIZE 32

int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);
int64_t clock_mono_us(void);
/* a + b without overflow; INT64_MAX stands for "never" and stays it. */
int64_t clock_add(int64_t a_ms, int64_t b_ms);
/* "2026-01-02T03:04:05Z" (milliseconds are cut) into buf[CLOCK_RFC3339_SIZE]; returns buf. */
const char *clock_rfc3339(int64_t wall_ms, char *buf);
/* "340ms", "12s", "4m10s", "3h2m", "5d4h" into buf[n]; negative counts as 0. Returns buf. */
const char *clock_human(int64_t duration_ms, char *buf, size_t n);

#endif
