/*
 * inventory: what aictld's slots say at connect, kept until the store is read too; then replicas
 * are rebuilt.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_INVENTORY_H
#define AICTL_CONTROLLER_INVENTORY_H

#include <stdint.h>

struct controller;
struct inventory;
struct replica_exit;
struct store_exit;
struct wire_slot;
struct wire_unit_state;

struct inventory *inventory_new(void); /* NULL: out of memory */
void inventory_free(struct inventory *v);
/* Copies the slot (the newest word for the same slot counts); -ERR_NOMEM. */
int inventory_add(struct inventory *v, const struct wire_slot *slot);
/* What a runtime has said of one; the last word counts. -ERR_NOMEM. */
int inventory_add_unit(struct inventory *v, const struct wire_unit_state *m);
/* The last exit of a replica as the store knows it (what aictld still holds is newer). -ERR_NOMEM.
 */
int inventory_add_exit(struct inventory *v, const struct store_exit *x);
/* That one, or NULL. Borrowed. */
const struct replica_exit *inventory_last_exit(const struct inventory *v, const char *service,
					       uint32_t index);
/* Rebuilds the replicas of all slots. A slot whose service nobody knows becomes one without a spec:
 * planned away. */
void inventory_restore(struct inventory *v, struct controller *c);

#endif
