/*
 * compose_env: the variables that a Compose file's ${NAME} may name: those of the shell, then those
 * of .env or --env-file. An included project has files of its own, which give defaults.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMPOSE_ENV_H
#define AICTL_CLI_COMPOSE_ENV_H

#include <stddef.h>

struct manifest_errors;

struct compose_variable {
	char *name, *value;
};

struct compose_env {
	const char *(*shell)(const char *name); /* as secure_getenv; or NULL */
	const struct compose_env *parent;	/* wins over what is here; or NULL */
	struct compose_variable *v;
	size_t n, cap;
};

/* Borrowed; NULL when there is none. */
const char *compose_env_get(const struct compose_env *e, const char *name);
/* The same without the shell's: what stands in a file. */
const char *compose_env_file_value(const struct compose_env *e, const char *name);
/*
 * Adds the lines of a file: NAME=value, NAME: value, export NAME=value, NAME alone (nothing to add),
 * quotes as in a shell; ${OTHER} is replaced but in single quotes. A later one of a name counts.
 * path is borrowed by the errors.
 */
void compose_env_parse(struct compose_env *e, const char *path, const char *text, size_t len,
		       struct manifest_errors *errors);
void compose_env_done(struct compose_env *e);

#endif
