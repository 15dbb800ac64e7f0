/*
 * env_file: the lines of an env_file, written as in docker compose's .env:
 *
 *   # comment                        blank lines and comments; CRLF is fine
 *   NAME=value # comment             unquoted: to the end of the line or " #", blanks around it are cut
 *   export NAME='as it stands'       single quotes: nothing is special
 *   NAME="with \"escapes\" \n \t"    double quotes: \n \r \t \\ \" \$; both may span lines
 *
 * Nothing is replaced in a value: "$" and "${...}" are themselves. An error names file and line and
 * what is wrong, never the text: the file may hold what nobody is to see.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_ENV_FILE_H
#define AICTL_LIB_ENV_FILE_H

#include <stddef.h>

struct manifest_errors;

#define ENV_FILE_VARIABLES_MAX 4096 /* in one file */

/* Assignments "NAME=value" in order, with "$" written as "$$", as a manifest would. */
struct env_file_list {
	char **v; /* owned, not NULL-terminated */
	size_t n, cap;
};

struct env_file_log {
	struct manifest_errors *errors, *warnings;
	const char *hint; /* of each error: where the file is named; or NULL */
};

/* Appends the variables of a file; path is for messages and borrowed by their places. */
void env_file_parse(const char *path, const char *data, size_t len, struct env_file_list *to,
		    const struct env_file_log *log);
void env_file_done(struct env_file_list *l);

#endif
