/*
 * api_autoscale: what a scaler has decided and why, in answers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_API_AUTOSCALE_H
#define AICTL_CONTROLLER_API_AUTOSCALE_H

struct jsonw;
struct service;

/* The members "autoscale", null where there is no scaler, and "override", null without one. */
void api_autoscale_write(const struct service *s, struct jsonw *w);
/* "concurrency 40 over 6s wants 8 (5.6 each), panic": of the last decision. Caller frees; NULL without
 * memory. */
char *api_autoscale_say(const struct service *s);

#endif
