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
struct err;
struct identity;
struct service_spec;
struct spec_source;
struct store_snapshot;

/* -ERR_NOMEM when it could not even begin. */
int load_from_store(struct controller *c, const struct store_snapshot *snap);

/* In a worker thread: sources as the store keeps them; NULL: they cannot be parsed, the log says why. */
struct spec_source *load_parse(const char *json);
/* Likewise: whom a service with this spec runs as. */
void load_look_up(const struct controller *c, const struct service_spec *spec,
		  struct identity **ret, struct err **reterr);

#endif
