/*
 * store_schema: the tables of the state database, as the versions of it have made them. Private to the
 * store_* files.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_STORE_SCHEMA_H
#define AICTL_CONTROLLER_STORE_SCHEMA_H

#define store_schema_versions 9

/* [v] leads from version v to v + 1. Never edit one that was released: append. */
extern const char *const store_schema_migrations[store_schema_versions];

#endif
