/* writer: see writer.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/writer.h"

#include <stddef.h>
#include <string.h>

#include "lib/mem.h"

static const struct writer *const writers[] = {
	&writer_table_writer,
	&writer_table_wide,
	&writer_json_writer,
	&writer_name_writer,
};

const struct writer *writer_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		if (strcmp(writers[i]->name, name) == 0)
			return writers[i];
	}
	return NULL;
}
