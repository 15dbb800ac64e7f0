/*
 * manifest_host: does a valid manifest fit this machine? Accounts that do not exist, programs and
 * directories that are missing, limits above what the machine allows.
 *
 * What makes every start fail and hardly changes by itself is an error of an apply: an unknown user
 * or group, a program given by an absolute path that is missing or not executable, a limit that
 * cannot be set. The rest may appear later (a directory is mounted, PATH is another under the
 * daemon) and is a warning only. What this process may not look at is not judged.
 *
 * May block on files and on name services (LDAP): never call it on a loop.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_HOST_H
#define AICTL_LIB_MANIFEST_HOST_H

struct manifest;
struct manifest_errors;

enum manifest_host {
	HOST_WARN,  /* everything: what validate shows as warnings */
	HOST_APPLY, /* errors only; limits as this process's hard limits allow them */
	/* The same where root starts the services, or where that is not known: root raises hard
	 * limits, only the kernel's own maximum counts. */
	HOST_APPLY_ROOT,
};

void manifest_host_check(const struct manifest *m, enum manifest_host what,
			 struct manifest_errors *errors);

#endif
