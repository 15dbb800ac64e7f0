/* schema_pattern: see schema_pattern.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/schema_pattern.h"

#include <string.h>

#include "lib/mem.h"
#include "lib/schema.h"

#define ADDRESS_PATTERN "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|([0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]*)$"
/* No reference: nothing replaces it there. */
#define LITERAL "(?!.*\\$\\{)"
#define CPUS_PATTERN "[0-9]{1,6}(-[0-9]{1,6})?"
/* How a schedule is written; whether its numbers are in range says aictl. */
#define CRON_VALUE "([0-9]{1,4}|[A-Za-z]{3})"
#define CRON_PART "((\\*|" CRON_VALUE "-" CRON_VALUE ")(/[0-9]{1,4})?|" CRON_VALUE ")"
#define CRON_FIELD CRON_PART "(," CRON_PART ")*"
#define CRON_PATTERN "^(@[A-Za-z]+|[ \\t]*(" CRON_FIELD "[ \\t]+){4}" CRON_FIELD "[ \\t]*)$"
#define METRIC_PATTERN "^[A-Za-z_:][A-Za-z0-9_:]{0,254}$"
#define ACCOUNT_PATTERN "^" LITERAL "[^-:/ \\t\\n][^:/ \\t\\n]{0,254}$"
#define USER_PATTERN                                                                               \
	"^" LITERAL "[^-:/ \\t\\n][^:/ \\t\\n]{0,254}(:[^-:/ \\t\\n][^:/ \\t\\n]{0,254})?$"
/* A registry, a name, a tag, a digest; what makes a registry one says aictl. */
#define IMAGE_PART "[a-z0-9]([a-z0-9._-]*[a-z0-9])?"
#define IMAGE_PATTERN                                                                              \
	"^([A-Za-z0-9.][A-Za-z0-9.-]*(:[0-9]{1,5})?/)?" IMAGE_PART "(/" IMAGE_PART ")*"            \
	"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@[A-Za-z0-9+._-]+:[0-9a-f]{32,})?$"
#define INSIDE_PATTERN "^" LITERAL "/+[^:/]([^:]|\\n)*$"
#define HOSTNAME_PATTERN "^([A-Za-z0-9]|\\$\\{[^}]*\\})([A-Za-z0-9._-]|\\$\\{[^}]*\\})*$"
#define ENGINE_NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
#define SECURITY_PATTERN                                                                           \
	"^(no-new-privileges|seccomp|apparmor|label|systempaths|mask|unmask|proc-opts|"            \
	"credentialspec)([=:](.|\\n)*)?$"
#define CDI_PATTERN "^[A-Za-z0-9._:-]+/[A-Za-z0-9._:/-]+=[A-Za-z0-9._:/=-]+$"
#define SOURCE                                                                                     \
	"(([./~]|\\$\\{[^}]*\\}|\\$)([^:$]|\\$\\{[^}]*\\}|\\$)*|[A-Za-z0-9][A-Za-z0-9._-]{1,127})"
#define INSIDE "/+[^:/$][^:]*"
#define VOLUME_PATTERN "^((" SOURCE ":)?" INSIDE "|" SOURCE ":" INSIDE ":(ro|rw))$"
#define DEVICE_PATTERN "^" LITERAL INSIDE "(:" INSIDE "(:[rwm]{1,3})?)?$"
#define URL_PATH_PATTERN "^/[!-\"$-~]{0,2047}$"
#define FIELD_PATTERN "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,63}$"
#define STEP_PATTERN "^(100%|[0-9]{1,3}%/(" NUMBER_PATTERN "(ms|s|m|h|d))+)$"

/* A text, or the names in a map: the row's path ends in this. */
static const struct {
	const char *path, *pattern;
	const char *types; /* other than string that are read as a text */
} patterns[] = {
	{"name", "^" LABEL_PATTERN "$", "string|integer"},
	{"services", "^" LABEL_PATTERN "$", NULL},
	{".user", USER_PATTERN, "string|integer"},
	{".volumes.*", VOLUME_PATTERN, "string"},
	{".devices.*", DEVICE_PATTERN, "string"},
	{".image", IMAGE_PATTERN, "string|integer"},
	{".runtime", "^" LABEL_PATTERN "$", "string|integer"},
	{".network", ENGINE_NAME_PATTERN, "string|integer"},
	{".hostname", HOSTNAME_PATTERN, "string|integer"},
	{".target", INSIDE_PATTERN, "string"},
	{".volumes.*.source", "^(.|\\n)+$", "string|number"},
	{".devices.*.source", INSIDE_PATTERN, "string"},
	{".permissions", "^[rwm]{1,3}$", "string"},
	{".cap_add", "^[A-Z_]{1,63}$", "string"},
	{".cap_drop", "^[A-Z_]{1,63}$", "string"},
	{".security_opt", SECURITY_PATTERN, "string"},
	{".group_add", ACCOUNT_PATTERN, "string|integer"},
	{".cdi", CDI_PATTERN, "string"},
	{".device_ids", "^(.|\\n)+$", "string|number|boolean"},
	{".capabilities", "^(.|\\n)+$", "string|number|boolean"},
	{".driver", "^" LITERAL "(.|\\n)+$", "string|number|boolean"},
	{".group", ACCOUNT_PATTERN, "string|integer"},
	{".http.path", URL_PATH_PATTERN, "string"},
	{".host", ADDRESS_PATTERN, "string"},
	{".listen", ADDRESS_PATTERN, "string"},
	{".environment", "^(?!PORT$|AICTL_)[A-Za-z_][A-Za-z0-9_.-]*$", NULL},
	{".labels", "^([A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
	 NULL},
	{".secrets", "^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$", NULL},
	{".ports", "^" PORT_NAME_PATTERN "$", NULL},
	{".depends_on", "^" LABEL_PATTERN "$", "string|integer"},
	{".schedule.cron", CRON_PATTERN, "string"},
	{".timezone", "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", "string|integer"},
	{".expect.status", STATUSES_PATTERN, "string|integer"},
	{".logs.to", "^(file|journald)$", "string"},
	{".metric", METRIC_PATTERN, "string"},
	{".autoscale.name", METRIC_PATTERN, "string"},
	{".metrics.*.name", METRIC_PATTERN, "string"},
	{".autoscale.path", URL_PATH_PATTERN, "string"},
	{".metrics.*.path", URL_PATH_PATTERN, "string"},
	{".affinity.header", FIELD_PATTERN, "string|integer"},
	{".update.steps", STEP_PATTERN, "string"},
	{".pending", METRIC_PATTERN, "string"},
	{".cpuset", "^(?=.{1,127}$)" CPUS_PATTERN "(," CPUS_PATTERN ")*$", "string|integer"},
	{".working_dir", "^" LITERAL "(.|\\n)+$", "string|number"},
	{".env_file", "^(.|\\n)+$", "string|number"},
	{".file", "^" LITERAL "(.|\\n)+$", "string|number"},
	{".env", "^" LITERAL "(.|\\n)+$", "string|number"},
};

static size_t find_pattern(const struct schema_row *row)
{
	size_t len = strlen(row->path), i;

	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
		size_t n = strlen(patterns[i].path);

		if (patterns[i].path[0] != '.'
			    ? strcmp(row->path, patterns[i].path) == 0
			    : len > n && strcmp(row->path + len - n, patterns[i].path) == 0)
			break;
	}
	return i;
}

const char *schema_pattern(const struct schema_row *row)
{
	size_t i = find_pattern(row);

	return i < ARRAY_SIZE(patterns) ? patterns[i].pattern : NULL;
}

const char *schema_pattern_types(const struct schema_row *row)
{
	size_t i = find_pattern(row);

	/* Any scalar is read as the text that it is written as. */
	return i < ARRAY_SIZE(patterns) && patterns[i].types ? patterns[i].types
							     : "string|number|boolean";
}
