/*
 * text: the small phrases that tables, pages and progress lines share: ages, exits, states.
 * Each appends to or returns a string the caller frees; times are relative to `now_ms`.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_TEXT_H
#define AICTL_CLI_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <cjson/cJSON.h>

/* "4m10s" since the RFC 3339 member, "-" without one. */
char *text_age(const cJSON *o, const char *member, int64_t now_ms);
/* "exit code 1", "signal SIGKILL (oom)", "never ran", "exit status unknown" of {"code","signal","cause"}. */
char *text_exit(const cJSON *exit);
/* "512B", "1.5MiB", "12GiB": two digits are enough. */
char *text_bytes(int64_t bytes);
/* "frozen" for one that is, else its state. Borrowed. */
const char *text_replica_state(const cJSON *replica);
/* "next run in 3h (2026-11-23T03:00:00Z)" */
char *text_next_run(int64_t next_ms, int64_t now_ms);
/* A replica's message, with the time of the next run or attempt where there is one. */
char *text_replica_message(const cJSON *replica, int64_t now_ms);
/* A number as text, "-" for absent, null and 0 (pids, ports). */
char *text_number(const cJSON *o, const char *member);
/* "4.2s" below ten seconds, else as ages are. */
char *text_duration(int64_t ms);
/* "4.2ms", "120ms", "1.5s" of a number of ms; "-" for absent and null. */
char *text_ms(const cJSON *o, const char *member);
/* "aictl.yaml:12" of {"file","line"}: relative below the current directory; "" without a file. */
char *text_place(const cJSON *place);
/* "scaled to 5 (manifest: 2)" of a service's "drift", joined by "; "; "" without any. */
char *text_drift(const cJSON *drift);
/* Of a service's "autoscale": "3 of 1..8: concurrency 12 over 1m wants 3 of 5.6 each". */
char *text_scaler(const cJSON *scaler);
/* "1 replica", "2 replicas" */
char *text_count(int64_t n, const char *noun);

#endif
