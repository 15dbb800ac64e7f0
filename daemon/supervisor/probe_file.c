/* probe_file: see probe_file.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/probe_file.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "lib/parse.h"

int probe_file_main(int argc, char **argv)
{
	int64_t max_ms = 0, age_ms;
	struct stat st;
	char age[32];

	if (argc < 2 || argc > 3 ||
	    (argc == 3 && parse_i64(argv[2], 1, INT64_MAX, &max_ms, NULL) < 0))
		return 2;
	if (stat(argv[1], &st) < 0) {
		printf("%m\n");
		return 1;
	}
	age_ms = clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000 - st.st_mtim.tv_nsec / 1000000;
	clock_human(age_ms > 0 ? age_ms : 0, age, sizeof(age));
	printf("changed %s ago\n", age);
	return max_ms && age_ms > max_ms;
}
