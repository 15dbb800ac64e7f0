/* compose_find: see compose_find.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/compose_find.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "cli/x.h"
#include "lib/fs.h"
#include "lib/mem.h"

static char *first_of(const char *dir, const char *const *names)
{
	for (; *names; names++) {
		char *path = x_check(fs_join(dir, *names));

		if (access(path, F_OK) == 0)
			return path;
		mem_free(path);
	}
	return NULL;
}

static const char *const names[] = {"compose.yaml", "compose.yml", "docker-compose.yml",
				    "docker-compose.yaml", NULL};

char *compose_find(const char *dir)
{
	return first_of(dir, names);
}

bool compose_find_is_name(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *const *n = names;

	while (*n && strcmp(*n, name) != 0)
		n++;
	return *n != NULL;
}

char *compose_find_override(const char *path)
{
	static const char *const newer[] = {"compose.override.yaml", "compose.override.yml", NULL};
	static const char *const older[] = {"docker-compose.override.yml",
					    "docker-compose.override.yaml", NULL};
	_cleanup_free_ char *dir = x_check(fs_dirname(path));
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (strncmp(name, "compose.y", 9) == 0)
		return first_of(dir, newer);
	return strncmp(name, "docker-compose.y", 16) == 0 ? first_of(dir, older) : NULL;
}
