/* paths: see paths.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/mem.h"

static char *user_runtime(void)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (geteuid() ==
	    0) /* not root's home: the helpers run under other uids and must reach it */
		return mem_strdup("/run/aictl");
	if (xdg && xdg[0] == '/')
		return mem_printf("%s/aictl", xdg);
	return mem_printf("/tmp/aictl-%u", getuid());
}

static char *user_state(void)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return mem_strdup("/var/lib/aictl");
	if (xdg && xdg[0] == '/')
		return mem_printf("%s/aictl", xdg);
	if (home && home[0] == '/')
		return mem_printf("%s/.local/state/aictl", home);
	return mem_printf("/tmp/aictl-%u/state", getuid());
}

static int complete(struct paths *p, bool with_manifests, struct paths *ret, struct err **reterr)
{
	if (!p->runtime_dir || !p->state_dir || !p->log_dir || (with_manifests && !p->manifests)) {
		paths_done(p);
		return err_nomem(reterr);
	}
	*ret = *p;
	return 0;
}

int paths_defaults(struct paths *ret, struct err **reterr)
{
	struct paths p = {0};

	if (geteuid() == 0) {
		p.runtime_dir = mem_strdup("/run/aictl");
		p.state_dir = mem_strdup("/var/lib/aictl");
		p.log_dir = mem_strdup("/var/log/aictl");
		p.manifests = mem_strdup("/etc/aictl/services");
	} else {
		p.runtime_dir = user_runtime();
		p.state_dir = user_state();
		p.log_dir = p.state_dir ? mem_printf("%s/log", p.state_dir) : NULL;
	}
	return complete(&p, geteuid() == 0, ret, reterr);
}

int paths_up(const char *manifest_dir, struct paths *ret, struct err **reterr)
{
	_cleanup_free_ char *runtime = user_runtime(), *state = user_state();
	struct paths p = {0};
	struct stat st;

	if (!runtime || !state)
		return err_nomem(reterr);
	if (stat(manifest_dir, &st) < 0)
		return err_sys(reterr, errno, "cannot look at %s", manifest_dir);
	p.runtime_dir = mem_printf("%s/up-%llx-%llx", runtime, (unsigned long long)st.st_dev,
				   (unsigned long long)st.st_ino);
	p.state_dir = mem_printf("%s/up-%llx-%llx", state, (unsigned long long)st.st_dev,
				 (unsigned long long)st.st_ino);
	if (geteuid() == 0)
		p.log_dir = mem_printf("/var/log/aictl/up-%llx-%llx", (unsigned long long)st.st_dev,
				       (unsigned long long)st.st_ino);
	else
		p.log_dir = p.state_dir ? mem_printf("%s/log", p.state_dir) : NULL;
	return complete(&p, false, ret, reterr);
}

void paths_done(struct paths *p)
{
	mem_free(p->runtime_dir);
	mem_free(p->state_dir);
	mem_free(p->log_dir);
	mem_free(p->manifests);
	*p = (struct paths){0};
}
