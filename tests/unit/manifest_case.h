/*
 * manifest_case: what the manifest tests share: parsing a text as /srv/app/aictl.yaml and showing
 * the errors as golden text, "LINE:COLUMN: MESSAGE" with an indented hint below.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_MANIFEST_CASE_H
#define AICTL_TESTS_MANIFEST_CASE_H

#include <stddef.h>

struct manifest;
struct manifest_errors;

#define MANIFEST_CASE_PATH "/srv/app/aictl.yaml"

/* manifest_parse of one file. */
int manifest_case_parse(const char *text, size_t len, struct manifest **ret,
			struct manifest_errors *errors);
/* The errors of text as golden text, "" for a good one. Caller frees. */
char *manifest_case_errors(const char *text, size_t len);
/* The warnings about a good text in the same way; "errors" and those when it is not good. */
char *manifest_case_warnings(const char *text, size_t len);
/* Parses a text that must be good; fails the test with the errors otherwise. */
struct manifest *manifest_case_good(const char *text);
/* The same for one service: keys are the lines below it, already indented by four. */
struct manifest *manifest_case_service(const char *keys);

#endif
