/*
 * schema_table: the rows behind schema.h, in order. Only schema.c reads them from here.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SCHEMA_TABLE_H
#define AICTL_LIB_SCHEMA_TABLE_H

#include "lib/schema.h"

const struct schema_row *schema_table_rows(size_t *n);

#endif
