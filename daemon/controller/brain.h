/*
 * brain: a controller with all that it speaks to: aictld, the store, and by HELLO the API. Nothing
 * of it is global: there may be several in one process, also on one loop.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_BRAIN_H
#define AICTL_CONTROLLER_BRAIN_H

#include <uv.h>

struct controller;
struct controller_opts;
struct err;

/*
 * c is uninitialised memory; fd is the socket to aictld, taken over on success. The loop is stopped
 * (uv_stop) when that socket ends or nothing can go on. brain_close in either case.
 */
int brain_begin(struct controller *c, uv_loop_t *loop, const struct controller_opts *opts, int fd,
		struct err **reterr);
/* Waits for the store, at most two seconds. Then a turn of the loop, and controller_done. */
void brain_close(struct controller *c);

#endif
