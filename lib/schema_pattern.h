/*
 * schema_pattern: the texts that a key takes, as regular expressions in the part of the syntax that
 * ECMAScript and Python share. For editors; what aictl itself asks is in schema_check.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SCHEMA_PATTERN_H
#define AICTL_LIB_SCHEMA_PATTERN_H

#define NUMBER_PATTERN "[0-9]+(\\.[0-9]+)?"
#define LABEL_PATTERN "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
#define PORT_NAME_PATTERN "(?=.*[a-z])" LABEL_PATTERN
#define WHOLE_PATTERN "(0|[1-9][0-9]*)"
#define STATUS_PATTERN "[1-5][0-9]{2}"
#define STATUSES_PATTERN "^" STATUS_PATTERN "(-" STATUS_PATTERN ")?$"
/* ${...} that are known, $$ and a "$" that is only itself. */
#define REFERENCES_PATTERN                                                                         \
	"^([^$]|\\$\\$|\\$(?![${])|\\$\\{((PORT|LISTEN_FD|SOCKET)(_[A-Z0-9_]+)?|REPLICA|SERVICE|"  \
	"REVISION|env:[^}]+|secret:[^}]+)\\})*$"

struct schema_row;

/* Of a text, or of the names in a map; NULL = any. Borrowed. */
const char *schema_pattern(const struct schema_row *row);
/* The JSON types that are read as that text: "string|number". */
const char *schema_pattern_types(const struct schema_row *row);

#endif
