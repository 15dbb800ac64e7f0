/*
 * api_apply: the apply among the changes (POST /v1/changes), and what it shares with its neighbours:
 * the body that plan reads, too, and the answer of every change.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_API_APPLY_H
#define AICTL_CONTROLLER_API_APPLY_H

#include <stdbool.h>

struct api_call;
struct apply_args;
struct apply_result;
struct change;
struct cJSON;
struct controller;
struct http_request;
struct sources;

/* manifests, prune, if_revision and origin of the body; args->sources is made to point at sources,
 * strings are borrowed from body. False: the request is answered. */
bool api_apply_args(struct api_call *call, const struct cJSON *body, struct sources *sources,
		    struct apply_args *args);
void api_apply_post(struct api_call *call, const char *id, const struct cJSON *body);
/* What went wrong: errors or err of the result. */
void api_apply_reply_failure(struct http_request *r, const struct apply_result *res);
/* In api_changes.c. */
void api_changes_reply(struct controller *c, struct http_request *r, int status,
		       const struct change *ch);

#endif
