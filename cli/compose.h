/*
 * compose: a Compose project as one tree: its files read, ${NAME} replaced, `include` and `extends`
 * followed, one file merged over the other. Nothing is known here of what the keys mean beyond what
 * merging needs; that is import_*.c.
 *
 *   struct compose c = {.reader = {...}, ...};
 *   compose_load(&c);                 // c.errors.n == 0: c.root is the project
 *   compose_done(&c);
 *
 * Nodes keep their file and line. A relative path in a file counts from compose_base of its node.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMPOSE_H
#define AICTL_CLI_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/compose_env.h"
#include "lib/manifest_errors.h"

struct err;
struct ynode;
struct yamltree;

#define COMPOSE_FILES_MAX 64 /* read for one project, those of include and extends among them */

/* What is outside; the tests and the fuzzer have their own. */
struct compose_reader {
	/* As fs_read_file; path is absolute, or "-" for standard input. */
	int (*read)(void *user, const char *path, char **ret_data, size_t *ret_len,
		    struct err **reterr);
	const char *(*variable)(const char *name); /* of the shell; or NULL */
	void *user;
};

struct compose_file {
	char *path, *text;
	size_t len;
	char *base;	       /* of its relative paths; absolute */
	struct yamltree *tree; /* NULL: it could not be read, or is no YAML */
};

struct compose_used { /* a variable of the shell or of a file, in a value */
	char *name;
	const struct ynode *at;
	bool set; /* else nothing stood for it */
};

struct compose {
	struct compose_reader reader;
	char *dir;	  /* of the project, absolute; owned */
	char **paths;	  /* the files, absolute or "-", one over the other; owned */
	char **env_paths; /* --env-file: absolute; NULL = .env where there is one; owned */
	size_t n_paths, n_env_paths;
	/* From here on by compose_load. */
	struct compose_file **files; /* all that were read */
	size_t n_files, cap_files;
	struct yamltree *tree; /* nodes made here */
	struct compose_env env;
	struct compose_env **inner; /* of included projects */
	size_t n_inner, cap_inner;
	struct compose_used *used;
	size_t n_used, cap_used;
	unsigned loads;
	const struct ynode *root; /* NULL with errors */
	struct manifest_errors errors;
};

void compose_load(struct compose *c);
void compose_done(struct compose *c);
/* Where a relative path counts from. Borrowed. */
const char *compose_base(const struct compose *c, const struct ynode *node);

/* For compose_extend.c: the tree of a file with ${NAME} replaced, or NULL with an error at `at`. */
const struct ynode *compose_read(struct compose *c, const char *path, const char *base,
				 const struct compose_env *env, const struct ynode *at);
void compose_fail(struct compose *c, const struct ynode *at, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
