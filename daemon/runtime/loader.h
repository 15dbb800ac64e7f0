/*
 * loader: finds a plugin's file, makes sure that nobody else can have written it, and loads it.
 *
 * Trusted is what belongs to root or to our own uid and can be written by nobody else: the file,
 * its directory and every directory above it (after symbolic links; one that all may write is fine
 * when it is sticky, as /tmp, for what is below it is looked at, too). The file is opened once,
 * looked at through the descriptor and loaded through it, so it cannot be another one. Its
 * constructors run before its version can be asked for: the check is of the file, not of the code.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_LOADER_H
#define AICTL_RUNTIME_LOADER_H

#include <aictl/plugin.h>

struct err;

#define LOADER_NAME_MAX 32
#define LOADER_PATH_MAX 512

struct loader {
	char *path;			   /* owned */
	int fd;				   /* open as long as it is loaded; -1 = not loaded */
	void *handle;			   /* dlopen's */
	const struct aictl_plugin *plugin; /* the module's own */
	struct loader_facts {		   /* as far as it came, also of one that was refused */
		char path[LOADER_PATH_MAX];
		uint32_t abi;  /* 0 = not known */
		uint32_t kind; /* enum aictl_kind; 0 = not known */
		char version[64], description[160];
	} facts;
};

/* Its name without .so is name. 0, or -ERR_*, and *l is zero but for fd -1 and the facts. */
int loader_open(struct loader *l, const char *dir, const char *name, struct err **reterr);
int loader_open_file(struct loader *l, const char *path, struct err **reterr);
void loader_close(struct loader *l); /* idempotent; the facts stay */

/* Of an enum aictl_kind: "runtime" …, "unknown". */
const char *loader_kind_name(unsigned kind);

#endif
