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
#define GROUP_BYTES (1 << 20) /* a group may have many members */

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

static int find_group(const char *name, gid_t *ret, struct err **reterr)
{
	_cleanup_free_ char *memory = mem_alloc(GROUP_BYTES);
	struct group gr, *found = NULL;
	int r = memory ? getgrnam_r(name, &gr, memory, GROUP_BYTES, &found) : ENOMEM;

	if (r)
		return err_sys(reterr, r, "cannot look up group \"%s\"", name);
	if (!found)
		return err_set(reterr, ERR_NOTFOUND, "there is no group \"%s\" on this machine",
			       name);
	*ret = gr.gr_gid;
	return 0;
}

int identity_lookup(const char *user, const char *group, struct identity **ret, struct err **reterr)
{
	_cleanup_free_ char *memory = mem_alloc(PASSWD_BYTES);
	struct passwd pw, *found = NULL;
	struct identity *id;
	int r;

	if (!memory)
		return err_nomem(reterr);
	r = user ? getpwnam_r(user, &pw, memory, PASSWD_BYTES, &found)
		 : getpwuid_r(getuid(), &pw, memory, PASSWD_BYTES, &found);
	if (!found && user)
		return r ? err_sys(reterr, r, "cannot look up user \"%s\"", user)
			 : err_set(reterr, ERR_NOTFOUND, "there is no user \"%s\" on this machine",
				   user);
	if (!found) /* a uid without an entry (containers): itself, without a name */
		pw = (struct passwd){.pw_name = (char[]){"user"},
				     .pw_dir = (char[]){"/"},
				     .pw_shell = (char[]){"/bin/sh"},
				     .pw_uid = getuid(),
				     .pw_gid = getgid()};
	if (group && (r = find_group(group, &pw.pw_gid, reterr)) < 0)
		return r;
	id = mem_alloc(sizeof(*id));
	if (!id)
		return err_nomem(reterr);
	id->refs = 1;
	id->uid = pw.pw_uid;
	id->gid = pw.pw_gid;
	id->name = mem_strdup(pw.pw_name);
	id->home = mem_strdup(pw.pw_dir);
	id->shell = mem_strdup(pw.pw_shell);
	if (!id->name || !id->home || !id->shell || fill_groups(id) < 0) {
		identity_unref(id);
		return err_nomem(reterr);
	}
	*ret = id;
	return 0;
}

struct identity *identity_ref(struct identity *id)
{
	id->refs++;
	return id;
}

void identity_unref(struct identity *id)
{
	if (!id || --id->refs > 0)
		return;
	mem_free(id->name);
	mem_free(id->home);
	mem_free(id->shell);
	mem_free(id->groups);
	mem_free(id);
}
