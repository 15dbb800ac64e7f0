/*
 * report_manifest: errors that have a place in a manifest, all of them, each with its source line
 * and a caret under the value; and the error objects of the API, which may have one. The same page
 * for what was found here and for what the daemon found.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_REPORT_MANIFEST_H
#define AICTL_CLI_REPORT_MANIFEST_H

#include <cjson/cJSON.h>

struct err;
struct manifest_errors;
struct reply;
struct sources;

/* sources may be NULL: then no source lines. Those that sources_load read may be Compose files: a hint. */
void report_manifest_errors(const struct sources *sources, const struct manifest_errors *errors);
/* The same as warnings; they change no exit code. */
void report_manifest_warnings(const struct sources *sources,
			      const struct manifest_errors *warnings);
/* The error object of a reply or change; returns its exit code. */
int report_manifest_json(const struct sources *sources, const cJSON *error);
/* An array of error objects, as warnings. */
void report_manifest_warnings_json(const struct sources *sources, const cJSON *warnings);
/* A reply that is not 2xx: its "errors" when it has some, else its "error". Returns the code. */
int report_manifest_reply(const struct sources *sources, const struct reply *reply);
/* An error object (NULL: only the HTTP status is known) as an err. Returns its negative code. */
int report_manifest_to_err(const cJSON *error, int status, struct err **reterr);

#endif
