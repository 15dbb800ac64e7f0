/*
 * load: the store's content becomes services when the controller starts. Users are looked up in a
 * worker thread; then c->loaded is set and controller_begin called. A service that cannot be read
 * any more (a manifest of another version) is said in the log and left alone: its replicas run on,
 * nothing is planned for it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_LOAD_H
#define AICTL_CONTROLLER_LOAD_H

struct controller;
struct store_snapshot;

/* -ERR_NOMEM when it could not even begin. */
int load_from_store(struct controller *c, const struct store_snapshot *snap);

#endif
