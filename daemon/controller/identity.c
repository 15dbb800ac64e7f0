/* identity: see identity.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/mem.h"

#define GROUPS_MAX_ 1024
#define PASSWD_BYTES 16384

static int fill_groups(struct identity *id)
{
	gid_t groups[GROUPS_MAX_];
	int n = GROUPS_MAX_;

	if (getgrouplist(id->name, id->gid, groups, &n) < 0)
		n = GROUPS_MAX_; /* more than that: the first ones */
	id->groups = mem_array((size_t)n, sizeof(*id->groups));
	if (!id->groups)
		return -1;
	for (int i = 0; i < n; i++)
		id->groups[i] = groups[i];
	id->n_groups = (uint32_t)n;
	return 0;
}

int identity_lookup(const char *name, struct identity **ret, struct err **reterr)
{
	_cleanup_free_ char *memory = mem_alloc(PASSWD_BYTES);
	struct passwd pw, *found = NULL;
	struct identity *id;
	int r;

	if (!memory)
		return err_nomem(reterr);
	r = name ? getpwnam_r(name, &pw, memory, PASSWD_BYTES, &found)
		 : getpwuid_r(getuid(), &pw, memory, PASSWD_BYTES, &found);
	if (!found && name)
		return r ? err_sys(reterr, r, "cannot look up user \"%s\"", name)
			 : err_set(reterr, ERR_NOTFOUND, "there is no user \"%s\" on this machine",
				   name);
	if (!found) /* a uid without an entry (containers): itself, without a name */
		pw = (struct passwd){.pw_name = (char[]){"user"},
				     .pw_dir = (char[]){"/"},
				     .pw_shell = (char[]){"/bin/sh"},
				     .pw_uid = getuid(),
				     .pw_gid = getgid()};
	id = mem_alloc(sizeof(*id));
	if (!id)
		return err_nomem(reterr);
	id->uid = pw.pw_uid;
	id->gid = pw.pw_gid;
	id->name = mem_strdup(pw.pw_name);
	id->home = mem_strdup(pw.pw_dir);
	id->shell = mem_strdup(pw.pw_shell);
	if (!id->name || !id->home || !id->shell || fill_groups(id) < 0) {
		identity_free(id);
		return err_nomem(reterr);
	}
	*ret = id;
	return 0;
}

void identity_free(struct identity *id)
{
	if (!id)
		return;
	mem_free(id->name);
	mem_free(id->home);
	mem_free(id->shell);
	mem_free(id->groups);
	mem_free(id);
}
