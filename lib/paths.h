/*
 * paths: where the daemon and its clients meet (DESIGN.md 5). Shared so that both sides agree.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_PATHS_H
#define AICTL_LIB_PATHS_H

struct err;

/* Absolute paths; manifests is NULL for a user instance without one. All owned; paths_done frees.
 */
struct paths {
	char *runtime_dir; /* root: /run/aictl; user: $XDG_RUNTIME_DIR/aictl, else /tmp/aictl-UID */
	char *state_dir;   /* root: /var/lib/aictl; user: ${XDG_STATE_HOME:-~/.local/state}/aictl */
	char *log_dir;	   /* root: /var/log/aictl; user: state_dir/log */
	char *manifests;   /* root: /etc/aictl/services; user: NULL */
};

/* Defaults for the calling uid (root or user). Creates nothing. */
int paths_defaults(struct paths *ret, struct err **reterr);
/*
 * The paths of `aictl up` for a manifest directory: runtime = <user's runtime>/up-DEV-INO (of dir),
 * state = <user's state>/up-DEV-INO, log = state/log. Root: below /run/aictl, /var/lib/aictl,
 * /var/log/aictl.
 */
int paths_up(const char *manifest_dir, struct paths *ret, struct err **reterr);
void paths_done(struct paths *p);

#endif
